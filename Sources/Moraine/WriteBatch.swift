// Writes that happen together or not at all.

import MoraineEngine
import MoraineFormat
import MoraineStorage

/// Writes over any collections of one store that happen together or not at all.
///
/// Operations are applied in order: a later one on the same id wins, and a collection made earlier
/// in the batch can be written to. Nothing is checked before `Store.write(_:)`. At most 256 MiB.
///
/// ```swift
/// var batch = WriteBatch()
/// batch.createCollection("tags")
/// batch.put(Document(id: "swift"), in: "tags")
/// batch.delete("draft", in: "notes")
/// try store.write(batch)
/// ```
public struct WriteBatch: Sendable {
    enum Operation: Sendable {
        case createCollection(name: String, dimensions: Int, metric: Metric)
        case put(Document, collection: String, ifVersion: LSN?)
        case delete(id: String, collection: String, ifVersion: LSN?)
        case renameCollection(name: String, newName: String)
        case dropCollection(name: String)
        case deletePrefix(prefix: String, collection: String)
        case patch(
            id: String,
            collection: String,
            changes: Metadata,
            removed: [String],
            ifVersion: LSN?
        )
    }

    private(set) var operations: [Operation] = []

    /// Nothing to do.
    public init() {}

    /// Operations so far.
    public var count: Int { operations.count }

    /// True without operations.
    public var isEmpty: Bool { operations.isEmpty }

    /// Makes a collection; one of the same name and shape is fine.
    ///
    /// - Parameters:
    ///   - name: 1 to 255 bytes of UTF-8 without control characters.
    ///   - dimensions: numbers in an embedding, to 16,384; 0: documents have none.
    ///   - metric: how embeddings are compared.
    public mutating func createCollection(
        _ name: String,
        dimensions: Int = 0,
        metric: Metric = .cosine
    ) {
        operations.append(.createCollection(name: name, dimensions: dimensions, metric: metric))
    }

    /// Puts a document, over the one that has its id.
    ///
    /// - Parameters:
    ///   - document: what to put.
    ///   - collection: the collection's name.
    ///   - version: the version that the stored document must have; 0: there must be none; `nil`:
    ///     any. What the batch did before counts: behind its own delete 0 holds, behind its own put
    ///     nothing does.
    public mutating func put(
        _ document: Document,
        in collection: String,
        ifVersion version: LSN? = nil
    ) {
        operations.append(.put(document, collection: collection, ifVersion: version))
    }

    /// Deletes a document; one that is not there is fine.
    ///
    /// - Parameters:
    ///   - id: the document.
    ///   - collection: the collection's name.
    ///   - version: as with `put(_:in:ifVersion:)`.
    public mutating func delete(
        _ id: String,
        in collection: String,
        ifVersion version: LSN? = nil
    ) {
        operations.append(.delete(id: id, collection: collection, ifVersion: version))
    }

    /// Gives a collection another name; operations behind this one know it by the new name.
    ///
    /// - Parameters:
    ///   - name: the collection.
    ///   - newName: a name that no collection has; 1 to 255 bytes of UTF-8 without control
    ///     characters.
    public mutating func renameCollection(_ name: String, to newName: String) {
        operations.append(.renameCollection(name: name, newName: newName))
    }

    /// Takes a collection and all its documents away.
    ///
    /// One of the same name can be made by the same batch.
    ///
    /// - Parameter name: the collection.
    public mutating func dropCollection(_ name: String) {
        operations.append(.dropCollection(name: name))
    }

    /// Deletes every document whose id begins with `prefix`.
    ///
    /// - Parameters:
    ///   - prefix: at least one byte.
    ///   - collection: the collection's name.
    public mutating func delete(prefix: String, in collection: String) {
        operations.append(.deletePrefix(prefix: prefix, collection: collection))
    }

    /// Changes a document's metadata; everything else of it stays.
    ///
    /// - Parameters:
    ///   - id: the document.
    ///   - collection: the collection's name.
    ///   - changes: keys that get these values, each replaced whole.
    ///   - removed: keys that go; those that are not there are fine.
    ///   - version: the version that the stored document must have; `nil`: any. Nothing holds behind
    ///     the batch's own put.
    public mutating func patch(
        _ id: String,
        in collection: String,
        set changes: Metadata = [:],
        remove removed: [String] = [],
        ifVersion version: LSN? = nil
    ) {
        operations.append(
            .patch(
                id: id,
                collection: collection,
                changes: changes,
                removed: removed,
                ifVersion: version
            )
        )
    }

    /// True when building reads documents.
    var hasPatches: Bool {
        operations.contains { if case .patch = $0 { true } else { false } }
    }

