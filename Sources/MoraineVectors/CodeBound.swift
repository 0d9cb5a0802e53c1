// How near a vector can be at most, told from its code: what an exact scan may leave out.

import CKernels
import MoraineFormat
import MoraineStorage

/// Bounds the scores of vectors for one query, by one kind of code: coarse or whole.
///
/// For every code it gives a `reach`, a float that is larger for nearer, and for a list's bar a
/// `threshold`; a vector whose score's key is not below the bar has a reach of at least the
/// threshold. What does not reach the threshold can be left out, and what is kept is scored by the
/// kernels of ``QueryVector``: the answer is that of a scan of the floats, bit for bit.
///
/// **What is known.** q is the query, x what is coded (the vector v; under cosine v / norm with
/// the f32 norm of the file), x' = scale * c what its code stands for, e >= |x - x'| the stored
/// error, S = sum of c^2, so |x'| = scale * sqrt(S), exactly. Of a coarse code c are odd numbers of
/// -241 to 241 and scale is half of the space's. All |.| are Euclidean. The query is taken in steps
/// of s as q' = s * m; d >= |q - q'|.
///
/// For whole codes m = 128 * hi + lo in two planes of bytes, |m| <= 16,256. The kernel gives
/// a = sum of m * c, exactly, in two whole numbers that make one float: A = Float(H) * 128 +
/// Float(L). With u = 2^-24, |H| <= |hi| sqrt(S), |L| <= |lo| sqrt(S) and N = 128 |hi| + |lo|, three
/// roundings give |A - a| <= 4u N sqrt(S). For coarse codes m is one plane, |m| <= 127, and a one
/// whole number: with N = |m|, its rounding is at most u N sqrt(S).
///
/// **Cosine and dot.** With w = 1 / norm of q (the f32 that scores use) or 1, the real score is
///     r = w q.x = w (q'.x' + (q - q').x' + q.(x - x'))
///       <= w (s scale a + d scale sqrt(S) + |q| e).
/// The score z that the kernel and `Score.value` make differs from r: by CKernels.h the sum is off
/// by at most g(n) |q| |v| + n 2^-149 (Cauchy-Schwarz; nothing overflows, as |q| |v| is at most
/// 2^126, see the limits below); under cosine two f64 roundings and one to f32 follow, which may be
/// subnormal. As |x| <= scale sqrt(S) + e,
///     |z - r| <= w |q| (scale sqrt(S) + e) (g(n) + 2^-23) + U,
/// U = n 2^-149 for dot and n 2^-149 / (norm of q * least norm) + 2^-149 for cosine. Divided by
/// w s scale > 0: z can only be at least the bar's score b if
///     A + E e + G sqrt(S) >= (b - U) / (w s scale)
///     E = |q| (1 + g(n) + 2^-23) / (s scale)
///     G = (d + |q| (g(n) + 2^-23)) / s + 4u N.
/// The left side in f32 rounds at most five times, each by u of A, E e and G sqrt(S) together; as
/// |A| <= (1 + 4u) N sqrt(S), adding 16u N to G and making E and G larger by 16u covers it.
///
/// **L2.** |q - x| >= |q - x'| - e, and
///     |q - x'|^2 = |q|^2 - 2 q.x' + |x'|^2
///                >= |q|^2 - 2 s scale a - 2 d scale sqrt(S) + scale^2 S,
/// in units of scale^2: D2 = B - K a - G sqrt(S) + S with B = |q|^2 / scale^2, K = 2 s / scale,
/// G = 2 d / scale. In f32, B and S smaller by 16u and G larger by 32u K N make it a lower bound:
/// it rounds six times by u of B + S + K N sqrt(S) at most. A kernel's z is at least
/// (1 - g(n + 2)) |q - x|^2 - n 2^-149, so z can only be at most the bar's score b if
///     e / scale - sqrt(max(0, D2)) >= -t / scale,  t^2 = (b + n 2^-149) / (1 - g(n + 2)),
/// where the root is made smaller and the error larger by 8u for the roundings on the left.
///
/// **Limits.** A space and a query are left to the floats, `init` gives `nil`, when a norm is above
/// 2^62 (the query's always, the vectors' under l2: dot products of the others stay below
/// 2^62 * 2^64), a vector's is subnormal under cosine, where scores then use a better one than the
/// file's, or a factor is not moderate. Then all floats here are finite but for E e, e / scale
/// and a threshold, which may be infinite: no sum is of infinities of different signs, and a reach
/// of infinity keeps its vector.
struct ReachBound: Sendable {
    private let metric: Metric
    private let dimensions: Int
    /// E, G and, for l2, K and B; E is 1 / scale for l2.
    private let errorFactor: Float
    private let rootFactor: Float
    private let productFactor: Float
    private let base: Float
    /// w s scale; for l2 scale.
    private let unit: Double
    /// U; for l2 n 2^-149.
    private let underflow: Double
    /// By how many bits the kernel's sums are to be shifted up, and what they are then too large by.
    private let shift: Int32
    private let offset: Int32
    /// 128 times the sum of the low plane.
    private let lowOffset: Int32

