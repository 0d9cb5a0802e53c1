// Answers filters from columns.

import MoraineBytes
import MoraineFormat
package import MoraineStorage

extension ColumnFile {
    /// What columns know of a field.
    package enum FieldState: Sendable, Equatable {
        /// All its values are in columns.
        case indexed
        /// No document of the collection has it in this segment.
        case missing
        /// Documents may have it; only they can tell.
        case notIndexed
    }

    /// Sets that wait at most while a filter is answered: each takes a bit a row.
    private static let stackLimit = 64

    /// The rows of a range that pass a filter, dead or not: exactly those that
    /// ``FilterEvaluator`` lets pass.
    ///
    /// - Parameters:
    ///   - collection: an id.
    ///   - rows: rows of that collection.
    /// - Returns: `nil` when only the documents can tell: a field is not indexed here, or more
    ///   than 64 answers would have to wait for their `and` or `or`.
    /// - Throws: `corrupted`, also when the rows are not the collection's.
    package func matches(_ filter: Filter, collection id: UInt32, rows: Range<UInt32>)
        throws(StoreError) -> RowSet?
    {
        if rows.isEmpty { return RowSet(rows) }
        guard filter.stackDepth <= Self.stackLimit else { return nil }
        guard let collection = try collection(id), collection.rows.contains(rows.lowerBound),
            rows.upperBound <= collection.rows.upperBound
        else {
            throw file.damage(
                "the columns do not know the rows of a collection",
                at: 0,
                expected: "rows \(rows) of collection \(id)",
                found: "others"
            )
        }
        // All fields before any row: what cannot be answered costs nothing.
        var fields: [ColumnField?] = []
        for predicate in filter.predicates {
            let field = try self.field(predicate.path, of: collection)
            guard Self.state(of: field, in: collection) != .notIndexed else { return nil }
            fields.append(field)
        }
        var stack: [RowSet] = []
        var next = 0
        for node in filter.nodes {
            switch node {
            case .test:
                let set = RowSet(rows)
                if let field = fields[next] {
                    let search = ColumnSearch(file: self, field: field, collection: collection.rows)
                    try search.add(filter.predicates[next].test, to: set)
                }
                stack.append(set)
                next += 1
            case .always, .never:
                let set = RowSet(rows)
                if node == .always { set.insertAll() }
                stack.append(set)
            case .not: stack[stack.count - 1].formComplement()
            case .and:
                let right = stack.removeLast()
                stack[stack.count - 1].formIntersection(right)
            case .or:
                let right = stack.removeLast()
                stack[stack.count - 1].formUnion(right)
            }
        }
        return stack[0]
    }

    /// What the columns know of each field of a filter, in the order of the filter's paths.
    ///
    /// - Returns: all missing when the segment has no rows of the collection.
    package func states(of filter: Filter, collection id: UInt32) throws(StoreError)
        -> [(path: FieldPath, state: FieldState)]
    {
        let collection = try collection(id)
        var states: [(path: FieldPath, state: FieldState)] = []
        for path in filter.paths {
            guard let collection else {
                states.append((path, .missing))
                continue
            }
            let field = try self.field(path, of: collection)
            states.append((path, Self.state(of: field, in: collection)))
        }
        return states
    }

    private static func state(of field: ColumnField?, in collection: ColumnCollection)
        -> FieldState
    {
        guard let field else { return collection.hasOtherFields ? .notIndexed : .missing }
        return field.columns.isEmpty ? .notIndexed : .indexed
    }
}

/// Finds the rows of one field that pass a test.
private struct ColumnSearch {
    let file: ColumnFile
    let field: ColumnField
    let collection: Range<UInt32>

    /// Adds the rows of the set's range that pass.
    func add(_ test: Filter.Test, to set: RowSet) throws(StoreError) {
        switch test {
        case .exists: try addRows(.present, .value, to: set)
        case .compare(.notEqual, let value): try addDifferent(value, to: set)
        case .compare(let comparison, let value):
            try add(comparison, value, .value, to: set)
        case .isIn(let values):
            for value in values { try add(.equal, value, .value, to: set) }
        case .contains(let value):
            try add(.equal, value, .elements, to: set)
            if case .string(let part) = value { try addContaining(part, to: set) }
        case .hasPrefix(let prefix):
            guard let column = try strings(.value) else { return }
            let start = try column.place(of: prefix, isBehindEqual: false)
            let behind = KeyBytes.behind(prefix: prefix)
            let end = try behind.map { text throws(StoreError) in
                try column.place(of: text, isBehindEqual: false)
            }
            try column.add(start..<max(start, end ?? column.count), to: set)
        }
    }

