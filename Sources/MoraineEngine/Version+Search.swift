// Nearest-neighbour search over a version: graphs where segments have them, else everything.

import MoraineBytes
package import MoraineFormat
import MoraineSegments
package import MoraineStorage
import MoraineVectors
import Synchronization

extension Version {
    /// The documents nearest to a query, nearest first, equal scores by id.
    ///
    /// - Parameters:
    ///   - query: as many numbers as the collection has dimensions.
    /// - Throws: `wrongDimension`, `invalidVector`, `invalidArgument`, `corrupted`.
    package func search(
        _ collection: CollectionShape,
        query: UnsafeBufferPointer<Float>,
        _ request: SearchRequest
    ) throws(StoreError) -> SearchAnswer {
        try request.validate()
        let vector = try self.vector(query, of: collection)
        let sources = try SearchSources(self, collection, request)
        var plan = sources.plan
        let best = try candidates(sources, [vector], request, cost: &plan.cost)
        return SearchAnswer(
            hits: try hits(best, collection.metric, request)[0],
            plan: plan
        )
    }

    /// The documents nearest to each of many queries, in the queries' order.
    ///
    /// All the engine's scan threads take part.
    ///
    /// - Parameter queries: one after the other, as many numbers each as there are dimensions.
    /// - Throws: as for one query.
    package func search(
        _ collection: CollectionShape,
        queries: UnsafeBufferPointer<Float>,
        _ request: SearchRequest
    ) throws(StoreError) -> [[SearchHit]] {
        try search(collection, queries: queries, request) { $0 }
    }

    /// What `body` makes of the documents nearest to each of many queries, in the queries' order.
    ///
    /// - Parameter body: called by all the threads that search.
    /// - Throws: as for one query, and what `body` throws.
    package func search<R: Sendable>(
        _ collection: CollectionShape,
        queries: UnsafeBufferPointer<Float>,
        _ request: SearchRequest,
        _ body: @escaping @Sendable ([SearchHit]) throws(StoreError) -> R
    ) throws(StoreError) -> [R] {
        try request.validate()
        let width = max(1, collection.dimensions)
        guard queries.count % width == 0 else {
            throw StoreError(
                .wrongDimension,
                "the queries are not whole vectors of collection \"\(collection.name)\"",
                expected: "a multiple of \(width) numbers",
                found: "\(queries.count)"
            )
        }
        let sources = try SearchSources(self, collection, request)
        let batch = Self.batchCount
        let queryCount = queries.count / width
        let jobs = (queryCount + batch - 1) / batch
        let answers = Mutex<[Int: Result<[R], StoreError>]>([:])
        // The caller keeps the numbers until all jobs have ended.
        nonisolated(unsafe) let numbers = queries
        scanPool.run(jobs: jobs) { job in
            let answer = Result { () throws(StoreError) -> [R] in
                let places = (job * batch)..<min((job + 1) * batch, queryCount)
                var part: [QueryVector] = []
                part.reserveCapacity(places.count)
                for place in places {
                    let query = numbers[(place * width)..<((place + 1) * width)]
                    part.append(
                        try self.vector(UnsafeBufferPointer(rebasing: query), of: collection)
                    )
                }
                var cost = SearchCost()
                let lists = try self.candidates(sources, part, request, cost: &cost)
                var results: [R] = []
                results.reserveCapacity(lists.count)
                for hits in try self.hits(lists, collection.metric, request) {
                    results.append(try body(hits))
                }
                return results
            }
            answers.withLock { $0[job] = answer }
        }
        var results: [R] = []
        results.reserveCapacity(queryCount)
        for job in 0..<jobs {
            guard let answer = answers.withLock({ $0[job] }) else { continue }
            results += try answer.get()
        }
        return results
    }

    /// Queries that one thread takes at once.
    private static let batchCount = 16

