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

/// One search at a time, and its memory: 2 bytes a node, and the pool.
package final class GraphSearch {
    private let codes: GraphCodes
    /// Whether to walk by coarse codes and to compare whole ones at the end.
    private let isCoarse: Bool
    private let links: GraphLinks
    private let visited: UnsafeMutablePointer<UInt16>
    private var epoch: UInt16 = 0
    private var pool = GraphPool(capacity: 256)
    private let fresh: UnsafeMutablePointer<UInt32>
    private let products: UnsafeMutablePointer<Int32>
    /// Room for a query for the codes, at a multiple of 64 bytes.
    let values: UnsafeMutablePointer<Int8>
    /// What is sorted at the end of a coarse search: keys above nodes.
    private var ranks: [UInt64] = []
    /// Nodes in the pool.
    package private(set) var count = 0
    /// Codes compared since the object was made.
    package private(set) var comparisonCount = 0

    init(_ codes: GraphCodes, _ links: GraphLinks, isCoarse: Bool = false) {
        self.codes = codes
        self.isCoarse = isCoarse
        self.links = links
        visited = .allocate(capacity: max(1, codes.count))
        visited.initialize(repeating: 0, count: codes.count)
        fresh = .allocate(capacity: GraphWalk.batch)
        products = .allocate(capacity: GraphWalk.batch)
        values = UnsafeMutableRawPointer.allocate(byteCount: codes.byteCount, alignment: 64)
            .bindMemory(to: Int8.self, capacity: codes.byteCount)
        values.initialize(repeating: 0, count: codes.byteCount)
    }

    deinit {
        visited.deallocate()
        pool.deallocate()
        fresh.deallocate()
        products.deallocate()
        values.deallocate()
    }

    /// The node at a place of the pool.
    @inline(__always)
    package func node(_ place: Int) -> UInt32 { pool.nodes[place] & ~GraphPool.expanded }

    /// The key of the node at a place of the pool.
    @inline(__always)
    package func key(_ place: Int) -> Int32 { pool.keys[place] }

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
        precondition(entries.count <= GraphWalk.batch && width > 0)
        if pool.capacity < width {
            pool.deallocate()
            pool = GraphPool(capacity: width)
        }
        epoch &+= 1
        if epoch == 0 {
            visited.update(repeating: 0, count: codes.count)
            epoch = 1
        }
        var walk = GraphWalk(
            codes: codes,
            isCoarse: isCoarse,
            links: links,
            query: query,
            width: width,
            mark: epoch,
            visited: visited,
            pool: pool,
            fresh: fresh,
            products: products
        )
        walk.begin(entries)
        while walk.advance() {}
        count = walk.count
        comparisonCount &+= walk.comparisonCount
        if isCoarse { refine(query) }
    }

    /// Orders the pool by whole codes.
    private func refine(_ query: GraphQuery) {
        for place in 0..<count { mk_fetch(codes.lowHalf(node(place)), codes.half) }
        ranks.removeAll(keepingCapacity: true)
        for start in stride(from: 0, to: count, by: GraphWalk.batch) {
            let end = min(start + GraphWalk.batch, count)
            for place in start..<end { fresh[place - start] = node(place) }
            codes.multiply(fresh, end - start, query, products)
            for index in 0..<(end - start) {
                let key = query.key(products[index], fresh[index], codes)
                ranks.append(UInt64(UInt32(bitPattern: key ^ .min)) << 32 | UInt64(fresh[index]))
            }
        }
        ranks.sort(by: >)
        for place in 0..<count {
            pool.keys[place] =
                Int32(bitPattern: UInt32(truncatingIfNeeded: ranks[place] >> 32)) ^ .min
            pool.nodes[place] = UInt32(truncatingIfNeeded: ranks[place])
        }
    }
}

/// The state of a search, apart from the object: its fields are registers, not looked up and
/// guarded at each use.
private struct GraphWalk {
    /// As many as are compared at once: entries, or the links of a node.
    static let batch = 64

    let codes: GraphCodes
    let isCoarse: Bool
    let links: GraphLinks
    let query: GraphQuery
    let width: Int
    let mark: UInt16
    let visited: UnsafeMutablePointer<UInt16>
    let pool: GraphPool
    /// Nodes whose codes were asked for and are to be compared next.
    let fresh: UnsafeMutablePointer<UInt32>
    let products: UnsafeMutablePointer<Int32>
    var freshCount = 0
    var count = 0
    /// No node of the pool before this place is left to expand.
    var place = 0
    var comparisonCount = 0

    @inline(__always)
    mutating func begin(_ entries: UnsafeBufferPointer<UInt32>) {
        for node in entries {
            guard visited[Int(node)] != mark else { continue }
            visited[Int(node)] = mark
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
        while place < count, pool.nodes[place] & GraphPool.expanded != 0 { place &+= 1 }
        guard place < count else { return false }
        let node = pool.nodes[place]
        pool.nodes[place] = node | GraphPool.expanded
        let row = links.row(node)
        freshCount = 0
        for index in 0..<links.stride {
            let node = mk_load_shared(row + index)
            if node == GraphLinks.unused { break }
            // Without a branch: whether a node was visited cannot be foretold.
            fresh[freshCount] = node
            freshCount &+= visited[Int(node)] == mark ? 0 : 1
            visited[Int(node)] = mark
        }
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
            codes.multiplyCoarse(fresh, freshCount, query, products)
        } else {
            codes.multiply(fresh, freshCount, query, products)
        }
        var first = Int.max
        for index in 0..<freshCount {
            let node = fresh[index]
            let product = products[index]
            let key =
                isCoarse
                ? query.coarseKey(product, node, codes) : query.key(product, node, codes)
            if count == width {
                guard key > pool.keys[count &- 1] else { continue }
            } else {
                count &+= 1
            }
            let place = pool.insert(node, key, count: count)
            let row = links.row(node)
            mk_prefetch(row)
            mk_prefetch(row + 16)
            if place < first { first = place }
        }
        return first
    }
}

/// The nodes that a search keeps, nearest first, and their keys beside them.
///
/// Whoever makes one frees it.
private struct GraphPool {
    /// Set in a node that was expanded.
    static let expanded: UInt32 = 1 << 31

    let capacity: Int
    let keys: UnsafeMutablePointer<Int32>
    let nodes: UnsafeMutablePointer<UInt32>

    init(capacity: Int) {
        self.capacity = capacity
        keys = .allocate(capacity: capacity + Int(MK_SHIFT_SLACK))
        nodes = .allocate(capacity: capacity + Int(MK_SHIFT_SLACK))
    }

    func deallocate() {
        keys.deallocate()
        nodes.deallocate()
    }

    /// Puts a node behind those that are not farther; returns its place.
    ///
    /// - Parameter count: the nodes with the new one; what was at its last place is lost.
    @inline(__always)
    func insert(_ node: UInt32, _ key: Int32, count: Int) -> Int {
        let place = mk_rank(keys, count &- 1, key)
        let moved = count &- 1 &- place
        UnsafeMutableRawPointer(keys + place).withMemoryRebound(to: UInt32.self, capacity: moved) {
            mk_shift($0, moved)
        }
        mk_shift(nodes + place, moved)
        keys[place] = key
        nodes[place] = node
        return place
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
