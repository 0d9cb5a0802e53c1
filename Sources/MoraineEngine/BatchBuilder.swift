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
    /// The state that it is built from.
    let base: Version
    /// What expires at or before it is not there.
    let now: UInt64
    /// The collections of `base` after the changes of this commit.
    private(set) var table: CollectionTable
    private let reserveID: () -> UInt32
    private(set) var writer: CommitWriter
    /// What this commit does to collections.
    private(set) var changes: [CollectionChange] = []
    /// Collections of `base` that this commit writes to.
    private(set) var usedCollections: Set<UInt32> = []
    private var lastUsed: UInt32 = 0
    /// False while there are deletes, renames and drops only.
    private(set) var addsData = false
    /// Versions that operations expect, by operation.
    private(set) var conditions: [Condition] = []
    /// What the operations so far made of each document; only kept up when a patch asks.
    var pending = PendingDocuments()
    /// Of the vectors, in the order of the puts that have one.
    private(set) var vectorFacts: [VectorFacts] = []

    /// What a put or delete expects of the document it meets.
    struct Condition: Sendable {
        let operation: Int
        let version: UInt64
        /// The builder read this version: when it is no longer there, build again.
        let isBase: Bool
    }

    /// - Parameters:
    ///   - now: milliseconds since 1970; the version's time where that is later.
    ///   - memory: the payload of an earlier commit, whose memory is used again.
    init(
        base: Version,
        now: UInt64 = 0,
        reusing memory: consuming [UInt8] = [],
        reserveID: @escaping () -> UInt32
    ) {
        self.base = base
        self.now = max(now, base.now)
        table = base.table
        self.reserveID = reserveID
        writer = CommitWriter(reusing: memory)
    }

    /// A memtable that is not full takes so many rows more.
    private static let operationLimit = MemTable.maximumRowCount / 2

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
        try Self.checkName(name)
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
                throw old.mismatch(dimensions: dimensions, metric: metric)
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
        try reserve(FormatLimits.nameByteCount + 32)
        change(.created(shape))
        addsData = true
        writer.createCollection(shape)
    }

    /// Gives a collection another name; the same name is fine.
    ///
    /// - Throws: `unknownCollection`, `invalidName`, `collectionExists`.
    package mutating func renameCollection(_ name: String, to newName: String) throws(StoreError) {
        let shape = try collection(name)
        try Self.checkName(newName)
        if newName.utf8.elementsEqual(name.utf8) { return }
        guard table[newName] == nil else {
            throw StoreError(
                .collectionExists,
                "there is a collection \"\(newName)\" already"
            )
        }
        try reserve(FormatLimits.nameByteCount + 32)
        change(.renamed(id: shape.id, name: newName))
        writer.renameCollection(id: shape.id, name: newName)
    }

    /// Takes a collection and its documents away.
    ///
    /// One of the same name may be made again at once; it has nothing in common with this one.
    ///
    /// - Throws: `unknownCollection`.
    package mutating func dropCollection(_ name: String) throws(StoreError) {
        let shape = try collection(name)
        try reserve(32)
        change(.dropped(id: shape.id))
        lastUsed = 0
        writer.dropCollection(id: shape.id)
    }

    private mutating func change(_ change: CollectionChange) {
        guard let next = table.applying(change) else {
            preconditionFailure("the change was checked against the table")
        }
        table = next
        changes.append(change)
    }

    private static func checkName(_ name: String) throws(StoreError) {
        guard CollectionShape.isValidName(name) else {
            throw StoreError(
                .invalidName,
                "a collection's name has 1 to \(FormatLimits.nameByteCount) bytes and no control "
                    + "characters"
            )
        }
    }

    /// Checks that a collection is still there; also for a batch that comes to write nothing to it.
    ///
    /// - Throws: `unknownCollection`.
    package mutating func use(_ collection: CollectionShape) throws(StoreError) {
        if collection.id == lastUsed { return }
        guard table[collection.id] != nil else {
            throw StoreError(
                .unknownCollection,
                "there is no collection \"\(collection.name)\" any more"
            )
        }
        if base.table[collection.id] != nil { usedCollections.insert(collection.id) }
        lastUsed = collection.id
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
    ///   - expiry: when it expires, in milliseconds since 1970; 0 for never.
    /// - Throws: `unknownCollection`, `invalidID`, `invalidText`, `invalidMetadata`, `tooLarge`, `wrongDimension`,
    ///   `invalidVector`.
    package mutating func put(
        _ collection: CollectionShape,
        id: UnsafeRawBufferPointer,
        text: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer,
        vector: UnsafeBufferPointer<Float>?,
        expectedVersion: UInt64? = nil,
        expiry: UInt64 = 0
    ) throws(StoreError) {
        try use(collection)
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
        let facts = try vector.map { vector throws(StoreError) in
            VectorFacts(vector, norm: try validatedNorm(of: vector, collection))
        }
        try reserve(text.count + metadata.count + (vector?.count ?? 0) * 4 + id.count + 64)
        expect(expectedVersion)
        addsData = true
        if let facts { vectorFacts.append(facts) }
        writer.put(
            collectionID: collection.id,
            id: id,
            vector: vector,
            text: text,
            metadata: metadata,
            expiry: expiry
        )
    }

    /// Deletes a document; one that is not there is fine.
    ///
    /// - Throws: `unknownCollection`, `invalidID`.
    package mutating func delete(
        _ collection: CollectionShape,
        id: UnsafeRawBufferPointer,
        expectedVersion: UInt64? = nil
    ) throws(StoreError) {
        try use(collection)
        try checkID(id)
        try reserve(id.count + 32)
        expect(expectedVersion)
        writer.delete(collectionID: collection.id, id: id)
    }

    /// Deletes every document whose id begins with `prefix` when the commit takes place.
    ///
    /// - Parameter prefix: 1 to 1,024 bytes of UTF-8 without NUL.
    /// - Throws: `unknownCollection`, `invalidID`.
    package mutating func delete(_ collection: CollectionShape, prefix: UnsafeRawBufferPointer)
        throws(StoreError)
    {
        try use(collection)
        guard KeyBytes.isValidID(prefix) else {
            throw StoreError(
                .invalidID,
                "a prefix of ids has 1 to \(FormatLimits.idByteCount) bytes of UTF-8 and no NUL; "
                    + "to delete all documents drop the collection and create it again",
                found: Self.fault(in: prefix)
            )
        }
        try reserve(prefix.count + 32)
        writer.deletePrefix(collectionID: collection.id, prefix: prefix)
    }

    /// Makes the next operation depend on the version of the document that it is about.
    mutating func expect(_ version: UInt64?, isBase: Bool = false) {
        guard let version else { return }
        conditions.append(
            Condition(operation: writer.operationCount, version: version, isBase: isBase)
        )
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
        guard writer.operationCount < Self.operationLimit else {
            throw StoreError(
                .tooLarge,
                "one commit has too many operations",
                expected: "at most \(Self.operationLimit)",
                found: "more"
            )
        }
    }

    func checkID(_ id: UnsafeRawBufferPointer) throws(StoreError) {
        guard KeyBytes.isValidID(id) else {
            throw StoreError(
                .invalidID,
                "a document's id has 1 to \(FormatLimits.idByteCount) bytes of UTF-8 and no NUL",
                found: Self.fault(in: id)
            )
        }
    }

    /// What is wrong with bytes that are no id.
    private static func fault(in id: UnsafeRawBufferPointer) -> String {
        guard id.count >= 1, id.count <= FormatLimits.idByteCount else {
            return "\(id.count) bytes"
        }
        if let place = id.firstIndex(of: 0) { return "a NUL at byte \(place)" }
        return "\(id.count) bytes that are not UTF-8"
    }

    private func validatedNorm(
        of vector: UnsafeBufferPointer<Float>,
        _ collection: CollectionShape
    ) throws(StoreError) -> Float {
        // Where there are no vectors one of no numbers is one too many: none is `nil`.
        guard vector.count == collection.dimensions, collection.dimensions > 0 else {
            throw StoreError(
                .wrongDimension,
                collection.dimensions == 0
                    ? "collection \"\(collection.name)\" holds no vectors"
                    : "a vector has not the dimensions of collection \"\(collection.name)\"",
                expected: collection.dimensions == 0 ? "no vector" : "\(collection.dimensions)",
                found: "\(vector.count)"
            )
        }
        return try VectorMath.validatedNorm(of: vector, metric: collection.metric)
    }
}

/// What is computed of a vector when it comes, while it is near: a checkpoint would have to fetch
/// it once more.
struct VectorFacts: Sendable {
    let norm: Float
    /// CRC-32C of the f32s.
    let checksum: UInt32

    /// - Parameter norm: what `VectorMath.norm` makes of it.
    init(_ vector: UnsafeBufferPointer<Float>, norm: Float) {
        self.norm = norm
        checksum = CRC32C.value(UnsafeRawBufferPointer(vector))
    }
}

extension CollectionShape {
    /// What is wrong when a collection is asked for with another shape.
    package func mismatch(dimensions: Int, metric: Metric) -> StoreError {
        StoreError(
            .collectionMismatch,
            "collection \"\(name)\" exists with another shape",
            expected: "\(self.dimensions) dimensions, \(self.metric.name)",
            found: "\(dimensions) dimensions, \(metric.name)"
        )
    }
}
