// What a search returns.

/// A document near a query.
public struct Hit: Sendable {
    /// The document; without its embedding unless the search was told otherwise.
    public let document: StoredDocument
    /// How near it is: with ``Metric/cosine`` and ``Metric/dot`` the similarity, higher is nearer;
    /// with ``Metric/l2`` the squared distance, lower is nearer.
    public let score: Float
}