    /// Norms above this may overflow a sum.
    fileprivate static let largestNorm: Float = 0x1p62
    /// Factors above this, or 0, are not moderate.
    private static let largestFactor = 0x1p80

    /// - Parameters:
    ///   - steps: the query, taken in steps.
    ///   - scale: of the codes.
    ///   - leastNorm: of the vectors.
    fileprivate init?(
        _ query: QueryVector,
        _ steps: QuerySteps,
        scale: Double,
        leastNorm: Float
    ) {
        let u = 0x1p-24
        let n = Double(query.dimensions)
        let s = steps.step
        let subnormal = n * 0x1p-149
        let error: Double
        let root: Double
        let product: Double
        let base: Double
        switch query.metric {
        case .cosine, .dot:
            let kernel = Self.gamma(n) + 0x1p-23
            error = steps.length * (1 + kernel) / (s * scale) * (1 + 16 * u)
            root = (steps.rest + steps.length * kernel) / s + 20 * u * steps.planeNorm
            (product, base) = (1, 0)
        case .l2:
            error = (1 + 8 * u) / scale
            product = 2 * s / scale
            root = 2 * steps.rest / scale + 32 * u * product * steps.planeNorm
            base = steps.square / (scale * scale) * (1 - 16 * u)
        }
        let norm = Double(query.norm)
        switch query.metric {
        case .cosine:
            unit = s * scale / norm
            underflow = (subnormal / (norm * Double(leastNorm)) + 0x1p-149) * (1 + 0x1p-20)
        case .dot: (unit, underflow) = (s * scale, subnormal)
        case .l2: (unit, underflow) = (scale, subnormal)
        }
        errorFactor = Rounding.up(error)
        rootFactor = Rounding.up(root * (1 + 16 * u))
        productFactor = Float(product)
        self.base = Rounding.down(base)
        metric = query.metric
        dimensions = query.dimensions
        (shift, offset, lowOffset) = (steps.shift, steps.offset, steps.lowOffset)
        let factors = [error, root, product, base, underflow]
        guard factors.allSatisfy({ $0 >= 0 && $0 <= Self.largestFactor }), unit > 0 else {
            return nil
        }
    }

    /// The bound of CKernels.h for sums of m roundings.
    private static func gamma(_ m: Double) -> Double { m * 0x1p-24 / (1 - m * 0x1p-24) }

    /// The reach that a vector must have for its score to be as near as a bar's.
    func threshold(_ bar: UInt32) -> Float {
        let score = Double(Score.value(ofKey: bar, metric))
        // Bars beyond all scores are those of NaNs.
        guard score == score else { return -.infinity }
        switch metric {
        case .cosine, .dot:
            let value = (score - underflow) / unit
            return Rounding.down(value - abs(value) * 0x1p-40)
        case .l2:
            let square = (score + underflow) / (1 - Self.gamma(Double(dimensions) + 2))
            return Rounding.down(-max(0, square).squareRoot() / unit * (1 + 0x1p-40))
        }
    }

