// Patches: a put of a document with other metadata, made from the document as it is. The commit
// then depends on that document; when another one was faster it is built again.

import MoraineBytes
package import MoraineFormat
package import MoraineStorage

/// What the operations of a commit so far made of each document that they met.
///
/// Reads the commit's own payload, each operation once.
struct PendingDocuments {
    enum State {
        case untouched
        case removed
        case put(text: [UInt8], metadata: [UInt8], vector: [Float]?, expiry: UInt64)
    }

    /// Where the newest operation on a document begins; `nil` when it was removed.
    private var places: [[UInt8]: Int?] = [:]
    private var prefixes: [[UInt8]] = []
    private var readByteCount = 8
    private var readOperationCount = 0

    private static func key(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) -> [UInt8] {
        withUnsafeBytes(of: collectionID.bigEndian) { Array($0) } + Array(id)
    }

    /// What became of a document.
    mutating func state(
        of collectionID: UInt32,
        _ id: UnsafeRawBufferPointer,
        in writer: CommitWriter
    ) throws(FormatError) -> State {
        try writer.withPayload { payload throws(FormatError) in
            try readOn(payload, count: writer.operationCount)
            let key = Self.key(collectionID, id)
            guard let place = places[key] else {
                return prefixes.contains { key.starts(with: $0) } ? .removed : .untouched
            }
            guard let place else { return .removed }
            var reader = try CommitReader(payload, from: place)
            guard case .put(let put) = try reader.next() else { return .removed }
            var body = ByteReader(put.body)
            let parts = try DocumentBody(decoding: &body)
            return .put(
                text: Array(parts.text),
                metadata: Array(parts.metadata),
                vector: put.vector.map(copyFloats),
                expiry: put.expiry
            )
        }
    }

    private mutating func readOn(_ payload: UnsafeRawBufferPointer, count: Int)
        throws(FormatError)
    {
        var reader = try CommitReader(payload, from: readByteCount)
        while readOperationCount < count {
            let start = reader.position
            switch try reader.next() {
            case .put(let put): places[Self.key(put.collectionID, put.id)] = .some(start)
            case .delete(let collectionID, let id):
                places[Self.key(collectionID, id)] = .some(nil)
            case .deletePrefix(let collectionID, let prefix):
                let bytes = Self.key(collectionID, prefix)
                for key in places.keys where key.starts(with: bytes) { places[key] = .some(nil) }
                prefixes.append(bytes)
            case .createCollection, .renameCollection, .dropCollection: break
            }
            readOperationCount += 1
        }
        readByteCount = reader.position
    }
}

/// Little-endian floats at any alignment.
private func copyFloats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    (0..<bytes.count / 4).map {
        Float(
            bitPattern: UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)
            )
        )
    }
}

extension BatchBuilder {
    /// Changes a document's metadata; text, vector, created time and expiry stay.
    ///
    /// Of the outermost object: a key of `changes` gets its value there whole, a key of `removed`
    /// goes, all others stay. What this commit did to the document before counts.
    ///
    /// Reads the document, which may wait for the disk.
    ///
    /// - Parameters:
    ///   - changes: a canonical object (format-spec/document.md).
    ///   - removed: keys; those that are not there are fine.
    ///   - expectedVersion: the version that the document must have.
    /// - Throws: `notFound` without such a document; `invalidArgument` for a key that is both set
    ///   and removed; `versionConflict`, `corrupted`, and what `put` throws.
    package mutating func patch(
        _ collection: CollectionShape,
        id: UnsafeRawBufferPointer,
        setting changes: UnsafeRawBufferPointer,
        removing removed: [[UInt8]],
        expectedVersion: UInt64? = nil
    ) throws(StoreError) {
        try use(collection)
        try checkID(id)
        try check(changes, removed)
        switch try pendingState(collection, id) {
        case .removed: throw notThere(collection, id)
        case .put(let text, let metadata, let vector, let expiry):
            if expiry != 0, expiry <= now { throw notThere(collection, id) }
            guard expectedVersion == nil else {
                throw StoreError(
                    .versionConflict,
                    "document \"\(String(decoding: id, as: UTF8.self))\" has another version",
                    expected: "\(expectedVersion ?? 0)",
                    found: "a version of this commit"
                )
            }
            try put(collection, id, text, metadata, vector, expiry, changes, removed)
        case .untouched:
            let found = try base.withDocument(collection, id: id, wantsVector: true) { view in
                (
                    text: Array(view.text), metadata: Array(view.metadata),
                    vector: view.vector.map(copyFloats), expiry: view.expiry,
                    version: view.version
                )
            }
            guard let found else { throw notThere(collection, id) }
            if let expectedVersion, expectedVersion != found.version {
                throw StoreError(
                    .versionConflict,
                    "document \"\(String(decoding: id, as: UTF8.self))\" has another version",
                    expected: "\(expectedVersion)",
                    found: "\(found.version)"
                )
            }
            expect(found.version, isBase: expectedVersion == nil)
            try put(
                collection,
                id,
                found.text,
                found.metadata,
                found.vector,
                found.expiry,
                changes,
                removed
            )
        }
    }

    private mutating func pendingState(_ collection: CollectionShape, _ id: UnsafeRawBufferPointer)
        throws(StoreError) -> PendingDocuments.State
    {
        do throws(FormatError) {
            // A collection that this commit makes has a new id, so nothing of it is in `base`.
            return try pending.state(of: collection.id, id, in: writer)
        } catch {
            throw StoreError(error, path: "a commit")
        }
    }

    private func check(_ changes: UnsafeRawBufferPointer, _ removed: [[UInt8]])
        throws(StoreError)
    {
        let both: [UInt8]?
        do throws(FormatError) {
            try Metadata.validate(changes)
            both = try Metadata.firstKey(of: changes, in: Set(removed))
        } catch {
            throw StoreError(
                .invalidMetadata,
                "a patch's metadata cannot be stored: \(error.field)",
                expected: error.expected,
                found: error.found
            )
        }
        if let both {
            throw StoreError(
                .invalidArgument,
                "a patch both sets and removes \"\(String(decoding: both, as: UTF8.self))\""
            )
        }
    }

    private func notThere(_ collection: CollectionShape, _ id: UnsafeRawBufferPointer)
        -> StoreError
    {
        StoreError(
            .notFound,
            "collection \"\(collection.name)\" has no document "
                + "\"\(String(decoding: id, as: UTF8.self))\""
        )
    }

    private mutating func put(
        _ collection: CollectionShape,
        _ id: UnsafeRawBufferPointer,
        _ text: [UInt8],
        _ metadata: [UInt8],
        _ vector: [Float]?,
        _ expiry: UInt64,
        _ changes: UnsafeRawBufferPointer,
        _ removed: [[UInt8]]
    ) throws(StoreError) {
        let patched: [UInt8]
        do throws(FormatError) {
            patched = try metadata.withUnsafeBufferPointer { metadata throws(FormatError) in
                try Metadata.patched(
                    UnsafeRawBufferPointer(metadata),
                    setting: changes,
                    removing: removed
                )
            }
        } catch {
            throw StoreError(error, path: collection.name)
        }
        try text.withUnsafeBufferPointer { text throws(StoreError) in
            try patched.withUnsafeBufferPointer { patched throws(StoreError) in
                try (vector ?? []).withUnsafeBufferPointer { floats throws(StoreError) in
                    try put(
                        collection,
                        id: id,
                        text: UnsafeRawBufferPointer(text),
                        metadata: UnsafeRawBufferPointer(patched),
                        vector: vector == nil ? nil : floats,
                        expiry: expiry
                    )
                }
            }
        }
    }
}
