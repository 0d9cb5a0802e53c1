// The asynchronous forms of a snapshot's reads. They run on threads of the store's own.

import MoraineEngine
import MoraineStorage

extension Store.Snapshot {
    /// The document of an id; `nil` when there is none.
    ///
    /// - Parameters:
    ///   - id: the document; an id that none can have is simply not there.
    ///   - collection: the collection's name.
    ///   - withEmbedding: false leaves the embedding out, which saves reading it.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func get(_ id: String, in collection: String, withEmbedding: Bool = true)
        async throws(MoraineError) -> StoredDocument?
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).get(id, in: collection, withEmbedding: withEmbedding)
        }
    }

    /// The documents of some ids in the order of the ids, `nil` where there is none.
    ///
    /// - Parameters:
    ///   - ids: the documents; an id may stand there twice.
    ///   - collection: the collection's name.
    ///   - withEmbeddings: false leaves embeddings out.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func get(_ ids: [String], in collection: String, withEmbeddings: Bool = true)
        async throws(MoraineError) -> [StoredDocument?]
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).get(ids, in: collection, withEmbeddings: withEmbeddings)
        }
    }

    /// How many documents a collection has.
    ///
    /// - Parameters:
    ///   - collection: the collection's name.
    ///   - filter: which documents count; `nil` for all.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func count(in collection: String, where filter: Filter? = nil)
        async throws(MoraineError) -> Int
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).count(in: collection, where: filter)
        }
    }

    /// The documents in id order, for `for try await`.
    ///
    /// Read a portion at a time, each when the one before was used up.
    ///
    /// - Parameters:
    ///   - collection: the collection's name.
    ///   - prefix: how ids begin.
    ///   - from: the first id.
    ///   - to: the id before which to end.
    ///   - filter: which documents; `nil` for all.
    ///   - withEmbeddings: false leaves embeddings out.
    /// - Throws: `unknownCollection`, `closed`, `snapshotExpired`. The sequence throws what the
    ///   blocking form throws, and `cancelled`.
    public func scan(
        in collection: String,
        prefix: String = "",
        from: String? = nil,
        to: String? = nil,
        where filter: Filter? = nil,
        withEmbeddings: Bool = true
    ) throws(MoraineError) -> DocumentSequence {
        DocumentSequence(
            snapshot: self,
            shape: try reader(of: collection).shape,
            range: ScanRange(prefix: prefix, from: from, to: to),
            filter: filter,
            withEmbeddings: withEmbeddings,
            timeout: readTimeout
        )
    }
}
