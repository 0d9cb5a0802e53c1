// Turns vectors into codes of one byte a number and says how far each is off.
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
    /// - Returns: an upper bound of the distance between what is coded and what the code stands
    ///   for, and the sum of the squares of the code's values.
    package func encode(
        _ vector: UnsafePointer<Float>,
        norm: Float,
        into code: UnsafeMutablePointer<UInt8>
    ) -> (error: Float, squareSum: UInt32) {
        let factor = metric == .cosine ? 1 / Double(norm) : 1
        let step = Double(scale)
        let inverse = 1 / step
        var squares = 0.0
        var squareSum: Int32 = 0
        for index in 0..<dimensions {
            let value = Double(vector[index]) * factor
            let steps = value * inverse
            // In this order a NaN, which only a forged file has, is bounded too.
            let bounded = steps < 127 ? (steps > -127 ? steps : -127) : 127
            // Adding 1.5 * 2^52 leaves no room for a fraction: rounds without a call, and the low
            // bits are the whole number.
            let shifted = bounded + 0x1.8p52
            let rest = value - step * (shifted - 0x1.8p52)
            squares += rest * rest
            let steady = Int32(truncatingIfNeeded: shifted.bitPattern)
            squareSum &+= steady &* steady
            code[index] = UInt8(truncatingIfNeeded: steady &+ 128)
        }
        for index in dimensions..<strideByteCount { code[index] = 128 }
        return (bound(squares), UInt32(bitPattern: squareSum))
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

    /// The distance between what is coded and what a code stands for, as `encode` measures it.
    func error(of code: UnsafePointer<UInt8>, for vector: UnsafePointer<Float>, norm: Float)
        -> (error: Float, squareSum: UInt32)
    {
        let factor = metric == .cosine ? 1 / Double(norm) : 1
        var squares = 0.0
        var squareSum: UInt32 = 0
        for index in 0..<dimensions {
            let steady = Int32(code[index]) - 128
            let rest = Double(vector[index]) * factor - Double(scale) * Double(steady)
            squares += rest * rest
            squareSum &+= UInt32(bitPattern: steady &* steady)
        }
        return (bound(squares), squareSum)
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

    /// Chooses the scale for a space by looking at some of its vectors.
    ///
    /// - Parameter step: called now and then; what it throws ends the work.
    package init(for space: VectorSpace, step: () throws(StoreError) -> Void) throws(StoreError) {
        var spread = ValueSpread()
        let count = min(space.vectorCount, Self.sampleCount)
        for index in 0..<count {
            if index % 1024 == 0 { try step() }
            // No overflow: counts are below 2^32.
            let ordinal = index * space.vectorCount / count
            let norm = Double(try space.norm(ordinal))
            guard norm > 0 else { continue }
            spread.add(
                try space.vector(ordinal),
                count: space.dimensions,
                factor: space.metric == .cosine ? 1 / norm : 1,
                weight: space.metric == .cosine ? 1 : 1 / (norm * norm)
            )
        }
        let scale = Rounding.up(spread.bestClip() / 127)
        self.init(
            metric: space.metric,
            dimensions: space.dimensions,
            // Not finite only for numbers that no valid file has.
            scale: scale.isFinite ? max(scale, .leastNormalMagnitude) : 1
        )
    }
}

/// How large the numbers of a space are: counted in bins, sixteen to each doubling.
///
/// The best clip is the one with the least expected square of the error, relative to the vectors'
/// squared norms: rounding is off by a twelfth of a step's square, what is clipped by what is cut
/// off. Taking the largest number instead let a few outliers make all other codes coarse, and a
/// fixed share of the numbers would clip a whole dimension of every vector where one dimension
/// stands out. Relative, so that a few very long vectors do not make all others zero.
private struct ValueSpread {
    private static let binCount = 4096
    private var counts = [Double](repeating: 0, count: binCount)
    private var sums = [Double](repeating: 0, count: binCount)
    private var squares = [Double](repeating: 0, count: binCount)
    private var largest: Float = 0

    /// The bin of a float without sign: its exponent and the first four bits behind the point.
    private static func bin(_ value: Float) -> Int { Int(value.bitPattern >> 19) }
    /// Where a bin ends.
    private static func end(_ bin: Int) -> Double {
        Double(Float(bitPattern: UInt32(bin + 1) << 19))
    }

    mutating func add(
        _ vector: UnsafePointer<Float>,
        count: Int,
        factor: Double,
        weight: Double
    ) {
        for index in 0..<count {
            let value = abs(Float(Double(vector[index]) * factor))
            let bin = Self.bin(value)
            counts[bin] += weight
            sums[bin] += weight * Double(value)
            squares[bin] += weight * Double(value) * Double(value)
            largest = max(largest, value)
        }
    }

    /// The clip with the least error; 127 when there is no number but 0.
    func bestClip() -> Double {
        guard largest > 0 else { return 127 }
        // Of all bins up to one: how many, and their squares.
        var countsBelow: [Double] = [0]
        var squaresBelow: [Double] = [0]
        for bin in 0...Self.bin(largest) {
            countsBelow.append(countsBelow[bin] + counts[bin])
            squaresBelow.append(squaresBelow[bin] + squares[bin])
        }
        var best = (clip: Double(largest), error: Double.infinity)
        var (clippedCount, clippedSum, clippedSquare) = (0.0, 0.0, 0.0)
        for bin in (0...Self.bin(largest)).reversed() where counts[bin] > 0 {
            let clip = min(Self.end(bin), Double(largest))
            let step = clip / 127
            // What lies below half a step becomes 0.
            let zeros = min(Self.bin(Float(step / 2)), bin)
            let rounded = countsBelow[bin + 1] - countsBelow[zeros]
            let clipped = clippedSquare - 2 * clip * clippedSum + clip * clip * clippedCount
            let error = squaresBelow[zeros] + rounded * step * step / 12 + clipped
            if error < best.error { best = (clip, error) }
            clippedCount += counts[bin]
            clippedSum += sums[bin]
            clippedSquare += squares[bin]
        }
        return best.clip
    }
}
