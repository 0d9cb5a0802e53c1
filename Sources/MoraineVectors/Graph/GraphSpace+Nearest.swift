// Search of one graph: approximate by codes, then the nearest of what was found by their vectors.

import CKernels
import MoraineFormat
package import MoraineStorage

/// What searches of graphs and lists cost.
package struct SearchCost: Sendable, Equatable {
    /// Codes compared with a query.
    package var codeCount = 0
    /// Vectors compared with a query.
    package var vectorCount = 0

    package init() {}

    package static func += (a: inout SearchCost, b: SearchCost) {
        a.codeCount += b.codeCount
        a.vectorCount += b.vectorCount
    }
}

extension GraphSpace {
    /// Found nodes whose vectors are compared: twice what is wanted and a few.
    ///
    /// Over exact lists of 20 codes the ten nearest vectors were always among them.
    private static func rerankCount(_ limit: Int) -> Int { 2 * limit + 4 }

    /// The rows nearest to a query that a search of the graph finds, with their exact scores.
    ///
    /// - Parameters:
    ///   - vectors: the space that the codes were made from.
    ///   - limit: rows to find; 1 or more.
    ///   - width: nodes that the search keeps (`ef`); at least `limit` are.
    ///   - isHidden: rows to leave out.
    /// - Returns: at most `limit` rows; fewer when the search met fewer that are not hidden.
    /// - Throws: `corrupted` when a chunk that is touched fails its checksum.
    package func nearest(
        _ query: QueryVector,
        in vectors: VectorSpace,
        limit: Int,
        width: Int,
        isHidden: (UInt32) -> Bool,
        cost: inout SearchCost
    ) throws(StoreError) -> TopK {
        let coded = CodeQuery(query, for: codes)
        var top = TopK(capacity: limit)
        let spent = try withSearches(1) { searches, view, duplicates throws(StoreError) in
            let search = searches[0]
            let before = search.comparisonCount
            view.entries.withUnsafeBufferPointer {
                search.run(GraphQuery(coded), from: $0, width: max(width, limit))
            }
            withExtendedLifetime(coded) {}
            var found: [Found] = []
            let wanted = Self.rerankCount(limit)
            found.reserveCapacity(wanted)
            var place = 0
            while place < search.count, found.count < wanted {
                var ordinal = search.node(place)
                place += 1
                while true {
                    let row = try vectors.row(Int(ordinal))
                    if !isHidden(row) {
                        let vector = try vectors.vector(Int(ordinal))
                        for line in 0..<4 { mk_prefetch(vector + 16 * line) }
                        found.append(Found(row: row, ordinal: ordinal, vector: vector))
                    }
                    guard let duplicates, duplicates[Int(ordinal)] != GraphLinks.unused else {
                        break
                    }
                    ordinal = duplicates[Int(ordinal)]
                }
            }
            for one in found {
                let score = query.score(one.vector, norm: try vectors.norm(Int(one.ordinal)))
                top.offer(key: Score.key(score, query.metric), row: one.row)
            }
            var cost = SearchCost()
            cost.codeCount = search.comparisonCount - before
            cost.vectorCount = found.count
            return cost
        }
        cost += spent
        return top
    }
}

private struct Found {
    let row: UInt32
    let ordinal: UInt32
    let vector: UnsafePointer<Float>
}
