// How well a graph finds: tried with some of its own codes before it is trusted.

import CKernels
package import MoraineFormat
package import MoraineStorage
import Synchronization

/// What a trial of a graph showed.
package struct GraphTrial: Sendable, Equatable {
    /// Own codes that were searched for.
    package let sampleCount: Int
    /// The share of their ten nearest that was found, for each of `GraphSpaceEntry.recallWidths`.
    package let recalls: [Float]
    /// By which codes.
    package let walk: GraphSpaceEntry.Walk
}

extension GraphBuilder {
    private static let sampleCount = 100
    private static let neighbourCount = 10
    /// Codes compared by one call of a kernel.
    private static let batch = 1024

    /// What coarse codes may find less, on average over the widths.
    private static let coarseLoss: Float = 0.005

    /// Searches for some of the graph's own codes, themselves left out, by coarse codes; by whole
    /// ones where those find more.
    ///
    /// What is as near as the tenth nearest counts as found, whichever it is. All in whole
    /// numbers: it tries the graph, not the codes.
    package func trial(
        threads: Int,
        step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) -> GraphTrial {
        let count = min(Self.sampleCount, nodeCount)
        var isNode = [Bool](repeating: duplicates.isEmpty, count: codes.count)
        if !duplicates.isEmpty { for node in order { isNode[Int(node)] = true } }
        let walks = [GraphSpaceEntry.Walk.coarse, .whole]
        let none = [Int](repeating: 0, count: GraphSpaceEntry.recallWidths.count)
        let found = Mutex([none, none])
        let wanted = min(Self.neighbourCount, nodeCount - 1)
        let nodes = isNode
        try spread(0..<count, batch: 4, threads: threads, step) { [self] range, worker in
            let searches = walks.map { GraphSearch(codes, links, isCoarse: $0 == .coarse) }
            for sample in range {
                // Not those that searches begin with.
                let node = order[(2 * sample + 1) * nodeCount / (2 * count)]
                let query = worker.query(node)
                let bar = bar(of: node, query, nodes, wanted)
                for (walk, search) in searches.enumerated() {
                    for (index, width) in GraphSpaceEntry.recallWidths.enumerated() {
                        let hits = hits(of: node, query, width: width, bar: bar, search)
                        found.withLock { $0[walk][index] += min(hits, wanted) }
                    }
                }
            }
        }
        let recalls = found.withLock { found in
            found.map { $0.map { wanted == 0 ? 1 : Float($0) / Float(wanted * count) } }
        }
        let losses = zip(recalls[1], recalls[0]).map { $0 - $1 }
        let isCoarse = losses.reduce(0, +) <= Self.coarseLoss * Float(losses.count)
        return GraphTrial(
            sampleCount: count,
            recalls: recalls[isCoarse ? 0 : 1],
            walk: isCoarse ? .coarse : .whole
        )
    }

    /// The key of the last of the nearest nodes, by comparing all.
    private func bar(
        of node: UInt32,
        _ query: GraphQuery,
        _ isNode: [Bool],
        _ wanted: Int
    ) -> Int32 {
        var best: [Int32] = []
        let products = UnsafeMutablePointer<Int32>.allocate(capacity: Self.batch)
        defer { products.deallocate() }
        var ids = [UInt32](repeating: 0, count: Self.batch)
        for start in stride(from: 0, to: codes.count, by: Self.batch) {
            let end = min(start + Self.batch, codes.count)
            for index in start..<end { ids[index - start] = UInt32(index) }
            codes.multiply(ids, end - start, query, products)
            for index in start..<end where index != Int(node) && isNode[index] {
                let key = query.key(products[index - start], UInt32(index), codes)
                if best.count == wanted {
                    guard let last = best.last, key > last else { continue }
                    best.removeLast()
                }
                let place = best.firstIndex { $0 < key } ?? best.count
                best.insert(key, at: place)
            }
        }
        return best.last ?? .min
    }

    private func hits(
        of node: UInt32,
        _ query: GraphQuery,
        width: Int,
        bar: Int32,
        _ search: GraphSearch
    ) -> Int {
        entries.withUnsafeBufferPointer { search.run(query, from: $0, width: width) }
        return (0..<search.count).count { search.node($0) != node && search.key($0) >= bar }
    }
}
