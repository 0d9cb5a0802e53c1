// Best-first search of a flat graph, step by step.

import CKernels

/// The state of a search, apart from the object: its fields are registers, not looked up and
/// guarded at each use.
struct GraphWalk {
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
        guard seek() else { return false }
        fresh += freshCount
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

    /// Compares what was asked for and looks for the nearest node not expanded yet; false when there
    /// is none.
    @inline(__always)
    private mutating func seek() -> Bool {
        if freshCount > 0 { place = min(place, compare()) }
        while place < pool.width, pool.isExpanded(place) { place &+= 1 }
        return place < pool.width
    }

    /// Asks for the codes of fresh nodes, from a place on.
    @inline(__always)
    private func fetch(from first: Int = 0) {
        for index in first..<freshCount {
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

/// What a search keeps in hand for nodes that do not count: they are gone through, not compared.
///
/// Whoever makes one frees it.
struct GraphBridges {
    /// Nodes that count, and bridges that were gone through.
    let followed: GraphMarks
    /// Those of one node, or of the entries.
    let nodes: UnsafeMutablePointer<UInt32>

    init(nodeCount: Int) {
        followed = GraphMarks(nodeCount: nodeCount)
        nodes = .allocate(capacity: GraphPool.batch + 16)
    }

    func deallocate() {
        followed.deallocate()
        nodes.deallocate()
    }
}

// Search among nodes that count, marked as met where they do not: expansion by two hops where links
// lead to nodes that do not count (Patel et al., ACORN, 2024).
extension GraphWalk {
    /// Fresh nodes that are enough for one step.
    private static var enough: Int { GraphPool.batch / 2 }

    @inline(__always)
    mutating func begin(_ entries: UnsafeBufferPointer<UInt32>, over bridges: GraphBridges) {
        var count = 0
        for node in entries {
            if visited.mark(node) {
                fresh[freshCount] = node
                freshCount += 1
            } else if bridges.followed.mark(node) {
                bridges.nodes[count] = node
                count += 1
            }
        }
        follow(bridges, count)
        fetch()
    }

    /// As `advance`; where links lead to nodes that do not count, to the links of these.
    @inline(__always)
    mutating func advance(over bridges: GraphBridges, atMost limit: Int) -> Bool {
        guard seek() else { return false }
        fresh = visited.log
        let row = links.row(pool.expand(place))
        let unmarked = codes.kernels.pointee.unmarked
        freshCount = unmarked(row, links.stride, visited.bits, fresh)
        fetch()
        guard limit > 0 else { return true }
        let found = unmarked(row, links.stride, bridges.followed.bits, bridges.nodes)
        let count = min(found, limit)
        for index in 0..<count {
            let row = UnsafeRawPointer(links.row(bridges.nodes[index]))
            mk_fetch(row.assumingMemoryBound(to: UInt8.self), 4 * links.stride)
        }
        // Another node may need them.
        for index in count..<found { bridges.followed.unmark(bridges.nodes[index]) }
        let first = freshCount
        follow(bridges, count)
        fetch(from: first)
        return true
    }

    /// Adds what bridges link to, until there is enough.
    @inline(__always)
    private mutating func follow(_ bridges: GraphBridges, _ count: Int) {
        for index in 0..<count {
            guard freshCount < Self.enough else {
                bridges.followed.unmark(bridges.nodes[index])
                continue
            }
            freshCount += codes.kernels.pointee.unmarked(
                links.row(bridges.nodes[index]),
                links.stride,
                visited.bits,
                fresh + freshCount
            )
        }
    }
}
