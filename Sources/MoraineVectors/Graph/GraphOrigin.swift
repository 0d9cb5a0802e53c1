// A graph that a new one can go on from: that of the largest input of a merge, whose vectors are
// most of the output's.

import MoraineFormat
package import MoraineStorage

/// The graph of an input of a merge, and what has become of its vectors.
///
/// Keeps the graph's file mapped, which may have lost its name meanwhile. Memory: four bytes a
/// vector. Any thread.
package struct GraphOrigin: Sendable {
    let graph: GraphSpace
    /// For each ordinal of the old space the row of the output; `GraphLinks.unused` where it is
    /// gone.
    private let rows: [UInt32]

    /// Joins of joined graphs at most: each leaves links that an insertion would have chosen anew.
    private static let joinLimit = 2
    /// Of the old graph's vectors, the part that may be gone.
    private static let gonePart = 10

    /// - Parameters:
    ///   - vectors: the space of the old graph.
    ///   - outputRows: for each row of the input the row of the output; `UInt32.max` where it is
    ///     gone.
    ///   - output: the vectors of the output: at least half of them must be the old graph's.
    /// - Returns: `nil` when a graph built from nothing is better.
    /// - Throws: `corrupted` when a chunk of the row map fails its checksum.
    package init?(
        _ graph: GraphSpace,
        of vectors: VectorSpace,
        outputRows: [UInt32],
        in output: VectorSpace
    ) throws(StoreError) {
        let count = graph.entry.vectorCount
        guard graph.entry.joinCount < Self.joinLimit, vectors.vectorCount == count,
            output.metric == vectors.metric, output.dimensions == vectors.dimensions
        else { return nil }
        var rows: [UInt32] = []
        rows.reserveCapacity(count)
        var goneCount = 0
        for ordinal in 0..<count {
            let row = Int(try vectors.row(ordinal))
            let new = row < outputRows.count ? outputRows[row] : GraphLinks.unused
            if new == GraphLinks.unused { goneCount += 1 }
            rows.append(new)
        }
        guard goneCount * Self.gonePart <= count, (count - goneCount) * 2 >= output.vectorCount
        else { return nil }
        self.graph = graph
        self.rows = rows
    }

    package var collectionID: UInt32 { graph.collectionID }

    /// The links of the old graph between ordinals of the output.
    ///
    /// - Throws: `corrupted` when a chunk of the old graph fails its checksum or an id is out of
    ///   range.
    func start(in output: VectorSpace) throws(StoreError) -> GraphStart {
        var ordinals: [UInt32] = []
        ordinals.reserveCapacity(rows.count)
        for row in rows {
            let ordinal = row == GraphLinks.unused ? nil : try output.ordinal(ofRow: row)
            ordinals.append(ordinal.map { UInt32($0) } ?? GraphLinks.unused)
        }
        return GraphStart(graph: graph, links: try graph.checkedLinks(), ordinals: ordinals)
    }
}

/// Rows of an old graph and the ordinals that its vectors now have.
// @unchecked: a pointer into a mapping that is never written and that the graph keeps.
struct GraphStart: @unchecked Sendable {
    let graph: GraphSpace
    let links: UnsafePointer<UInt32>
    /// `GraphLinks.unused` where a vector is gone.
    let ordinals: [UInt32]

    /// The old row of an old ordinal, ids of old ordinals.
    func row(_ ordinal: Int) -> UnsafeBufferPointer<UInt32> {
        let start = links + ordinal * GraphSpaceEntry.degree
        let row = UnsafeBufferPointer(start: start, count: GraphSpaceEntry.degree)
        return UnsafeBufferPointer(rebasing: row.prefix { $0 != GraphLinks.unused })
    }
}
