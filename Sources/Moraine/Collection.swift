// A collection of a store: its documents, written and read by blocking calls.

import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Store {
    /// A collection of documents that share the shape of their embeddings.
    ///
    /// A handle: cheap to make and to copy, it keeps its store alive. Reads see every commit that
    /// was acknowledged before they began; for several reads of one state take a
    /// ``Store/snapshot()``. Ids are compared and ordered as UTF-8 bytes everywhere.
    public struct Collection: Sendable {
        /// The store that it is part of.
        public let store: Store
        let shape: CollectionShape
        /// The store's collections when the shape was looked up: it holds as long as they do.
        private let table: CollectionTable
        /// How long a read through this handle may take, from its call; `nil`: any time.
        ///
        /// A read that takes longer throws `deadlineExceeded`, some milliseconds late at most
        /// unless it waits for a disk. Writes take no notice of it.
        public var readTimeout: Duration?
        /// When the read that this copy was made for is to end.
        private var limit: ReadLimit?

        init(store: Store, shape: CollectionShape, of version: Version) {
            self.store = store
            self.shape = shape
            table = version.table
        }

        /// The name, unique in the store, as it was when this handle was made.
        public var name: String { shape.name }

        /// Numbers in an embedding; 0: documents have none.
        public var dimensions: Int { shape.dimensions }

        /// How embeddings are compared.
        public var metric: Metric { Metric(shape.metric) }

        func reader() throws(MoraineError) -> VersionReader {
            var version = try store.newest()
            var shape = shape
            if version.table !== table {
                guard let found = version.collection(id: shape.id) else {
                    throw Store.unknown(shape.name)
                }
                shape = found
            }
            if let limit = limit ?? store.limit(after: readTimeout) {
                version = version.limited(by: limit)
            }
            return VersionReader(version: version, shape: shape)
        }

        /// A copy for one read, which has begun.
        func limited(by limit: ReadLimit) -> Collection {
            var copy = self
            copy.limit = limit
            return copy
        }
    }
}

// MARK: - Writing

extension Store.Collection {
    /// Puts a document, over the one that has its id; blocks.
    ///
    /// - Parameters:
    ///   - document: what to put.
    ///   - version: the version that the stored document must have; 0: there must be none; `nil`:
    ///     any.
    /// - Returns: the commit's number and the document's version, once it is as durable as
    ///   ``Store/Configuration/durability`` says.
    /// - Throws: `invalidID`, `invalidMetadata`, `wrongDimension`, `invalidVector`, `tooLarge`,
    ///   `versionConflict`, `readOnly`, `closed`, `noSpace`, `inputOutput`, `poisoned`.
    @discardableResult
    public func put(_ document: Document, ifVersion version: LSN? = nil) throws(MoraineError)
        -> LSN
    {
        try face { () throws(StoreError) in
            try store.engine.commit { builder throws(StoreError) in
                try builder.put(document, in: shape, ifVersion: version)
            }
        }
    }

    /// Puts documents, all or none; blocks.
    ///
    /// Of equal ids the last one counts.
    ///
    /// - Parameter documents: at most 256 MiB; more than that takes `load(_:)`.
    /// - Returns: the commit's number, which is the version of each of them; without documents the
    ///   newest commit's.
    /// - Throws: what `put(_:ifVersion:)` throws.
    @discardableResult
    public func put(_ documents: [Document]) throws(MoraineError) -> LSN {
        try commit(documents, logged: true)
    }

    /// Deletes a document; one that is not there is fine.
    ///
    /// Blocks.
    ///
    /// - Parameters:
    ///   - id: the document.
    ///   - version: the version that the stored document must have; 0: there must be none; `nil`:
    ///     any.
    /// - Returns: the commit's number.
    /// - Throws: `invalidID`, `versionConflict`, `readOnly`, `closed`, `noSpace`, `inputOutput`,
    ///   `poisoned`.
    @discardableResult
    public func delete(_ id: String, ifVersion version: LSN? = nil) throws(MoraineError) -> LSN {
        try face { () throws(StoreError) in
            try store.engine.commit { builder throws(StoreError) in
                try builder.delete(id, in: shape, ifVersion: version)
            }
        }
    }

