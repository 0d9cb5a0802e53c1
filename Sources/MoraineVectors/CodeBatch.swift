// The codes of one batch of a scan, as kernels take them, and the reaches they give.

import CKernels
import MoraineStorage

/// Room for a batch of codes, used again for the next one.
///
/// Coarse codes of neighbours are read in a row; codes that lie apart, and the few whole ones that
/// are asked for, through a list. One thread.
struct CodeBatch: ~Copyable {
    /// Codes of a list that are compared by one call, while the next ones are fetched.
    ///
    /// Measured on 100,000 codes of 384 bytes in random order.
    private static let listCount = 8

    /// What stands beside the codes of a space, by ordinal; checked where it may be looked at.
    private struct Columns {
        let high: UnsafePointer<UInt8>
        let low: UnsafePointer<UInt8>
        let errors: UnsafePointer<Float>
        let squareSums: UnsafePointer<Int32>
        let coarseErrors: UnsafePointer<Float>
        let coarseSquareSums: UnsafePointer<Int32>

        init(_ codes: CodeSpace) throws(StoreError) {
            high = try codes.highHalves(0..<0)
            low = try codes.lowHalves(0..<0)
            errors = try codes.errors(0..<0)
            squareSums = try codes.squareSums(0..<0)
            coarseErrors = try codes.coarseErrors(0..<0)
            coarseSquareSums = try codes.coarseSquareSums(0..<0)
        }
    }

    /// Codes that fit.
    let capacity: Int
    private let codes: CodeSpace
    private let columns: Columns
    private let reaches: UnsafeMutablePointer<Float>
    private let sums: UnsafeMutablePointer<Int32>
    private let lows: UnsafeMutablePointer<Int32>
    /// Of a list: ordinals, and what stands beside their codes.
    private let ids: UnsafeMutablePointer<UInt32>
    private let errors: UnsafeMutablePointer<Float>
    private let squareSums: UnsafeMutablePointer<Int32>

    /// - Parameter capacity: codes that fit; 1 or more.
    init(of codes: CodeSpace, capacity: Int) throws(StoreError) {
        columns = try Columns(codes)
        self.capacity = capacity
        self.codes = codes
        reaches = .allocate(capacity: capacity)
        sums = .allocate(capacity: capacity)
        lows = .allocate(capacity: capacity)
        ids = .allocate(capacity: capacity)
        errors = .allocate(capacity: capacity)
        squareSums = .allocate(capacity: capacity)
    }

    deinit {
        reaches.deallocate()
        sums.deallocate()
        lows.deallocate()
        ids.deallocate()
        errors.deallocate()
        squareSums.deallocate()
    }

    /// Checks all that the other calls look at of some codes.
    ///
    /// - Throws: `corrupted` when a chunk fails its checksum.
    func check(_ ordinals: ScanOrdinals) throws(StoreError) {
        if let range = ordinals.range { return try check(range) }
        for place in 0..<ordinals.count {
            try check(ordinals[place]..<(ordinals[place] + 1))
        }
    }

    private func check(_ range: Range<Int>) throws(StoreError) {
        _ = try codes.highHalves(range)
        _ = try codes.lowHalves(range)
        _ = try codes.errors(range)
        _ = try codes.squareSums(range)
        _ = try codes.coarseErrors(range)
        _ = try codes.coarseSquareSums(range)
    }

    /// The reaches of coarse codes, as many as fit at most; valid until the next call.
    ///
    /// - Parameter ordinals: of codes that were checked.
    func coarseReaches(_ ordinals: ScanOrdinals, _ bound: CodeBound) -> UnsafeBufferPointer<Float> {
        let count = ordinals.count
        if let range = ordinals.range {
            let high = columns.high + range.lowerBound * codes.halfByteCount
            bound.multiplyCoarse(high, count: count, into: sums)
            bound.coarse.reaches(
                sums,
                nil,
                columns.coarseErrors + range.lowerBound,
                columns.coarseSquareSums + range.lowerBound,
                count: count,
                into: reaches
            )
        } else {
            for place in 0..<count {
                let ordinal = ordinals[place]
                ids[place] = UInt32(truncatingIfNeeded: ordinal)
                errors[place] = columns.coarseErrors[ordinal]
                squareSums[place] = columns.coarseSquareSums[ordinal]
            }
            eachPart(of: count, isWhole: false) { part in
                let (first, count) = (part.lowerBound, part.count)
                bound.multiplyCoarse(columns.high, ids + first, count, sums + first)
            }
            bound.coarse.reaches(sums, nil, errors, squareSums, count: count, into: reaches)
        }
        return UnsafeBufferPointer(start: reaches, count: count)
    }

    /// The reaches of whole codes, as many as fit at most; valid until the next call.
    ///
    /// - Parameter ordinals: of codes that were checked.
    func wholeReaches(_ ordinals: ScanOrdinals, _ bound: CodeBound) -> UnsafeBufferPointer<Float> {
        let count = ordinals.count
        for place in 0..<count {
            let ordinal = ordinals[place]
            ids[place] = UInt32(truncatingIfNeeded: ordinal)
            errors[place] = columns.errors[ordinal]
            squareSums[place] = columns.squareSums[ordinal]
        }
        eachPart(of: count, isWhole: true) { part in
            let (first, count) = (part.lowerBound, part.count)
            bound.multiplyWhole(
                columns.high,
                columns.low,
                ids + first,
                count,
                sums + first,
                lows + first
            )
        }
        bound.whole.reaches(sums, lows, errors, squareSums, count: count, into: reaches)
        return UnsafeBufferPointer(start: reaches, count: count)
    }

    /// Hands out parts of the list, the halves of the next part fetched.
    @inline(__always)
    private func eachPart(of count: Int, isWhole: Bool, _ body: (Range<Int>) -> Void) {
        let half = codes.halfByteCount
        func fetch(_ range: Range<Int>) {
            for place in range {
                mk_fetch(columns.high + Int(ids[place]) * half, half)
                if isWhole { mk_fetch(columns.low + Int(ids[place]) * half, half) }
            }
        }
        fetch(0..<min(Self.listCount, count))
        for start in stride(from: 0, to: count, by: Self.listCount) {
            let end = min(start + Self.listCount, count)
            fetch(end..<min(end + Self.listCount, count))
            body(start..<end)
        }
    }
}
