// Holds one document's metadata against a filter, from its bytes.

package import MoraineBytes
import MoraineFormat

/// A filter made ready for many documents.
///
/// Reads a document's metadata once, up to the last field that the filter looks at, and makes no
/// values of it. Keeps its memory from one document to the next: one thread at a time, copies for
/// others.
package struct FilterEvaluator: Sendable {
    /// A name that paths go through, or end at.
    private struct Node: Sendable {
        /// Below it, ascending by name.
        var children: [(name: [UInt8], node: Int)] = []
        /// Where its value is noted; `nil` when no test looks at it.
        var slot: Int?
    }

    private struct PreparedTest: Sendable {
        let slot: Int
        let test: Filter.Test
        /// For `in`: ascending, without repetitions.
        var list = ValueList()
    }

    private let nodes: [Filter.Node]
    private var tests: [PreparedTest] = []
    private var tree = [Node()]
    /// For each path where the tag of its value stands; -1 when it is missing.
    private var places: [Int] = []
    /// Objects that are still to be gone through.
    private var work: [(position: Int, node: Int)] = []
    private var answers: [Bool] = []

    package init(_ filter: Filter) {
        nodes = filter.nodes
        for predicate in filter.predicates {
            var test = PreparedTest(slot: slot(of: predicate.path), test: predicate.test)
            if case .isIn(let values) = predicate.test { test.list = ValueList(values) }
            tests.append(test)
        }
    }

    private mutating func slot(of path: FieldPath) -> Int {
        var node = 0
        for name in path.names {
            let children = tree[node].children
            let place = children.firstIndex { KeyBytes.compare($0.name, name) >= 0 }
            if let place, children[place].name == name {
                node = children[place].node
            } else {
                tree[node].children.insert((name, tree.count), at: place ?? children.count)
                node = tree.count
                tree.append(Node())
            }
        }
        if let slot = tree[node].slot { return slot }
        let slot = places.count
        places.append(-1)
        tree[node].slot = slot
        return slot
    }

    /// True when the document passes.
    ///
    /// - Parameter metadata: the binary form, as records and logs hold it.
    /// - Throws: where the bytes are no metadata; not every byte is looked at.
    package mutating func matches(_ metadata: UnsafeRawBufferPointer) throws(FormatError) -> Bool {
        try locate(metadata)
        answers.removeAll(keepingCapacity: true)
        var next = 0
        for node in nodes {
            switch node {
            case .test:
                answers.append(try Self.holds(tests[next], places[tests[next].slot], metadata))
                next += 1
            case .always: answers.append(true)
            case .never: answers.append(false)
            case .not: answers[answers.count - 1].toggle()
            case .and:
                let right = answers.removeLast()
                if !right { answers[answers.count - 1] = false }
            case .or:
                let right = answers.removeLast()
                if right { answers[answers.count - 1] = true }
            }
        }
        return answers[0]
    }

    // MARK: Fields

    /// Notes where the value of each path stands.
    private mutating func locate(_ metadata: UnsafeRawBufferPointer) throws(FormatError) {
        for slot in places.indices { places[slot] = -1 }
        if places.isEmpty { return }
        work.append((0, 0))
        do throws(FormatError) {
            while let object = work.popLast() {
                try locate(from: object.position, tree[object.node].children, metadata)
            }
        } catch {
            work.removeAll()
            throw error
        }
    }

    /// Goes through the names of one object and of the tree beside each other: both ascend.
    @inline(__always)
    private mutating func locate(
        from position: Int,
        _ wanted: [(name: [UInt8], node: Int)],
        _ metadata: UnsafeRawBufferPointer
    ) throws(FormatError) {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: metadata[position...]))
        var next = 0
        for _ in 0..<(try reader.readCount("count", unit: 2)) {
            let key = try reader.readPrefixed("key")
            var order = KeyBytes.compare(key, wanted[next].name)
            while order > 0 {
                next += 1
                if next == wanted.count { return }
                order = KeyBytes.compare(key, wanted[next].name)
            }
            if order == 0 {
                let node = wanted[next].node
                let place = position + reader.position
                if let slot = tree[node].slot { places[slot] = place }
                if !tree[node].children.isEmpty, !reader.isAtEnd,
                    metadata[place] == Metadata.Tag.object.rawValue
                {
                    work.append((place + 1, node))
                }
                next += 1
                if next == wanted.count { return }
            }
            try Metadata.skipValue(&reader)
        }
    }

    // MARK: Tests

    private static func holds(
        _ test: PreparedTest,
        _ place: Int,
        _ metadata: UnsafeRawBufferPointer
    ) throws(FormatError) -> Bool {
        guard place >= 0 else { return false }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: metadata[place...]))
        switch test.test {
        case .exists: return true
        case .compare(let comparison, let value):
            guard let found = try Scalar(&reader) else { return false }
            guard let order = found.order(value) else { return comparison == .notEqual }
            switch value {
            case .integer, .double, .string: return comparison.holds(order)
            case .null, .bool:
                return comparison == .equal ? order == 0 : comparison == .notEqual && order != 0
            }
        case .isIn:
            guard let found = try Scalar(&reader) else { return false }
            return test.list.contains(found)
        case .contains(let value): return try contains(value, &reader)
        case .hasPrefix(let text):
            guard case .string(let found)? = try Scalar(&reader) else { return false }
            return text.withUnsafeBufferPointer { found.hasPrefix(UnsafeRawBufferPointer($0)) }
        }
    }

    private static func contains(_ value: FilterValue, _ reader: inout ByteReader)
        throws(FormatError) -> Bool
    {
        guard reader.remaining > 0, reader.bytes[0] == Metadata.Tag.array.rawValue else {
            guard case .string(let found)? = try Scalar(&reader), case .string(let part) = value
            else { return false }
            return part.withUnsafeBufferPointer {
                found.contains(part: UnsafeRawBufferPointer($0))
            }
        }
        _ = try reader.readUInt8("tag")
        for _ in 0..<(try reader.readCount("count")) {
            let element = reader.position
            try Metadata.skipValue(&reader)
            var part = ByteReader(
                UnsafeRawBufferPointer(rebasing: reader.bytes[element..<reader.position])
            )
            if let found = try Scalar(&part), found.order(value) == 0 { return true }
        }
        return false
    }
}

extension KeyBytes {
    fileprivate static func compare(_ a: [UInt8], _ b: [UInt8]) -> Int {
        b.withUnsafeBufferPointer { compare(a, UnsafeRawBufferPointer($0)) }
    }

    fileprivate static func compare(_ a: [UInt8], _ b: UnsafeRawBufferPointer) -> Int {
        a.withUnsafeBufferPointer { compare(UnsafeRawBufferPointer($0), b) }
    }

    @inline(__always)
    fileprivate static func compare(_ a: UnsafeRawBufferPointer, _ b: [UInt8]) -> Int {
        b.withUnsafeBufferPointer { compare(a, UnsafeRawBufferPointer($0)) }
    }
}
