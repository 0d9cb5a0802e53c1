// What a search returns.

/// A document near a query.
public struct Hit: Sendable {
    /// The document as far as the search was told to read it, see ``SearchOptions/parts``: text and
    /// metadata that were left out are empty.
    ///
    /// Without any part only its id is known: `version` is 0, and the times are those of 1970.
    public let document: StoredDocument
    /// How near it is: with ``Metric/cosine`` and ``Metric/dot`` the similarity, higher is nearer;
    /// with ``Metric/l2`` the squared distance, lower is nearer.
    public let score: Float

    /// The document's id; compare it as UTF-8 bytes, see ``Document/id``.
    public var id: String { document.id }
}
