// Metadata to bytes and back. Bytes: format-spec/document.md, "Metadata".

package import MoraineBytes
import MoraineFormat
package import MoraineStorage

extension Metadata {
    /// The canonical bytes.
    ///
    /// NaN and infinity are written as they are: the engine refuses them.
    ///
    /// - Throws: `invalidMetadata` for more levels than the format allows.
    package func encoded() throws(StoreError) -> [UInt8] {
        if elements.isEmpty { return MoraineFormat.Metadata.empty }
        var writer = ByteWriter(capacity: 16 + 24 * elements.count)
        try encode(into: &writer, level: 1)
        return writer.finish()
    }

    private func encode(into writer: inout ByteWriter, level: Int) throws(StoreError) {
        try Self.check(level)
        writer.writeVarint(UInt64(elements.count))
        for (key, value) in elements {
            writer.writeString(key)
            try Self.encode(value, into: &writer, level: level)
        }
    }

    private static func encode(
        _ value: MetadataValue,
        into writer: inout ByteWriter,
        level: Int
    ) throws(StoreError) {
        typealias Tag = MoraineFormat.Metadata.Tag
        func tag(_ tag: Tag) { writer.writeUInt8(tag.rawValue) }
        switch value {
        case .null: tag(.null)
        case .bool(let value): tag(value ? .true : .false)
        case .int(let value):
            tag(.integer)
            writer.writeVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
        case .double(let value):
            tag(.double)
            writer.writeUInt64(value.bitPattern)
        case .string(let value):
            tag(.string)
            writer.writeString(value)
        case .array(let values):
            tag(.array)
            try check(level + 1)
            writer.writeVarint(UInt64(values.count))
            for value in values { try encode(value, into: &writer, level: level + 1) }
        case .object(let object):
            tag(.object)
            try object.encode(into: &writer, level: level + 1)
        }
    }

    private static func check(_ level: Int) throws(StoreError) {
        guard level <= FormatLimits.metadataDepth else {
            throw StoreError(
                .invalidMetadata,
                "metadata is nested too deep",
                expected: "at most \(FormatLimits.metadataDepth) levels",
                found: "more"
            )
        }
    }

    /// Where the first value stands that cannot be stored, as `"a"."b"[2]`; `nil` when all can.
    ///
    /// Of a place that is long only the outermost key is told.
    var faultyPlace: String? {
        for (key, value) in elements {
            guard let place = Self.faultyPlace(in: value, level: 1) else { continue }
            return Self.quoted(key) + place
        }
        return nil
    }

    private static func faultyPlace(in value: MetadataValue, level: Int) -> String? {
        switch value {
        case .double(let number): return number.isFinite ? nil : ""
        case .array(let values):
            guard level < FormatLimits.metadataDepth else { return "" }
            for (index, value) in values.enumerated() {
                if let place = faultyPlace(in: value, level: level + 1) {
                    return shortened("[\(index)]\(place)")
                }
            }
            return nil
        case .object(let object):
            guard level < FormatLimits.metadataDepth else { return "" }
            for (key, value) in object.elements {
                if let place = faultyPlace(in: value, level: level + 1) {
                    return shortened(".\(quoted(key))\(place)")
                }
            }
            return nil
        case .null, .bool, .int, .string: return nil
        }
    }

    private static func quoted(_ key: String) -> String {
        key.utf8.count <= 80 ? "\"\(key)\"" : "\"\(String(key.unicodeScalars.prefix(40)))...\""
    }

    private static func shortened(_ place: String) -> String {
        place.utf8.count <= 400 ? place : "..."
    }

    /// Reads the canonical bytes of an object.
    ///
    /// Never traps and never recurses deeper than the format's limit, whatever the bytes are; that
    /// keys ascend was checked when they were put.
    package init(encoded bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes)
        self = try Self.readObject(&reader, level: 1)
        try reader.expectEnd("metadata")
    }

    /// Room that a count alone may ask for; behind it arrays grow with what is really there.
    private static let reservedCount = 256

    private static func readObject(_ reader: inout ByteReader, level: Int) throws(FormatError)
        -> Metadata
    {
        let count = try reader.readCount("count", unit: 2)
        guard count > 0 else { return Metadata() }
        var elements: [Element] = []
        elements.reserveCapacity(Swift.min(count, Self.reservedCount))
        for _ in 0..<count {
            let key = try readText(&reader, "key")
            elements.append((key, try readValue(&reader, level: level)))
        }
        return Metadata(sorted: elements)
    }

    private static func readValue(_ reader: inout ByteReader, level: Int) throws(FormatError)
        -> MetadataValue
    {
        let at = UInt64(reader.position)
        switch try MoraineFormat.Metadata.readTag(&reader) {
        case .null: return .null
        case .false: return .bool(false)
        case .true: return .bool(true)
        case .integer:
            let bits = try reader.readVarint("integer")
            return .int(Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1))
        case .double: return .double(Double(bitPattern: try reader.readUInt64("double")))
        case .string: return .string(try readText(&reader, "string"))
        case .array:
            try expect(level: level + 1, at)
            let count = try reader.readCount("count")
            var values: [MetadataValue] = []
            values.reserveCapacity(Swift.min(count, reservedCount))
            for _ in 0..<count { values.append(try readValue(&reader, level: level + 1)) }
            return .array(values)
        case .object:
            try expect(level: level + 1, at)
            return .object(try readObject(&reader, level: level + 1))
        }
    }

    @inline(__always)
    private static func readText(_ reader: inout ByteReader, _ field: StaticString)
        throws(FormatError) -> String
    {
        let at = UInt64(reader.position)
        guard let text = makeText(try reader.readPrefixed(field)) else {
            throw FormatError(
                .encoding,
                at: at,
                field: "\(field)",
                expected: "UTF-8",
                found: "other bytes"
            )
        }
        return text
    }

    private static func expect(level: Int, _ at: UInt64) throws(FormatError) {
        guard level <= FormatLimits.metadataDepth else {
            throw FormatError(
                .range,
                at: at,
                field: "metadata",
                expected: "at most \(FormatLimits.metadataDepth) levels",
                found: "more"
            )
        }
    }
}
