// moraine hex: the bytes of a file with the names of format-spec.

import MoraineBytes
import MoraineFormat
import MoraineStorage

extension Command {
    static let hex = Command(
        "hex",
        "dump a file's bytes with their names",
        positionals: [
            Positional("FILE", "a file of a store, wherever it stands: ROOT, .mman, .doc, ...")
        ],
        options: [
            Option("--offset", "N", "begin with the field that holds byte N (0x for hexadecimal)"),
            Option("--length", "N", "so many bytes; to the end without it"),
            .json, .timeout,
        ],
        notes: [
            """
            Each line shows a field: its offset, its bytes, the name that format-spec gives it, and
            its value. "*" stands for lines that repeat the one before. Names come from where the
            bytes stand, so a damaged file is dumped too: what is wrong is told on standard error,
            and the exit code is 4. With --json an object for each field.
            """
        ],
        examples: [
            ("moraine hex notes.moraine/ROOT", "both copies of ROOT"),
            ("moraine hex notes.moraine/seg/*.doc --length 64", "the header of a segment"),
            (
                "moraine hex W-0000000000000001-0000000000000002.mwal --offset 4096 --length 1",
                "the first record of a log file that lies somewhere"
            ),
        ],
        run: { call throws(Failure) in
            let start = try call.byteNumber("--offset") ?? 0
            let count = try call.byteNumber("--length") ?? .max
            return try call.timed { limit throws(Failure) in
                let (store, name) = try InspectedStore.around(call[0], call, limit)
                let file = try InspectedFile(store, name)
                let end = min(
                    file.byteCount,
                    start.addingReportingOverflow(count).overflow ? .max : start + count
                )
                guard start < end || file.byteCount == 0 else {
                    throw Failure(
                        .usage,
                        start >= file.byteCount
                            ? "--offset must be below \(file.byteCount), the length of the file"
                            : "--length must be at least 1"
                    )
                }
                let printer = HexPrinter(call, from: start, to: end, byteCount: file.byteCount)
                Anatomy(file, store, window: start..<max(start, end)) { structure in
                    printer.print(structure)
                    return !call.output.isClosed
                }.walk()
                return store.exit
            }
        }
    )
}

extension Call {
    /// A number of bytes, in decimal or with 0x.
    func byteNumber(_ option: String) throws(Failure) -> UInt64? {
        guard let text = arguments[option] else { return nil }
        if text.hasPrefix("0x"), let value = UInt64(text.dropFirst(2), radix: 16) { return value }
        return try wholeNumber(text, of: option, in: 0...UInt64.max)
    }
}

/// Prints structures as lines.
private final class HexPrinter {
    private static let lineByteCount = 16

    private let call: Call
    private let start: UInt64
    private let end: UInt64
    private let offsetDigits: Int
    private var isFirst = true

    init(_ call: Call, from start: UInt64, to end: UInt64, byteCount: UInt64) {
        self.call = call
        self.start = start
        self.end = end
        offsetDigits = byteCount > 0xFFFF_FFFF ? 12 : 8
    }

    func print(_ structure: Structure) {
        let spans = structure.spans.filter { span in
            span.offset < end && span.offset + UInt64(span.byteCount) > start
        }
        guard !spans.isEmpty else { return }
        let output = call.output
        if !call.isJSON {
            if !isFirst { output.write("\n") }
            isFirst = false
            let place = "\(structure.offset), \(grouped(structure.bytes.count)) bytes"
            output.writeLine(
                output.styled(visible("# \(structure.title)"), .bold) + "  at \(place)"
            )
            if let fault = structure.fault {
                let text =
                    "damaged: \(fault.field): expected \(fault.expected), found \(fault.found)"
                output.writeLine(output.styled(visible("! \(text)"), .red))
            }
        }
        for span in spans {
            if call.isJSON { printJSON(span, structure) } else { printLines(span, structure) }
        }
    }

    private func printJSON(_ span: Span, _ structure: Structure) {
        let bytes = structure.bytes(of: span)
        var values = Description.null
        if span.type.hasSuffix("[]"), span.type != "u8[]" {
            values = .list(elements(bytes, span.type).map { .text($0) })
        } else if !span.value.isEmpty {
            values = .text(span.value)
        }
        call.print(
            .object([
                ("offset", .number(span.offset)), ("byteCount", .number(span.byteCount)),
                ("structure", .text(structure.title)), ("name", .text(span.name)),
                ("type", .text(span.type)), ("value", values),
                ("hex", .text(bytes.map { hexadecimal(UInt64($0), count: 2) }.joined())),
            ])
        )
    }

    private func printLines(_ span: Span, _ structure: Structure) {
        let bytes = structure.bytes(of: span)
        var previous: ArraySlice<UInt8> = []
        var isRepeating = false
        for lineStart in stride(from: bytes.startIndex, to: bytes.endIndex, by: Self.lineByteCount)
        {
            let line = bytes[lineStart..<min(bytes.endIndex, lineStart + Self.lineByteCount)]
            let offset = span.offset + UInt64(lineStart - bytes.startIndex)
            // Of a long field only the lines that were asked for.
            if offset >= end || offset + UInt64(line.count) <= start { continue }
            if line.elementsEqual(previous), line.endIndex < bytes.endIndex {
                if !isRepeating { call.output.writeLine("*") }
                isRepeating = true
                continue
            }
            isRepeating = false
            let isHead = lineStart == bytes.startIndex
            write(line, at: offset, isHead: isHead, span)
            previous = line
            if call.output.isClosed { return }
        }
    }

    private func write(
        _ line: ArraySlice<UInt8>,
        at offset: UInt64,
        isHead: Bool,
        _ span: Span
    ) {
        var text = hexadecimal(offset, count: offsetDigits) + " "
        for byte in line { text += " " + hexadecimal(UInt64(byte), count: 2) }
        let width = offsetDigits + 1 + Self.lineByteCount * 3
        text += String(repeating: " ", count: max(0, width - text.count) + 2)
        var says = isHead ? span.value : ""
        if span.type.hasSuffix("[]"), span.type != "u8[]" {
            says = elements(line, span.type).joined(separator: " ")
        } else if says.isEmpty, ["u8[]", "bytes", "prefixed"].contains(span.type),
            line.contains(where: { $0 != 0 })
        {
            says = "|" + characters(line) + "|"
        }
        let label = isHead ? span.name : ""
        let padding = String(repeating: " ", count: max(0, 20 - label.count))
        text += says.isEmpty ? label : label + padding + " " + says
        while text.last == " " { text.removeLast() }
        call.output.writeLine(visible(text))
    }

    private func characters(_ line: ArraySlice<UInt8>) -> String {
        String(
            decoding: line.map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: ".") },
            as: UTF8.self
        )
    }

    /// The numbers of a run of equal fields.
    private func elements(_ bytes: ArraySlice<UInt8>, _ type: String) -> [String] {
        let sizes = ["u16[]": 2, "u64[]": 8]
        let size = sizes[type] ?? 4
        return stride(from: bytes.startIndex, to: bytes.endIndex - size + 1, by: size).map { at in
            var value: UInt64 = 0
            for byte in bytes[at..<(at + size)].reversed() { value = value << 8 | UInt64(byte) }
            switch type {
            case "f32[]": return "\(Float(bitPattern: UInt32(value)))"
            case "x32[]": return hexadecimal(value, count: 8)
            default: return String(value)
            }
        }
    }
}
