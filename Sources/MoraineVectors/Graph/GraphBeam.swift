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
    package func run(
        _ query: GraphQuery,
        from entries: UnsafeBufferPointer<UInt32>,
        width: Int
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
        walk.begin(entries)
        while walk.advance() {}
        visited.clear(walk.isLogWhole ? walk.fresh - visited.log : nil)
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

/// The state of a search, apart from the object: its fields are registers, not looked up and
/// guarded at each use.
private struct GraphWalk {
    let codes: GraphCodes
    let isCoarse: Bool
    let links: GraphLinks
    let query: GraphQuery
    let visited: GraphMarks
    let pool: GraphPool
    /// Nodes whose codes were asked for and are to be compared next: the end of the log.
    var fresh: UnsafeMutablePointer<UInt32>
    /// Their keys.
    let keys: UnsafeMutablePointer<Int32>
    var freshCount = 0
    /// Whether the log has all nodes that are marked.
    var isLogWhole = true
    /// No node of the pool before this place is left to expand.
    var place = 0
    var comparisonCount = 0

    @inline(__always)
    mutating func begin(_ entries: UnsafeBufferPointer<UInt32>) {
        for node in entries {
            guard visited.mark(node) else { continue }
            fresh[freshCount] = node
            freshCount += 1
        }
        fetch()
    }

    /// Compares what was asked for and asks for the codes that the nearest node not expanded yet
    /// links to; false when there is none.
    @inline(__always)
    mutating func advance() -> Bool {
        if freshCount > 0 { place = min(place, compare()) }
        while place < pool.width, pool.isExpanded(place) { place &+= 1 }
        fresh += freshCount
        guard place < pool.width else { return false }
        if fresh - visited.log > GraphMarks.logCapacity {
            fresh = visited.log
            isLogWhole = false
        }
        freshCount = codes.kernels.pointee.unmarked(
            links.row(pool.expand(place)),
            links.stride,
            visited.bits,
            fresh
        )
        fetch()
        return true
    }

    @inline(__always)
    private func fetch() {
        for index in 0..<freshCount {
            mk_fetch(codes.highHalf(fresh[index]), codes.half)
            if !isCoarse { mk_fetch(codes.lowHalf(fresh[index]), codes.half) }
        }
    }

    /// Compares the fresh nodes with the query and puts the near ones into the pool; returns the
    /// first place that changed.
    @inline(__always)
    private mutating func compare() -> Int {
        comparisonCount &+= freshCount
        if isCoarse {
            codes.multiplyCoarse(fresh, freshCount, query, keys)
            query.makeCoarseKeys(keys, fresh, freshCount, codes)
        } else {
            codes.multiply(fresh, freshCount, query, keys)
            query.makeKeys(keys, fresh, freshCount, codes)
        }
        return pool.keep(keys, fresh, freshCount, codes, links)
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
