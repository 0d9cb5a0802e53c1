// How near a vector can be at most, told from its code: what an exact scan may leave out.

import CKernels
import MoraineFormat
import MoraineStorage

/// Bounds the scores of a space's vectors for one query.
///
/// For every code it gives a `reach`, a float that is larger for nearer, and for a list's bar a
/// `threshold`; a vector whose score's key is not below the bar has a reach of at least the
/// threshold. What does not reach the threshold can be left out, and what is kept is scored by the
/// kernels of ``QueryVector``: the answer is that of a scan of the floats, bit for bit.
///
/// **What is known.** q is the query, x what is coded (the vector v; under cosine v / norm with
/// the f32 norm of the file), x' = scale * c what its code stands for, e >= |x - x'| the stored
/// error, S = sum of c^2, so |x'| = scale * sqrt(S), exactly. All |.| are Euclidean. The query is
/// taken in steps of s as q' = s * m, m = 128 * hi + lo in two planes of bytes, |m| <= 16,256;
/// d >= |q - q'|. The kernel gives a = sum of m * c, exactly, in two whole numbers that make one
/// float: A = Float(H) * 128 + Float(L). With u = 2^-24, |H| <= |hi| sqrt(S), |L| <= |lo| sqrt(S)
/// and N = 128 |hi| + |lo|, three roundings give |A - a| <= 4u N sqrt(S).
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
/// 2^62 * 2^64) or a factor is not moderate. Then all floats here are finite but for E e, e / scale
/// and a threshold, which may be infinite: no sum is of infinities of different signs, and a reach
/// of infinity keeps its vector.
final class CodeBound: Sendable {
    private let metric: Metric
    private let dimensions: Int
    /// Bytes of a code.
    let stride: Int
    /// Written once by the C target, never changed.
    private nonisolated(unsafe) let kernels: UnsafePointer<mk_code_kernels>
    /// The planes of m, hi then lo, `stride` each, at a multiple of 64 bytes.
    // Written in init only, freed in deinit.
    private nonisolated(unsafe) let planes: UnsafePointer<Int8>
    /// 128 times the sums of the planes.
    private let highOffset: Int32
    private let lowOffset: Int32
    /// E, G and, for l2, K and B; E is 1 / scale for l2.
    private let errorFactor: Float
    private let rootFactor: Float
    private let productFactor: Float
    private let base: Float
    /// w s scale; for l2 scale.
    private let unit: Double
    /// U; for l2 n 2^-149.
    private let underflow: Double

    /// Norms above this may overflow a sum.
    private static let largestNorm: Float = 0x1p62
    /// Factors above this, or 0, are not moderate.
    private static let largestFactor = 0x1p80

    /// - Parameters:
    ///   - query: of the space's dimensions and metric.
    ///   - kernels: of another instruction set than the fastest, for tests.
    init?(
        _ query: QueryVector,
        for space: CodeSpace,
        kernels: UnsafePointer<mk_code_kernels> = mk_code_kernels_best()
    ) {
        precondition(query.dimensions == space.dimensions && query.metric == space.metric)
        guard query.norm <= Self.largestNorm,
            space.metric != .l2 || space.entry.largestNorm <= Self.largestNorm
        else { return nil }
        let split = SplitQuery(query, stride: space.stride)
        let u = 0x1p-24
        let n = Double(query.dimensions)
        let (s, scale) = (split.step, Double(space.scale))
        let subnormal = n * 0x1p-149
        let error: Double
        let root: Double
        let product: Double
        let base: Double
        switch query.metric {
        case .cosine, .dot:
            let kernel = Self.gamma(n) + 0x1p-23
            error = split.length * (1 + kernel) / (s * scale) * (1 + 16 * u)
            root = (split.rest + split.length * kernel) / s + 20 * u * split.planeNorm
            (product, base) = (1, 0)
        case .l2:
            error = (1 + 8 * u) / scale
            product = 2 * s / scale
            root = 2 * split.rest / scale + 32 * u * product * split.planeNorm
            base = split.square / (scale * scale) * (1 - 16 * u)
        }
        let norm = Double(query.norm)
        switch query.metric {
        case .cosine:
            unit = s * scale / norm
            let least = Double(space.entry.leastNorm)
            underflow = (subnormal / (norm * least) + 0x1p-149) * (1 + 0x1p-20)
        case .dot: (unit, underflow) = (s * scale, subnormal)
        case .l2: (unit, underflow) = (scale, subnormal)
        }
        errorFactor = Rounding.up(error)
        rootFactor = Rounding.up(root * (1 + 16 * u))
        productFactor = Float(product)
        self.base = Rounding.down(base)
        metric = query.metric
        dimensions = query.dimensions
        stride = space.stride
        self.kernels = kernels
        (highOffset, lowOffset) = (split.highOffset, split.lowOffset)
        let copy = UnsafeMutableRawPointer.allocate(
            byteCount: split.planes.count,
            alignment: 64
        ).bindMemory(to: Int8.self, capacity: split.planes.count)
        for (index, value) in split.planes.enumerated() {
            (copy + index).initialize(to: value)
        }
        planes = UnsafePointer(copy)
        let factors = [error, root, product, base, underflow]
        guard factors.allSatisfy({ $0 >= 0 && $0 <= Self.largestFactor }), unit > 0 else {
            return nil
        }
    }

