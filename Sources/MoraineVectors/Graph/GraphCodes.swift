// What a graph is built over and searched by: the codes of a space and how near two of them are.

package import CKernels
import MoraineFormat
package import MoraineStorage

/// The codes of a space as graphs compare them.
///
/// Borrows the memory; whoever makes one keeps it alive. Any thread.
// @unchecked: the memory is never written while a graph uses it.
package struct GraphCodes: @unchecked Sendable {
    /// The high halves of `count` codes, `half` bytes apart; format-spec/codes.md.
    let high: UnsafePointer<UInt8>
    /// Their low halves.
    let low: UnsafePointer<UInt8>
    /// Bytes of half a code: a multiple of 64.
    let half: Int
    /// Below 2^31.
    let count: Int
    /// L2: the sum of the squares of each code's values; `nil` for cosine and dot.
    let squareSums: UnsafePointer<Int32>?
    /// Cosine: the inner product of a vector's values with themselves, about the same for all;
    /// `nil` for dot, where distances cannot be told from inner products.
    let selfProduct: Int32?
    let kernels: UnsafePointer<mk_code_kernels>

    init(
        high: UnsafePointer<UInt8>,
        low: UnsafePointer<UInt8>,
        half: Int,
        count: Int,
        squareSums: UnsafePointer<Int32>?,
        selfProduct: Int32?,
        kernels: UnsafePointer<mk_code_kernels> = mk_code_kernels_best()
    ) {
        precondition(half % 64 == 0 && count >= 0 && count < 1 << 31)
        self.high = high
        self.low = low
        self.half = half
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
            high: try space.verifiedHighHalves(),
            low: try space.verifiedLowHalves(),
            half: space.halfByteCount,
            count: space.count,
            squareSums: space.metric == .l2 ? try space.verifiedSquareSums() : nil,
            // No scale of unit vectors is so small; a forged one only makes a poor graph.
            selfProduct: space.metric == .cosine ? Int32(min(steps * steps, 0x1p30)) : nil,
            kernels: kernels
        )
    }

    /// Bytes of a code.
    var byteCount: Int { 2 * half }

    @inline(__always)
    func highHalf(_ node: UInt32) -> UnsafePointer<UInt8> { high + Int(node) &* half }

    @inline(__always)
    func lowHalf(_ node: UInt32) -> UnsafePointer<UInt8> { low + Int(node) &* half }

    func highBytes(_ node: UInt32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: highHalf(node), count: half)
    }

    func lowBytes(_ node: UInt32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: lowHalf(node), count: half)
    }

    /// True for nodes of the same code.
    func areSame(_ one: UInt32, _ other: UInt32) -> Bool {
        highBytes(one).elementsEqual(highBytes(other))
            && lowBytes(one).elementsEqual(lowBytes(other))
    }

    /// Compares the codes of nodes with a query; `products` as of the kernel.
    @inline(__always)
    func multiply(
        _ nodes: UnsafePointer<UInt32>,
        _ count: Int,
        _ query: GraphQuery,
        _ products: UnsafeMutablePointer<Int32>
    ) {
        kernels.pointee.dot_list(high, low, half, nodes, count, query.values, products)
    }

    /// Compares the coarse codes of nodes with a query.
    @inline(__always)
    func multiplyCoarse(
        _ nodes: UnsafePointer<UInt32>,
        _ count: Int,
        _ query: GraphQuery,
        _ products: UnsafeMutablePointer<Int32>
    ) {
        kernels.pointee.coarse_list(high, half, nodes, count, query.values, products)
    }

    /// Makes a node's code a query.
    ///
    /// - Parameter values: room for a code; in use as long as the result is.
    func query(_ node: UInt32, in values: UnsafeMutablePointer<Int8>) -> GraphQuery {
        let offset = mk_code_as_query(highHalf(node), lowHalf(node), byteCount, values)
        return GraphQuery(values: UnsafePointer(values), sum: offset / 128)
    }
}

/// A query in whole numbers, for codes of one size.
///
/// The key of a code is what nodes are ordered by, larger is nearer: the inner product of the
/// values (cosine, dot), or twice that less the sum of the code's squares (l2). The key of a coarse
/// code is about twice the one and about the other. Borrows the memory.
package struct GraphQuery {
    /// As many numbers of -127 to 127 as a code has bytes.
    let values: UnsafePointer<Int8>
    /// What the kernels' results are too large by: 128 times the sum of the values.
    private let offset: Int32
    /// For coarse codes, whose numbers h stand for 32 h - 241 half steps: 241 times the sum.
    private let coarseOffset: Int32

    init(values: UnsafePointer<Int8>, sum: Int32) {
        self.values = values
        offset = 128 * sum
        coarseOffset = 241 * sum
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
        self.init(values: values, sum: sum)
    }

    /// The keys of codes from a kernel's results, in their place.
    ///
    /// Below 2^30: values are at most 127 and there are at most 16,384.
    @inline(__always)
    func makeKeys(
        _ products: UnsafeMutablePointer<Int32>,
        _ nodes: UnsafePointer<UInt32>,
        _ count: Int,
        _ codes: GraphCodes
    ) {
        for index in 0..<count { products[index] = key(products[index], nodes[index], codes) }
    }

    /// The key of a code from a kernel's result; see `makeKeys`.
    @inline(__always)
    func key(_ product: Int32, _ node: UInt32, _ codes: GraphCodes) -> Int32 {
        let product = product &- offset
        guard let squareSums = codes.squareSums else { return product }
        return 2 &* product &- squareSums[Int(node)]
    }

    /// The keys of coarse codes from a kernel's results, in their place.
    ///
    /// Below 2^30: half steps are at most 241, squares as above.
    @inline(__always)
    func makeCoarseKeys(
        _ products: UnsafeMutablePointer<Int32>,
        _ nodes: UnsafePointer<UInt32>,
        _ count: Int,
        _ codes: GraphCodes
    ) {
        for index in 0..<count { products[index] = 32 &* products[index] &- coarseOffset }
        guard let squareSums = codes.squareSums else { return }
        for index in 0..<count { products[index] &-= squareSums[Int(nodes[index])] }
    }
}
