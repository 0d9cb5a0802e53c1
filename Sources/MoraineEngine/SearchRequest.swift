// What is asked of a search, and what it answers beside the hits.

package import MoraineFilters
import MoraineFormat
import MoraineStorage
package import MoraineVectors

/// A document near a query.
package struct SearchHit: Sendable, Equatable {
    /// Hits of one search share the memory of their ids.
    package let id: ArraySlice<UInt8>
    /// Cosine and dot: the similarity, higher is nearer.
    ///
    /// L2: the squared distance, lower is nearer.
    package let score: Float
    /// The memtable or segment of the version, memtables first, that has the document.
    let source: Int
    /// Its row there.
    let row: UInt32
}

/// How to search.
package struct SearchRequest: Sendable {
    /// Hits at most; 1 or more.
    package var limit: Int
    /// Nearest hits to leave out: what earlier pages had; 0 or more.
    package var offset = 0
    /// Compares every vector: nothing nearer is ever missed.
    package var isExact = false
    /// Nodes that a search of a graph keeps (`ef`), 1 or more; `nil` for what `recall` or the
    /// limit asks for.
    package var width: Int?
    /// The share of the nearest that a search of a graph is to find, above 0, at most 1, as the
    /// graphs' own trials have shown.
    package var recall: Float?
    /// Scores farther than this are left out.
    package var scoreBound: Float?
    /// Which documents count; `nil` for all.
    package var filter: Filter?
    /// The id of a document to leave out.
    package var excludedID: [UInt8]?

    package init(limit: Int) { self.limit = limit }

    /// Nodes kept at least, unless asked for otherwise: some more than the share below takes on
    /// sets of real texts.
    private static let defaultWidth = 48

    /// The share of the nearest to find, unless asked for otherwise.
    private static let defaultRecall: Float = 0.95

    /// Candidates to find: the page, what is before it, and one for the document left out.
    var wanted: Int {
        let (sum, overflow) = limit.addingReportingOverflow(offset)
        guard !overflow, sum < .max else { return .max }
        return excludedID == nil ? sum : sum + 1
    }

    /// Nodes to keep in a search of a graph.
    func width(_ graph: GraphSpaceEntry) -> Int {
        if let width { return width }
        let least =
            recall.map { graph.width(forRecall: $0) }
            ?? max(Self.defaultWidth, graph.width(forRecall: Self.defaultRecall))
        // Recall was tried with ten neighbours; more need a pool that grows with them.
        let (grown, overflow) = wanted.multipliedReportingOverflow(by: 2)
        return overflow ? .max : max(least, grown)
    }

    func validate() throws(StoreError) {
        func require(
            _ holds: Bool,
            _ what: String,
            _ expected: String,
            _ found: String
        ) throws(StoreError) {
            guard !holds else { return }
            throw StoreError(.invalidArgument, what, expected: expected, found: found)
        }
        try require(limit >= 1, "a search needs a limit", "1 or more", "\(limit)")
        try require(offset >= 0, "a search cannot skip less than nothing", "0 or more", "\(offset)")
        if let width {
            try require(width >= 1, "a search needs a width", "1 or more", "\(width)")
        }
        if let recall {
            try require(
                recall > 0 && recall <= 1,
                "a recall is a share",
                "above 0, at most 1",
                "\(recall)"
            )
        }
        if let scoreBound {
            try require(!scoreBound.isNaN, "a score bound is a number", "a number", "nan")
        }
    }
}

/// What a search found and how.
package struct SearchAnswer: Sendable {
    package let hits: [SearchHit]
    package let plan: SearchPlan
}

/// How a search went about its work.
package struct SearchPlan: Sendable, Equatable {
    /// How the rows of one source were searched.
    package enum Method: String, Sendable {
        /// Every vector: in memory, or where there are no codes.
        case vectors
        /// Every code, and the vectors that the codes could not rule out.
        case codes
        /// The graph.
        case graph
        /// The graph, over rows that do not count to those that do.
        case hops
        /// Nothing of it counts.
        case nothing
    }

    package struct Step: Sendable, Equatable {
        /// `nil` for what is only in memory.
        package let segmentID: UInt64?
        package let method: Method
        /// Vectors of the collection in the source.
        package let vectorCount: Int
        /// Documents that the filter lets pass; `nil` without one.
        package let matchCount: Int?
        /// Nodes that the search of a graph keeps.
        package let width: Int?
        /// False where the filter had to read documents.
        package let hasColumns: Bool
    }

    package internal(set) var steps: [Step] = []
    /// Comparisons by graphs, of all queries; scans compare every vector of theirs.
    package internal(set) var cost = SearchCost()
    /// Fields of the filter that no document has.
    package internal(set) var unknownFields: [String] = []

    package init() {}

    /// Codes that graphs compared.
    package var graphCodeCount: Int { cost.codeCount }
    /// Vectors that graphs compared.
    package var graphVectorCount: Int { cost.vectorCount }
}
