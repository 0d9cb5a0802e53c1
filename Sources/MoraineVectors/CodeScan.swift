// An exact scan that looks at the codes first and at few vectors' floats.

import MoraineFormat
import MoraineStorage

/// Scans a space by its codes: the answer is that of `ExactScan.scan` over the floats, bit for bit.
///
/// Why nothing is missed: ``CodeBound``.
struct CodeScan {
    /// Codes of one kernel call at most.
    private static let batchCount = 256
    /// Bytes of one batch's codes at most, if it has more than one.
    private static let batchByteCount = 256 << 10
    /// Floats in a row while a list has no bar: few, as the codes are quicker.
    private static let firstCount = 64
    /// Reaches that are compared before anything branches.
    private static let blockCount = 32
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
        let size = max(1, min(Self.batchCount, Self.batchByteCount / codes.stride))
        var batch = CodeBatch(capacity: size)
        var skipped = 0
        var place = 0
        while place < ordinals.count {
            // Without a bar nothing can be left out.
            let hasBars = tops.allSatisfy { $0.bar > 0 }
            let part = ordinals.part(from: place, limit: hasBars ? size : Self.firstCount)
            place += part.count
            guard hasBars, skipped == 0, isLoaded(&batch, part) else {
                skipped = max(0, skipped - 1)
                try ExactScan.scan(queries, in: space, part, isDead: isDead, into: &tops)
                continue
            }
            var count = 0
            for index in queries.indices {
                count += try pick(
                    batch.reaches(bounds[index]),
                    of: part,
                    query: index,
                    isDead,
                    into: &tops[index]
                )
            }
            if count * Self.largestPart > part.count * queries.count {
                skipped = Self.skippedBatchCount
            }
        }
    }

    /// False when codes fail their checksum, which is no loss: who checks the file finds them, and
    /// the floats have the answer.
    private func isLoaded(_ batch: inout CodeBatch, _ ordinals: ScanOrdinals) -> Bool {
        (try? batch.load(ordinals, of: codes)) != nil
    }

    /// Scores the vectors of a batch that may beat the list's bar and offers them.
    ///
    /// - Returns: how many were scored.
    private func pick(
        _ reaches: UnsafeBufferPointer<Float>,
        of ordinals: ScanOrdinals,
        query index: Int,
        _ isDead: (UInt32) -> Bool,
        into top: inout TopK
    ) throws(StoreError) -> Int {
        let query = queries[index]
        let bound = bounds[index]
        var bar = top.bar
        var threshold = bound.threshold(bar)
        var count = 0
        var block = 0
        while block < reaches.count {
            let end = min(block + Self.blockCount, reaches.count)
            var near: UInt32 = 0
            for place in block..<end { near &+= reaches[place] >= threshold ? 1 : 0 }
            defer { block = end }
            guard near > 0 else { continue }
            for place in block..<end where reaches[place] >= threshold {
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
        }
        return count
    }
}
