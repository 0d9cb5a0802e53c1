// From a filter's JSON to the filter.

import MoraineJSON

extension Filter {
    /// Reads a filter's JSON.
    ///
    /// A filter is `true`, `false`, or an object with one of the keys `and`, `or` (a list of
    /// filters; empty: true and false), `not` (a filter), or a test:
    /// `{"field":"a.b","op":"<=","value":3}`. The operators are those of the text; `in` has a list
    /// as value, `exists` has none. A field is read as ``FieldPath/init(_:)`` does.
    ///
    /// - Throws: an error with the place; unknown and repeated keys are refused. Never recurses.
    package init(json: String) throws(FilterError) {
        let bytes = Array(json.utf8)
        self = try bytes.withUnsafeBufferPointer { buffer throws(FilterError) in
            try FilterJSON.read(UnsafeRawBufferPointer(buffer))
        }
    }
}

/// Reads one text.
private struct FilterJSON {
    /// An `and`, `or` or `not` that is not closed yet.
    private struct Frame {
        let node: Filter.Node
        /// Filters in it so far.
        var count = 0
    }

    private static let keys: [StaticString] = ["and", "or", "not", "field", "op", "value"]

    private var filter = Filter()
    private var frames: [Frame] = []

    static func read(_ bytes: UnsafeRawBufferPointer) throws(FilterError) -> Filter {
        guard bytes.count <= Filter.textByteCount else {
            var fault = FilterError(
                "expected at most \(Filter.textByteCount) bytes, found \(bytes.count)",
                expected: "at most \(Filter.textByteCount) bytes",
                found: "\(bytes.count)"
            )
            fault.path = "$"
            throw fault
        }
        var parser = FilterJSON()
        var reader = JSONReader(bytes)
        do throws(JSONError) {
            try parser.readAll(&reader)
            return parser.filter
        } catch {
            var fault = FilterError(error.message, expected: "a filter", found: error.message)
            fault.path = parser.place
            throw fault
        }
    }

    /// Where the filter being read stands.
    private var place: String {
        frames.reduce(into: "$") { place, frame in
            switch frame.node {
            case .not: place += ".not"
            case .and: place += ".and[\(frame.count)]"
            default: place += ".or[\(frame.count)]"
            }
        }
    }

    private mutating func readAll(_ reader: inout JSONReader) throws(JSONError) {
        try readFilter(&reader)
        while let frame = frames.last {
            if frame.node != .not, try reader.nextElement() {
                try readFilter(&reader)
            } else {
                try end(frame, &reader)
            }
        }
        try reader.expectEnd()
    }

    /// Reads a whole test, or the beginning of what holds other filters.
    private mutating func readFilter(_ reader: inout JSONReader) throws(JSONError) {
        while true {
            if try reader.peekKind() == .bool {
                filter.append(constant: try reader.readBool())
                return countFilter()
            }
            let start = reader.position
            try reader.beginObject()
            var seen: UInt64 = 0
            let key = try reader.nextKey(of: Self.keys, seen: &seen)
            switch key {
            case 0: return try begin(.and, &reader)
            case 1: return try begin(.or, &reader)
            case 2: try begin(.not, &reader)
            default:
                try readTest(key, &seen, &reader, from: start)
                return countFilter()
            }
        }
    }

    private mutating func begin(_ node: Filter.Node, _ reader: inout JSONReader)
        throws(JSONError)
    {
        guard frames.count < Filter.depthLimit else {
            throw JSONError(
                .depth,
                "nested deeper than \(Filter.depthLimit) levels",
                at: reader.tokenOffset
            )
        }
        if node != .not { try reader.beginArray() }
        frames.append(Frame(node: node))
    }

