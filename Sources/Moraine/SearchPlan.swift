// How a search went about its work, for those who ask why it is slow or misses something.

import MoraineEngine

/// How a search went about its work.
public struct SearchPlan: Sendable, Hashable {
    /// How what one source holds was searched.
    ///
    /// Later versions may add some. The description is the word that the command line tool prints.
    public struct Method: Sendable, Hashable, CustomStringConvertible {
        private let method: MoraineEngine.SearchPlan.Method

        fileprivate init(_ method: MoraineEngine.SearchPlan.Method) { self.method = method }

        /// Every vector: in memory, or where there are no codes yet.
        public static let vectors = Method(.vectors)
        /// Every code, and the vectors that codes could not rule out: exact, as `vectors` is.
        public static let codes = Method(.codes)
        /// A graph: nearly all of the nearest.
        public static let graph = Method(.graph)
        /// A graph, over documents that the filter leaves out to those that it lets pass.
        public static let hops = Method(.hops)
        /// Not at all: nothing in it counts.
        public static let nothing = Method(.nothing)

        /// The method in a word.
        public var description: String { method.rawValue }
    }

    /// What was done with one segment, or with one part of what is only in memory.
    public struct Step: Sendable, Hashable {
        /// The segment; `nil` for what is only in memory.
        public let segmentID: UInt64?
        /// How it was searched.
        public let method: Method
        /// Embeddings of the collection in it, dead ones included where it is a segment.
        public let vectorCount: Int
        /// Documents that the filter lets pass; `nil` without a filter.
        public let matchCount: Int?
        /// Nodes that the search of its graph kept; `nil` for other methods.
        public let width: Int?
        /// Columns answered the filter; false where documents were read for it, and without one.
        public let hasColumns: Bool

        fileprivate init(_ step: MoraineEngine.SearchPlan.Step) {
            segmentID = step.segmentID
            method = Method(step.method)
            vectorCount = step.vectorCount
            matchCount = step.matchCount
            width = step.width
            hasColumns = step.hasColumns
        }
    }

    /// What is in memory, newest first, then segments, oldest first.
    public let steps: [Step]
    /// Codes that graphs compared with the query; the other methods compare all that count.
    public let graphCodeCount: Int
    /// Embeddings that graphs compared with the query.
    public let graphVectorCount: Int
    /// Fields of the filter that no document has, as far as that is known: often a misspelling.
    public let unknownFields: [String]

    init(_ plan: MoraineEngine.SearchPlan) {
        steps = plan.steps.map { Step($0) }
        graphCodeCount = plan.graphCodeCount
        graphVectorCount = plan.graphVectorCount
        unknownFields = plan.unknownFields
    }
}