    /// Computes the reaches of codes.
    ///
    /// - Parameters:
    ///   - sums: what the kernel made of the plane, or of the high one.
    ///   - lows: of the low one; `nil` when there is one plane.
    ///   - errors, squareSums: of `count` codes.
    ///   - reaches: room for `count`.
    @inline(__always)
    func reaches(
        _ sums: UnsafePointer<Int32>,
        _ lows: UnsafePointer<Int32>?,
        _ errors: UnsafePointer<Float>,
        _ squareSums: UnsafePointer<Int32>,
        count: Int,
        into reaches: UnsafeMutablePointer<Float>
    ) {
        let (e, g, k, b) = (errorFactor, rootFactor, productFactor, base)
        let (shift, offset, lowOffset) = (shift, offset, lowOffset)
        if let lows {
            for index in 0..<count {
                let high = Float(sums[index] &- offset) * 128
                reaches[index] = high + Float(lows[index] &- lowOffset)
            }
        } else {
            for index in 0..<count { reaches[index] = Float(sums[index] &<< shift &- offset) }
        }
        switch metric {
        case .cosine, .dot:
            for index in 0..<count {
                let root = Float(squareSums[index]).squareRoot()
                reaches[index] += e * errors[index] + g * root
            }
        case .l2:
            for index in 0..<count {
                let square = Float(squareSums[index])
                let distance =
                    b + square * (1 - 0x1p-20) - k * reaches[index] - g * square.squareRoot()
                let root = (distance > 0 ? distance : 0).squareRoot()
                reaches[index] = e * errors[index] - root * (1 - 0x1p-21)
            }
        }
    }
}

/// A query ready to be compared with the codes of a space, coarse and whole.
final class CodeBound: Sendable {
    let coarse: ReachBound
    let whole: ReachBound
    /// Bytes of half a code.
    private let half: Int
    /// Written once by the C target, never changed.
    private nonisolated(unsafe) let kernels: UnsafePointer<mk_code_kernels>
    /// Three planes of a code's bytes each, at a multiple of 64: for coarse codes, then hi and lo.
    // Written in init only, freed in deinit.
    private nonisolated(unsafe) let planes: UnsafePointer<Int8>

    /// - Parameters:
    ///   - query: of the space's dimensions and metric.
    ///   - kernels: of another instruction set than the fastest, for tests.
    init?(
        _ query: QueryVector,
        for space: CodeSpace,
        kernels: UnsafePointer<mk_code_kernels> = mk_code_kernels_best()
    ) {
        precondition(query.dimensions == space.dimensions && query.metric == space.metric)
        let count = space.byteCount
        let planes = UnsafeMutableRawPointer.allocate(byteCount: 3 * count, alignment: 64)
            .bindMemory(to: Int8.self, capacity: 3 * count)
        planes.initialize(repeating: 0, count: 3 * count)
        self.planes = UnsafePointer(planes)
        self.kernels = kernels
        half = space.halfByteCount
        let scale = Double(space.scale)
        let least = space.entry.leastNorm
        guard query.norm <= ReachBound.largestNorm,
            space.metric != .l2 || space.entry.largestNorm <= ReachBound.largestNorm,
            space.metric != .cosine || least >= .leastNormalMagnitude,
            let coarse = ReachBound(
                query,
                QuerySteps(query, plane: planes),
                scale: scale / 2,
                leastNorm: least
            ),
            let whole = ReachBound(
                query,
                QuerySteps(query, high: planes + count, low: planes + 2 * count),
                scale: scale,
                leastNorm: least
            )
        else {
            planes.deallocate()
            return nil
        }
        self.coarse = coarse
        self.whole = whole
    }

    deinit { planes.deallocate() }

    /// Compares coarse codes of neighbours: what `coarse.reaches` goes on from.
    @inline(__always)
    func multiplyCoarse(
        _ high: UnsafePointer<UInt8>,
        count: Int,
        into sums: UnsafeMutablePointer<Int32>
    ) {
        kernels.pointee.coarse_rows(high, half, count, planes, sums)
    }