    /// Puts many documents faster than `put(_:)`, beside the log; blocks.
    ///
    /// Documents become visible in portions while the call runs, and are durable when it returns.
    /// A crash before that may lose any of them; when a document is refused, those of the portions
    /// before it stay.
    ///
    /// - Parameter documents: any number, read once and not kept. Of equal ids the last one counts.
    /// - Returns: the last commit's number.
    /// - Throws: what `put(_:ifVersion:)` throws.
    @discardableResult
    public func load(_ documents: some Sequence<Document>) throws(MoraineError) -> LSN {
        var last = try put([])
        var portion: [Document] = []
        var byteCount = 0
        for document in documents {
            portion.append(document)
            byteCount += document.text.utf8.count + (document.embedding?.count ?? 0) * 4
            // Guess: large enough to make the cost of a commit vanish, small beside a memtable.
            if portion.count == 1_024 || byteCount >= 1 << 20 {
                last = try commit(portion, logged: false)
                portion.removeAll(keepingCapacity: true)
                byteCount = 0
            }
        }
        if !portion.isEmpty { last = try commit(portion, logged: false) }
        try store.checkpoint()
        return last
    }

    private func commit(_ documents: [Document], logged: Bool) throws(MoraineError) -> LSN {
        try face { () throws(StoreError) in
            try store.engine.commit(logged: logged) { builder throws(StoreError) in
                try builder.use(shape)
                for document in documents {
                    try builder.put(document, in: shape, ifVersion: nil)
                }
            }
        }
    }
}

// MARK: - Reading

extension Store.Collection {
    /// The document of an id; `nil` when there is none.
    ///
    /// Blocks.
    ///
    /// - Parameters:
    ///   - id: the document; an id that none can have is simply not there.
    ///   - withEmbedding: false leaves the embedding out, which saves reading it.
    /// - Throws: `corrupted`, `inputOutput`, `closed`, `deadlineExceeded`.
    public func get(_ id: String, withEmbedding: Bool = true) throws(MoraineError)
        -> StoredDocument?
    {
        let reader = try reader()
        return try face { () throws(StoreError) in
            try reader.get(id, withEmbedding: withEmbedding)
        }
    }

    /// The documents of some ids from one state, in the order of the ids, `nil` where there is
    /// none; blocks.
    ///
    /// - Parameters:
    ///   - ids: the documents; an id may stand there twice.
    ///   - withEmbeddings: false leaves embeddings out.
    /// - Throws: `corrupted`, `inputOutput`, `closed`, `deadlineExceeded`.
    public func get(_ ids: [String], withEmbeddings: Bool = true) throws(MoraineError)
        -> [StoredDocument?]
    {
        let reader = try reader()
        return try face { () throws(StoreError) in
            try reader.get(ids, withEmbeddings: withEmbeddings)
        }
    }

    /// How many documents there are; blocks.
    ///
    /// - Parameter filter: which documents count; `nil` for all.
    /// - Throws: `invalidFilter`, `corrupted`, `inputOutput`, `closed`, `deadlineExceeded`.
    public func count(where filter: Filter? = nil) throws(MoraineError) -> Int {
        try reader().count(where: filter)
    }

    /// Visits documents of one state in id order until the visitor returns false; blocks.
    ///
    /// - Parameters:
    ///   - prefix: how ids begin.
    ///   - from: the first id.
    ///   - to: the id before which to end.
    ///   - filter: which documents to visit; `nil` for all.
    ///   - withEmbeddings: false leaves embeddings out.
    ///   - visit: gets each document; whether to go on. It may write to the store. A closure that
    ///     throws says so in its head: `document throws(MoraineError) in`.
    /// - Throws: `corrupted` at the first damaged document, after those before it;
    ///   `invalidFilter`, `inputOutput`, `closed`, `deadlineExceeded`; what `visit` throws.
    @available(*, noasync, message: "use `for try await document in collection.scan()`")
    public func scan(
        prefix: String = "",
        from: String? = nil,
        to: String? = nil,
        where filter: Filter? = nil,
        withEmbeddings: Bool = true,
        _ visit: (StoredDocument) throws(MoraineError) -> Bool
    ) throws(MoraineError) {
        try reader().scan(
            ScanRange(prefix: prefix, from: from, to: to),
            where: filter,
            withEmbeddings: withEmbeddings,
            visit
        )
    }
}
