// What a graph is built over and searched by: the codes of a space and how near two of them are.

package import CKernels
import MoraineFormat
package import MoraineStorage

/// The codes of a space as graphs compare them.
///
/// Borrows the memory; whoever makes one keeps it alive. Any thread.
// @unchecked: the memory is never written while a graph uses it.
package struct GraphCodes: @unchecked Sendable {
    /// `count` codes, `stride` bytes apart: 128 plus a value of -127 to 127; 128 behind the
    /// dimensions.
    let bytes: UnsafePointer<UInt8>
    /// A multiple of 64.
    let stride: Int
    /// Below 2^31.
    let count: Int
    /// L2: the sum of the squares of each code's values; `nil` for cosine and dot.
    let squareSums: UnsafePointer<Int32>?
    /// Cosine: the inner product of a vector's values with themselves, about the same for all;
    /// `nil` for dot, where distances cannot be told from inner products.
    let selfProduct: Int32?
    let kernels: UnsafePointer<mk_code_kernels>

    init(
        bytes: UnsafePointer<UInt8>,
        stride: Int,
        count: Int,
        squareSums: UnsafePointer<Int32>?,
        selfProduct: Int32?,
        kernels: UnsafePointer<mk_code_kernels> = mk_code_kernels_best()
    ) {
        precondition(stride % 64 == 0 && count >= 0 && count < 1 << 31)
        self.bytes = bytes
        self.stride = stride
        self.count = count
        self.squareSums = squareSums
        self.selfProduct = selfProduct
        self.kernels = kernels
    }

    /// The codes of a space, after all of them were checked.
    ///
    /// - Throws: `corrupted` when a chunk fails its checksum.
    package init(
        _ space: CodeSpace,
        kernels: UnsafePointer<mk_code_kernels> = mk_code_kernels_best()
    ) throws(StoreError) {
        let steps = 1 / Double(space.scale)
        self.init(
            bytes: try space.verifiedCodes(),
            stride: space.stride,
            count: space.count,
            squareSums: space.metric == .l2 ? try space.verifiedSquareSums() : nil,
            // No scale of unit vectors is so small; a forged one only makes a poor graph.
            selfProduct: space.metric == .cosine ? Int32(min(steps * steps, 0x1p30)) : nil,
            kernels: kernels
        )
    }

    @inline(__always)
    func code(_ node: UInt32) -> UnsafePointer<UInt8> { bytes + Int(node) &* stride }
}

/// A query in whole numbers, for codes of one stride.
///
/// The key of a code is what nodes are ordered by, larger is nearer: the inner product of the
/// values (cosine, dot), or twice that less the sum of the code's squares (l2). Borrows the memory.
package struct GraphQuery {
    /// As many numbers of -127 to 127 as a code has bytes.
    let values: UnsafePointer<Int8>
    /// 128 times their sum: what the kernels' results are too large by.
    let offset: Int32

    init(values: UnsafePointer<Int8>, offset: Int32) {
        self.values = values
        self.offset = offset
    }

    /// Quantizes a query for the codes of a space.
    ///
    /// Under l2 in the steps of the space, so that distances are whole numbers and a query far
    /// outside the vectors saturates; else in steps of its own.
    ///
    /// - Parameters:
    ///   - query: of the space's dimensions and metric.
    ///   - values: room for a code of the space, zeros behind its dimensions; in use as long as the
    ///     result is.
    init(_ query: QueryVector, for space: CodeSpace, in values: UnsafeMutablePointer<Int8>) {
        precondition(query.dimensions == space.dimensions && query.metric == space.metric)
        var step = space.scale
        if query.metric != .l2 {
            // Never so small that its inverse overflows: what it would tell apart is nothing to a
            // score.
            let largest = mk_largest(query.values, query.dimensions)
            step = max(largest / 127, Float.leastNormalMagnitude * 4)
        }
        let sum = mk_quantize(query.values, query.dimensions, 1 / step, values)
        self.init(values: values, offset: 128 * sum)
    }

    /// The key of a code from a kernel's result.
    ///
    /// Below 2^30: values are at most 127 and there are at most 16,384.
    @inline(__always)
    func key(_ product: Int32, _ node: UInt32, _ codes: GraphCodes) -> Int32 {
        let product = product &- offset
        guard let squareSums = codes.squareSums else { return product }
        return 2 &* product &- squareSums[Int(node)]
    }
}
