// One scan over the spaces of many segments, cut into shares that threads take.
// What one of them has found raises the bar for all.

import MoraineStorage
import Synchronization

/// A space to scan.
package struct ScanSource: Sendable {
    package let space: VectorSpace
    /// The codes of the space's vectors: with them fewer floats are read, the answer is the same.
    package let codes: CodeSpace?
    /// The ordinals to look at, ascending, below the space's count; `nil` for all.
    package let listed: [UInt32]?
    /// What its candidates say of their source.
    package let source: Int
    /// Whether to skip a row; asked only of rows near enough to be kept; any thread.
    package let isDead: @Sendable (UInt32) -> Bool

    package init(
        space: VectorSpace,
        codes: CodeSpace? = nil,
        listed: [UInt32]? = nil,
        source: Int,
        isDead: @escaping @Sendable (UInt32) -> Bool
    ) {
        self.space = space
        self.codes = codes
        self.listed = listed
        self.source = source
        self.isDead = isDead
    }

    /// Bytes that a scan reads for each vector, about.
    var vectorByteCount: Int { codes.map { $0.byteCount + 8 } ?? space.strideByteCount }
    /// Vectors that a scan looks at.
    var count: Int { listed?.count ?? space.vectorCount }
    var byteCount: Int { count * vectorByteCount }

    /// Calls `body` with the ordinals at places below `count`.
    func withOrdinals(
        _ places: Range<Int>,
        _ body: (ScanOrdinals) throws(StoreError) -> Void
    ) throws(StoreError) {
        guard let listed else { return try body(ScanOrdinals(places)) }
        try listed.withUnsafeBufferPointer { list throws(StoreError) in
            try body(ScanOrdinals(UnsafeBufferPointer(rebasing: list[places])))
        }
    }
}

/// The shares of one scan, handed out in order, and what threads made of them.
final class ScanWork: Sendable {
    /// Neighbouring vectors of one source, or of its list.
    struct Share: Equatable {
        /// Place in the list of sources.
        let source: Int
        /// Below the source's count.
        let places: Range<Int>
    }

    /// What one thread kept of one source: a list for each query.
    private struct Part {
        let source: Int
        let tops: [TopK]
    }

    private struct Outcome {
        var parts: [Part] = []
        /// For each query the keys of the best rows of all finished parts, best first.
        var bestKeys: [[UInt32]]
        /// For each query: no row with a smaller key is among the best.
        var floors: [UInt32]
        var failure: StoreError?
    }

    /// Bytes of a share, as far as vectors and ends of sources allow.
    ///
    /// The first shares are the largest: what they find spares the others work, and at the end no
    /// thread waits long for the last one. Below half a MiB, 20 to 40 us, taking shares would
    /// show, and two threads would often check the same chunk.
    private static let shareByteCounts = (least: 512 << 10, most: 8 << 20)

    let shares: [Share]
    private let queries: [QueryVector]
    private let sources: [ScanSource]
    /// For each source with codes a bound for each query, unless one cannot be bounded.
    private let bounds: [[CodeBound]?]
    private let limit: Int
    private let within: ReadLimit?
    private let taken = Atomic(0)
    private let outcome: Mutex<Outcome>

    init(
        _ queries: [QueryVector],
        _ sources: [ScanSource],
        limit: Int,
        floor: UInt32,
        within: ReadLimit? = nil,
        threadCount: Int
    ) {
        self.within = within
        self.queries = queries
        self.sources = sources
        bounds = sources.map { source in
            guard let codes = source.codes else { return nil }
            let bounds = queries.compactMap { CodeBound($0, for: codes) }
            return bounds.count == queries.count ? bounds : nil
        }
        self.limit = limit
        shares = ScanWork.shares(of: sources, threadCount: threadCount)
        outcome = Mutex(
            Outcome(
                bestKeys: Array(repeating: [], count: queries.count),
                floors: Array(repeating: floor, count: queries.count)
            )
        )
    }

