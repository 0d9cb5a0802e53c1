// Which documents a filter lets pass, as a version sees them.

import MoraineBytes
package import MoraineFilters
package import MoraineFormat
import MoraineSegments
package import MoraineStorage

extension Version {
    /// How many documents of a collection a filter lets pass.
    ///
    /// - Throws: `corrupted`.
    package func count(_ collection: CollectionShape, where filter: Filter) throws(StoreError)
        -> Int
    {
        try limit?.check()
        var meter = ReadMeter(limit)
        var count = 0
        var evaluator = FilterEvaluator(filter)
        for memtable in memtables {
            try memtable.forEachRow(collectionID: collection.id) { _, row throws(StoreError) in
                try meter.step()
                if sees(row), evaluator.admits(row) { count += 1 }
            }
        }
        for view in segments where !view.segment.files.rows(of: collection.id).isEmpty {
            let dead = try hidden(view, collection.id)
            count += try matching(filter, view, collection, without: dead).rows.count
        }
        return count
    }

    /// The rows of a collection in a segment that a filter lets pass, without dead ones: from
    /// columns where they know all the filter's fields, else by reading the documents.
    func matching(
        _ filter: Filter,
        _ view: SegmentView,
        _ collection: CollectionShape,
        without dead: DeadRows
    ) throws(StoreError) -> (rows: RowSet, hasColumns: Bool) {
        try limit?.check()
        var meter = ReadMeter(limit)
        let rows = view.segment.files.rows(of: collection.id)
        if let columns = view.indexes.columns,
            let found = try columns.matches(filter, collection: collection.id, rows: rows)
        {
            let live = found.subtracting(chunkRowCount: DeadRows.chunkRowCount) {
                dead.words(ofChunk: $0)
            }
            return (live, true)
        }
        var passing = Set<UInt32>()
        var evaluator = FilterEvaluator(filter)
        let documents = view.segment.files.documents
        try documents.forEachRecord(in: rows) { row, record throws(StoreError) in
            try meter.step()
            guard !dead.isDead(row) else { return true }
            do throws(FormatError) {
                if try evaluator.matches(record.metadata) { passing.insert(row) }
            } catch {
                throw StoreError(error, path: FileNames.document(view.segment.id))
            }
            return true
        }
        return (RowSet(rows) { passing.contains($0) }, false)
    }

    /// Fields of a filter that no document of the collection has, as far as columns tell.
    ///
    /// - Returns: none where something is not in columns yet.
    func unknownFields(of filter: Filter, in collection: CollectionShape)
        throws(StoreError) -> [String]
    {
        var unknown = filter.paths
        for memtable in memtables {
            var isEmpty = true
            memtable.forEachRow(collectionID: collection.id) { _, row in
                if sees(row) { isEmpty = false }
            }
            if !isEmpty { return [] }
        }
        for view in segments where !view.segment.files.rows(of: collection.id).isEmpty {
            guard let columns = view.indexes.columns else { return [] }
            let states = try columns.states(of: filter, collection: collection.id)
            unknown = unknown.filter { path in
                states.contains { $0.path == path && $0.state == .missing }
            }
        }
        return unknown.map(\.text)
    }
}

extension FilterEvaluator {
    /// True when the filter lets a row of memory pass.
    mutating func admits(_ row: UnsafePointer<MemRow>) -> Bool {
        // The body was checked when the commit was built or read.
        var reader = ByteReader(row.pointee.body)
        guard let body = try? DocumentBody(decoding: &reader) else { return false }
        return (try? matches(body.metadata)) ?? false
    }
}
