// The kernels that a search of a graph keeps nodes with: every level does what plain loops do.

import CKernels
import Testing

@Suite struct PoolKernelTests {
    /// A pool and what it ought to hold.
    private final class Pool {
        let pool: mk_pool
        var wanted: [(key: Int32, node: UInt32)] = []

        init(width: Int) {
            let count = mk_pool_room(width)
            pool = mk_pool(
                keys: .allocate(capacity: count),
                nodes: .allocate(capacity: count),
                width: width
            )
            pool.keys.initialize(repeating: .min, count: count)
            pool.nodes.initialize(repeating: .max, count: count)
        }

        deinit {
            pool.keys.deallocate()
            pool.nodes.deallocate()
        }

        /// Keeps nodes one by one; returns the first place that changed, the width when none did.
        func keep(_ keys: [Int32], _ nodes: [UInt32]) -> Int {
            var first = pool.width
            for (key, node) in zip(keys, nodes) {
                let place = wanted.firstIndex { $0.key < key } ?? wanted.count
                guard place < pool.width else { continue }
                wanted.insert((key, node), at: place)
                wanted.removeLast(max(0, wanted.count - pool.width))
                first = min(first, place)
            }
            return first
        }

        var isRight: Bool {
            (0..<pool.width).allSatisfy { place in
                place < wanted.count
                    ? pool.keys[place] == wanted[place].key
                        && pool.nodes[place] == wanted[place].node
                    : pool.keys[place] == .min && pool.nodes[place] == .max
            }
        }
    }

    @Test(arguments: CodeLevel.all) func theNearestAreKeptInOrder(level: CodeLevel) {
        var samples = Samples(seed: 71)
        let links = [UInt32](repeating: 0, count: 64)
        for width in [1, 2, 15, 16, 17, 20, 32, 33, 48, 64, 65, 96, 97, 112, 128, 129, 300] {
            // Few different keys: ties are kept in the order of their coming.
            for range: ClosedRange<Int32> in [-4...4, -1_000_000...1_000_000, (.min + 1) ... .max] {
                let pool = Pool(width: width)
                for _ in 0..<12 {
                    let count = Int.random(in: 1...64, using: &samples)
                    var keys = (0..<count).map { _ in Int32.random(in: range, using: &samples) }
                    let nodes = (0..<count).map { _ in
                        // The top bit is the caller's.
                        UInt32.random(in: 0...1, using: &samples) << 31
                            | UInt32.random(in: 0...9, using: &samples)
                    }
                    let wanted = pool.keep(keys, nodes)
                    // What stands behind the keys is read and must not count.
                    keys += [Int32](repeating: .max, count: 64 - count)
                    let first = withUnsafePointer(to: pool.pool) {
                        // No stride: links are only asked for, all at one place.
                        level.kernels.keep($0, keys, nodes, count, links, 0)
                    }
                    let label: Comment = "width \(width), \(count) nodes, keys \(range)"
                    #expect(min(first, width) == wanted, label)
                    #expect(pool.isRight, label)
                }
            }
        }
    }

    @Test(arguments: CodeLevel.all) func aNodeIsGivenOnceAndMarked(level: CodeLevel) {
        var samples = Samples(seed: 72)
        for n in [16, 32, 48, 64] {
            for used in [0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64] where used <= n {
                // Numbers of few words of marks, so that many are named twice or marked before.
                var row = (0..<n).map { _ in UInt32.random(in: 0..<200, using: &samples) }
                if used < n { row[used] = .max }
                var marks = (0..<7).map { _ in UInt32.random(in: 0 ... .max, using: &samples) }
                var wantedMarks = marks
                var wanted: [UInt32] = []
                for node in row.prefix(used)
                where wantedMarks[Int(node / 32)] >> (node % 32) & 1 == 0 {
                    wantedMarks[Int(node / 32)] |= 1 << (node % 32)
                    wanted.append(node)
                }
                var out = [UInt32](repeating: 0, count: n + 16)
                let count = level.kernels.unmarked(row, n, &marks, &out)
                #expect(Array(out.prefix(count)) == wanted, "\(used) of \(n)")
                #expect(marks == wantedMarks, "\(used) of \(n)")
            }
        }
    }
}
