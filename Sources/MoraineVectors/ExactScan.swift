// Compares queries with every vector of a space or of a list and keeps the nearest.

import CKernels
import MoraineFormat
package import MoraineStorage

/// Search that looks at every vector.
package enum ExactScan {
    /// Vectors of one kernel call at most.
    private static let batchRowCount = 256
    /// Bytes of one batch at most, if it has more than one row.
    ///
    /// A batch that was just verified, or that has several queries, is read again from the second
    /// level cache.
    private static let batchByteCount = 512 << 10
    /// Bytes of vectors below which a scan stays in its caller's thread.
    ///
    /// Measured: two threads gained nothing on 1 MiB in cache, 17 us, and a little on 2 MiB, 45 us.
    package static let parallelByteCount = 2 << 20

    /// The nearest rows of several spaces for each query, found by as many threads as the pool has.
    ///
    /// - Parameters:
    ///   - queries: of the spaces' dimensions and metric.
    ///   - sources: the spaces, in any order; those next to each other should lie near each other.
    ///   - limit: rows to keep for each query; 0 or more.
    ///   - floor: candidates with a smaller key are of no interest for any query.
    ///   - within: when to end early; asked before each share of the work.
    /// - Returns: for each query the candidates of the sources, one source after the other, each
    ///   nearest first, equal scores by row. Among them are the best `limit` of all sources; more
    ///   only where `Candidate.nearest` has to choose. Its choice is the same whatever the number
    ///   of threads.
    /// - Throws: `corrupted` when a chunk fails its checksum; what `within` throws.
    package static func nearest(
        _ queries: [QueryVector],
        in sources: [ScanSource],
        limit: Int,
        floor: UInt32 = 0,
        within: ReadLimit? = nil,
        pool: ScanPool
    ) throws(StoreError) -> [[Candidate]] {
        let byteCount = sources.reduce(0) { $0 + $1.byteCount }
        let width = byteCount < parallelByteCount ? 1 : pool.width
        let work = ScanWork(
            queries,
            sources,
            limit: limit,
            floor: floor,
            within: within,
            threadCount: width
        )
        pool.run(jobs: min(width, work.shares.count)) { _ in work.run() }
        return try work.candidates()
    }

    /// Offers vectors of a space to the queries' lists, in the caller's thread.
    ///
    /// - Parameters:
    ///   - queries: of the space's dimensions and metric.
    ///   - ordinals: below the space's count of vectors.
    ///   - tops: one for each query.
    static func scan(
        _ queries: [QueryVector],
        in space: VectorSpace,
        _ ordinals: ScanOrdinals,
        isDead: (UInt32) -> Bool,
        into tops: inout [TopK]
    ) throws(StoreError) {
        try forEachBatch(of: ordinals, in: space) { part, scores throws(StoreError) in
            for index in queries.indices {
                try scan(
                    queries[index],
                    in: space,
                    part,
                    scores,
                    isDead: isDead,
                    into: &tops[index]
                )
            }
        }
    }

    /// As for many queries.
    static func scan(
        _ query: QueryVector,
        in space: VectorSpace,
        _ ordinals: ScanOrdinals,
        isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) {
        try forEachBatch(of: ordinals, in: space) { part, scores throws(StoreError) in
            try scan(query, in: space, part, scores, isDead: isDead, into: &top)
        }
    }

    /// Calls `body` with the ordinals, a batch at a time, and room for their scores.
    @inline(__always)
    private static func forEachBatch(
        of ordinals: ScanOrdinals,
        in space: VectorSpace,
        _ body: (ScanOrdinals, UnsafeMutablePointer<Float>) throws(StoreError) -> Void
    ) throws(StoreError) {
        let batch = max(1, min(batchRowCount, batchByteCount / space.strideByteCount))
        let scores = UnsafeMutablePointer<Float>.allocate(capacity: batch)
        defer { scores.deallocate() }
        var place = 0
        while place < ordinals.count {
            let part = ordinals.part(from: place, limit: batch)
            place += part.count
            try body(part, scores)
        }
    }

    /// Scores a batch and offers what is near enough.
    @inline(__always)
    private static func scan(
        _ query: QueryVector,
        in space: VectorSpace,
        _ part: ScanOrdinals,
        _ scores: UnsafeMutablePointer<Float>,
        isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) {
        try score(query, in: space, part, into: scores)
        try pick(
            UnsafeBufferPointer(start: scores, count: part.count),
            of: part,
            in: space,
            isDead: isDead,
            into: &top
        )
    }

    /// Computes the scores of a batch.
    private static func score(
        _ query: QueryVector,
        in space: VectorSpace,
        _ ordinals: ScanOrdinals,
        into scores: UnsafeMutablePointer<Float>
    ) throws(StoreError) {
        let needsNorms = if case .cosine = space.metric { true } else { false }
        if let range = ordinals.range {
            let vectors = try space.vectors(range)
            query.scores(
                of: vectors,
                stride: space.stride,
                // Any address does for a metric that reads no norms.
                norms: needsNorms ? try space.norms(range) : vectors,
                count: range.count,
                into: scores
            )
            return
        }
        // The next vector is on its way while one is scored.
        var next = try space.vector(ordinals[0])
        for place in 0..<ordinals.count {
            let vector = next
            if place + 1 < ordinals.count {
                next = try space.vector(ordinals[place + 1])
                for line in stride(from: 0, to: space.stride, by: 16) { mk_prefetch(next + line) }
            }
            let norm = needsNorms ? try space.norm(ordinals[place]) : 0
            scores[place] = query.score(vector, norm: norm)
        }
    }

    /// Offers those of a batch that beat the list's bar.
    @inline(__always)
    private static func pick(
        _ scores: UnsafeBufferPointer<Float>,
        of ordinals: ScanOrdinals,
        in space: VectorSpace,
        isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) {
        let metric = space.metric
        var bar = top.bar
        guard anyReaches(scores, bar, metric) else { return }
        for index in 0..<scores.count {
            let key = Score.key(scores[index], metric)
            guard key >= bar else { continue }
            let row = try space.row(ordinals[index])
            guard top.accepts(key: key, row: row), !isDead(row) else { continue }
            top.offer(key: key, row: row)
            bar = top.bar
        }
    }

    /// Whether one of the scores may reach a bar: what most batches answer with no.
    ///
    /// No key is made and nothing branches, so that the loop runs in vector registers.
    @inline(__always)
    private static func anyReaches(
        _ scores: UnsafeBufferPointer<Float>,
        _ bar: UInt32,
        _ metric: Metric
    ) -> Bool {
        let least = Score.value(ofKey: bar, metric)
        // Bars beyond all scores, 0 among them, are those of NaNs.
        guard least == least else { return true }
        var count: UInt32 = 0
        switch metric {
        case .cosine, .dot: for score in scores { count &+= score >= least ? 1 : 0 }
        case .l2: for score in scores { count &+= score <= least ? 1 : 0 }
        }
        return count > 0
    }

    /// Offers vectors that lie anywhere to a query's list; a vector's position is its row.
    ///
    /// - Parameters:
    ///   - vectors: each of the query's dimensions.
    ///   - norms: as many as vectors.
    ///   - isDead: asked only of positions near enough to be kept.
    package static func scan(
        _ query: QueryVector,
        vectors: UnsafeBufferPointer<UnsafePointer<Float>>,
        norms: UnsafeBufferPointer<Float>,
        isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) {
        precondition(vectors.count == norms.count)
        let metric = query.metric
        var bar = top.bar
        for index in 0..<vectors.count {
            let key = Score.key(query.score(vectors[index], norm: norms[index]), metric)
            guard key >= bar else { continue }
            let row = UInt32(truncatingIfNeeded: index)
            guard top.accepts(key: key, row: row), !isDead(row) else { continue }
            top.offer(key: key, row: row)
            bar = top.bar
        }
    }
}
