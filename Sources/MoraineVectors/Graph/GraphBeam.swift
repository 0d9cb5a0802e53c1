// Best-first search of a flat graph with an ordered pool: one sorted list of nodes, expanded or not,
// as in the searches of NSG and DiskANN (Fu et al. 2019; Subramanya et al. 2019).

import CKernels
import MoraineFormat

/// The out-links of every node: `stride` words a node, ids first, then `unused`.
///
/// Borrows the memory. Any thread.
// @unchecked: words are read and written whole.
struct GraphLinks: @unchecked Sendable {
    static let unused = UInt32.max
    let words: UnsafePointer<UInt32>
    let stride: Int

    @inline(__always)
    func row(_ node: UInt32) -> UnsafePointer<UInt32> { words + Int(node) &* stride }
}

/// One search at a time, and its memory: a bit a node, and the pool.
package final class GraphSearch {
    private let codes: GraphCodes
    /// Whether to walk by coarse codes and to compare whole ones at the end.
    private let isCoarse: Bool
    private let links: GraphLinks
    private let visited: GraphMarks
    /// What only searches with a mask need.
    private var bridges: GraphBridges?
    private var pool = GraphPool(capacity: 256)
    private let keys: UnsafeMutablePointer<Int32>
    /// Room for a query for the codes, at a multiple of 64 bytes.
    let values: UnsafeMutablePointer<Int8>
    /// What a coarse search found, while it is ordered anew.
    private var found: [UInt32] = []
    /// Nodes in the pool.
    package private(set) var count = 0
    /// Codes compared since the object was made.
    package private(set) var comparisonCount = 0

    init(_ codes: GraphCodes, _ links: GraphLinks, isCoarse: Bool = false) {
        self.codes = codes
        self.isCoarse = isCoarse
        self.links = links
        visited = GraphMarks(nodeCount: codes.count)
        keys = .allocate(capacity: GraphPool.batch)
        keys.initialize(repeating: 0, count: GraphPool.batch)
        values = UnsafeMutableRawPointer.allocate(byteCount: codes.byteCount, alignment: 64)
            .bindMemory(to: Int8.self, capacity: codes.byteCount)
        values.initialize(repeating: 0, count: codes.byteCount)
    }

    deinit {
        visited.deallocate()
        bridges?.deallocate()
        pool.deallocate()
        keys.deallocate()
        values.deallocate()
    }

    /// The node at a place of the pool.
    @inline(__always)
    package func node(_ place: Int) -> UInt32 { pool.node(place) }

    /// The key of the node at a place of the pool.
    @inline(__always)
    package func key(_ place: Int) -> Int32 { pool.key(place) }

    /// Fills the pool with the nodes nearest to the query that a search finds, nearest first.
    ///
    /// - Parameters:
    ///   - entries: where to begin; at most 64.
    ///   - width: nodes that the pool keeps (`ef`), 1 or more.
    ///   - mask: the nodes to keep, of this graph; `nil` for all.
    package func run(
        _ query: GraphQuery,
        from entries: UnsafeBufferPointer<UInt32>,
        width: Int,
        mask: GraphMask? = nil
    ) {
        precondition(entries.count <= GraphPool.batch && width > 0)
        if pool.capacity < width {
            pool.deallocate()
            pool = GraphPool(capacity: width)
        }
        pool.empty(width: width)
        var walk = GraphWalk(
            codes: codes,
            isCoarse: isCoarse,
            links: links,
            query: query,
            visited: visited,
            pool: pool,
            fresh: visited.log,
            keys: keys
        )
        if let mask {
            let bridges = bridges ?? GraphBridges(nodeCount: codes.count)
            self.bridges = bridges
            visited.copy(mask.hidden)
            bridges.followed.copy(mask.shown)
            walk.begin(entries, over: bridges)
            while walk.advance(over: bridges, atMost: mask.bridgeCount) {}
            visited.clear(nil)
        } else {
            walk.begin(entries)
            while walk.advance() {}
            visited.clear(walk.isLogWhole ? walk.fresh - visited.log : nil)
        }
        count = pool.count()
        comparisonCount &+= walk.comparisonCount
        if isCoarse { refine(query) }
    }

    /// Orders the pool by whole codes.
    private func refine(_ query: GraphQuery) {
        found.removeAll(keepingCapacity: true)
        for place in 0..<count {
            mk_fetch(codes.lowHalf(node(place)), codes.half)
            found.append(node(place))
        }
        pool.empty(width: pool.width)
        found.withUnsafeBufferPointer { found in
            guard var nodes = found.baseAddress else { return }
            var rest = found.count
            while rest > 0 {
                let batch = min(rest, GraphPool.batch)
                codes.multiply(nodes, batch, query, keys)
                query.makeKeys(keys, nodes, batch, codes)
                pool.keep(keys, nodes, batch, codes, links)
                nodes += batch
                rest -= batch
            }
        }
    }
}

/// A finished graph.
package struct GraphView {
    package let codes: GraphCodes
    let links: GraphLinks
    package let entries: [UInt32]
    private let isCoarse: Bool

    package init(
        _ codes: GraphCodes,
        links: UnsafePointer<UInt32>,
        entries: [UInt32],
        isCoarse: Bool
    ) {
        self.codes = codes
        self.links = GraphLinks(words: links, stride: GraphSpaceEntry.degree)
        self.entries = entries
        self.isCoarse = isCoarse
    }

    package func makeSearch() -> GraphSearch { GraphSearch(codes, links, isCoarse: isCoarse) }
}
