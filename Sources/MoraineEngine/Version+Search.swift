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
            hits: try hits(best[0], collection.metric, request),
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
        let answers = Mutex<[Int: Result<[[SearchHit]], StoreError>]>([:])
        // The caller keeps the numbers until all jobs have ended.
        nonisolated(unsafe) let numbers = queries
        scanPool.run(jobs: jobs) { job in
            let answer = Result { () throws(StoreError) in
                var part: [QueryVector] = []
                part.reserveCapacity(batch)
                for place in (job * batch)..<min((job + 1) * batch, queryCount) {
                    let query = numbers[(place * width)..<((place + 1) * width)]
                    part.append(
                        try self.vector(UnsafeBufferPointer(rebasing: query), of: collection)
                    )
                }
                var cost = SearchCost()
                let lists = try self.candidates(sources, part, request, cost: &cost)
                var hits: [[SearchHit]] = []
                hits.reserveCapacity(lists.count)
                for list in lists { hits.append(try self.hits(list, collection.metric, request)) }
                return hits
            }
            answers.withLock { $0[job] = answer }
        }
        var hits: [[SearchHit]] = []
        hits.reserveCapacity(queryCount)
        for job in 0..<jobs {
            guard let answer = answers.withLock({ $0[job] }) else { continue }
            hits += try answer.get()
        }
        return hits
    }

    /// Queries that one thread takes at once.
    private static let batchCount = 16

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
                    try candidateID(candidate)
                }
            )
        }
        return best
    }

    /// The page that was asked for of what was found.
    private func hits(_ best: [Candidate], _ metric: Metric, _ request: SearchRequest)
        throws(StoreError) -> [SearchHit]
    {
        var hits: [SearchHit] = []
        hits.reserveCapacity(min(request.limit, best.count))
        let bound = request.scoreBound.map { Score.key($0, metric) } ?? 0
        var skipped = 0
        for candidate in best where hits.count < request.limit {
            if candidate.key < bound { break }
            // Which are skipped matters only where one of them may be the one to leave out.
            if request.excludedID == nil, skipped < request.offset {
                skipped += 1
                continue
            }
            let id = try candidateID(candidate)
            if id == request.excludedID { continue }
            if skipped < request.offset {
                skipped += 1
                continue
            }
            hits.append(SearchHit(id: id, score: Score.value(ofKey: candidate.key, metric)))
        }
        return hits
    }

    /// The id of a candidate's document.
    private func candidateID(_ candidate: Candidate) throws(StoreError) -> [UInt8] {
        if candidate.source < memtables.count {
            return Array(memtables[candidate.source].row(Int(candidate.row)).pointee.id)
        }
        let segment = segments[candidate.source - memtables.count].segment
        guard candidate.row < segment.files.rowCount else {
            throw StoreError(
                .corrupted,
                "a vector belongs to a row that has no key",
                path: segment.vectors?.path,
                expected: "below \(segment.rowCount)",
                found: "row \(candidate.row)"
            )
        }
        return try segment.files.keys.id(ofRow: candidate.row)
    }
}
