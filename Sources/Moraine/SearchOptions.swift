// How to search, beyond what the short forms of search take.

import MoraineEngine

/// How to search a collection, and what hits carry.
///
/// ```swift
/// var options = SearchOptions()
/// options.limit = 20
/// options.filter = .field("year") >= 2020
/// options.parts = []  // ids and scores
/// let hits = try await notes.search(near: query, options: options)
/// ```
///
/// Values out of range are found when the options are used: `invalidArgument`.
public struct SearchOptions: Sendable {
    /// What a hit carries of its document, beside the id.
    public struct Parts: OptionSet, Sendable, Hashable {
        /// The parts as bits.
        public let rawValue: UInt8

        /// The parts whose bits are set.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The text.
        public static let text = Parts(rawValue: 1)
        /// The metadata.
        public static let metadata = Parts(rawValue: 2)
        /// The embedding.
        public static let embedding = Parts(rawValue: 4)
    }

    /// Hits at most; 1 or more.
    public var limit = 10
    /// Nearest hits to leave out, 0 or more: what earlier pages had.
    ///
    /// Pages of one ``Store/Snapshot`` fit together when `width` is the same for all, or `isExact`
    /// is set; a page costs as much as all up to it.
    public var offset = 0
    /// Which documents count; `nil` for all.
    public var filter: Filter?
    /// Hits farther than this are left out; any number but NaN.
    ///
    /// With ``Metric/cosine`` and ``Metric/dot`` the least similarity, with ``Metric/l2`` the
    /// greatest squared distance.
    public var scoreBound: Float?
    /// Compares every embedding that counts: nothing nearer is ever missed.
    ///
    /// Else large segments are searched by graphs, which find nearly all of the nearest.
    public var isExact = false
    /// Nodes that a search of a graph keeps, often called ef; 1 or more.
    ///
    /// More find more and take longer. `nil` for what `recall` or the limit asks for.
    public var width: Int?
    /// The share of the nearest to find by graphs, above 0, at most 1.
    ///
    /// Each graph was tried when it was made, with vectors of its own and ten neighbours, and
    /// chooses its width by that. Without it and `width` .95, and 48 nodes at least.
    public var recall: Float?
    /// What hits carry; without any part no document is read.
    public var parts: Parts = [.text, .metadata]

    /// Ten hits with text and metadata.
    public init() {}

    init(limit: Int, filter: Filter?, withEmbeddings: Bool) {
        self.limit = limit
        self.filter = filter
        if withEmbeddings { parts.insert(.embedding) }
    }

    /// The same as the engine takes it.
    func request() throws(MoraineError) -> SearchRequest {
        var request = SearchRequest(limit: limit)
        request.offset = offset
        request.filter = try filter?.checked()
        request.scoreBound = scoreBound
        request.isExact = isExact
        request.width = width
        request.recall = recall
        return request
    }
}
