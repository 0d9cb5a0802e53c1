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
        let (count, overflow) = limit.addingReportingOverflow(max(2, limit / 5))
        return overflow ? .max : count
    }

    /// For each query the rows nearest to it that a search of the graph finds, with their exact
    /// scores.
    ///
    /// - Parameters:
    ///   - vectors: the space that the codes were made from.
    ///   - source: what the rows belong to, for the candidates.
    ///   - limit: rows to find; 1 or more.
    ///   - width: nodes that the search keeps (`ef`); at least `limit` are.
    ///   - mask: the nodes of all rows that are not hidden, to keep only those; `nil` for all nodes.
    ///   - isHidden: rows to leave out.
    /// - Returns: at most `limit` rows for each query, nearest first, equal scores by row; fewer
    ///   when the search met fewer that are not hidden.
    /// - Throws: `corrupted` when a chunk that is touched fails its checksum.
    package func nearest(
        _ queries: [QueryVector],
        in vectors: VectorSpace,
        source: Int,
        limit: Int,
        width: Int,
        mask: GraphMask?,
        isHidden: (UInt32) -> Bool,
        cost: inout SearchCost
    ) throws(StoreError) -> [[Candidate]] {
        let (lists, spent) = try withSearch {
            search,
            view,
            duplicates throws(StoreError) -> ([[Candidate]], SearchCost) in
            let before = search.comparisonCount
            var spent = SearchCost()
            var lists: [[Candidate]] = []
            lists.reserveCapacity(queries.count)
            // Used again for each query.
            var found: [Found] = []
            var ranks: [UInt64] = []
            // A query's vectors arrive while the next query is at the graph.
            for place in 0...queries.count {
                if place < queries.count {
                    let coded = GraphQuery(queries[place], for: codes, in: search.values)
                    view.entries.withUnsafeBufferPointer {
                        search.run(coded, from: $0, width: max(width, limit), mask: mask)
                    }
                }
                if place > 0 {
                    lists.append(
                        Self.ranked(found, &ranks, queries[place - 1], source: source, limit: limit)
                    )
                }
                if place < queries.count {
                    try take(search, duplicates, vectors, limit, isHidden, into: &found)
                    spent.vectorCount += found.count
                }
            }
            spent.codeCount = search.comparisonCount - before
            return (lists, spent)
        }
        cost += spent
        return lists
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
                    let one = Found(
                        row: row,
                        vector: try vectors.vector(Int(ordinal)),
                        norm: try vectors.norms(Int(ordinal)..<(Int(ordinal) + 1))
                    )
                    for line in 0..<4 { mk_prefetch(one.vector + 16 * line) }
                    mk_prefetch(one.norm)
                    found.append(one)
                }
                guard let duplicates else { break }
                ordinal = duplicates[Int(ordinal)]
                guard ordinal != GraphLinks.unused else { break }
            }
        }
    }

    /// The nearest of the rows by their vectors.
    @inline(__always)
    private static func ranked(
        _ found: [Found],
        _ ranks: inout [UInt64],
        _ query: QueryVector,
        source: Int,
        limit: Int
    ) -> [Candidate] {
        ranks.removeAll(keepingCapacity: true)
        for one in found {
            let key = Score.key(query.score(one.vector, norm: one.norm.pointee), query.metric)
            // Larger for nearer, and with the same score for the smaller row.
            ranks.append(UInt64(key) << 32 | UInt64(~one.row))
        }
        ranks.sort(by: >)
        return ranks.prefix(limit).map { rank in
            Candidate(
                key: UInt32(truncatingIfNeeded: rank >> 32),
                source: source,
                row: ~UInt32(truncatingIfNeeded: rank)
            )
        }
    }
}

/// A row that a search found.
private struct Found {
    let row: UInt32
    let vector: UnsafePointer<Float>
    let norm: UnsafePointer<Float>
}