    /// Hands the operations to the engine, which checks each.
    func build(_ builder: inout BatchBuilder) throws(StoreError) {
        for operation in operations {
            switch operation {
            case .createCollection(let name, let dimensions, let metric):
                try builder.createCollection(name, dimensions: dimensions, metric: metric.stored)
            case .put(let document, let collection, let version):
                let shape = try builder.collection(collection)
                try builder.put(document, in: shape, ifVersion: version)
            case .delete(let id, let collection, let version):
                let shape = try builder.collection(collection)
                try builder.delete(id, in: shape, ifVersion: version)
            case .renameCollection(let name, let newName):
                try builder.renameCollection(name, to: newName)
            case .dropCollection(let name): try builder.dropCollection(name)
            case .deletePrefix(let prefix, let collection):
                let shape = try builder.collection(collection)
                try builder.delete(prefix: prefix, in: shape)
            case .patch(let id, let collection, let changes, let removed, let version):
                let shape = try builder.collection(collection)
                try builder.patch(id, in: shape, set: changes, remove: removed, ifVersion: version)
            }
        }
    }
}

extension BatchBuilder {
    /// Puts a document; an error names it.
    mutating func put(_ document: Document, in shape: CollectionShape, ifVersion version: LSN?)
        throws(StoreError)
    {
        do throws(StoreError) {
            let metadata = try document.metadata.encoded()
            try withUTF8(of: document.id) { id throws(StoreError) in
                try withUTF8(of: document.text) { text throws(StoreError) in
                    try metadata.withUnsafeBufferPointer { metadata throws(StoreError) in
                        try put(
                            shape,
                            id: id,
                            text: text,
                            metadata: UnsafeRawBufferPointer(metadata),
                            embedding: document.embedding,
                            version,
                            document.expiry
                        )
                    }
                }
            }
        } catch {
            throw error.about(document.id, document.metadata)
        }
    }

    private mutating func put(
        _ shape: CollectionShape,
        id: UnsafeRawBufferPointer,
        text: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer,
        embedding: [Float]?,
        _ version: LSN?,
        _ expiry: UInt64
    ) throws(StoreError) {
        guard let embedding else {
            return try put(
                shape,
                id: id,
                text: text,
                metadata: metadata,
                vector: nil,
                expectedVersion: version,
                expiry: expiry
            )
        }
        try embedding.withUnsafeBufferPointer { vector throws(StoreError) in
            try put(
                shape,
                id: id,
                text: text,
                metadata: metadata,
                vector: vector,
                expectedVersion: version,
                expiry: expiry
            )
        }
    }

    /// Changes a document's metadata; an error names it.
    mutating func patch(
        _ id: String,
        in shape: CollectionShape,
        set changes: Metadata,
        remove removed: [String],
        ifVersion version: LSN?
    ) throws(StoreError) {
        do throws(StoreError) {
            let encoded = try changes.encoded()
            try withUTF8(of: id) { id throws(StoreError) in
                try encoded.withUnsafeBufferPointer { changes throws(StoreError) in
                    try patch(
                        shape,
                        id: id,
                        setting: UnsafeRawBufferPointer(changes),
                        removing: removed.map { Array($0.utf8) },
                        expectedVersion: version
                    )
                }
            }
        } catch {
            throw error.about(id, changes)
        }
    }

    /// Deletes the documents whose ids begin with `prefix`.
    mutating func delete(prefix: String, in shape: CollectionShape) throws(StoreError) {
        try withUTF8(of: prefix) { prefix throws(StoreError) in
            try delete(shape, prefix: prefix)
        }
    }

    /// Deletes a document; an error names it.
    mutating func delete(_ id: String, in shape: CollectionShape, ifVersion version: LSN?)
        throws(StoreError)
    {
        do throws(StoreError) {
            try withUTF8(of: id) { id throws(StoreError) in
                try delete(shape, id: id, expectedVersion: version)
            }
        } catch {
            throw error.about(id)
        }
    }
}

extension StoreError {
    /// The same error with the document's id in front unless it tells of it, and where it is about
    /// metadata with the place of the value; what is long is cut.
    fileprivate func about(_ id: String, _ metadata: Metadata = [:]) -> StoreError {
        // A patch that finds no such document, or another version of it.
        if code == .notFound || code == .versionConflict { return self }
        let name = id.utf8.count <= 80 ? id : "\(String(id.unicodeScalars.prefix(40)))..."
        let place = code == .invalidMetadata ? metadata.faultyPlace.map { " at \($0)" } ?? "" : ""
        return StoreError(
            code,
            "document \"\(name)\": \(message)\(place)",
            path: path,
            offset: offset,
            expected: expected,
            found: found,
            errorNumber: errorNumber
        )
    }
}
