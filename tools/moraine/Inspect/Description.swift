// What an inspector found, once, for JSON and for people.

import MoraineBytes
import MoraineFormat
import MoraineJSON
import MoraineStorage

/// A description of bytes on disk.
///
/// Names are those of format-spec.
indirect enum Description {
    case integer(UInt64)
    case text(String)
    /// JSON as it is to be printed.
    case json(String)
    case bool(Bool)
    case null
    case list([Description])
    case object(Fields)

    /// Fields in the order in which they stand on disk.
    typealias Fields = [(name: String, value: Description)]

    /// An error as the inspector says it: where it stopped, and why.
    init(_ error: StoreError) {
        self = .object([
            ("offset", error.offset.map { .number($0) } ?? .null),
            ("message", .text(error.message)),
            ("expected", error.expected.map { .text($0) } ?? .null),
            ("found", error.found.map { .text($0) } ?? .null),
        ])
    }

    /// A time as text.
    static func time(_ milliseconds: UInt64) -> Description {
        .text(Timestamp.text(milliseconds: milliseconds))
    }

    /// A 64-bit number that is an arbitrary pattern, in hexadecimal.
    static func pattern(_ value: UInt64) -> Description { .text(hexadecimal(value, count: 16)) }

    static func checksum(_ value: UInt32) -> Description { .text(hex(value)) }

    static func number(_ value: some BinaryInteger) -> Description { .integer(UInt64(value)) }

    static func bytes(_ text: UnsafeRawBufferPointer) -> Description {
        .text(String(decoding: text, as: UTF8.self))
    }
}

extension Description {
    /// Writes JSON.
    func write(to json: inout JSONWriter) {
        switch self {
        case .integer(let value): json.writeUInt(value)
        case .text(let text): json.writeString(text)
        case .json(let text): for byte in text.utf8 { json.writeRaw(byte) }
        case .bool(let value): json.writeBool(value)
        case .null: json.writeNull()
        case .list(let items):
            json.writeRaw("[")
            for (index, item) in items.enumerated() {
                if index > 0 { json.writeRaw(",") }
                item.write(to: &json)
            }
            json.writeRaw("]")
        case .object(let fields):
            json.writeRaw("{")
            for (index, field) in fields.enumerated() {
                if index > 0 { json.writeRaw(",") }
                json.writeString(field.name)
                json.writeRaw(":")
                field.value.write(to: &json)
            }
            json.writeRaw("}")
        }
    }

    /// The value in one cell of a table.
    var cell: String {
        switch self {
        case .integer(let value): String(value)
        case .text(let text), .json(let text): text
        case .bool(let value): value ? "yes" : "no"
        case .null: "-"
        case .list(let items): items.map(\.cell).joined(separator: ", ")
        case .object(let fields):
            fields.map { "\($0.name) \($0.value.cell)" }.joined(separator: " ")
        }
    }

    /// Prints for people: fields line by line, lists of objects as tables.
    func print(to output: Output, title: String? = nil) {
        if let title { output.writeLine(output.styled(visible(title), .bold)) }
        switch self {
        case .object(let fields): Self.print(fields, to: output)
        case .list(let items): Self.print(items, to: output)
        default: output.writeLine(visible(cell))
        }
    }

    private static func print(_ fields: Fields, to output: Output) {
        var table = Table(output, [("", .left), ("", .left)])
        var later: Fields = []
        for field in fields {
            switch field.value {
            case .object: later.append(field)
            case .list(let items) where items.contains { $0.isObject }: later.append(field)
            default: table.add([field.name, field.value.cell])
            }
        }
        table.finish()
        for field in later {
            output.write("\n")
            field.value.print(to: output, title: field.name)
        }
    }

    private var isObject: Bool {
        if case .object = self { true } else { false }
    }

    private static func print(_ items: [Description], to output: Output) {
        // The columns are the names of all rows, in the order in which they are met.
        var names: [String] = []
        for case .object(let fields) in items {
            for field in fields where !names.contains(field.name) { names.append(field.name) }
        }
        var table = Table(output, names.map { ($0, .left) })
        for case .object(let fields) in items {
            table.add(
                names.map { name in fields.first { $0.name == name }?.value.cell ?? "" }
            )
        }
        table.finish()
    }
}

extension Call {
    /// Prints one description: a line of JSON, or text for people.
    func print(_ description: Description, title: String? = nil) {
        if isJSON {
            var json = JSONWriter()
            description.write(to: &json)
            output.writeLine(&json)
        } else {
            description.print(to: output, title: title)
        }
    }
}

/// Valid metadata as JSON.
func jsonText(metadata: UnsafeRawBufferPointer) throws(FormatError) -> String {
    var json = JSONWriter()
    try json.writeMetadata(metadata)
    return json.withBytes { String(decoding: $0, as: UTF8.self) }
}

/// Little-endian Float32 as a JSON array; what is no number, as text.
func jsonText(vector: UnsafeRawBufferPointer) -> String {
    var values: [Float] = []
    copyFloats(vector, to: &values)
    return "[" + values.map { jsonText($0) }.joined(separator: ",") + "]"
}

/// A Float32 as JSON; damaged bytes may be no number.
func jsonText(_ value: Float) -> String {
    var json = JSONWriter()
    if value.isFinite { json.writeFloat(value) } else { json.writeString("\(value)") }
    return json.withBytes { String(decoding: $0, as: UTF8.self) }
}

extension FileHeader {
    /// The header's fields.
    var fields: Description.Fields {
        [
            ("kind", .text(kind.rawValue)), ("revision", .number(FileHeader.revision)),
            ("headerByteCount", .number(FileHeader.byteCount)),
            ("compatFlags", .number(compatFlags)), ("roCompatFlags", .number(roCompatFlags)),
            ("incompatFlags", .number(0)), ("storeID", .text(storeID.text)),
            ("fileID", .number(fileID)), ("createdLSN", .number(createdLSN)),
        ]
    }
}

extension CollectionShape {
    var fields: Description.Fields {
        [
            ("collectionID", .number(id)), ("name", .text(name)),
            ("dimensions", .number(dimensions)), ("metric", .text(metric.name)),
        ]
    }
}
