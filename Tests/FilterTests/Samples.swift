// Chance, metadata and filters for the tests of this folder, and what filters mean, told again.

import MoraineBytes
import MoraineFormat

@testable import MoraineFilters

struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
}

/// A value of metadata.
indirect enum Value {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    case array([Value])
    case object([String: Value])

    /// The binary form of an object.
    var encoded: [UInt8] {
        var writer = ByteWriter()
        guard case .object(let object) = self else { return [] }
        Value.write(object, &writer)
        return writer.finish()
    }

    private static func write(_ object: [String: Value], _ writer: inout ByteWriter) {
        writer.writeVarint(UInt64(object.count))
        for (key, value) in object.sorted(by: {
            Array($0.key.utf8).lexicographicallyPrecedes($1.key.utf8)
        }) {
            writer.writeString(key)
            value.write(&writer)
        }
    }

    private func write(_ writer: inout ByteWriter) {
        func tag(_ tag: Metadata.Tag) { writer.writeUInt8(tag.rawValue) }
        switch self {
        case .null: tag(.null)
        case .bool(let value): tag(value ? .true : .false)
        case .integer(let value):
            tag(.integer)
            writer.writeVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
        case .double(let value):
            tag(.double)
            writer.writeUInt64(value.bitPattern)
        case .string(let text):
            tag(.string)
            writer.writeString(text)
        case .array(let values):
            tag(.array)
            writer.writeVarint(UInt64(values.count))
            for value in values { value.write(&writer) }
        case .object(let object):
            tag(.object)
            Value.write(object, &writer)
        }
    }

    var filterValue: FilterValue {
        switch self {
        case .null, .array, .object: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .double(let value): .double(value)
        case .string(let text): .string(Array(text.utf8))
        }
    }

    /// Values that are often equal, nearly equal, or alike in one way only.
    static func random(_ random: inout SplitMix, scalarOnly: Bool = false, depth: Int = 0) -> Value
    {
        switch random.below(scalarOnly || depth > 2 ? 8 : 12) {
        case 0: return .null
        case 1: return .bool(random.below(2) == 0)
        case 2, 3: return .integer(random.pick(integers))
        case 4, 5: return .double(random.pick(doubles))
        case 6, 7: return .string(random.pick(strings))
        case 8, 9:
            return .array(
                (0..<random.below(5)).map { _ in Value.random(&random, depth: depth + 1) }
            )
        default: return object(&random, depth: depth + 1)
        }
    }

    static func object(_ random: inout SplitMix, depth: Int = 0) -> Value {
        var object: [String: Value] = [:]
        for _ in 0..<random.below(5) {
            object[random.pick(names)] = Value.random(&random, depth: depth)
        }
        return .object(object)
    }

    static let names = ["a", "b", "c", "a b", "", "Å", "in", "a.b", "`", "\\", "\"", "\n"]
    private static let integers: [Int64] = [
        0, 1, 2, 3, -1, 100, .max, .min, .max - 1, 1 << 53, 1 << 53 + 1, 1 << 62,
    ]
    private static let doubles: [Double] = [
        0, -0.0, 1, 1.5, -1, 2, 100, 0x1p53, 0x1p53 + 2, 0x1p62, 0x1p63, -0x1p63, 1e300, -1e300,
        .leastNonzeroMagnitude, 0.1,
    ]
    private static let strings = [
        "", "a", "ab", "abc", "b", "ba", "é", "e\u{301}", "\u{FF5E}", "😀", "a\u{0}b", "line\n\"",
    ]
}

