// A scalar of metadata as it stands in its bytes, and lists of values to find it in.

import MoraineBytes
import MoraineFormat

/// A value of metadata that is no array and no object; texts are borrowed.
enum Scalar {
    case null
    case bool(Bool)
    case number(Number)
    case string(UnsafeRawBufferPointer)

    /// Reads a value; `nil` for an array or object, of which only the tag is read.
    @inline(__always)
    init?(_ reader: inout ByteReader) throws(FormatError) {
        switch try Metadata.readTag(&reader) {
        case .null: self = .null
        case .false: self = .bool(false)
        case .true: self = .bool(true)
        case .integer:
            let bits = try reader.readVarint("integer")
            self = .number(.integer(Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1)))
        case .double:
            let at = reader.position
            let value = Double(bitPattern: try reader.readUInt64("double"))
            guard value.isFinite else {
                throw FormatError(
                    .range,
                    at: UInt64(at),
                    field: "double",
                    expected: "a finite number",
                    found: "infinity or NaN"
                )
            }
            self = .number(.double(value))
        case .string: self = .string(try reader.readPrefixed("string"))
        case .array, .object: return nil
        }
    }

    /// Negative, zero or positive as this sorts below, with or above `value`; `nil` for another
    /// kind.
    @inline(__always)
    func order(_ value: FilterValue) -> Int? {
        switch (self, value) {
        case (.null, .null): 0
        case (.bool(let a), .bool(let b)): a == b ? 0 : a ? 1 : -1
        case (.number(let a), .integer(let b)): a.order(.integer(b))
        case (.number(let a), .double(let b)): a.order(.double(b))
        case (.string(let a), .string(let b)):
            b.withUnsafeBufferPointer { KeyBytes.compare(a, UnsafeRawBufferPointer($0)) }
        default: nil
        }
    }
}

/// The values of an `in`, to be searched.
struct ValueList: Sendable {
    private var numbers: [Number] = []
    private var strings: [[UInt8]] = []
    private var hasNull = false
    private var hasTrue = false
    private var hasFalse = false

    init(_ values: [FilterValue] = []) {
        for value in values {
            switch value {
            case .null: hasNull = true
            case .bool(let value): if value { hasTrue = true } else { hasFalse = true }
            case .integer(let value): numbers.append(.integer(value))
            case .double(let value): numbers.append(.double(value))
            case .string(let text): strings.append(text)
            }
        }
        numbers.sort { $0.order($1) < 0 }
        strings.sort { $0.lexicographicallyPrecedes($1) }
    }

    /// True when one of the values equals `found`.
    func contains(_ found: Scalar) -> Bool {
        switch found {
        case .null: hasNull
        case .bool(let value): value ? hasTrue : hasFalse
        case .number(let number): Self.search(numbers) { number.order($0) }
        case .string(let text):
            Self.search(strings) { string in
                string.withUnsafeBufferPointer {
                    KeyBytes.compare(text, UnsafeRawBufferPointer($0))
                }
            }
        }
    }

    /// - Parameter order: negative, zero or positive as what is looked for stands before, at or
    ///   behind the element.
    private static func search<T>(_ list: [T], _ order: (T) -> Int) -> Bool {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            let found = order(list[middle])
            if found == 0 { return true }
            if found < 0 { high = middle } else { low = middle + 1 }
        }
        return false
    }
}
