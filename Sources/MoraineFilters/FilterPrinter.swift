// From a filter to its text. The way back: FilterParser.swift.

import MoraineBytes
import MoraineJSON

extension Filter: CustomStringConvertible {
    /// The canonical text: one space between words, parentheses only where they are needed.
    ///
    /// Reading it gives the same filter, unless it is deeper or longer than a text may be.
    package var description: String {
        var printer = FilterPrinter(self)
        return String(decoding: printer.print(), as: UTF8.self)
    }
}

/// Prints a filter without recursion.
struct FilterPrinter {
    private enum Work {
        /// The filter whose outermost node this is.
        case node(Int)
        case text(StaticString)
    }

    private let filter: Filter
    /// For each node, where its filter starts, and how many tests stand before it.
    private var starts: [Int] = []
    private var ordinals: [Int] = []
    private var out: [UInt8] = []

    init(_ filter: Filter) {
        self.filter = filter
        starts.reserveCapacity(filter.nodes.count)
        ordinals.reserveCapacity(filter.nodes.count)
        var testCount = 0
        for (index, node) in filter.nodes.enumerated() {
            ordinals.append(testCount)
            switch node {
            case .test, .always, .never: starts.append(index)
            case .not: starts.append(starts[index - 1])
            case .and, .or: starts.append(starts[starts[index - 1] - 1])
            }
            if node == .test { testCount += 1 }
        }
    }

    mutating func print() -> [UInt8] {
        var work = [Work.node(filter.nodes.count - 1)]
        while let next = work.popLast() {
            switch next {
            case .text(let text): append(text)
            case .node(let index): print(index, &work)
            }
        }
        return out
    }

    private mutating func print(_ index: Int, _ work: inout [Work]) {
        let node = filter.nodes[index]
        switch node {
        case .always: append("true")
        case .never: append("false")
        case .test: Self.append(filter.predicates[ordinals[index]], to: &out)
        case .not:
            append("not ")
            push(index - 1, inside: Self.strength(node), &work)
        case .and, .or:
            // The last pushed is printed first. To the right even the same operator needs
            // parentheses: without them it would belong to the left.
            push(index - 1, inside: Self.strength(node) + 1, &work)
            work.append(.text(node == .and ? " and " : " or "))
            push(starts[index - 1] - 1, inside: Self.strength(node), &work)
        }
    }

    /// Has a filter printed next, in parentheses when it binds weaker than `strength`.
    private func push(_ index: Int, inside strength: Int, _ work: inout [Work]) {
        let needsParentheses = Self.strength(filter.nodes[index]) < strength
        if needsParentheses { work.append(.text(")")) }
        work.append(.node(index))
        if needsParentheses { work.append(.text("(")) }
    }

    private static func strength(_ node: Filter.Node) -> Int {
        switch node {
        case .or: 1
        case .and: 2
        case .not: 3
        case .test, .always, .never: 4
        }
    }

    private mutating func append(_ text: StaticString) {
        out.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
    }

    // MARK: Tests

    private static func append(_ predicate: Filter.Predicate, to out: inout [UInt8]) {
        out += bytes(of: predicate.path)
        switch predicate.test {
        case .exists: out += " exists".utf8
        case .compare(let comparison, let value):
            out += " \(comparison.rawValue) ".utf8
            append(value, to: &out)
        case .isIn(let values):
            out += " in [".utf8
            for (index, value) in values.enumerated() {
                if index > 0 { out += ", ".utf8 }
                append(value, to: &out)
            }
            out += "]".utf8
        case .contains(let value):
            out += " contains ".utf8
            append(value, to: &out)
        case .hasPrefix(let text):
            out += " startswith ".utf8
            append(.string(text), to: &out)
        }
    }

    private static func append(_ value: FilterValue, to out: inout [UInt8]) {
        var writer = JSONWriter(capacity: 64)
        switch value {
        case .null: writer.writeNull()
        case .bool(let value): writer.writeBool(value)
        case .integer(let value): writer.writeInt(value)
        case .double(let value): writer.writeDouble(value)
        case .string(let text):
            text.withUnsafeBufferPointer { writer.writeString(UnsafeRawBufferPointer($0)) }
        }
        writer.withBytes { out.append(contentsOf: $0) }
    }

    // MARK: Paths

    static func bytes(of path: FieldPath) -> [UInt8] {
        var out: [UInt8] = []
        for (index, name) in path.names.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ".")) }
            if FilterWords.isPlainName(name) { out += name } else { appendQuoted(name, to: &out) }
        }
        return out
    }

    /// A name in backticks: escaped as in JSON, but for quotes, which need it not, and backticks.
    private static func appendQuoted(_ name: [UInt8], to out: inout [UInt8]) {
        var writer = JSONWriter(capacity: 64)
        name.withUnsafeBufferPointer { writer.writeString(UnsafeRawBufferPointer($0)) }
        out.append(UInt8(ascii: "`"))
        writer.withBytes { escaped in
            var at = 1
            while at < escaped.count - 1 {
                let byte = escaped[at]
                if byte == UInt8(ascii: "`") {
                    out.append(UInt8(ascii: "\\"))
                } else if byte == UInt8(ascii: "\\") {
                    at += 1
                    if escaped[at] != UInt8(ascii: "\"") { out.append(byte) }
                }
                out.append(escaped[at])
                at += 1
            }
        }
        out.append(UInt8(ascii: "`"))
    }
}
