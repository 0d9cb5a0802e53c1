// One state of a store, read by blocking calls.

import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Store {
    /// One state of all collections: what the store held after one commit.
    ///
    /// Reads of a snapshot see that state and no other, whatever is written meanwhile; they wait
    /// for no writer. The files that it shows are kept until its last copy goes, until `close()`,
    /// or until it is older than ``Store/Configuration/maxSnapshotAge``: then reads that begin
    /// throw `snapshotExpired`, and those that have begun end as if nothing were.
    public struct Snapshot: Sendable {
        /// The store that it shows.
        public let store: Store
        let pin: Pin
        /// How long a read through this handle may take, from its call; `nil`: any time.
        ///
        /// A read that takes longer throws `deadlineExceeded`, some milliseconds late at most
        /// unless it waits for a disk. Writes take no notice of it.
        public var readTimeout: Duration?
        /// When the read that this copy was made for is to end.
        private var limit: ReadLimit?

        init(store: Store, pin: Pin) {
            self.store = store
            self.pin = pin
        }

        /// The number under which statistics list it.
        public var id: UInt64 { pin.id }

        /// What it was called when it was taken.
        public var label: String? { pin.label }

        /// The last commit that it contains.
        public var version: LSN { pin.lsn }

        /// The names of the collections, ordered by their bytes.
        public var collectionNames: [String] { pin.collections.map(\.name) }

        /// Lets go of what it shows, for all copies of this snapshot; reads throw `closed` then.
        ///
        /// Not needed where the last copy goes out of scope. Harmless when repeated.
        public func close() { pin.release() }

        /// Reads of a collection; also checks that the store is open.
        func reader(of collection: String) throws(MoraineError) -> VersionReader {
            var state = try state()
            guard let shape = state.collection(collection) else {
                throw Store.unknown(collection)
            }
            if let limit = limit ?? store.limit(after: readTimeout) {
                state = state.limited(by: limit)
            }
            return VersionReader(version: state, shape: shape)
        }

        /// A copy for one read, which has begun.
        func limited(by limit: ReadLimit) -> Snapshot {
            var copy = self
            copy.limit = limit
            return copy
        }

        /// The version behind it, to be held for one read.
        func state() throws(MoraineError) -> Version {
            try store.checkOpen()
            return try face { () throws(StoreError) in try pin.version() }
        }
    }
}

extension Store.Snapshot {
    /// The document of an id; `nil` when there is none.
    ///
    /// Blocks.
    ///
    /// - Parameters:
    ///   - id: the document; an id that none can have is simply not there.
    ///   - collection: the collection's name.
    ///   - withEmbedding: false leaves the embedding out, which saves reading it.
    /// - Throws: `unknownCollection`, `corrupted`, `inputOutput`, `closed`, `snapshotExpired`.
    public func get(_ id: String, in collection: String, withEmbedding: Bool = true)
        throws(MoraineError) -> StoredDocument?
    {
        let reader = try reader(of: collection)
        return try face { () throws(StoreError) in
            try reader.get(id, withEmbedding: withEmbedding)
        }
    }

    /// The documents of some ids in the order of the ids, `nil` where there is none; blocks.
    ///
    /// - Parameters:
    ///   - ids: the documents; an id may stand there twice.
    ///   - collection: the collection's name.
    ///   - withEmbeddings: false leaves embeddings out.
    /// - Throws: `unknownCollection`, `corrupted`, `inputOutput`, `closed`, `snapshotExpired`.
    public func get(_ ids: [String], in collection: String, withEmbeddings: Bool = true)
        throws(MoraineError) -> [StoredDocument?]
    {
        let reader = try reader(of: collection)
        return try face { () throws(StoreError) in
            try reader.get(ids, withEmbeddings: withEmbeddings)
        }
    }

    /// How many documents a collection has; blocks.
    ///
    /// - Parameters:
    ///   - collection: the collection's name.
    ///   - filter: which documents count; `nil` for all.
    /// - Throws: `unknownCollection`, `invalidFilter`, `corrupted`, `inputOutput`, `closed`,
    ///   `snapshotExpired`.
    public func count(in collection: String, where filter: Filter? = nil) throws(MoraineError)
        -> Int
    {
        try reader(of: collection).count(where: filter)
    }

    /// Visits documents in id order until the visitor returns false; blocks.
    ///
    /// - Parameters:
    ///   - collection: the collection's name.
    ///   - prefix: how ids begin.
    ///   - from: the first id.
    ///   - to: the id before which to end.
    ///   - filter: which documents to visit; `nil` for all.
    ///   - withEmbeddings: false leaves embeddings out.
    ///   - visit: gets each document; whether to go on. It may write to the store. A closure that
    ///     throws says so in its head: `document throws(MoraineError) in`.
    /// - Throws: `unknownCollection`; `corrupted` at the first damaged document, after those before
    ///   it; `invalidFilter`, `inputOutput`, `closed`, `snapshotExpired`, `deadlineExceeded`; what `visit` throws.
    @available(*, noasync, message: "use `for try await document in snapshot.scan(in:)`")
    public func scan(
        in collection: String,
        prefix: String = "",
        from: String? = nil,
        to: String? = nil,
        where filter: Filter? = nil,
        withEmbeddings: Bool = true,
        _ visit: (StoredDocument) throws(MoraineError) -> Bool
    ) throws(MoraineError) {
        try reader(of: collection).scan(
            ScanRange(prefix: prefix, from: from, to: to),
            where: filter,
            withEmbeddings: withEmbeddings,
            visit
        )
    }
}
