// The limit of a search by graph: lists of codes compared in no order, and nothing else.

import CKernels

/// As many codes as a data set has, in memory of their own.
///
/// Lives as long as the process. Any thread.
// @unchecked: nothing is written after init.
final class BareCodes: @unchecked Sendable {
    /// About as many codes as a search compares for each node that it goes on from.
    static let listCount = 16

    private let count: Int
    private let half: Int
    private let high: UnsafePointer<UInt8>
    private let low: UnsafePointer<UInt8>
    private let query: [Int8]

    init(count: Int, dimensions: Int) {
        self.count = count
        half = (dimensions + 127) / 128 * 64
        high = Self.bytes(count * half)
        low = Self.bytes(count * half)
        query = (0..<2 * half).map { Int8(truncatingIfNeeded: $0 % 255 - 127) }
    }

    private static func bytes(_ count: Int) -> UnsafePointer<UInt8> {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 2 << 20)
            .bindMemory(to: UInt8.self, capacity: count)
        for place in 0..<count { bytes[place] = UInt8(truncatingIfNeeded: place &* 151) }
        return UnsafePointer(bytes)
    }

    /// Compares `count` lists.
    func run(_ count: Int, seed: UInt64) throws {
        let kernels = mk_code_kernels_best()
        var dice = Dice(seed)
        var list = [UInt32](repeating: 0, count: Self.listCount)
        var products = [Int32](repeating: 0, count: Self.listCount)
        var sum: Int64 = 0
        for _ in 0..<count {
            for place in list.indices {
                list[place] = UInt32(dice.below(self.count))
                mk_fetch(high + Int(list[place]) * half, half)
                mk_fetch(low + Int(list[place]) * half, half)
            }
            kernels.pointee.dot_list(high, low, half, list, list.count, query, &products)
            sum &+= Int64(products[0])
        }
        guard sum != 0 else { throw Failure.failed("codes compare as zeros") }
    }
}
