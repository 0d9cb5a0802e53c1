// An exact scan that looks at coarse codes first, then at some whole ones, and at few vectors'
// floats.

import MoraineFormat
import MoraineStorage

/// Scans a space by its codes: the answer is that of `ExactScan.scan` over the floats, bit for bit.
///
/// Why nothing is missed: ``ReachBound``.
struct CodeScan {
    /// Codes of one batch at most.
    private static let batchCount = 256
    /// Bytes of one batch's codes at most, if it has more than one.
    private static let batchByteCount = 256 << 10
    /// Floats in a row while a list has no bar: few, as the codes are quicker.
    private static let firstCount = 64
    /// Of a batch, the part whose whole codes may be compared; where more get through, the next
    /// batches are not asked for coarse ones.
    private static let largestWholePart = 2
    /// Of a batch, the part that may be scored one by one; where more get through, floats in a row
    /// are quicker: for the next batches the codes are not asked.
    private static let largestPart = 8
    private static let skippedBatchCount = 7

    private let queries: [QueryVector]
    private let bounds: [CodeBound]
    private let space: VectorSpace
    private let codes: CodeSpace

    /// - Parameters:
    ///   - queries: of the space's dimensions and metric.
    ///   - bounds: of each query for the codes.
    ///   - codes: those of the space's vectors.
    init(_ queries: [QueryVector], _ bounds: [CodeBound], space: VectorSpace, codes: CodeSpace) {
        precondition(queries.count == bounds.count && codes.count == space.vectorCount)
        self.queries = queries
        self.bounds = bounds
        self.space = space
        self.codes = codes
    }

    /// As `ExactScan.scan`.
    func scan(_ ordinals: ScanOrdinals, isDead: (UInt32) -> Bool, into tops: inout [TopK])
        throws(StoreError)
    {
        let size = max(1, min(Self.batchCount, Self.batchByteCount / codes.byteCount))
        let batch = try CodeBatch(of: codes, capacity: size)
        let near = UnsafeMutablePointer<UInt32>.allocate(capacity: size)
        defer { near.deallocate() }
        var (skipped, skippedCoarse) = (0, 0)
        var place = 0
        while place < ordinals.count {
            // Without a bar nothing can be left out.
            let hasBars = tops.allSatisfy { $0.bar > 0 }
            let part = ordinals.part(from: place, limit: hasBars ? size : Self.firstCount)
            place += part.count
            guard hasBars, skipped == 0, areGood(part, batch) else {
                skipped = max(0, skipped - 1)
                try ExactScan.scan(queries, in: space, part, isDead: isDead, into: &tops)
                continue
            }
            var (wholeCount, scoreCount) = (0, 0)
            for index in queries.indices {
                let bar = tops[index].bar
                let count =
                    skippedCoarse == 0
                    ? pickCoarse(part, bounds[index], bar, batch, into: near)
                    : take(part, into: near)
                wholeCount += count
                let picked = UnsafeBufferPointer(start: near, count: count)
                scoreCount += try pick(picked, query: index, batch, isDead, into: &tops[index])
            }
            let compared = part.count * queries.count
            if scoreCount * Self.largestPart > compared {
                skipped = Self.skippedBatchCount
            } else if skippedCoarse > 0 {
                skippedCoarse -= 1
            } else if wholeCount * Self.largestWholePart > compared {
                skippedCoarse = Self.skippedBatchCount
            }
        }
    }

    /// False when codes fail their checksum, which is no loss: who checks the file finds them, and
    /// the floats have the answer.
    private func areGood(_ ordinals: ScanOrdinals, _ batch: borrowing CodeBatch) -> Bool {
        (try? batch.check(ordinals)) != nil
    }

    /// The ordinals whose coarse codes may beat a bar.
    ///
    /// - Returns: how many were written to `near`.
    private func pickCoarse(
        _ ordinals: ScanOrdinals,
        _ bound: CodeBound,
        _ bar: UInt32,
        _ batch: borrowing CodeBatch,
        into near: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let reaches = batch.coarseReaches(ordinals, bound)
        let threshold = bound.coarse.threshold(bar)
        var count = 0
        for place in 0..<reaches.count {
            // Without a branch: one in ten or twenty passes, and which cannot be foretold.
            near[count] = UInt32(truncatingIfNeeded: ordinals[place])
            count &+= reaches[place] >= threshold ? 1 : 0
        }
        return count
    }

    private func take(_ ordinals: ScanOrdinals, into near: UnsafeMutablePointer<UInt32>) -> Int {
        for place in 0..<ordinals.count {
            near[place] = UInt32(truncatingIfNeeded: ordinals[place])
        }
        return ordinals.count
    }

    /// Scores the vectors whose whole codes may beat the list's bar and offers them.
    ///
    /// - Returns: how many were scored.
    private func pick(
        _ ordinals: UnsafeBufferPointer<UInt32>,
        query index: Int,
        _ batch: borrowing CodeBatch,
        _ isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) -> Int {
        let query = queries[index]
        let bound = bounds[index].whole
        let reaches = batch.wholeReaches(ordinals, bounds[index])
        var bar = top.bar
        var threshold = bound.threshold(bar)
        var count = 0
        for (place, ordinal) in ordinals.enumerated() where reaches[place] >= threshold {
            count += 1
            let ordinal = Int(ordinal)
            let norm = query.metric == .cosine ? try space.norm(ordinal) : 0
            let score = query.score(try space.vector(ordinal), norm: norm)
            let key = Score.key(score, query.metric)
            guard key >= bar else { continue }
            let row = try space.row(ordinal)
            guard top.accepts(key: key, row: row), !isDead(row) else { continue }
            top.offer(key: key, row: row)
            guard top.bar != bar else { continue }
            bar = top.bar
            threshold = bound.threshold(bar)
        }
        return count
    }
}
