// Documents of a collection in id order, all or those that a filter lets pass.

import MoraineBytes
package import MoraineFilters
package import MoraineFormat
import MoraineSegments
package import MoraineStorage

/// Which ids a scan visits.
///
/// All conditions hold together.
package struct ScanRange: Sendable {
    /// The id starts with these bytes.
    package var prefix: [UInt8]
    /// The id is this or later.
    package var from: [UInt8]?
    /// The id is earlier than this.
    package var to: [UInt8]?

    package init(prefix: [UInt8] = [], from: [UInt8]? = nil, to: [UInt8]? = nil) {
        self.prefix = prefix
        self.from = from
        self.to = to
    }

    /// The first id that may be in the range.
    fileprivate var start: [UInt8] {
        guard let from, prefix.lexicographicallyPrecedes(from) else { return prefix }
        return from
    }

    /// The first id behind the range; `nil` when there is no end.
    fileprivate var end: [UInt8]? {
        let behind = KeyBytes.behind(prefix: prefix)
        guard let to else { return behind }
        guard let behind else { return to }
        return to.lexicographicallyPrecedes(behind) ? to : behind
    }
}

extension Version {
    /// Calls `visit` with the documents of a collection in id order until it returns false.
    ///
    /// - Parameter filter: only documents that it lets pass; segments whose columns know its fields
    ///   are not read for the others.
    /// - Throws: `corrupted` at the first damaged document, after those before it were visited;
    ///   what `visit` throws.
    package func scan(
        _ collection: CollectionShape,
        range: ScanRange = ScanRange(),
        where filter: Filter? = nil,
        wantsVectors: Bool,
        _ visit: (DocumentView) throws(StoreError) -> Bool
    ) throws(StoreError) {
        try limit?.check()
        var meter = ReadMeter(limit)
        var sources: [ScanSource] = []
        let start = range.start
        let end = range.end
        for memtable in memtables where memtable.rowCount > 0 {
            let (kept, added) = memtable.sortedRows(collectionID: collection.id)
            for rows in [kept, added] where !rows.isEmpty {
                sources.append(
                    .memory(MemoryScan(memtable, rows, self, filter, from: start, to: end))
                )
            }
        }
        for view in segments where !view.segment.files.rows(of: collection.id).isEmpty {
            sources.append(
                .segment(try SegmentScan(view, collection.id, self, filter, from: start, to: end))
            )
        }
        var merge = ScanMerge(sources)
        while let index = try merge.next() {
            try meter.step()
            let document: DocumentView?
            switch merge.sources[index] {
            case .memory(let scan):
                document = Self.view(scan.current, collection, wantsVector: wantsVectors)
            case .segment(let scan):
                document = try scan.view(collection, wantsVector: wantsVectors)
            }
            guard let document, try visit(document) else { return }
        }
    }
}

/// One source of a scan, standing on a live row once `advance` returned true.
private enum ScanSource {
    case memory(MemoryScan)
    case segment(SegmentScan)

    func advance() throws(StoreError) -> Bool {
        switch self {
        case .memory(let scan): try scan.advance()
        case .segment(let scan): try scan.advance()
        }
    }

    var id: UnsafeRawBufferPointer {
        switch self {
        case .memory(let scan): scan.current.pointee.id
        case .segment(let scan): scan.id
        }
    }
}

/// The live ones of some rows of a memtable that are in id order.
private final class MemoryScan {
    private let memtable: MemTable
    private let version: Version
    private let rows: [UInt32]
    private var next: Int
    private let end: Int
    private var evaluator: FilterEvaluator?
    private var meter: ReadMeter
    private(set) var current: UnsafePointer<MemRow>

    init(
        _ memtable: MemTable,
        _ rows: [UInt32],
        _ version: Version,
        _ filter: Filter?,
        from: [UInt8],
        to: [UInt8]?
    ) {
        self.memtable = memtable
        self.version = version
        self.rows = rows
        evaluator = filter.map { FilterEvaluator($0) }
        meter = ReadMeter(version.limit)
        next = from.withUnsafeBytes { memtable.firstPlace(in: rows, notBefore: $0) }
        end =
            to.map { $0.withUnsafeBytes { memtable.firstPlace(in: rows, notBefore: $0) } }
            ?? rows.count
        current = memtable.row(0)
    }

