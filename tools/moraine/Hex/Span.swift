// Bytes with the names that format-spec gives them.

import MoraineBytes
import MoraineFormat
import MoraineJSON

/// A field as it stands in a file.
struct Span {
    let offset: UInt64
    let byteCount: Int
    let name: String
    /// As the page writes it: "u32", "varint", "prefixed".
    let type: String
    /// The value, where the bytes alone say too little.
    let value: String
}

/// A structure of a file: a header, a record, an entry.
struct Structure {
    let title: String
    let offset: UInt64
    let bytes: [UInt8]
    private(set) var spans: [Span] = []
    /// What is wrong with it.
    var fault: FormatError?

    init(_ title: String, at offset: UInt64, _ bytes: [UInt8]) {
        self.title = title
        self.offset = offset
        self.bytes = bytes
    }

    /// A structure of fixed fields; what lies behind them is not named.
    init(
        _ title: String,
        at offset: UInt64,
        _ bytes: [UInt8],
        layout: [ByteField],
        from base: Int = 0
    ) {
        self.init(title, at: offset, bytes)
        add(layout, from: base)
    }

    /// Names the fields of a layout that starts `base` bytes into the structure.
    mutating func add(_ layout: [ByteField], from base: Int = 0) {
        for field in layout {
            let start = base + field.offset
            let count = min(field.size ?? bytes.count - start, bytes.count - start)
            if count > 0 { add(field.name, field.type, at: start, count: count) }
        }
    }

    /// Names bytes; the value is what the type makes of them unless it is given.
    mutating func add(
        _ name: String,
        _ type: String,
        at start: Int,
        count: Int,
        value: String? = nil
    ) {
        guard start >= 0, count > 0, start <= bytes.count, count <= bytes.count - start else {
            return
        }
        spans.append(
            Span(
                offset: offset + UInt64(start),
                byteCount: count,
                name: name,
                type: type,
                value: value ?? Self.text(bytes[start..<(start + count)], name, type)
            )
        )
    }

    /// The bytes of a span of this structure.
    func bytes(of span: Span) -> ArraySlice<UInt8> {
        let start = Int(span.offset - offset)
        return bytes[start..<(start + span.byteCount)]
    }

    /// A fixed field's value for people.
    private static func text(_ bytes: ArraySlice<UInt8>, _ name: String, _ type: String) -> String {
        switch type {
        case "u8", "u16", "u32", "u64":
            var value: UInt64 = 0
            for byte in bytes.reversed() { value = value << 8 | UInt64(byte) }
            return number(value, name, digits: bytes.count * 2)
        case "f32":
            let bits = bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return "\(Float(bitPattern: bits))"
        case "u8[4]", "u8[2]", "text":
            let isText = bytes.allSatisfy { (0x20..<0x7F).contains($0) }
            return isText ? String(decoding: bytes, as: UTF8.self) : ""
        default: return ""
        }
    }

    /// A number, with what it means where its name says that it is a time or a pattern.
    static func number(_ value: UInt64, _ name: String, digits: Int = 16) -> String {
        // The one field of that name that is an index.
        let isChecksum = name.lowercased().hasSuffix("checksum") && name != "firstChecksum"
        if isChecksum || name.lowercased().hasSuffix("incarnation") {
            return hexadecimal(value, count: digits)
        }
        let isTime =
            ["created", "updated", "expiry", "time"].contains(name) || name.hasSuffix("Time")
        guard isTime, value > 0 else { return String(value) }
        return "\(value)  \(Timestamp.text(milliseconds: value))"
    }
}
