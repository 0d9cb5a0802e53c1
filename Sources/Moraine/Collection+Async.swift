// The asynchronous forms of a collection's calls. Writes join the next group of commits; reads run
// on threads of the store's own.

import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Store.Collection {
    /// Puts a document, over the one that has its id.
    ///
    /// - Parameters:
    ///   - document: what to put.
    ///   - version: the version that the stored document must have; 0: there must be none; `nil`:
    ///     any.
    /// - Returns: the commit's number and the document's version, once it is as durable as
    ///   ``Store/Configuration/durability`` says.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func put(_ document: Document, ifVersion version: LSN? = nil)
        async throws(MoraineError) -> LSN
    {
        try await store.commit { builder throws(StoreError) in
            try builder.put(document, in: shape, ifVersion: version)
        }
    }

    /// Puts documents, all or none.
    ///
    /// Of equal ids the last one counts.
    ///
    /// - Parameter documents: at most 256 MiB; more than that takes `load(_:)`.
    /// - Returns: the commit's number, which is the version of each of them; without documents the
    ///   newest commit's.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func put(_ documents: [Document]) async throws(MoraineError) -> LSN {
        try await store.commit { builder throws(StoreError) in
            try builder.use(shape)
            for document in documents { try builder.put(document, in: shape, ifVersion: nil) }
        }
    }

    /// Deletes a document; one that is not there is fine.
    ///
    /// - Parameters:
    ///   - id: the document.
    ///   - version: the version that the stored document must have; 0: there must be none; `nil`:
    ///     any.
    /// - Returns: the commit's number.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func delete(_ id: String, ifVersion version: LSN? = nil) async throws(MoraineError)
        -> LSN
    {
        try await store.commit { builder throws(StoreError) in
            try builder.delete(id, in: shape, ifVersion: version)
        }
    }

    /// Puts many documents beside the log; visible in portions, durable when it returns.
    ///
    /// - Parameter documents: any number, read once on a thread of the store's own. Of equal ids
    ///   the last one counts.
    /// - Returns: the last commit's number.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func load(_ documents: some Sequence<Document> & Sendable) async throws(MoraineError)
        -> LSN
    {
        try await store.run { () throws(MoraineError) in try self.load(documents) }
    }

    /// The document of an id; `nil` when there is none.
    ///
    /// - Parameters:
    ///   - id: the document; an id that none can have is simply not there.
    ///   - withEmbedding: false leaves the embedding out, which saves reading it.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func get(_ id: String, withEmbedding: Bool = true) async throws(MoraineError)
        -> StoredDocument?
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).get(id, withEmbedding: withEmbedding)
        }
    }

    /// The documents of some ids from one state, in the order of the ids, `nil` where there is
    /// none.
    ///
    /// - Parameters:
    ///   - ids: the documents; an id may stand there twice.
    ///   - withEmbeddings: false leaves embeddings out.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func get(_ ids: [String], withEmbeddings: Bool = true) async throws(MoraineError)
        -> [StoredDocument?]
    {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).get(ids, withEmbeddings: withEmbeddings)
        }
    }

    /// How many documents there are.
    ///
    /// - Parameter filter: which documents count; `nil` for all.
    /// - Throws: what the blocking form throws; `cancelled`.
    public func count(where filter: Filter? = nil) async throws(MoraineError) -> Int {
        try await store.read(within: readTimeout) { end throws(MoraineError) in
            try self.limited(by: end).count(where: filter)
        }
    }

    /// The documents in id order, for `for try await`.
    ///
    /// All from the state at this call. Read a portion at a time, each when the one before was
    /// used up.
    ///
    /// - Parameters:
    ///   - prefix: how ids begin.
    ///   - from: the first id.
    ///   - to: the id before which to end.
    ///   - filter: which documents; `nil` for all.
    ///   - withEmbeddings: false leaves embeddings out.
    /// - Throws: `unknownCollection`, `closed`. The sequence throws what the blocking form throws,
    ///   and `cancelled`.
    public func scan(
        prefix: String = "",
        from: String? = nil,
        to: String? = nil,
        where filter: Filter? = nil,
        withEmbeddings: Bool = true
    ) throws(MoraineError) -> DocumentSequence {
        let snapshot = try store.snapshot(label: "scan")
        guard let shape = try snapshot.state().collection(id: shape.id) else {
            throw Store.unknown(shape.name)
        }
        return DocumentSequence(
            snapshot: snapshot,
            shape: shape,
            range: ScanRange(prefix: prefix, from: from, to: to),
            filter: filter,
            withEmbeddings: withEmbeddings,
            timeout: readTimeout
        )
    }
}