    private static func shares(of sources: [ScanSource], threadCount: Int) -> [Share] {
        var left = sources.reduce(0) { $0 + $1.byteCount }
        var shares: [Share] = []
        for (index, source) in sources.enumerated() {
            var start = 0
            while start < source.count {
                // Of several threads each begins with half of its part of what is left.
                let wanted = threadCount == 1 ? left : left / (2 * threadCount)
                let size = min(max(wanted, shareByteCounts.least), shareByteCounts.most)
                let end = min(source.count, start + max(1, size / source.vectorByteCount))
                shares.append(Share(source: index, places: start..<end))
                left -= (end - start) * source.vectorByteCount
                start = end
            }
        }
        return shares
    }

    /// Takes shares until none is left.
    ///
    /// What every thread of the scan runs.
    func run() {
        do throws(StoreError) {
            var part: Part?
            while let share = next() {
                try within?.check()
                var tops: [TopK]
                if let old = part, old.source == share.source {
                    tops = old.tops
                } else {
                    if let old = part { finish(old) }
                    tops = queries.map { _ in TopK(capacity: limit) }
                }
                part = nil  // so that the lists are changed in place
                raise(&tops)
                try scan(share, into: &tops)
                part = Part(source: share.source, tops: tops)
            }
            if let part { finish(part) }
        } catch {
            outcome.withLock { $0.failure = error }
            taken.store(shares.count, ordering: .relaxed)
        }
    }

    private func scan(_ share: Share, into tops: inout [TopK]) throws(StoreError) {
        let source = sources[share.source]
        try source.withOrdinals(share.places) { ordinals throws(StoreError) in
            if let codes = source.codes, let bounds = bounds[share.source] {
                try CodeScan(queries, bounds, space: source.space, codes: codes)
                    .scan(ordinals, isDead: source.isDead, into: &tops)
            } else {
                try ExactScan.scan(
                    queries,
                    in: source.space,
                    ordinals,
                    isDead: source.isDead,
                    into: &tops
                )
            }
        }
    }

    private func next() -> Share? {
        // Never far beyond the count: each thread leaves at the first miss.
        let number = taken.add(1, ordering: .relaxed).oldValue
        return number < shares.count ? shares[number] : nil
    }

    /// Tells all threads the bars of these lists, and the lists what others have told.
    private func raise(_ tops: inout [TopK]) {
        outcome.withLock { outcome in
            for index in tops.indices {
                tops[index].raise(to: outcome.floors[index])
                guard limit > 0 else { continue }
                outcome.floors[index] = tops[index].bar
            }
        }
    }

    private func finish(_ part: Part) {
        let keys = part.tops.map(\.keys)
        outcome.withLock { outcome in
            outcome.parts.append(part)
            for index in keys.indices {
                let best = ScanWork.merged(outcome.bestKeys[index], keys[index], limit: limit)
                outcome.bestKeys[index] = best
                guard limit > 0, best.count == limit else { continue }
                outcome.floors[index] = max(outcome.floors[index], best[limit - 1])
            }
        }
    }

    /// The first `limit` of two descending lists.
    private static func merged(_ one: [UInt32], _ other: [UInt32], limit: Int) -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(min(limit, one.count + other.count))
        var (a, b) = (0, 0)
        while result.count < limit {
            if a < one.count, b == other.count || one[a] >= other[b] {
                result.append(one[a])
                a += 1
            } else if b < other.count {
                result.append(other[b])
                b += 1
            } else {
                break
            }
        }
        return result
    }

    /// What was found, when all threads are done: `ExactScan.nearest` says in which order.
    func candidates() throws(StoreError) -> [[Candidate]] {
        let outcome = outcome.withLock { $0 }
        if let failure = outcome.failure { throw failure }
        let empty = queries.indices.map { TopK(capacity: limit, floor: outcome.floors[$0]) }
        var tops = Array(repeating: empty, count: sources.count)
        for part in outcome.parts {
            for index in queries.indices {
                tops[part.source][index].merge(part.tops[index])
            }
        }
        return queries.indices.map { index in
            zip(sources, tops).flatMap { $1[index].sorted(source: $0.source) }
        }
    }
}
