// From a filter's text to the filter. The way back: FilterPrinter.swift.

import MoraineJSON

extension Filter {
    /// Reads a filter's text: `section == "fonts" and not (size < 100 or tags contains "old")`.
    ///
    /// | what | how |
    /// |---|---|
    /// | operators | `==` `!=` `<` `<=` `>` `>=`, `in [v, …]`, `contains v`, `startswith "s"`, `exists` |
    /// | logic | `not` before `and` before `or`; parentheses; `true`, `false` |
    /// | values | as in JSON, without arrays and objects |
    /// | fields | names with dots between them; letters, digits and `_`, other names in backticks |
    ///
    /// - Throws: an error with the column, also for more than ``depthLimit`` levels and more than
    ///   ``textByteCount`` bytes. Never recurses.
    package init(text: String) throws(FilterError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Filter.textByteCount else {
            throw FilterError(
                expected: "at most \(Filter.textByteCount) bytes",
                found: "\(bytes.count)",
                in: bytes,
                at: 0
            )
        }
        self = try bytes.withUnsafeBufferPointer { buffer throws(FilterError) in
            var parser = FilterParser(UnsafeRawBufferPointer(buffer))
            return try parser.parse()
        }
    }
}

/// Reads one text, by operator precedence and a stack of its own.
private struct FilterParser {
    /// What waits for its right side, or its end.
    private enum Pending {
        case parenthesis, not, and, or
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var filter = Filter()
    private var pending: [Pending] = []
    private var depth = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func parse() throws(FilterError) -> Filter {
        while true {
            try readOperand()
            guard try readOperator() else { return filter }
        }
    }

    /// Reads a test or a constant, and what stands before it.
    private mutating func readOperand() throws(FilterError) {
        while true {
            let start = nextToken()
            if take("(") {
                try deepen(start)
                pending.append(.parenthesis)
            } else if takeWord("not") {
                try deepen(start)
                pending.append(.not)
            } else if takeWord("true") {
                return filter.append(constant: true)
            } else if takeWord("false") {
                return filter.append(constant: false)
            } else {
                return try readTest()
            }
        }
    }

    /// Reads what stands behind an operand, up to the next `and` or `or`; false at the end.
    private mutating func readOperator() throws(FilterError) -> Bool {
        while true {
            close(.not)
            let start = nextToken()
            if takeWord("and") {
                close(.and)
                pending.append(.and)
                return true
            }
            if takeWord("or") {
                close(.and, .or)
                pending.append(.or)
                return true
            }
            let isEnd = start == bytes.count
            let isClosing = !isEnd && bytes[start] == UInt8(ascii: ")")
            let isInside = pending.contains { $0 == .parenthesis }
            guard isEnd ? !isInside : isClosing && isInside else {
                throw expected(
                    isInside ? "\"and\", \"or\" or \")\"" : "\"and\", \"or\" or the end"
                )
            }
            close(.and, .or)
            if isEnd { return false }
            position += 1
            pending.removeLast()
            depth -= 1
        }
    }

    /// Appends the operators on top of those that wait.
    private mutating func close(_ operators: Pending...) {
        while let last = pending.last, operators.contains(last) {
            pending.removeLast()
            switch last {
            case .not:
                depth -= 1
                filter.append(.not)
            case .and: filter.append(.and)
            case .or: filter.append(.or)
            case .parenthesis: break
            }
        }
    }

    private mutating func deepen(_ start: Int) throws(FilterError) {
        depth += 1
        guard depth <= Filter.depthLimit else {
            throw FilterError(
                expected: "at most \(Filter.depthLimit) levels",
                found: "more",
                in: bytes,
                at: start
            )
        }
    }

    // MARK: Tests

