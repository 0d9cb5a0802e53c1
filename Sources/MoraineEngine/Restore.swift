// Puts documents into a new store as they stood in another one, with their versions and times.

import MoraineBytes
package import MoraineFormat
package import MoraineStorage

/// A document as it stood in another store; the bytes are borrowed.
package struct RestoredDocument {
    package let id: UnsafeRawBufferPointer
    /// Prefixed text, then prefixed metadata.
    package let body: UnsafeRawBufferPointer
    /// Little-endian f32s at any alignment, as many as the collection has dimensions.
    package let vector: UnsafeRawBufferPointer?
    /// The LSN of the commit that put it there.
    package let version: UInt64
    /// Milliseconds since 1970.
    package let created: UInt64
    package let updated: UInt64
    /// 0 when it never expires.
    package let expiry: UInt64

    package init(
        id: UnsafeRawBufferPointer,
        body: UnsafeRawBufferPointer,
        vector: UnsafeRawBufferPointer?,
        version: UInt64,
        created: UInt64,
        updated: UInt64,
        expiry: UInt64
    ) {
        self.id = id
        self.body = body
        self.vector = vector
        self.version = version
        self.created = created
        self.updated = updated
        self.expiry = expiry
    }
}

extension Engine {
    /// Puts documents with the versions and times that they had, beside the log: durable after
    /// the next `checkpoint()` or `close()`.
    ///
    /// Each id only once in the life of the store, and only while nothing else writes. Nothing is
    /// checked: who reads the documents has validated them.
    ///
    /// - Parameters:
    ///   - collection: one of this store, of the dimensions that the vectors have.
    ///   - lsn: at or above every version that is ever restored; later commits are above it.
    ///   - time: at or above every time.
    package func restore(
        _ documents: [RestoredDocument],
        to collection: CollectionShape,
        upTo lsn: UInt64,
        time: UInt64
    ) throws(StoreError) {
        try checkCanWrite()
        var failure: StoreError?
        try makeRoom(isLogged: false) { writer in
            do throws(StoreError) {
                try writer.restore(documents, to: collection, upTo: lsn, time: time)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

extension Writer {
    fileprivate func restore(
        _ documents: [RestoredDocument],
        to collection: CollectionShape,
        upTo lsn: UInt64,
        time: UInt64
    ) throws(StoreError) {
        try checkWritable()
        if manifest == nil { try start() }
        for document in documents {
            let vector = document.vector.flatMap { bytes in
                precondition(bytes.count == collection.dimensions * 4)
                return active.adopt(vector: bytes)
            }
            active.add(
                collectionID: collection.id,
                isTombstone: false,
                id: active.adopt(document.id),
                body: active.adopt(document.body),
                vector: vector,
                lsn: document.version,
                created: document.created,
                updated: document.updated,
                expiry: document.expiry
            )
        }
        // A number of its own, so that what was added is above what was flushed before.
        lastLSN = max(lastLSN, lsn) + 1
        lastTime = max(lastTime, time)
        unloggedLSN = lastLSN
        publish(self)
    }
}
