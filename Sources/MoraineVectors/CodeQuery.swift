// A query as one byte a number, to be compared with the codes of a space.

package import CKernels
import MoraineFormat
import MoraineStorage

/// A query made ready for approximate search over the codes of a space.
///
/// A kernel of ``kernels`` gives `raw`, the sum of code times value. From it comes a key, larger
/// for what is likely nearer:
/// cosine and dot: `raw`; l2: `2 * raw - squareSum` with the code's entry in
/// `CodeSpace.verifiedSquareSums`, which is minus the squared distance in steps, up to a constant.
/// The same holds for a code that is compared with others, as its values are in the same steps. No
/// key exceeds 31 bits. Any thread.
package final class CodeQuery: Sendable {
    /// The space's stride of values, zeros behind the dimensions, at a multiple of 64 bytes.
    // Written in init only, freed in deinit.
    package nonisolated(unsafe) let values: UnsafePointer<Int8>
    /// 128 times the sum of the values: what is in every `raw` because codes are 128 more.
    package let offset: Int32
    /// Whether a key is `raw` alone.
    package let isPlain: Bool
    /// Written once by the C target, never changed.
    package nonisolated(unsafe) let kernels: UnsafePointer<mk_code_kernels>
    /// An approximate score is `base + factor * (key - zeroKey)`.
    private let factor: Double
    private let base: Double
    private let zeroKey: Double

    /// Quantizes a query.
    ///
    /// Under l2 in the steps of the space, so that distances are whole numbers and a query far
    /// outside the vectors saturates; else in steps of its own.
    ///
    /// - Parameters:
    ///   - query: of the space's dimensions and metric.
    ///   - kernels: of another instruction set than the fastest, for tests.
    package init(
        _ query: QueryVector,
        for space: CodeSpace,
        kernels: UnsafePointer<mk_code_kernels> = mk_code_kernels_best()
    ) {
        precondition(query.dimensions == space.dimensions && query.metric == space.metric)
        self.kernels = kernels
        let copy = UnsafeMutableRawPointer.allocate(byteCount: space.stride, alignment: 64)
            .bindMemory(to: Int8.self, capacity: space.stride)
        copy.initialize(repeating: 0, count: space.stride)
        let largest = mk_largest(query.values, query.dimensions)
        let scale = Double(space.scale)
        isPlain = query.metric != .l2
        // Never so small that its inverse overflows: what it would tell apart is nothing to a score.
        let own = max(Double(largest) / 127, Double(Float.leastNormalMagnitude) * 4)
        let step = isPlain ? own : scale
        let sum = mk_quantize(query.values, query.dimensions, Float(1 / step), copy)
        values = UnsafePointer(copy)
        offset = 128 * sum
        let norm = Double(query.norm)
        switch query.metric {
        case .cosine: (factor, base, zeroKey) = (step * scale / norm, 0, Double(offset))
        case .dot: (factor, base, zeroKey) = (step * scale, 0, Double(offset))
        case .l2: (factor, base, zeroKey) = (-scale * scale, norm * norm, 2 * Double(offset))
        }
    }

    deinit { values.deallocate() }

    /// The key of a code under l2; under cosine and dot `raw` is the key.
    @inline(__always)
    package static func l2Key(raw: Int32, squareSum: Int32) -> Int32 {
        2 &* raw &- squareSum
    }

    /// The score that a key stands for, about.
    package func score(ofKey key: Int32) -> Float {
        Float(base + factor * (Double(key) - zeroKey))
    }
}