    deinit { planes.deallocate() }

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

    /// Compares neighbouring codes with both planes: what ``reaches`` goes on from.
    ///
    /// - Parameters:
    ///   - codes: `count` codes.
    ///   - sums, lows: room for `count` each.
    @inline(__always)
    func multiply(
        _ codes: UnsafePointer<UInt8>,
        count: Int,
        sums: UnsafeMutablePointer<Int32>,
        lows: UnsafeMutablePointer<Int32>
    ) {
        kernels.pointee.dot_planes(codes, stride, count, planes, planes + stride, sums, lows)
    }

    /// Computes the reaches of codes.
    ///
    /// - Parameters:
    ///   - sums, lows: of `multiply`.
    ///   - errors, squareSums: of `count` codes.
    ///   - reaches: room for `count`.
    @inline(__always)
    func reaches(
        _ sums: UnsafePointer<Int32>,
        _ lows: UnsafePointer<Int32>,
        _ errors: UnsafePointer<Float>,
        _ squareSums: UnsafePointer<Int32>,
        count: Int,
        into reaches: UnsafeMutablePointer<Float>
    ) {
        let (e, g, k, b) = (errorFactor, rootFactor, productFactor, base)
        let (high, low) = (highOffset, lowOffset)
        switch metric {
        case .cosine, .dot:
            for index in 0..<count {
                let product = Float(sums[index] &- high) * 128 + Float(lows[index] &- low)
                let root = Float(squareSums[index]).squareRoot()
                reaches[index] = product + (e * errors[index] + g * root)
            }
        case .l2:
            for index in 0..<count {
                let product = Float(sums[index] &- high) * 128 + Float(lows[index] &- low)
                let square = Float(squareSums[index])
                let distance =
                    b + square * (1 - 0x1p-20) - k * product - g * square.squareRoot()
                let root = (distance > 0 ? distance : 0).squareRoot()
                reaches[index] = e * errors[index] - root * (1 - 0x1p-21)
            }
        }
    }
}

/// A query in whole steps, as two planes of bytes.
private struct SplitQuery {
    /// hi, then lo, `stride` each, zeros behind the dimensions.
    let planes: [Int8]
    let step: Double
    let highOffset: Int32
    let lowOffset: Int32
    /// At least |q - q'|.
    let rest: Double
    /// At least |q|.
    let length: Double
    /// At most |q|^2.
    let square: Double
    /// At least 128 |hi| + |lo|.
    let planeNorm: Double

    init(_ query: QueryVector, stride: Int) {
        var planes = [Int8](repeating: 0, count: 2 * stride)
        var largest: Float = 0
        for index in 0..<query.dimensions { largest = max(largest, abs(query.values[index])) }
        let step = largest > 0 ? Double(largest) / 16_256 : 1
        var (rests, squares, highSquares, lowSquares) = (0.0, 0.0, 0.0, 0.0)
        var (highSum, lowSum) = (Int32(0), Int32(0))
        for index in 0..<query.dimensions {
            let value = Double(query.values[index])
            let steps = Int32((value / step).rounded())
            // -127...127 and -64...63.
            let high = (steps + 64) >> 7
            let low = steps - high * 128
            planes[index] = Int8(truncatingIfNeeded: high)
            planes[stride + index] = Int8(truncatingIfNeeded: low)
            highSum += high
            lowSum += low
            let rest = value - step * Double(steps)
            rests += rest * rest
            squares += value * value
            highSquares += Double(high * high)
            lowSquares += Double(low * low)
        }
        self.planes = planes
        self.step = step
        (highOffset, lowOffset) = (128 * highSum, 128 * lowSum)
        // Sums of up to 2^14 terms in f64 are off by less than 2^-38 of themselves; the products
        // step * steps by 2^-53 of up to |q|.
        length = squares.squareRoot() * (1 + 0x1p-30)
        square = squares * (1 - 0x1p-30)
        rest = rests.squareRoot() * (1 + 0x1p-30) + length * 0x1p-50
        planeNorm = (128 * highSquares.squareRoot() + lowSquares.squareRoot()) * (1 + 0x1p-30)
    }
}