    /// Calls `body` with the document of a hit that a search of this version found.
    ///
    /// - Throws: `corrupted` where another document stands in its place, or its bytes are damaged;
    ///   what `body` throws.
    package func withDocument<R>(
        of hit: SearchHit,
        in collection: CollectionShape,
        wantsVector: Bool,
        _ body: (DocumentView) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        if hit.source < memtables.count {
            let row = memtables[hit.source].row(Int(hit.row))
            return try body(Self.view(row, collection, wantsVector: wantsVector))
        }
        let place = hit.source - memtables.count
        let block = try segments[place].uncountedDocuments.borrowing {
            documents throws(StoreError) in
            try documents.block(ofRow: hit.row)
        }
        // The record borrows it.
        defer { withExtendedLifetime(block) {} }
        let record = try block.record(ofRow: hit.row)
        guard record.collectionID == collection.id, record.id.elementsEqual(hit.id) else {
            throw StoreError(
                .corrupted,
                "a row is of another document than its key says",
                path: segments[place].segment.files.documents.path,
                expected: "row \(hit.row) of \"\(String(decoding: hit.id, as: UTF8.self))\"",
                found: "\"\(String(decoding: record.id, as: UTF8.self))\""
            )
        }
        let view = try segments[place].uncountedSegment.borrowing { segment throws(StoreError) in
            try Self.view(segment, hit.row, record, collection, wantsVector: wantsVector)
        }
        return try body(view)
    }

    private func vector(_ query: UnsafeBufferPointer<Float>, of collection: CollectionShape)
        throws(StoreError) -> QueryVector
    {
        guard query.count == collection.dimensions, collection.dimensions > 0 else {
            throw StoreError(
                .wrongDimension,
                "the query has not the dimensions of collection \"\(collection.name)\"",
                expected: "\(collection.dimensions)",
                found: "\(query.count)"
            )
        }
        return try QueryVector(query, metric: collection.metric)
    }

    /// For each query the best rows of all sources, nearest first.
    private func candidates(
        _ sources: SearchSources,
        _ queries: [QueryVector],
        _ request: SearchRequest,
        cost: inout SearchCost
    ) throws(StoreError) -> [[Candidate]] {
        try limit?.check()
        let wanted = request.wanted
        var lists: [[[Candidate]]] = Array(repeating: [], count: queries.count)
        for rows in sources.memory {
            for (place, query) in queries.enumerated() {
                lists[place].append(rows.nearest(query, limit: wanted))
            }
        }
        var scans: [ScanSource] = []
        for source in sources.segments {
            guard let graph = source.graph, let width = source.step.width else {
                scans.append(try source.scan())
                continue
            }
            try limit?.check()
            let found = try graph.nearest(
                queries,
                in: source.space,
                source: source.source,
                limit: wanted,
                width: width,
                mask: source.mask,
                isHidden: source.isHidden,
                cost: &cost
            )
            for (place, list) in found.enumerated() {
                if list.count >= min(wanted, source.findableCount) {
                    lists[place].append(list)
                } else {
                    // Rows that do not count took the places of those that do: look at all.
                    let all = try ExactScan.nearest(
                        [queries[place]],
                        in: [try source.scan()],
                        limit: wanted,
                        within: limit,
                        pool: scanPool
                    )
                    lists[place].append(all[0])
                }
            }
        }
        if !scans.isEmpty {
            // What the k-th of every query's lists does not reach is of no interest elsewhere.
            let floors = lists.map { lists in
                lists.map { $0.count == wanted ? $0[wanted - 1].key : 0 }.max() ?? 0
            }
            let found = try ExactScan.nearest(
                queries,
                in: scans,
                limit: wanted,
                floor: floors.min() ?? 0,
                within: limit,
                pool: scanPool
            )
            for (place, list) in found.enumerated() { lists[place].append(list) }
        }
        var best: [[Candidate]] = []
        best.reserveCapacity(lists.count)
        for list in lists {
            best.append(
                try Candidate.nearest(of: list, limit: wanted) {
                    candidate throws(StoreError) -> [UInt8] in
                    try candidateIDs([candidate]).bytes
                }
            )
        }
        return best
    }

