// A query made ready: checked, copied to an aligned place, its norm known, its kernel chosen.

package import CKernels
package import MoraineFormat
package import MoraineStorage

/// A vector to compare others with.
package final class QueryVector: Sendable {
    package let metric: Metric
    package let dimensions: Int
    /// Of `values`.
    package let norm: Float
    // Written in init only, freed in deinit.
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    /// `dimensions` floats at a multiple of 64 bytes; under cosine the vector times a power of two.
    // Written in init only, part of `memory`.
    package nonisolated(unsafe) let values: UnsafePointer<Float>
    /// Written once by the C target, never changed.
    private nonisolated(unsafe) let kernels: UnsafePointer<mk_kernels>

    /// - Parameters:
    ///   - values: at least one number; the caller has compared the count with the space's.
    ///   - kernels: of another instruction set than the fastest, for tests.
    /// - Throws: `invalidVector` as `VectorMath.validatedNorm`.
    package init(
        _ values: UnsafeBufferPointer<Float>,
        metric: Metric,
        kernels: UnsafePointer<mk_kernels> = mk_kernels_best()
    ) throws(StoreError) {
        let given = try VectorMath.validatedNorm(of: values, metric: metric)
        self.metric = metric
        self.kernels = kernels
        dimensions = values.count
        // Aligned by hand: an allocator takes memory apart for an alignment that is not its own.
        memory = .allocate(byteCount: values.count * 4 + 64, alignment: 16)
        let copy = memory.alignedUp(toMultipleOf: 64).bindMemory(
            to: Float.self,
            capacity: values.count
        )
        if let source = values.baseAddress {
            copy.initialize(from: source, count: values.count)
        }
        if metric == .cosine {
            // A length of 2^61 to 2^62: products with vectors of any length neither overflow nor
            // lose bits where they are too small. All others come out as without it.
            let factor = Double(sign: .plus, exponent: 61 - Int(given.exponent), significand: 1)
            for index in values.indices { copy[index] = Float(Double(copy[index]) * factor) }
            norm = VectorMath.norm(copy, dimensions: values.count)
        } else {
            norm = given
        }
        self.values = UnsafePointer(copy)
    }

    deinit { memory.deallocate() }

    /// The score of one vector.
    ///
    /// - Parameters:
    ///   - vector: `dimensions` floats.
    ///   - norm: the vector's; used by cosine only.
    package func score(_ vector: UnsafePointer<Float>, norm: Float) -> Float {
        let sum =
            switch metric {
            case .cosine, .dot: kernels.pointee.dot(values, vector, dimensions)
            case .l2: kernels.pointee.squared_l2(values, vector, dimensions)
            }
        return switch metric {
        case .cosine where norm < .leastNormalMagnitude:
            Score.cosine(sum, queryNorm: self.norm, ofSubnormal: vector, dimensions: dimensions)
        default: Score.value(sum, metric, queryNorm: self.norm, norm: norm)
        }
    }

    /// The scores of `count` vectors that lie `stride` floats apart: the same bits as `score`.
    @inline(__always)
    package func scores(
        of vectors: UnsafePointer<Float>,
        stride: Int,
        norms: UnsafePointer<Float>,
        count: Int,
        into scores: UnsafeMutablePointer<Float>
    ) {
        switch metric {
        case .cosine:
            kernels.pointee.dot_rows(values, vectors, stride, dimensions, count, scores)
            for index in 0..<count {
                scores[index] = Score.value(
                    scores[index],
                    .cosine,
                    queryNorm: norm,
                    norm: norms[index]
                )
            }
            for index in 0..<count where norms[index] < .leastNormalMagnitude {
                scores[index] = score(vectors + index * stride, norm: norms[index])
            }
        case .dot:
            kernels.pointee.dot_rows(values, vectors, stride, dimensions, count, scores)
            for index in 0..<count {
                scores[index] = Score.value(scores[index], .dot, queryNorm: norm, norm: 0)
            }
        case .l2:
            kernels.pointee.squared_l2_rows(values, vectors, stride, dimensions, count, scores)
            for index in 0..<count {
                scores[index] = Score.value(scores[index], .l2, queryNorm: norm, norm: 0)
            }
        }
    }
}
