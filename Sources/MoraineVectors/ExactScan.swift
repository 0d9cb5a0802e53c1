// Compares queries with every vector of a space or of a list and keeps the nearest.

import MoraineFormat
package import MoraineStorage
import Synchronization

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
    /// Bytes of vectors that a thread takes at a time; a guess: 50 to 100 us.
    private static let shareByteCount = 1 << 20

    /// The nearest rows of a space for each query, found by as many threads as the pool has.
    ///
    /// - Parameters:
    ///   - queries: of the space's dimensions and metric.
    ///   - limit: rows to keep for each query; 0 or more.
    ///   - floor: candidates with a smaller key are of no interest.
    ///   - source: what the candidates say of their source.
    ///   - isDead: whether to skip a row; asked only of rows near enough to be kept; any thread.
    /// - Returns: for each query its candidates, nearest first, equal scores by row. The same
    ///   whatever the number of threads.
    /// - Throws: `corrupted` when a chunk fails its checksum.
    package static func nearest(
        _ queries: [QueryVector],
        in space: VectorSpace,
        limit: Int,
        floor: UInt32 = 0,
        source: Int,
        pool: ScanPool,
        isDead: @escaping @Sendable (UInt32) -> Bool
    ) throws(StoreError) -> [[Candidate]] {
        let empty = [TopK](repeating: TopK(capacity: limit, floor: floor), count: queries.count)
        let count = space.vectorCount
        var tops = empty
        if pool.width < 2 || count * space.strideByteCount < parallelByteCount {
            try scan(queries, in: space, ordinals: 0..<count, isDead: isDead, into: &tops)
        } else {
            let share = max(1, shareByteCount / space.strideByteCount)
            let work = SharedWork(count: count, share: share)
            pool.run(jobs: min(pool.width, work.shareCount)) { _ in
                var mine = [TopK](
                    repeating: TopK(capacity: limit, floor: floor),
                    count: queries.count
                )
                do throws(StoreError) {
                    while let ordinals = work.next() {
                        try scan(
                            queries,
                            in: space,
                            ordinals: ordinals,
                            isDead: isDead,
                            into: &mine
                        )
                    }
                    work.finish(.success(mine))
                } catch {
                    work.finish(.failure(error))
                }
            }
            for part in try work.results() {
                for index in tops.indices { tops[index].merge(part[index]) }
            }
        }
        return tops.map { $0.sorted(source: source) }
    }

    /// Offers the vectors of a range of ordinals to the queries' lists, in the caller's thread.
    ///
    /// - Parameters:
    ///   - queries: of the space's dimensions and metric.
    ///   - ordinals: within `0..<space.vectorCount`.
    ///   - tops: one for each query.
    package static func scan(
        _ queries: [QueryVector],
        in space: VectorSpace,
        ordinals: Range<Int>,
        isDead: (UInt32) -> Bool,
        into tops: inout [TopK]
    ) throws(StoreError) {
        let batch = max(1, min(batchRowCount, batchByteCount / space.strideByteCount))
        let scores = UnsafeMutablePointer<Float>.allocate(capacity: batch)
        defer { scores.deallocate() }
        let needsNorms = space.metric == .cosine
        var start = ordinals.lowerBound
        while start < ordinals.upperBound {
            let end = start + min(batch, ordinals.upperBound - start)
            let vectors = try space.vectors(start..<end)
            // Any address does for a metric that reads no norms.
            let norms = needsNorms ? try space.norms(start..<end) : vectors
            for index in queries.indices {
                queries[index].scores(
                    of: vectors,
                    stride: space.stride,
                    norms: norms,
                    count: end - start,
                    into: scores
                )
                try pick(
                    UnsafeBufferPointer(start: scores, count: end - start),
                    from: start,
                    in: space,
                    isDead: isDead,
                    into: &tops[index]
                )
            }
            start = end
        }
    }

    /// Offers those of a batch that beat the list's bar.
    @inline(__always)
    private static func pick(
        _ scores: UnsafeBufferPointer<Float>,
        from start: Int,
        in space: VectorSpace,
        isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) {
        let metric = space.metric
        var bar = top.bar
        for index in 0..<scores.count {
            let key = Score.key(scores[index], metric)
            guard key >= bar else { continue }
            let row = try space.row(start + index)
            guard top.accepts(key: key, row: row), !isDead(row) else { continue }
            top.offer(key: key, row: row)
            bar = top.bar
        }
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

/// The ordinals of one scan, handed out in shares, and what the threads make of them.
private final class SharedWork: Sendable {
    let shareCount: Int
    private let count: Int
    private let share: Int
    private let taken = Atomic(0)
    private let outcomes = Mutex<[Result<[TopK], StoreError>]>([])

    init(count: Int, share: Int) {
        self.count = count
        self.share = share
        shareCount = (count + share - 1) / share
    }

    /// The next ordinals; `nil` when all are taken.
    func next() -> Range<Int>? {
        let number = taken.add(1, ordering: .relaxed).oldValue
        guard number < shareCount else { return nil }
        return (number * share)..<min(count, (number + 1) * share)
    }

    func finish(_ outcome: Result<[TopK], StoreError>) {
        outcomes.withLock { $0.append(outcome) }
    }

    func results() throws(StoreError) -> [[TopK]] {
        var parts: [[TopK]] = []
        for outcome in outcomes.withLock({ $0 }) { parts.append(try outcome.get()) }
        return parts
    }
}
