// Gathers the operations of one commit, checking each at once.

import MoraineBytes
package import MoraineFormat
package import MoraineStorage
import MoraineVectors
import Synchronization

/// Builds a commit.
///
/// An operation that is refused throws; then nothing of the commit happens.
package struct BatchBuilder {
    /// The collections at the time of building.
    private var table: CollectionTable
    private let reserveID: () -> UInt32
    private(set) var writer: CommitWriter
    /// Collections that this commit makes.
    private(set) var created: [CollectionShape] = []
    /// False while there are deletes only.
    private(set) var addsData = false
    /// Versions that operations expect, by operation.
    private(set) var conditions: [Condition] = []
    /// The norms of the vectors, in the order of the puts that have one.
    private(set) var norms: [Float] = []

    /// What a put or delete expects of the document it meets.
    struct Condition: Sendable {
        let operation: Int
        let version: UInt64
    }

    /// - Parameter memory: the payload of an earlier commit, whose memory is used again.
    init(
        table: CollectionTable,
        reusing memory: consuming [UInt8] = [],
        reserveID: @escaping () -> UInt32
    ) {
        self.table = table
        self.reserveID = reserveID
        writer = CommitWriter(reusing: memory)
    }

    /// Operations so far.
    package var operationCount: Int { writer.operationCount }
    /// Encoded bytes so far.
    package var byteCount: Int { writer.byteCount }

    /// Makes a collection.
    ///
    /// One of the same name and shape is fine.
    ///
    /// - Parameter dimensions: 0 when documents have no vectors.
    /// - Throws: `invalidName`, `invalidArgument`, `collectionMismatch`.
    package mutating func createCollection(_ name: String, dimensions: Int, metric: Metric)
        throws(StoreError)
    {
        guard CollectionShape.isValidName(name) else {
            throw StoreError(
                .invalidName,
                "a collection's name has 1 to \(FormatLimits.nameByteCount) bytes and no control "
                    + "characters"
            )
        }
        guard dimensions >= 0, dimensions <= FormatLimits.dimensions else {
            throw StoreError(
                .invalidArgument,
                "dimensions must be 1 to \(FormatLimits.dimensions), or none",
                expected: "1 to \(FormatLimits.dimensions)",
                found: "\(dimensions)"
            )
        }
        if let old = table[name] {
            guard old.dimensions == dimensions, old.metric == metric else {
                throw StoreError(
                    .collectionMismatch,
                    "collection \"\(name)\" exists with another shape",
                    expected: "\(old.dimensions) dimensions, \(old.metric.name)",
                    found: "\(dimensions) dimensions, \(metric.name)"
                )
            }
            return
        }
        let id = reserveID()
        guard FormatLimits.collectionIDs.contains(id) else {
            throw StoreError(.tooLarge, "the store has no room for another collection")
        }
        let shape = CollectionShape(
            id: id,
            name: name,
            dimensions: dimensions,
            metric: metric
        )
        table = table.adding(shape)
        addsData = true
        created.append(shape)
        writer.createCollection(shape)
    }

    /// The collection of a name, one that this batch makes included.
    ///
    /// - Throws: `unknownCollection`.
    package func collection(_ name: String) throws(StoreError) -> CollectionShape {
        guard let shape = table[name] else {
            throw StoreError(.unknownCollection, "there is no collection \"\(name)\"")
        }
        return shape
    }

    /// Puts a document, over the one that has its id.
    ///
    /// - Parameters:
    ///   - text: UTF-8.
    ///   - metadata: a canonical object (format-spec/document.md).
    ///   - vector: as many numbers as the collection has dimensions; `nil` for none.
    ///   - expectedVersion: the version that the document must have; 0: it must not exist.
    /// - Throws: `invalidID`, `invalidText`, `invalidMetadata`, `tooLarge`, `wrongDimension`,
    ///   `invalidVector`.
    package mutating func put(
        _ collection: CollectionShape,
        id: UnsafeRawBufferPointer,
        text: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer,
        vector: UnsafeBufferPointer<Float>?,
        expectedVersion: UInt64? = nil
    ) throws(StoreError) {
        try checkID(id)
        guard text.count + metadata.count <= FormatLimits.documentByteCount else {
            throw StoreError(
                .tooLarge,
                "a document's text and metadata are too large",
                expected: "at most \(FormatLimits.documentByteCount) bytes",
                found: "\(text.count + metadata.count)"
            )
        }
        guard isUTF8(text) else {
            throw StoreError(.invalidText, "a document's text is not UTF-8")
        }
        do throws(FormatError) {
            try Metadata.validate(metadata)
        } catch {
            throw StoreError(
                .invalidMetadata,
                "a document's metadata cannot be stored: \(error.field)",
                expected: error.expected,
                found: error.found
            )
        }
        let norm = try vector.map { vector throws(StoreError) in
            try validatedNorm(of: vector, collection)
        }
        try reserve(text.count + metadata.count + (vector?.count ?? 0) * 4 + id.count + 64)
        expect(expectedVersion)
        addsData = true
        if let norm { norms.append(norm) }
        writer.put(
            collectionID: collection.id,
            id: id,
            vector: vector,
            text: text,
            metadata: metadata
        )
    }

    /// Deletes a document; one that is not there is fine.
    ///
    /// - Throws: `invalidID`.
    package mutating func delete(
        _ collection: CollectionShape,
        id: UnsafeRawBufferPointer,
        expectedVersion: UInt64? = nil
    ) throws(StoreError) {
        try checkID(id)
        try reserve(id.count + 32)
        expect(expectedVersion)
        writer.delete(collectionID: collection.id, id: id)
    }

    private mutating func expect(_ version: UInt64?) {
        guard let version else { return }
        conditions.append(Condition(operation: writer.operationCount, version: version))
    }

    private func reserve(_ byteCount: Int) throws(StoreError) {
        guard writer.byteCount + byteCount <= FormatLimits.commitByteCount else {
            throw StoreError(
                .tooLarge,
                "one commit is too large",
                expected: "at most \(FormatLimits.commitByteCount) bytes",
                found: "\(writer.byteCount + byteCount)"
            )
        }
    }

    private func checkID(_ id: UnsafeRawBufferPointer) throws(StoreError) {
        guard KeyBytes.isValidID(id) else {
            throw StoreError(
                .invalidID,
                "a document's id has 1 to \(FormatLimits.idByteCount) bytes of UTF-8 and no NUL",
                found: "\(id.count) bytes"
            )
        }
    }

    private func validatedNorm(
        of vector: UnsafeBufferPointer<Float>,
        _ collection: CollectionShape
    ) throws(StoreError) -> Float {
        guard vector.count == collection.dimensions else {
            throw StoreError(
                .wrongDimension,
                collection.dimensions == 0
                    ? "collection \"\(collection.name)\" holds no vectors"
                    : "a vector has not the dimensions of collection \"\(collection.name)\"",
                expected: "\(collection.dimensions)",
                found: "\(vector.count)"
            )
        }
        return try VectorMath.validatedNorm(of: vector, metric: collection.metric)
    }
}