/// A filter as a tree: the meaning of filters told a second time, as plainly as it goes.
indirect enum Meaning {
    case constant(Bool)
    case test(path: [String], op: String, values: [Value])
    case not(Meaning)
    case and(Meaning, Meaning)
    case or(Meaning, Meaning)

    static func random(_ random: inout SplitMix, depth: Int = 0) -> Meaning {
        let inner = depth + 1
        switch random.below(depth > 4 ? 6 : 12) {
        case 0: return .constant(random.below(2) == 0)
        case 6, 7: return .not(.random(&random, depth: inner))
        case 8, 9: return .and(.random(&random, depth: inner), .random(&random, depth: inner))
        case 10, 11: return .or(.random(&random, depth: inner), .random(&random, depth: inner))
        default:
            let ops = [
                "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startswith", "exists",
            ]
            let op = random.pick(ops)
            var values = [Value.random(&random, scalarOnly: true)]
            if op == "in" {
                values = (0..<random.below(4)).map { _ in .random(&random, scalarOnly: true) }
            }
            if op == "startswith" {
                values = [.string(random.pick(["", "a", "ab", "e", "é", "\u{FF5E}"]))]
            }
            return .test(
                path: (0...random.below(2)).map { _ in random.pick(Value.names) },
                op: op,
                values: values
            )
        }
    }

    var filter: Filter {
        switch self {
        case .constant(let value): return Filter(constant: value)
        case .not(let inner):
            var filter = inner.filter
            filter.negate()
            return filter
        case .and(let a, let b):
            var filter = a.filter
            filter.and(b.filter)
            return filter
        case .or(let a, let b):
            var filter = a.filter
            filter.or(b.filter)
            return filter
        case .test(let path, let op, let values):
            let values = values.map(\.filterValue)
            let test: Filter.Test
            switch op {
            case "in": test = .isIn(values)
            case "exists": test = .exists
            case "contains": test = .contains(values[0])
            case "startswith":
                guard case .string(let text) = values[0] else { preconditionFailure("no string") }
                test = .hasPrefix(text)
            default:
                guard let comparison = Comparison(rawValue: op) else {
                    preconditionFailure("no comparison")
                }
                test = .compare(comparison, values[0])
            }
            return Filter(FieldPath(names: path.map { Array($0.utf8) }), test)
        }
    }

    func holds(_ document: Value) -> Bool {
        switch self {
        case .constant(let value): return value
        case .not(let inner): return !inner.holds(document)
        case .and(let a, let b): return a.holds(document) && b.holds(document)
        case .or(let a, let b): return a.holds(document) || b.holds(document)
        case .test(let path, let op, let values):
            var field = document
            for name in path {
                guard case .object(let object) = field,
                    let next = object.first(where: { Array($0.key.utf8) == Array(name.utf8) })
                else { return false }
                field = next.value
            }
            return Meaning.holds(field, op, values)
        }
    }

    private static func holds(_ field: Value, _ op: String, _ values: [Value]) -> Bool {
        if op == "exists" { return true }
        if op == "contains", case .array(let elements) = field {
            return elements.contains { holds($0, "==", values) }
        }
        switch field {
        case .array, .object: return false
        default: break
        }
        if op == "in" { return values.contains { holds(field, "==", [$0]) } }
        let sign = order(field, values[0])
        switch op {
        case "==": return sign == 0
        case "!=": return sign != 0
        case "contains":
            guard case .string(let text) = field, case .string(let part) = values[0] else {
                return false
            }
            let (text8, part8) = (Array(text.utf8), Array(part.utf8))
            return part8.isEmpty
                || text8.indices.contains { text8[$0...].starts(with: part8) }
        case "startswith":
            guard case .string(let text) = field, case .string(let part) = values[0] else {
                return false
            }
            return text.utf8.starts(with: part.utf8)
        default: break
        }
        switch (field, values[0]) {
        case (.null, _), (.bool, _): return false
        default: break
        }
        guard let sign else { return false }
        switch op {
        case "<": return sign < 0
        case "<=": return sign <= 0
        case ">": return sign > 0
        default: return sign >= 0
        }
    }

    private static func order(_ a: Value, _ b: Value) -> Int? {
        switch (a, b) {
        case (.null, .null): return 0
        case (.bool(let a), .bool(let b)): return a == b ? 0 : 1
        case (.integer(let a), .integer(let b)): return a < b ? -1 : a == b ? 0 : 1
        case (.double(let a), .double(let b)): return a < b ? -1 : a == b ? 0 : 1
        case (.integer(let a), .double(let b)): return order(a, b)
        case (.double(let a), .integer(let b)): return -order(b, a)
        case (.string(let a), .string(let b)):
            if a.utf8.elementsEqual(b.utf8) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        default: return nil
        }
    }

    private static func order(_ a: Int64, _ b: Double) -> Int {
        if b >= 9.3e18 { return -1 }
        if b <= -9.3e18 { return 1 }
        // Beyond int64 by a little, or within it: 65 bits are enough for both.
        let floor = Int128(b.rounded(.down))
        if Int128(a) != floor { return Int128(a) < floor ? -1 : 1 }
        return b == b.rounded(.down) ? 0 : -1
    }
}

/// Whether a document passes, by its bytes.
func matches(_ filter: Filter, _ document: Value) throws -> Bool {
    var evaluator = FilterEvaluator(filter)
    return try document.encoded.withUnsafeBytes { try evaluator.matches($0) }
}