    /// Scalars that are not equal to the value.
    private func addDifferent(_ value: FilterValue, to set: RowSet) throws(StoreError) {
        try addRows(.present, .value, to: set)
        let others = RowSet(set.rows)
        try addRows(.composite, .value, to: others)
        try add(.equal, value, .value, to: others)
        set.subtract(others)
    }

    private func add(
        _ comparison: Comparison,
        _ value: FilterValue,
        _ domain: ColumnEntry.Domain,
        to set: RowSet
    ) throws(StoreError) {
        switch value {
        case .null: if comparison == .equal { try addRows(.null, domain, to: set) }
        case .bool(let value):
            if comparison == .equal { try addRows(value ? .true : .false, domain, to: set) }
        case .integer(let value): try addNumbers(comparison, .integer(value), domain, to: set)
        case .double(let value): try addNumbers(comparison, .double(value), domain, to: set)
        case .string(let text):
            guard let column = try strings(domain) else { return }
            let range = try comparison.range(of: column.count) { isBehind throws(StoreError) in
                try column.place(of: text, isBehindEqual: isBehind)
            }
            try column.add(range, to: set)
        }
    }

    private func addNumbers(
        _ comparison: Comparison,
        _ number: Number,
        _ domain: ColumnEntry.Domain,
        to set: RowSet
    ) throws(StoreError) {
        for kind in [ColumnEntry.Kind.integers, .doubles] {
            guard let entry = try file.column(kind, domain, of: field) else { continue }
            let column = NumberColumn(file, entry, collection)
            let range = try comparison.range(of: column.count) { isBehind throws(StoreError) in
                try column.place(of: number, isBehindEqual: isBehind)
            }
            try column.add(range, to: set)
        }
    }

    private func addContaining(_ part: [UInt8], to set: RowSet) throws(StoreError) {
        guard let column = try strings(.value) else { return }
        for index in 0..<column.count {
            let text = try column.string(index)
            let isThere = part.withUnsafeBufferPointer {
                text.contains(part: UnsafeRawBufferPointer($0))
            }
            if isThere { try column.add(index..<(index + 1), to: set) }
        }
    }

    private func addRows(
        _ kind: ColumnEntry.Kind,
        _ domain: ColumnEntry.Domain,
        to set: RowSet
    ) throws(StoreError) {
        guard let entry = try file.column(kind, domain, of: field) else { return }
        try file.insert(
            // In range: the entry was held against the section.
            at: Int(entry.offset),
            count: Int(entry.byteCount),
            of: collection,
            to: set
        )
    }

    private func strings(_ domain: ColumnEntry.Domain) throws(StoreError) -> StringColumn? {
        try file.column(.strings, domain, of: field).map { StringColumn(file, $0, collection) }
    }
}

extension Comparison {
    /// The places of sorted values that pass, out of `count`.
    ///
    /// - Parameter place: the first value that is not below what is compared with; with `true`
    ///   the first that is above.
    fileprivate func range(
        of count: Int,
        _ place: (Bool) throws(StoreError) -> Int
    ) throws(StoreError) -> Range<Int> {
        var start = 0
        var end = count
        switch self {
        case .equal, .notEqual:
            start = try place(false)
            end = try place(true)
        case .less: end = try place(false)
        case .lessOrEqual: end = try place(true)
        case .greater: start = try place(true)
        case .greaterOrEqual: start = try place(false)
        }
        // Values out of order, which only damage can bring, could cross them.
        return start..<max(start, end)
    }
}

extension ColumnFile {
    /// Adds an encoded list of rows that stands among the values.
    func insert(at offset: Int, count: Int, of collection: Range<UInt32>, to set: RowSet)
        throws(StoreError)
    {
        let bytes = try values.bytes(at: offset, count: count)
        do throws(FormatError) {
            try set.insert(encoded: bytes, of: collection)
        } catch {
            throw StoreError(error, path: path, base: values.entry.offset + UInt64(offset))
        }
    }

    /// How many rows the encoded list at a place among the values holds.
    func rowCount(at offset: Int, count: Int, of collection: Range<UInt32>)
        throws(StoreError) -> Int
    {
        let bytes = try values.bytes(at: offset, count: count)
        do throws(FormatError) {
            return try RowSet.count(encoded: bytes, of: collection)
        } catch {
            throw StoreError(error, path: path, base: values.entry.offset + UInt64(offset))
        }
    }
}
