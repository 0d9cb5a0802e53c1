// Which nodes of a graph a filter lets pass.

import MoraineFormat
package import MoraineStorage

/// The nodes of a graph of which a row counts, for searches that keep only those.
///
/// Any thread.
// @unchecked: the words are written only until `GraphSpace.mask` has returned.
package final class GraphMask: @unchecked Sendable {
    /// Of an expanded node's links that do not count, how many are gone through to their own: twice
    /// as many as there are for each that counts, since about half of what is found was met before.
    let bridgeCount: Int
    /// A bit for each node: set where a row of it counts.
    let shown: UnsafeMutablePointer<UInt32>
    /// A bit for each node: set where none does.
    let hidden: UnsafeMutablePointer<UInt32>
    private let nodeCount: Int

    static func wordCount(_ nodeCount: Int) -> Int { nodeCount / 32 + 1 }

    fileprivate init(nodeCount: Int, shownCount: Int) {
        self.nodeCount = nodeCount
        bridgeCount = 2 * (nodeCount - shownCount) / max(1, shownCount)
        // Words of 64 rows reach up to two words of 32 nodes beyond their first.
        let capacity = Self.wordCount(nodeCount) + 2
        shown = .allocate(capacity: capacity)
        shown.initialize(repeating: 0, count: capacity)
        hidden = .allocate(capacity: Self.wordCount(nodeCount))
    }

    deinit {
        shown.deallocate()
        hidden.deallocate()
    }

    fileprivate func isShown(_ node: Int) -> Bool { shown[node >> 5] & 1 << (node & 31) != 0 }

    fileprivate func show(_ node: Int) { shown[node >> 5] |= 1 << UInt32(node & 31) }

    /// Shows those of 64 nodes whose bit is set; some may lie before the first node or behind the
    /// last.
    fileprivate func show(_ word: UInt64, from first: Int) {
        // Shifts by 64 and more leave nothing.
        let word = first < 0 ? word >> UInt64(-first) : word
        let first = max(0, first)
        guard first < nodeCount else { return }
        let inside = word & ~(UInt64.max << UInt64(nodeCount - first))
        let low = UInt64(first & 31)
        let place = first >> 5
        shown[place] |= UInt32(truncatingIfNeeded: inside << low)
        shown[place + 1] |= UInt32(truncatingIfNeeded: inside >> (32 - low))
        shown[place + 2] |= UInt32(truncatingIfNeeded: inside >> (64 - low))
    }

    /// Ends the making.
    fileprivate func finish() {
        for place in 0..<Self.wordCount(nodeCount) {
            (hidden + place).initialize(to: ~shown[place])
        }
    }
}

extension GraphSpace {
    /// The nodes that rows belong to.
    ///
    /// - Parameters:
    ///   - count: how many rows.
    ///   - vectors: the space that the codes were made from.
    ///   - forEachWord: calls its argument with the bits of 64 rows and the first of these rows, for
    ///     all where one is set.
    /// - Throws: `corrupted`.
    package func mask(
        of count: Int,
        in vectors: VectorSpace,
        _ forEachWord: ((UInt64, UInt32) throws(StoreError) -> Void) throws(StoreError) -> Void
    ) throws(StoreError) -> GraphMask {
        let mask = GraphMask(nodeCount: entry.vectorCount, shownCount: count)
        if let first = try vectors.firstRowIfDense() {
            try forEachWord { word, row in mask.show(word, from: Int(row) - Int(first)) }
        } else {
            var rows: [UInt32] = []
            try forEachWord { word, row in
                var rest = word
                while rest != 0 {
                    rows.append(row + UInt32(rest.trailingZeroBitCount))
                    rest &= rest - 1
                }
            }
            let ordinals = try vectors.ordinals { visit throws(StoreError) in
                for row in rows { try visit(row) }
            }
            for ordinal in ordinals { mask.show(Int(ordinal)) }
        }
        // A node stands for all vectors of its chain, which ascends.
        for (node, next) in try chained() where mask.isShown(Int(next)) { mask.show(Int(node)) }
        mask.finish()
        return mask
    }
}
