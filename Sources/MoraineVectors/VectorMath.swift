// What the numbers of a vector may be, its norm, and how a raw sum becomes a score.
// Formulas: format-spec/vector.md, "Scores" and "Norms".

import CKernels
package import MoraineFormat
package import MoraineStorage

/// Arithmetic on single vectors.
package enum VectorMath {
    /// The Euclidean norm: the root of the sum of squares, rounded to f32.
    ///
    /// The order of the sum is part of the format (`mk_square_sum`): it makes the norm the same bits
    /// everywhere.
    package static func norm(_ vector: UnsafePointer<Float>, dimensions: Int) -> Float {
        Float(mk_square_sum(vector, dimensions).squareRoot())
    }

    /// Checks a vector and returns its norm.
    ///
    /// - Throws: `invalidVector` that names the component at fault, unless every number is finite, the
    ///   sum of squares fits into f32, and, under cosine, not all are zero.
    package static func validatedNorm(
        of vector: UnsafeBufferPointer<Float>,
        metric: Metric
    ) throws(StoreError) -> Float {
        let sum = vector.baseAddress.map { mk_square_sum($0, vector.count) } ?? 0
        // One comparison finds infinities, NaNs and overflow alike, as each makes the sum large or
        // unordered; only then is it worth looking for the place.
        guard sum <= Double(Float.greatestFiniteMagnitude) else { throw fault(in: vector) }
        let norm = Float(sum.squareRoot())
        // A non-zero f32 has a norm of at least 2^-149, the smallest f32.
        guard metric != .cosine || norm > 0 else {
            throw StoreError(
                .invalidVector,
                "a vector of zeros has no direction: cosine needs one number other"
                    + " than 0",
                expected: "a norm above 0",
                found: "0"
            )
        }
        return norm
    }

    private static func fault(in vector: UnsafeBufferPointer<Float>) -> StoreError {
        if let index = vector.firstIndex(where: { !$0.isFinite }) {
            return StoreError(
                .invalidVector,
                "component \(index) of the vector is not a finite number",
                expected: "a finite number",
                found: "\(vector[index])"
            )
        }
        let largest = Double(Float.greatestFiniteMagnitude)
        var sum = 0.0
        // Added in this order the sum may be a little smaller: then it is the last component.
        let index = vector.firstIndex {
            sum += Double($0) * Double($0)
            return sum > largest
        }
        return StoreError(
            .invalidVector,
            "the squares of the vector's numbers overflow 32 bits at component"
                + " \(index ?? vector.count - 1)",
            expected: "a sum of squares up to \(Float.greatestFiniteMagnitude)",
            found: "\(sum)"
        )
    }
}

/// The last step of a score, and its order.
package enum Score {
    /// The score of a query and a vector, from what the kernel summed.
    ///
    /// The one way to a score, so that a row has the same bits wherever it lies. Finite for valid
    /// vectors: what overflows f32 (an l2 of two very long vectors) is the largest f32. Never -0.
    ///
    /// - Parameters:
    ///   - sum: of products for cosine and dot, of squared differences for l2.
    ///   - queryNorm, norm: used by cosine only.
    @inline(__always)
    package static func value(
        _ sum: Float,
        _ metric: Metric,
        queryNorm: Float,
        norm: Float
    ) -> Float {
        let largest = Float.greatestFiniteMagnitude
        // Not min and max: a NaN must stay one.
        let bounded = sum > largest ? largest : (sum < -largest ? -largest : sum)
        // A switch and not ==, which calls through a table for an enumeration of another module.
        switch metric {
        case .dot, .l2: return bounded + 0
        case .cosine:
            // The product of two norms can leave the range of f32, never that of f64.
            return Float(Double(bounded) / (Double(queryNorm) * Double(norm))) + 0
        }
    }

    /// The score under cosine of a vector whose norm has fewer bits in f32 than others: it is taken
    /// again in f64.
    package static func cosine(
        _ sum: Float,
        queryNorm: Float,
        ofSubnormal vector: UnsafePointer<Float>,
        dimensions: Int
    ) -> Float {
        let norm = mk_square_sum(vector, dimensions).squareRoot()
        return Float(Double(sum) / (Double(queryNorm) * norm)) + 0
    }

    /// The score as a number that is larger for nearer; 0, the farthest, for a NaN.
    @inline(__always)
    package static func key(_ score: Float, _ metric: Metric) -> UInt32 {
        let bits = score.bitPattern
        let isNegative = UInt32(bitPattern: Int32(bitPattern: bits) &>> 31)
        let ascending = bits ^ (isNegative | 0x8000_0000)
        guard score == score else { return 0 }
        return switch metric {
        case .cosine, .dot: ascending
        case .l2: ~ascending
        }
    }

    /// The score that `key` came from, bit for bit.
    package static func value(ofKey key: UInt32, _ metric: Metric) -> Float {
        let ascending = metric == .l2 ? ~key : key
        let isNegative = UInt32(bitPattern: ~Int32(bitPattern: ascending) &>> 31)
        return Float(bitPattern: ascending ^ (isNegative | 0x8000_0000))
    }
}