    /// The page that was asked for of what was found for each query.
    private func hits(_ lists: [[Candidate]], _ metric: Metric, _ request: SearchRequest)
        throws(StoreError) -> [[SearchHit]]
    {
        let bound = request.scoreBound.map { Score.key($0, metric) } ?? 0
        // Which are skipped matters only where one of them may be the one to leave out.
        let skipCount = request.excludedID == nil ? request.offset : 0
        // The ids of all lists together, as each waits for memory by itself.
        var pages: [ArraySlice<Candidate>] = []
        pages.reserveCapacity(lists.count)
        var shown: [Candidate] = []
        shown.reserveCapacity(lists.count * min(request.limit, 64))
        for list in lists {
            pages.append(list.prefix { $0.key >= bound }.dropFirst(skipCount))
            shown += pages[pages.count - 1]
        }
        let ids = try candidateIDs(shown)
        var results: [[SearchHit]] = []
        results.reserveCapacity(lists.count)
        var first = 0
        for page in pages {
            results.append(hits(page, ids, first, metric, request))
            first += page.count
        }
        return results
    }

    /// The hits of one query's page, whose document that the request excludes is left out.
    ///
    /// - Parameter first: where the page's ids begin.
    private func hits(
        _ page: ArraySlice<Candidate>,
        _ ids: IDList,
        _ first: Int,
        _ metric: Metric,
        _ request: SearchRequest
    ) -> [SearchHit] {
        var skipCount = request.excludedID == nil ? 0 : request.offset
        var hits: [SearchHit] = []
        hits.reserveCapacity(min(request.limit, page.count))
        for (place, candidate) in page.enumerated() where hits.count < request.limit {
            let id = ids[first + place]
            if let excluded = request.excludedID, id.elementsEqual(excluded) { continue }
            guard skipCount == 0 else {
                skipCount -= 1
                continue
            }
            hits.append(
                SearchHit(
                    id: id,
                    score: Score.value(ofKey: candidate.key, metric),
                    source: candidate.source,
                    row: candidate.row
                )
            )
        }
        return hits
    }

    /// The ids of candidates' documents.
    private func candidateIDs(_ candidates: [Candidate]) throws(StoreError) -> IDList {
        var ids = IDList(count: candidates.count)
        var rest = candidates[...]
        while let source = rest.first?.source {
            // Those of one source together: mostly all.
            let run = rest.prefix { $0.source == source }
            rest = rest[run.endIndex...]
            if source < memtables.count {
                for candidate in run {
                    ids.bytes += memtables[source].row(Int(candidate.row)).pointee.id
                    ids.ends.append(ids.bytes.count)
                }
            } else {
                try segments[source - memtables.count].segment
                    .appendIDs(of: run.map(\.row), to: &ids.bytes, ends: &ids.ends)
            }
        }
        return ids
    }
}

/// Ids in one piece of memory.
private struct IDList {
    var bytes: [UInt8] = []
    /// Where each of them ends.
    var ends: [Int] = []

    init(count: Int) {
        bytes.reserveCapacity(24 * count)
        ends.reserveCapacity(count)
    }

    subscript(place: Int) -> ArraySlice<UInt8> {
        bytes[(place == 0 ? 0 : ends[place - 1])..<ends[place]]
    }
}

extension Segment {
    /// Appends the ids of rows that vectors were said to belong to, and where each ends.
    fileprivate func appendIDs(of rows: [UInt32], to ids: inout [UInt8], ends: inout [Int])
        throws(StoreError)
    {
        if let row = rows.first(where: { $0 >= files.rowCount }) {
            throw StoreError(
                .corrupted,
                "a vector belongs to a row that has no key",
                path: vectors?.path,
                expected: "below \(rowCount)",
                found: "row \(row)"
            )
        }
        try files.keys.appendIDs(ofRows: rows, to: &ids, ends: &ends)
    }
}
