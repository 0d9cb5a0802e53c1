// What a search of a graph has in its hands: the nodes that it keeps and those that it has met.

import CKernels

/// The nodes that a search has met.
///
/// Whoever makes one frees it.
struct GraphMarks {
    /// Nodes in the log before it begins anew; there is room for a batch behind them.
    static let logCapacity = 4096

    /// A bit for each node.
    let bits: UnsafeMutablePointer<UInt32>
    private let wordCount: Int
    /// The marked nodes, as long as there is room: a search of many nodes meets few of them.
    let log: UnsafeMutablePointer<UInt32>

    init(nodeCount: Int) {
        wordCount = GraphMask.wordCount(nodeCount)
        bits = .allocate(capacity: wordCount)
        bits.initialize(repeating: 0, count: wordCount)
        log = .allocate(capacity: Self.logCapacity + GraphPool.batch + 16)
    }

    func deallocate() {
        bits.deallocate()
        log.deallocate()
    }

    /// Marks a node; false when it was.
    @inline(__always)
    func mark(_ node: UInt32) -> Bool {
        let bit: UInt32 = 1 << (node & 31)
        let isNew = bits[Int(node >> 5)] & bit == 0
        bits[Int(node >> 5)] |= bit
        return isNew
    }

    @inline(__always)
    func unmark(_ node: UInt32) { bits[Int(node >> 5)] &= ~(1 << (node & 31)) }

    /// Marks the nodes whose bit is set, and no others.
    func copy(_ words: UnsafePointer<UInt32>) { bits.update(from: words, count: wordCount) }

    /// Takes all marks away.
    ///
    /// - Parameter logged: nodes in the log, if it has all.
    func clear(_ logged: Int?) {
        // A line of bits goes as quickly as one of them.
        guard let logged, logged < wordCount / 16 else {
            bits.update(repeating: 0, count: wordCount)
            return
        }
        for place in 0..<logged { bits[Int(log[place] >> 5)] = 0 }
    }
}

/// The nodes that a search keeps, nearest first; those that were expanded are marked.
///
/// Whoever makes one frees it.
struct GraphPool {
    /// Set in a node that was expanded, and where there is none.
    private static let expanded: UInt32 = 1 << 31
    /// As many as are compared at once: entries, or the links of a node.
    static let batch = 64

    let capacity: Int
    private var pool: mk_pool

    init(capacity: Int) {
        self.capacity = capacity
        let byteCount = mk_pool_room(capacity) * 4
        pool = mk_pool(
            keys: UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
                .bindMemory(to: Int32.self, capacity: byteCount / 4),
            nodes: UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
                .bindMemory(to: UInt32.self, capacity: byteCount / 4),
            width: capacity
        )
        empty(width: capacity)
    }

    func deallocate() {
        pool.keys.deallocate()
        pool.nodes.deallocate()
    }

    /// Nodes that are kept; at most `capacity`.
    @inline(__always)
    var width: Int { pool.width }

    mutating func empty(width: Int) {
        pool.width = width
        pool.keys.initialize(repeating: .min, count: mk_pool_room(width))
        pool.nodes.initialize(repeating: .max, count: mk_pool_room(width))
    }

    /// Nodes in it.
    func count() -> Int {
        var count = width
        while count > 0, pool.keys[count - 1] == .min { count -= 1 }
        return count
    }

    @inline(__always)
    func node(_ place: Int) -> UInt32 { pool.nodes[place] & ~Self.expanded }

    @inline(__always)
    func key(_ place: Int) -> Int32 { pool.keys[place] }

    @inline(__always)
    func isExpanded(_ place: Int) -> Bool { pool.nodes[place] & Self.expanded != 0 }

    /// Marks the node at a place, and returns it.
    @inline(__always)
    func expand(_ place: Int) -> UInt32 {
        let node = pool.nodes[place]
        pool.nodes[place] = node | Self.expanded
        return node
    }

    /// Puts those nodes in that are near enough and asks for their links; returns the first place
    /// that changed.
    @inline(__always) @discardableResult
    func keep(
        _ keys: UnsafePointer<Int32>,
        _ nodes: UnsafePointer<UInt32>,
        _ count: Int,
        _ codes: GraphCodes,
        _ links: GraphLinks
    ) -> Int {
        withUnsafePointer(to: pool) {
            codes.kernels.pointee.keep($0, keys, nodes, count, links.words, links.stride)
        }
    }
}
