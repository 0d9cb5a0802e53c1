// An exact scan that looks at coarse codes first, then at some whole ones, and at few vectors'
// floats.

import MoraineFormat
import MoraineStorage

/// Scans a space by its codes: the answer is that of `ExactScan.scan` over the floats, bit for bit.
///
/// It goes over the vectors in windows: the coarse codes of all of a window first, then its
/// vectors that seem nearest, so that the bar is high before the others are asked for more.
///
/// Why nothing is missed: ``ReachBound``.
struct CodeScan {
    /// Codes of one batch at most.
    private static let batchCount = 256
    /// Bytes of one batch's codes at most, if it has more than one.
    private static let batchByteCount = 256 << 10
    /// Vectors of a window at most: for several queries so few that their coarse codes, at 384
    /// dimensions, are read again from the second level cache.
    private static let windowCounts = (one: 16_384, several: 2048)
    /// Floats in a row while a list has no bar: few, as the codes are quicker.
    private static let firstCount = 64
    /// Of a window, the part whose whole codes may be compared; where more get through, the next
    /// windows are not asked for coarse ones.
    private static let largestWholePart = 2
    /// Of a window, the part that may be scored one by one; where more get through, floats in a row
    /// are quicker: for the rest of it and the next windows the codes are not asked.
    private static let largestPart = 8
    private static let skippedWindowCount = 7

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
        let most = queries.count == 1 ? Self.windowCounts.one : Self.windowCounts.several
        var window = CodeWindow(capacity: min(most, ordinals.count))
        var (skipped, skippedCoarse) = (0, 0)
        var place = 0
        while place < ordinals.count {
            // Without a bar nothing can be left out.
            let hasBars = tops.allSatisfy { $0.bar > 0 }
            let part = ordinals.part(from: place, limit: hasBars ? most : Self.firstCount)
            place += part.count
            guard hasBars, skipped == 0, areGood(part, batch) else {
                skipped = max(0, skipped - 1)
                try ExactScan.scan(queries, in: space, part, isDead: isDead, into: &tops)
                continue
            }
            var (wholeCount, scoreCount) = (0, 0)
            for index in queries.indices {
                let found =
                    skippedCoarse == 0
                    ? try pickCoarse(part, query: index, batch, &window, isDead, into: &tops[index])
                    : (
                        part.count,
                        try pick(part, of: part.count, query: index, batch, isDead, &tops[index])
                    )
                wholeCount += found.0
                scoreCount += found.1
            }
            let compared = part.count * queries.count
            if scoreCount * Self.largestPart > compared {
                skipped = Self.skippedWindowCount
            } else if skippedCoarse > 0 {
                skippedCoarse -= 1
            } else if wholeCount * Self.largestWholePart > compared {
                skippedCoarse = Self.skippedWindowCount
            }
        }
    }

    /// False when codes fail their checksum, which is no loss: who checks the file finds them, and
    /// the floats have the answer.
    private func areGood(_ ordinals: ScanOrdinals, _ batch: borrowing CodeBatch) -> Bool {
        (try? batch.check(ordinals)) != nil
    }

    /// Offers the vectors of a window whose coarse codes, and then whole ones, may beat the list's
    /// bar; first those that seem nearest.
    ///
    /// - Returns: how many whole codes were compared, and how many vectors scored.
    private func pickCoarse(
        _ ordinals: ScanOrdinals,
        query index: Int,
        _ batch: borrowing CodeBatch,
        _ window: inout CodeWindow,
        _ isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) -> (Int, Int) {
        let bound = bounds[index]
        window.fill(ordinals, batch, bound, atLeast: bound.coarse.threshold(top.bar))
        var (wholeCount, scoreCount) = (0, 0)
        if let leaders = window.takeLeaders(toFill: top.capacity) {
            wholeCount += leaders.count
            scoreCount += try pick(leaders, of: nil, query: index, batch, isDead, &top)
            window.narrow(atLeast: bound.coarse.threshold(top.bar))
        }
        let near = window.near
        wholeCount += near.count
        scoreCount += try pick(near, of: ordinals.count, query: index, batch, isDead, &top)
        return (wholeCount, scoreCount)
    }

    /// Offers the vectors whose whole codes may beat the list's bar, a batch at a time.
    ///
    /// - Parameter whole: of how many vectors the ordinals are those that may be near; where too
    ///   large a part of them is scored, all that are left are. `nil` for those that seem nearest.
    /// - Returns: how many vectors were scored.
    private func pick(
        _ ordinals: ScanOrdinals,
        of whole: Int?,
        query index: Int,
        _ batch: borrowing CodeBatch,
        _ isDead: (UInt32) -> Bool,
        _ top: inout TopK
    ) throws(StoreError) -> Int {
        var (place, count) = (0, 0)
        while place < ordinals.count {
            let part = ordinals.part(from: place, limit: batch.capacity)
            place += part.count
            count += try score(part, query: index, batch, isDead, into: &top)
            guard let whole, place < ordinals.count,
                count * Self.largestPart > whole * place / ordinals.count
            else { continue }
            let rest = ordinals.part(from: place, limit: ordinals.count)
            try ExactScan.scan(queries[index], in: space, rest, isDead: isDead, into: &top)
            return count + rest.count
        }
        return count
    }

    /// Scores the vectors whose whole codes may beat the list's bar and offers them.
    ///
    /// - Parameter ordinals: no more than a batch.
    /// - Returns: how many were scored.
    private func score(
        _ ordinals: ScanOrdinals,
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
        for place in 0..<reaches.count where reaches[place] >= threshold {
            count += 1
            let ordinal = ordinals[place]
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
