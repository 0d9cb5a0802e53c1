// What a search goes over, found once for all its queries: memtables, and for each segment its
// vectors, what it has to search them by, and which of its rows count.

import MoraineBytes
import MoraineFilters
import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// The sources of a search: memtables, then segments.
struct SearchSources: Sendable {
    private(set) var memory: [MemoryRows] = []
    private(set) var segments: [SegmentSource] = []
    private(set) var plan = SearchPlan()

    /// - Throws: `corrupted`.
    init(_ version: Version, _ collection: CollectionShape, _ request: SearchRequest)
        throws(StoreError)
    {
        for (source, memtable) in version.memtables.enumerated() {
            let rows = try MemoryRows(version, memtable, source, collection, request.filter)
            guard rows.vectorCount > 0 else { continue }
            plan.steps.append(
                SearchPlan.Step(
                    segmentID: nil,
                    method: .vectors,
                    vectorCount: rows.vectorCount,
                    matchCount: request.filter == nil ? nil : rows.count,
                    width: nil,
                    hasColumns: false
                )
            )
            if rows.count > 0 { memory.append(rows) }
        }
        for (index, view) in version.segments.enumerated() {
            let number = version.memtables.count + index
            guard
                let source = try SegmentSource(version, view, number, collection, request)
            else { continue }
            plan.steps.append(source.step)
            if source.step.method != .nothing { segments.append(source) }
        }
        if let filter = request.filter {
            plan.unknownFields = try version.unknownFields(of: filter, in: collection)
        }
    }
}

/// The vectors of a collection in a memtable, as a version sees them.
// @unchecked: rows of a memtable never move nor change while a version holds it.
struct MemoryRows: @unchecked Sendable {
    let source: Int
    private let memtable: MemTable
    /// All that are visible, whether the filter lets them pass or not.
    private(set) var vectorCount = 0
    private var rows: [UInt32] = []
    private var vectors: [UnsafePointer<Float>] = []
    private var norms: [Float] = []

    init(
        _ version: Version,
        _ memtable: MemTable,
        _ source: Int,
        _ collection: CollectionShape,
        _ filter: Filter?
    ) throws(StoreError) {
        self.source = source
        self.memtable = memtable
        var evaluator = filter.map { FilterEvaluator($0) }
        var meter = ReadMeter(version.limit)
        try memtable.forEachRow(collectionID: collection.id) { number, row throws(StoreError) in
            try meter.step()
            guard version.sees(row), let vector = row.pointee.vector else { return }
            vectorCount += 1
            guard evaluator?.admits(row) ?? true else { return }
            rows.append(UInt32(number))
            vectors.append(vector)
            norms.append(row.pointee.norm)
        }
    }

    var count: Int { rows.count }

    func nearest(_ query: QueryVector, limit: Int) -> [Candidate] {
        let (memtable, order) = (memtable, rows)
        var top = TopK(capacity: limit) { a, b in
            KeyBytes.compare(
                memtable.row(Int(order[Int(a)])).pointee.id,
                memtable.row(Int(order[Int(b)])).pointee.id
            ) < 0
        }
        vectors.withUnsafeBufferPointer { vectors in
            norms.withUnsafeBufferPointer { norms in
                ExactScan.scan(
                    query,
                    vectors: vectors,
                    norms: norms,
                    isDead: { _ in false },
                    into: &top
                )
            }
        }
        return top.sorted(source: source).map {
            Candidate(key: $0.key, source: source, row: rows[Int($0.row)])
        }
    }
}

/// The vectors of a collection in a segment and how to search them.
struct SegmentSource: Sendable {
    let source: Int
    let space: VectorSpace
    let codes: CodeSpace?
    let graph: GraphSpace?
    /// The graph's nodes that count, for a search by hops.
    let mask: GraphMask?
    private let dead: DeadRows
    private let matches: RowSet?
    let step: SearchPlan.Step

