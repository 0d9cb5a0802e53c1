// Turns vectors into codes of one byte a number and says how far they are off, whole and coarse.
// Bytes: format-spec/codes.md, "Codes".

package import MoraineFormat
package import MoraineStorage

/// How the numbers of a space become codes.
///
/// What is coded is the vector, under cosine divided by its norm. A code is 128 plus the nearest
/// whole number of steps of `scale`, from -127 to 127; numbers farther out saturate.
package struct Quantizer: Sendable {
    package let metric: Metric
    package let dimensions: Int
    package let scale: Float

    package init(metric: Metric, dimensions: Int, scale: Float) {
        self.metric = metric
        self.dimensions = dimensions
        self.scale = scale
    }

    /// Bytes of a code.
    package var strideByteCount: Int { CodeSpaceEntry.strideByteCount(dimensions) }

    /// Codes a vector.
    ///
    /// - Parameters:
    ///   - vector: as many finite floats as there are dimensions.
    ///   - norm: the vector's; above 0 under cosine.
    ///   - code: room for `strideByteCount` bytes.
    package func encode(
        _ vector: UnsafePointer<Float>,
        norm: Float,
        into code: UnsafeMutablePointer<UInt8>
    ) {
        let factor = metric == .cosine ? 1 / Double(norm) : 1
        let inverse = 1 / Double(scale)
        for index in 0..<dimensions {
            let value = Double(vector[index]) * factor
            let steps = value * inverse
            // In this order a NaN, which only a forged file has, is bounded too.
            let bounded = steps < 127 ? (steps > -127 ? steps : -127) : 127
            // Adding 1.5 * 2^52 leaves no room for a fraction: rounds without a call, and the low
            // bits are the whole number.
            let shifted = bounded + 0x1.8p52
            let steady = Int32(truncatingIfNeeded: shifted.bitPattern)
            code[index] = UInt8(truncatingIfNeeded: steady &+ 128)
        }
        for index in dimensions..<strideByteCount { code[index] = 128 }
    }

    /// What is known of a code of a vector.
    struct Facts {
        /// At least the distance between what is coded and what the code stands for.
        let error: Float
        /// The sum of the squares of the code's values.
        let squareSum: UInt32
        /// The same of its coarse code, whose values are in half steps.
        let coarseError: Float
        let coarseSquareSum: UInt32
    }

    /// Twice the value that a coarse code stands for where the whole code has `value`: the middle
    /// of the sixteen values with the same high bits.
    @inline(__always)
    static func coarseValue(_ value: Int32) -> Int32 { (value + 128) >> 4 &* 32 &- 241 }

    /// Measures a code.
    ///
    /// - Parameters:
    ///   - code: whole, `dimensions` bytes of it.
    ///   - vector: what was coded, with its norm.
    func facts(of code: UnsafePointer<UInt8>, for vector: UnsafePointer<Float>, norm: Float)
        -> Facts
    {
        let factor = metric == .cosine ? 1 / Double(norm) : 1
        let step = Double(scale)
        let halfStep = step / 2
        var (squares, coarseSquares) = (0.0, 0.0)
        var (sum, coarseSum) = (Int32(0), Int32(0))
        for index in 0..<dimensions {
            let value = Double(vector[index]) * factor
            let steady = Int32(code[index]) &- 128
            let rest = value - step * Double(steady)
            squares += rest * rest
            sum &+= steady &* steady
            let coarse = Self.coarseValue(steady)
            let coarseRest = value - halfStep * Double(coarse)
            coarseSquares += coarseRest * coarseRest
            coarseSum &+= coarse &* coarse
        }
        return Facts(
            error: bound(squares),
            squareSum: UInt32(bitPattern: sum),
            coarseError: bound(coarseSquares),
            coarseSquareSum: UInt32(bitPattern: coarseSum)
        )
    }

    /// An upper bound of the root of a sum of squares that was added up in f64.
    ///
    /// Each product `step * whole` is exact. Under cosine a value has two roundings, 2^-52 of it,
    /// which for a whole vector of norm 1 is less than 2^-50. The rest and the sum of up to 2^14
    /// squares are off by less than 2^-38 of themselves.
    private func bound(_ squares: Double) -> Float {
        let own = metric == .cosine ? 0x1p-50 : 0
        return Rounding.up((squares.squareRoot() + own) * (1 + 0x1p-37))
    }
}

/// Doubles to floats that are certainly not less, or not more.
enum Rounding {
    static func up(_ value: Double) -> Float {
        let float = Float(value)
        return Double(float) < value ? float.nextUp : float
    }

    static func down(_ value: Double) -> Float {
        let float = Float(value)
        return Double(float) > value ? float.nextDown : float
    }
}

extension Quantizer {
    /// Vectors of a space that the scale is chosen by, at most.
    private static let sampleCount = 16_384
    /// Of the vectors' largest numbers, the part that is not clipped.
    private static let keptPart = 0.999
    /// No clip is above so many times the median of the vectors' largest numbers.
    private static let largestClip = 8.0

    /// Chooses the scale for a space by looking at some of its vectors: the clip is the 99.9th
    /// percentile of the vectors' largest numbers.
    ///
    /// Of the largest number of each vector, not of all numbers: a dimension that stands out in all
    /// vectors must not be clipped. On 20,000 embeddings of texts, of which one or four dimensions
    /// were made larger, recall of the best ten in twenty by codes was .994 and .999; with the
    /// clip that makes the squared error least .83 and .98, with the 99.9th percentile of all
    /// numbers .57 and .84. (With no clip at all .992 and 1, but one long vector would make all
    /// others zero: hence also the bound by the median, for vectors of very different lengths.)
    ///
    /// - Parameter step: called now and then; what it throws ends the work.
    package init(for space: VectorSpace, step: () throws(StoreError) -> Void) throws(StoreError) {
        var largest: [Double] = []
        let count = min(space.vectorCount, Self.sampleCount)
        for index in 0..<count {
            if index % 1024 == 0 { try step() }
            // No overflow: counts are below 2^32.
            let ordinal = index * space.vectorCount / count
            let norm = try space.norm(ordinal)
            guard norm > 0 else { continue }
            let vector = try space.vector(ordinal)
            var most: Float = 0
            for place in 0..<space.dimensions { most = max(most, abs(vector[place])) }
            largest.append(space.metric == .cosine ? Double(most) / Double(norm) : Double(most))
        }
        largest.sort()
        var clip = 127.0
        if !largest.isEmpty {
            let kept = largest[Int(Double(largest.count - 1) * Self.keptPart)]
            clip = min(kept, largest[largest.count / 2] * Self.largestClip)
        }
        let scale = Rounding.up(clip / 127)
        self.init(
            metric: space.metric,
            dimensions: space.dimensions,
            // Not finite only for numbers that no valid file has.
            scale: scale.isFinite ? max(scale, .leastNormalMagnitude) : 1
        )
    }
}
