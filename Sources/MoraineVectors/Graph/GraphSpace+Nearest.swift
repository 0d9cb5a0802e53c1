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
    /// Found rows whose vectors are compared: what is wanted and some.
    ///
    /// Of real texts the ten nearest vectors were among the twelve nearest codes as often as among
    /// the thirty.
    private static func rerankCount(_ limit: Int) -> Int {
        let (count, overflow) = limit.addingReportingOverflow(max(4, limit / 4))
        return overflow ? .max : count
    }

    /// For each query the rows nearest to it that a search of the graph finds, with their exact
    /// scores.
    ///
    /// - Parameters:
    ///   - vectors: the space that the codes were made from.
    ///   - limit: rows to find; 1 or more.
    ///   - width: nodes that the search keeps (`ef`); at least `limit` are.
    ///   - isHidden: rows to leave out.
    /// - Returns: at most `limit` rows for each query; fewer when the search met fewer that are
    ///   not hidden.
    /// - Throws: `corrupted` when a chunk that is touched fails its checksum.
    package func nearest(
        _ queries: [QueryVector],
        in vectors: VectorSpace,
        limit: Int,
        width: Int,
        isHidden: (UInt32) -> Bool,
        cost: inout SearchCost
    ) throws(StoreError) -> [TopK] {
        let (tops, spent) = try withSearch {
            search,
            view,
            duplicates throws(StoreError) -> ([TopK], SearchCost) in
            let before = search.comparisonCount
            var spent = SearchCost()
            var tops: [TopK] = []
            tops.reserveCapacity(queries.count)
            var found: [Found] = []
            for query in queries {
                let coded = GraphQuery(query, for: codes, in: search.values)
                view.entries.withUnsafeBufferPointer {
                    search.run(coded, from: $0, width: max(width, limit))
                }
                try take(search, duplicates, vectors, limit, isHidden, into: &found)
                var top = TopK(capacity: limit)
                for one in found {
                    let score = query.score(one.vector, norm: one.norm)
                    top.offer(key: Score.key(score, query.metric), row: one.row)
                }
                tops.append(top)
                spent.vectorCount += found.count
            }
            spent.codeCount = search.comparisonCount - before
            return (tops, spent)
        }
        cost += spent
        return tops
    }

    /// The rows of the nearest nodes that a search found, and asks for their vectors.
    @inline(__always)
    private func take(
        _ search: GraphSearch,
        _ duplicates: UnsafePointer<UInt32>?,
        _ vectors: VectorSpace,
        _ limit: Int,
        _ isHidden: (UInt32) -> Bool,
        into found: inout [Found]
    ) throws(StoreError) {
        found.removeAll(keepingCapacity: true)
        let wanted = Self.rerankCount(limit)
        var place = 0
        while place < search.count, found.count < wanted {
            var ordinal = search.node(place)
            place += 1
            while true {
                let row = try vectors.row(Int(ordinal))
                if !isHidden(row) {
                    let vector = try vectors.vector(Int(ordinal))
                    for line in 0..<4 { mk_prefetch(vector + 16 * line) }
                    let norm = try vectors.norm(Int(ordinal))
                    found.append(Found(row: row, norm: norm, vector: vector))
                }
                guard let duplicates else { break }
                ordinal = duplicates[Int(ordinal)]
                guard ordinal != GraphLinks.unused else { break }
            }
        }
    }
}

private struct Found {
    let row: UInt32
    let norm: Float
    let vector: UnsafePointer<Float>
}