    /// `nil` when the segment has no vectors of the collection.
    init?(
        _ version: Version,
        _ view: SegmentView,
        _ source: Int,
        _ collection: CollectionShape,
        _ request: SearchRequest
    ) throws(StoreError) {
        guard let space = try Self.space(of: collection, in: view.segment) else { return nil }
        self.source = source
        self.space = space
        dead = try version.hidden(view, collection.id)
        codes = view.indexes.codes?.space(ofCollection: collection.id)
        graph = request.isExact ? nil : view.indexes.graph?.space(ofCollection: collection.id)
        var hasColumns = false
        if let filter = request.filter {
            let found = try version.matching(filter, view, collection, without: dead)
            matches = found.rows
            hasColumns = found.hasColumns
        } else {
            matches = nil
        }
        let matchCount = matches?.count
        let live = matchCount ?? view.segment.rowCount - dead.count
        let walk = graph.flatMap {
            Self.walk($0, request, of: live, rowCount: view.segment.rowCount)
        }
        let method: SearchPlan.Method =
            live == 0 ? .nothing : walk?.method ?? (codes != nil ? .codes : .vectors)
        if let graph, let matches, method == .hops {
            mask = try graph.mask(of: live, in: space) { visit throws(StoreError) in
                try matches.forEachWord(visit)
            }
        } else {
            mask = nil
        }
        step = SearchPlan.Step(
            segmentID: view.segment.id,
            method: method,
            vectorCount: space.vectorCount,
            matchCount: matchCount,
            width: live == 0 ? nil : walk?.width,
            hasColumns: hasColumns
        )
    }

    /// True for rows that are no hits.
    func isHidden(_ row: UInt32) -> Bool {
        guard let matches else { return dead.isDead(row) }
        return !matches.contains(row)
    }

    /// Every vector that counts, or its code and the vectors that codes do not rule out.
    ///
    /// - Throws: `corrupted`.
    func scan() throws(StoreError) -> ScanSource {
        ScanSource(space: space, codes: codes, listed: try listed(), source: source) {
            isHidden($0)
        }
    }

    /// The ordinals of the vectors to look at; `nil` for all.
    ///
    /// Half of 60,000 codes of 384 bytes took as a list .6 of the time of all, in one thread, and with
    /// more threads about the time of all: a longer list gains nothing.
    private func listed() throws(StoreError) -> [UInt32]? {
        guard let matches, matches.count < space.vectorCount / 2 else { return nil }
        return try space.ordinals { visit throws(StoreError) in try matches.forEach(visit) }
    }

    /// Rows that a search can find.
    var findableCount: Int { step.matchCount ?? max(0, space.vectorCount - dead.count) }

    /// Rows that a scan of codes compares while a search of a graph goes on from one node: as
    /// measured, with and without hops.
    private static let rowsPerNode = (plain: 32.0, hops: 64.0)

    /// The least share of rows that hops find: of fewer, hardly more than a node has links are among
    /// those that two hops reach, and recall falls below .95 at the default width.
    private static let leastShareByHops = 0.04

    /// How to search a graph, and how many nodes to keep; `nil` when comparing all rows that count
    /// costs less.
    ///
    /// Without hops grown by the share of rows that do not count: so many of those found are no hits.
    private static func walk(
        _ graph: GraphSpace,
        _ request: SearchRequest,
        of count: Int,
        rowCount: Int
    ) -> (method: SearchPlan.Method, width: Int)? {
        let share = Double(count) / Double(max(1, rowCount))
        let isByHops = request.filter != nil && share >= leastShareByHops
        let width = Double(request.width(graph.entry)) / (isByHops ? 1 : max(share, 1e-9))
        // A search keeps at least what is wanted, whatever width was asked for.
        let kept = max(width, Double(request.wanted))
        let cost = kept * (isByHops ? rowsPerNode.hops : rowsPerNode.plain)
        guard cost < Double(count) else { return nil }
        return (isByHops ? .hops : .graph, Int(width))
    }

    private static func space(of collection: CollectionShape, in segment: Segment)
        throws(StoreError) -> VectorSpace?
    {
        guard let space = segment.vectors?.space(ofCollection: collection.id) else { return nil }
        guard space.dimensions == collection.dimensions, space.metric == collection.metric
        else {
            throw StoreError(
                .corrupted,
                "a segment's vectors have not the shape of their collection",
                path: segment.vectors?.path,
                expected: "\(collection.dimensions)",
                found: "\(space.dimensions)"
            )
        }
        return space
    }
}
