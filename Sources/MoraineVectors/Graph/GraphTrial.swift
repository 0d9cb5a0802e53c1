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

/// What the searches of one width add up to.
private struct Tally {
    /// Of the nearest.
    var found = 0
    /// Codes.
    var compared = 0
}

/// What searches of one width find, and what they take.
struct WalkPoint {
    /// What comparing a coarse code takes where comparing a whole one takes 1: half of the lines,
    /// and as long for all else.
    private static let coarseCost = 2.0 / 3
    /// What each node takes that is kept: its links are fetched and looked through.
    private static let nodeCost = 4.0

    let recall: Double
    /// Comparisons of whole codes that take as long.
    let cost: Double

    init(recall: Double, cost: Double) {
        self.recall = recall
        self.cost = cost
    }

    /// - Parameter compared: codes that a search compares on its way.
    init(recall: Double, _ walk: GraphSpaceEntry.Walk, width: Int, compared: Double) {
        let isCoarse = walk == .coarse
        // Coarse walks end with comparing all that they kept.
        let each = Self.nodeCost + (isCoarse ? 1 : 0)
        self.init(
            recall: recall,
            cost: compared * (isCoarse ? Self.coarseCost : 1) + each * Double(width)
        )
    }

    /// Whether the first of two walks takes less than the other, in sum, to reach the targets that
    /// one of them reaches.
    ///
    /// - Parameters:
    ///   - first: of widths in ascending order, and so the other.
    ///   - targets: recalls.
    static func isFirstCheaper(_ first: [Self], _ other: [Self], at targets: [Double]) -> Bool {
        var sums = (first: 0.0, other: 0.0)
        for target in targets {
            let costs = (first: cost(of: first, at: target), other: cost(of: other, at: target))
            guard costs.first != nil || costs.other != nil else { continue }
            sums.first += costs.first ?? .infinity
            sums.other += costs.other ?? .infinity
        }
        return sums.first < sums.other
    }

    /// What a recall takes, on the line between two widths; `nil` when none reaches it.
    private static func cost(of curve: [Self], at recall: Double) -> Double? {
        guard let next = curve.firstIndex(where: { $0.recall >= recall }) else { return nil }
        guard next > 0 else { return curve[0].cost }
        let (low, high) = (curve[next - 1], curve[next])
        let share = (recall - low.recall) / (high.recall - low.recall)
        return low.cost + share * (high.cost - low.cost)
    }
}

extension GraphBuilder {
    private static let sampleCount = 100
    private static let neighbourCount = 10
    /// Codes compared by one call of a kernel.
    private static let batch = 1024

    /// The recalls at which the two walks' costs are compared.
    private static let targets: [Double] = [0.95, 0.99]

    /// Searches for some of the graph's own codes, themselves left out, by coarse codes and by whole
    /// ones; the walk is the one that takes less to find as much.
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
        let none = [Tally](repeating: Tally(), count: GraphSpaceEntry.recallWidths.count)
        let tallies = Mutex([none, none])
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
                        let before = search.comparisonCount
                        let hits = hits(of: node, query, width: width, bar: bar, search)
                        let compared = search.comparisonCount - before
                        tallies.withLock {
                            $0[walk][index].found += min(hits, wanted)
                            $0[walk][index].compared += compared
                        }
                    }
                }
            }
        }
        let curves = tallies.withLock { tallies in
            zip(walks, tallies).map { walk, tallies in
                zip(GraphSpaceEntry.recallWidths, tallies).map { width, tally in
                    WalkPoint(
                        recall: wanted == 0 ? 1 : Double(tally.found) / Double(wanted * count),
                        walk,
                        width: width,
                        compared: Double(tally.compared) / Double(count)
                    )
                }
            }
        }
        let isCoarse = WalkPoint.isFirstCheaper(curves[0], curves[1], at: Self.targets)
        return GraphTrial(
            sampleCount: count,
            recalls: curves[isCoarse ? 0 : 1].map { Float($0.recall) },
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
