// Collections as people manage them: another name, away with it, many documents away, metadata
// changed. Each call in both forms.

import MoraineEngine
import MoraineStorage

extension Store {
    /// Gives a collection another name; blocks.
    ///
    /// Handles of the collection go on, and keep saying the old name.
    ///
    /// - Parameters:
    ///   - name: the collection.
    ///   - newName: a name that no collection has; 1 to 255 bytes of UTF-8 without control
    ///     characters.
    /// - Returns: the commit's number.
    /// - Throws: `unknownCollection`, `collectionExists`, `invalidName`, and what a write throws.
    @discardableResult
    public func renameCollection(_ name: String, to newName: String) throws(MoraineError) -> LSN {
        var batch = WriteBatch()
        batch.renameCollection(name, to: newName)
        return try write(batch)
    }

    /// Gives a collection another name.
    ///
    /// - Parameters:
    ///   - name: the collection.
    ///   - newName: a name that no collection has.
    /// - Returns: the commit's number.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func renameCollection(_ name: String, to newName: String) async throws(MoraineError)
        -> LSN
    {
        var batch = WriteBatch()
        batch.renameCollection(name, to: newName)
        return try await write(batch)
    }

    /// Takes a collection and all its documents away; blocks.
    ///
    /// It costs little however many documents there are. Snapshots taken before still see them; the
    /// space is given back by compaction. Calls on handles of the collection throw
    /// `unknownCollection` from then on, also when one of the same name is made again.
    ///
    /// - Parameter name: the collection.
    /// - Returns: the commit's number.
    /// - Throws: `unknownCollection`, and what a write throws.
    @discardableResult
    public func dropCollection(_ name: String) throws(MoraineError) -> LSN {
        var batch = WriteBatch()
        batch.dropCollection(name)
        return try write(batch)
    }

    /// Takes a collection and all its documents away.
    ///
    /// - Parameter name: the collection.
    /// - Returns: the commit's number.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func dropCollection(_ name: String) async throws(MoraineError) -> LSN {
        var batch = WriteBatch()
        batch.dropCollection(name)
        return try await write(batch)
    }
}

extension Store.Collection {
    /// Deletes every document whose id begins with `prefix`, all in one commit; blocks.
    ///
    /// It costs little however many documents there are.
    ///
    /// - Parameter prefix: at least one byte.
    /// - Returns: how many documents were deleted.
    /// - Throws: `unknownCollection`, `invalidID`, and what a write throws.
    @discardableResult
    public func delete(prefix: String) throws(MoraineError) -> Int {
        try face { () throws(StoreError) in
            try store.engine.commitCounting { builder throws(StoreError) in
                try builder.delete(prefix: prefix, in: shape)
            }.removedCount
        }
    }

    /// Deletes every document whose id begins with `prefix`, all in one commit.
    ///
    /// - Parameter prefix: at least one byte.
    /// - Returns: how many documents were deleted.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func delete(prefix: String) async throws(MoraineError) -> Int {
        try await store.commitCounting { builder throws(StoreError) in
            try builder.delete(prefix: prefix, in: shape)
        }.removedCount
    }

    /// Changes a document's metadata without sending its text or embedding again; blocks.
    ///
    /// Of the metadata's own keys: those of `changes` get their value there, replaced whole, those
    /// of `removed` go, all others stay. The document gets a new version; text, embedding, created
    /// time and expiry stay as they are.
    ///
    /// - Parameters:
    ///   - id: the document.
    ///   - changes: keys and their new values; `null` is a value.
    ///   - removed: keys that go; those that are not there are fine.
    ///   - version: the version that the stored document must have; `nil`: any.
    /// - Returns: the commit's number and the document's version.
    /// - Throws: `notFound` without such a document; `invalidArgument` for a key that is both set
    ///   and removed; `versionConflict`, and what a write throws.
    @discardableResult
    public func patch(
        _ id: String,
        set changes: Metadata = [:],
        remove removed: [String] = [],
        ifVersion version: LSN? = nil
    ) throws(MoraineError) -> LSN {
        try face { () throws(StoreError) in
            try store.engine.commit { builder throws(StoreError) in
                try builder.patch(
                    id,
                    in: shape,
                    set: changes,
                    remove: removed,
                    ifVersion: version
                )
            }
        }
    }

    /// Changes a document's metadata without sending its text or embedding again; runs on a thread
    /// of the store's own.
    ///
    /// - Parameters:
    ///   - id: the document.
    ///   - changes: keys and their new values; `null` is a value.
    ///   - removed: keys that go; those that are not there are fine.
    ///   - version: the version that the stored document must have; `nil`: any.
    /// - Returns: the commit's number and the document's version.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func patch(
        _ id: String,
        set changes: Metadata = [:],
        remove removed: [String] = [],
        ifVersion version: LSN? = nil
    ) async throws(MoraineError) -> LSN {
        try await store.run { () throws(MoraineError) in
            try self.patch(id, set: changes, remove: removed, ifVersion: version)
        }
    }
}