    /// Compares listed coarse codes.
    @inline(__always)
    func multiplyCoarse(
        _ high: UnsafePointer<UInt8>,
        _ ids: UnsafePointer<UInt32>,
        _ count: Int,
        _ sums: UnsafeMutablePointer<Int32>
    ) {
        kernels.pointee.coarse_list(high, half, ids, count, planes, sums)
    }

    /// Compares listed whole codes: what `whole.reaches` goes on from.
    @inline(__always)
    func multiplyWhole(
        _ high: UnsafePointer<UInt8>,
        _ low: UnsafePointer<UInt8>,
        _ ids: UnsafePointer<UInt32>,
        _ count: Int,
        _ sums: UnsafeMutablePointer<Int32>,
        _ lows: UnsafeMutablePointer<Int32>
    ) {
        let planes = planes + 2 * half
        kernels.pointee.dot_pair(high, low, half, ids, count, planes, planes + 2 * half, sums, lows)
    }
}

/// What a bound needs to know of a query that is taken in whole steps.
private struct QuerySteps {
    let step: Double
    /// As in ``ReachBound``.
    let shift: Int32
    let offset: Int32
    let lowOffset: Int32
    /// At least |q - q'|.
    let rest: Double
    /// At least |q|.
    let length: Double
    /// At most |q|^2.
    let square: Double
    /// At least N.
    let planeNorm: Double

    /// One plane for coarse codes, whose numbers h stand for 32 h - 241.
    init(_ query: QueryVector, plane: UnsafeMutablePointer<Int8>) {
        self.init(query, most: 127) { index, steps in
            plane[index] = Int8(truncatingIfNeeded: steps)
            return (steps, 0)
        }
    }

    /// Two planes for whole codes, whose bytes are 128 too large.
    init(
        _ query: QueryVector,
        high: UnsafeMutablePointer<Int8>,
        low: UnsafeMutablePointer<Int8>
    ) {
        self.init(query, most: 16_256) { index, steps in
            // -127...127 and -64...63.
            let part = (steps + 64) >> 7
            high[index] = Int8(truncatingIfNeeded: part)
            low[index] = Int8(truncatingIfNeeded: steps - part * 128)
            return (part, steps - part * 128)
        }
    }

    private init(
        _ query: QueryVector,
        most: Int32,
        _ split: (Int, Int32) -> (high: Int32, low: Int32)
    ) {
        let isCoarse = most == 127
        var largest: Float = 0
        for index in 0..<query.dimensions { largest = max(largest, abs(query.values[index])) }
        let step = largest > 0 ? Double(largest) / Double(most) : 1
        var (rests, squares, highSquares, lowSquares) = (0.0, 0.0, 0.0, 0.0)
        var (highSum, lowSum) = (Int32(0), Int32(0))
        for index in 0..<query.dimensions {
            let value = Double(query.values[index])
            let steps = Int32((value / step).rounded())
            let (high, low) = split(index, steps)
            highSum += high
            lowSum += low
            let rest = value - step * Double(steps)
            rests += rest * rest
            squares += value * value
            highSquares += Double(high * high)
            lowSquares += Double(low * low)
        }
        self.step = step
        (shift, offset) = isCoarse ? (5, 241 * highSum) : (0, 128 * highSum)
        lowOffset = 128 * lowSum
        // Sums of up to 2^14 terms in f64 are off by less than 2^-38 of themselves; the products
        // step * steps by 2^-53 of up to |q|.
        length = squares.squareRoot() * (1 + 0x1p-30)
        square = squares * (1 - 0x1p-30)
        rest = rests.squareRoot() * (1 + 0x1p-30) + length * 0x1p-50
        let parts = (isCoarse ? 1 : 128) * highSquares.squareRoot() + lowSquares.squareRoot()
        planeNorm = parts * (1 + 0x1p-30)
    }
}