    /// Reads the end of the object that holds other filters.
    private mutating func end(_ frame: Frame, _ reader: inout JSONReader) throws(JSONError) {
        frames.removeLast()
        if let key = try reader.nextKey() {
            throw JSONError.unknownKey(key, at: reader.tokenOffset)
        }
        if frame.node == .not {
            filter.append(.not)
        } else if frame.count == 0 {
            filter.append(constant: frame.node == .and)
        }
        countFilter()
    }

    /// A filter is complete: joins it with those before it in the same list.
    private mutating func countFilter() {
        guard let last = frames.indices.last, frames[last].node != .not else { return }
        if frames[last].count > 0 { filter.append(frames[last].node) }
        frames[last].count += 1
    }

    // MARK: Tests

    /// What `value` holds.
    private enum Operand {
        case none
        case one(FilterValue)
        case list([FilterValue])
    }

    private mutating func readTest(
        _ first: Int?,
        _ seen: inout UInt64,
        _ reader: inout JSONReader,
        from start: Int
    ) throws(JSONError) {
        var path: FieldPath?
        var name: String?
        var operand = Operand.none
        var key = first
        while let index = key {
            switch index {
            case 3: path = try readPath(&reader)
            case 4: name = String(decoding: try reader.readString(), as: UTF8.self)
            case 5: operand = try readOperand(&reader)
            default:
                throw JSONError(
                    .unknownKey,
                    "a test has no key \"\(Self.keys[index])\"",
                    at: reader.tokenOffset
                )
            }
            key = try reader.nextKey(of: Self.keys, seen: &seen)
        }
        guard let path else { throw JSONError.missingKey("field", at: start) }
        guard let name else { throw JSONError.missingKey("op", at: start) }
        let test = try Self.test(name, operand, at: start)
        filter.append(Filter.Predicate(path: path, test: test))
    }

    private static func test(_ name: String, _ operand: Operand, at start: Int)
        throws(JSONError) -> Filter.Test
    {
        let comparison = Comparison(rawValue: name)
        switch (name, operand) {
        case ("exists", .none): return .exists
        case ("in", .list(let values)): return .isIn(values)
        case ("contains", .one(let value)): return .contains(value)
        case ("startswith", .one(.string(let text))): return .hasPrefix(text)
        case (_, .one(let value)):
            if let comparison { return .compare(comparison, value) }
        default: break
        }
        let expected: String
        switch name {
        case "exists": expected = "no \"value\" with exists"
        case "in": expected = "a list as \"value\" of in"
        case "startswith": expected = "a string as \"value\" of startswith"
        case _ where comparison != nil || name == "contains":
            expected = "null, true, false, a number or a string as \"value\""
        default:
            expected = "==, !=, <, <=, >, >=, in, contains, startswith or exists as \"op\""
        }
        throw JSONError(.typeMismatch, "expected \(expected)", at: start)
    }

    private func readPath(_ reader: inout JSONReader) throws(JSONError) -> FieldPath {
        let text = String(decoding: try reader.readString(), as: UTF8.self)
        do throws(FilterError) {
            return try FieldPath(text)
        } catch {
            throw JSONError(
                .syntax,
                "\"field\", character \(error.column ?? 1): \(error.message)",
                at: reader.tokenOffset
            )
        }
    }

    private func readOperand(_ reader: inout JSONReader) throws(JSONError) -> Operand {
        guard try reader.peekKind() == .array else { return .one(try readValue(&reader)) }
        var values: [FilterValue] = []
        try reader.beginArray()
        while try reader.nextElement() { values.append(try readValue(&reader)) }
        return .list(values)
    }

    private func readValue(_ reader: inout JSONReader) throws(JSONError) -> FilterValue {
        switch try reader.peekKind() {
        case .null:
            try reader.readNull()
            return .null
        case .bool: return .bool(try reader.readBool())
        case .string: return .string(Array(try reader.readString()))
        case .number, .array, .object:
            switch try reader.readNumber() {
            case .integer(let value): return .integer(value)
            case .double(let value): return .double(value)
            }
        }
    }
}