    private mutating func readTest() throws(FilterError) {
        let path = try readPath()
        nextToken()
        let test: Filter.Test
        if let comparison = takeComparison() {
            test = .compare(comparison, try readValue())
        } else if takeWord("in") {
            test = .isIn(try readValues())
        } else if takeWord("contains") {
            test = .contains(try readValue())
        } else if takeWord("startswith") {
            nextToken()
            guard case .string(let text) = try readValue("a string") else {
                preconditionFailure("a string was asked for")
            }
            test = .hasPrefix(text)
        } else if takeWord("exists") {
            test = .exists
        } else {
            throw expected("==, !=, <, <=, >, >=, in, contains, startswith or exists")
        }
        filter.append(Filter.Predicate(path: path, test: test))
    }

    private mutating func readPath() throws(FilterError) -> FieldPath {
        var names: [[UInt8]] = []
        repeat {
            if position < bytes.count, bytes[position] == UInt8(ascii: "`") {
                names.append(try FieldPath.readQuotedName(bytes, at: &position))
            } else {
                let end = FilterWords.end(of: bytes, from: position)
                let word = bytes[position..<end]
                guard !word.isEmpty, !FilterWords.isKeyword(word) else {
                    throw expected(names.isEmpty ? "a field" : "a name")
                }
                names.append(Array(word))
                position = end
            }
        } while take(".")
        return FieldPath(names: names)
    }

    private mutating func takeComparison() -> Comparison? {
        // The longer ones first.
        let all: [Comparison] = [.equal, .notEqual, .lessOrEqual, .greaterOrEqual, .less, .greater]
        return all.first { take($0.rawValue) }
    }

    // MARK: Values

    private mutating func readValues() throws(FilterError) -> [FilterValue] {
        nextToken()
        guard take("[") else { throw expected("\"[\"") }
        var values: [FilterValue] = []
        nextToken()
        if take("]") { return values }
        while true {
            values.append(try readValue())
            nextToken()
            if take("]") { return values }
            guard take(",") else { throw expected("\",\" or \"]\"") }
        }
    }

    /// Reads a value; with `expectation` it must be a string.
    private mutating func readValue(_ expectation: String? = nil) throws(FilterError)
        -> FilterValue
    {
        let start = nextToken()
        let first = start < bytes.count ? bytes[start] : 0
        if first == UInt8(ascii: "\"") {
            return try readJSON { reader throws(JSONError) in
                .string(Array(try reader.readString()))
            }
        }
        if let expectation { throw expected(expectation) }
        if first == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
            return try readJSON { reader throws(JSONError) in
                switch try reader.readNumber() {
                case .integer(let value): .integer(value)
                case .double(let value): .double(value)
                }
            }
        }
        if takeWord("true") { return .bool(true) }
        if takeWord("false") { return .bool(false) }
        if takeWord("null") { return .null }
        throw expected("a value")
    }

    /// Reads a token that is JSON.
    private mutating func readJSON(
        _ body: (inout JSONReader) throws(JSONError) -> FilterValue
    ) throws(FilterError) -> FilterValue {
        let start = position
        var reader = JSONReader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        do throws(JSONError) {
            let value = try body(&reader)
            position = start + reader.position
            return value
        } catch {
            var fault = FilterError(error.message, expected: "a value", found: error.message)
            fault.column = FilterError.column(of: start + Int(error.offset), in: bytes)
            throw fault
        }
    }

    // MARK: Tokens

    /// Skips white space; where the next token starts.
    @discardableResult
    private mutating func nextToken() -> Int {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return position
            }
        }
        return position
    }

    /// Reads `text` if it stands here.
    private mutating func take(_ text: String) -> Bool {
        guard bytes[position...].starts(with: text.utf8) else { return false }
        position += text.utf8.count
        return true
    }

    /// Reads a word if it stands here, whole.
    private mutating func takeWord(_ word: String) -> Bool {
        let end = FilterWords.end(of: bytes, from: position)
        guard bytes[position..<end].elementsEqual(word.utf8) else { return false }
        position = end
        return true
    }

    private func expected(_ expected: String) -> FilterError {
        FilterError(
            expected: expected,
            found: FilterError.found(bytes, at: position),
            in: bytes,
            at: position
        )
    }
}