    func advance() throws(StoreError) -> Bool {
        while next < end {
            let row = memtable.row(Int(rows[next]))
            next += 1
            try meter.step()
            if version.sees(row), evaluator?.admits(row) ?? true {
                current = row
                return true
            }
        }
        return false
    }
}

/// The live rows of a segment in id order, block by block.
private final class SegmentScan {
    private let view: SegmentView
    private let version: Version
    private var next: UInt32
    private let end: UInt32
    /// The rows that the filter lets pass, where columns could tell.
    private var passing: RowSet?
    /// The filter, where only the documents can tell.
    private var evaluator: FilterEvaluator?
    private var row: UInt32 = 0
    private var block: DecodedBlock?
    private var record: DocumentRecord?

    init(
        _ view: SegmentView,
        _ collectionID: UInt32,
        _ version: Version,
        _ filter: Filter?,
        from: [UInt8],
        to: [UInt8]?
    ) throws(StoreError) {
        self.view = view
        self.version = version
        let rows = view.segment.files.rows(of: collectionID)
        next =
            from.isEmpty
            ? rows.lowerBound
            : try view.segment.files.lowerBound(collectionID, from, within: rows)
        if let to {
            end = try view.segment.files.lowerBound(collectionID, to, within: rows)
        } else {
            end = rows.upperBound
        }
        guard let filter, next < end else { return }
        passing = try view.indexes.columns?.matches(
            filter,
            collection: collectionID,
            rows: next..<end
        )
        if passing == nil { evaluator = FilterEvaluator(filter) }
    }

    func advance() throws(StoreError) -> Bool {
        while next < end {
            row = next
            next += 1
            guard !view.dead.isDead(row), passing?.contains(row) ?? true else { continue }
            try read()
            guard let record, !record.isExpired(at: version.now), try admits(record) else {
                continue
            }
            return true
        }
        return false
    }

    private func admits(_ record: DocumentRecord) throws(StoreError) -> Bool {
        guard evaluator != nil else { return true }
        do throws(FormatError) {
            return try evaluator?.matches(record.metadata) ?? true
        } catch {
            throw StoreError(error, path: FileNames.document(view.segment.id))
        }
    }

    /// Reads the record of the current row.
    ///
    /// A scan goes past the cache, which it would flush.
    private func read() throws(StoreError) {
        let documents = view.segment.files.documents
        if let block, row - block.firstRow < UInt32(block.recordCount) {
            record = try block.record(ofRow: row)
            return
        }
        try version.limit?.check()
        let next = try documents.block(documents.blockNumber(of: row), caching: false)
        record = try next.record(ofRow: row)
        block = next
    }

    /// The id of the current document; empty before the first.
    var id: UnsafeRawBufferPointer {
        record?.id ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    func view(_ collection: CollectionShape, wantsVector: Bool) throws(StoreError)
        -> DocumentView?
    {
        guard let record else { return nil }
        return try Version.view(
            view.segment,
            row,
            record,
            collection,
            wantsVector: wantsVector
        )
    }
}

/// Takes the source with the smallest id again and again.
///
/// A key is live in one source only.
private struct ScanMerge {
    private(set) var sources: [ScanSource]
    /// A heap of source numbers by their current ids.
    private var heap: [Int] = []
    private var last: Int?
    private var isStarted = false

    init(_ sources: [ScanSource]) { self.sources = sources }

    /// The source that stands on the next document.
    mutating func next() throws(StoreError) -> Int? {
        if !isStarted {
            isStarted = true
            for index in sources.indices where try sources[index].advance() { push(index) }
        } else if let last {
            // The last source still is the heap's root.
            if try sources[last].advance() {
                sink(0)
            } else {
                let moved = heap.removeLast()
                if !heap.isEmpty {
                    heap[0] = moved
                    sink(0)
                }
            }
        }
        last = heap.first
        return last
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        KeyBytes.compare(sources[a].id, sources[b].id) < 0
    }

    private mutating func push(_ index: Int) {
        heap.append(index)
        var at = heap.count - 1
        while at > 0, precedes(heap[at], heap[(at - 1) / 2]) {
            heap.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var at = start
        while true {
            var smallest = at
            for child in [2 * at + 1, 2 * at + 2]
            where child < heap.count && precedes(heap[child], heap[smallest]) {
                smallest = child
            }
            if smallest == at { return }
            heap.swapAt(at, smallest)
            at = smallest
        }
    }
}
