// What a commit does, as bytes of the log. Bytes: format-spec/log.md, "Commit".

package import MoraineBytes

/// One operation of a commit; the bytes are borrowed from the payload.
package enum Operation {
    case put(PutOperation)
    case delete(collectionID: UInt32, id: UnsafeRawBufferPointer)
    case createCollection(CollectionShape)
    case renameCollection(id: UInt32, name: String)
    case dropCollection(id: UInt32)
    /// Every document whose id begins with these bytes, at least one.
    case deletePrefix(collectionID: UInt32, prefix: UnsafeRawBufferPointer)

    /// On disk: never renumber.
    package enum Tag: UInt8 {
        case put = 1
        case delete = 2
        case createCollection = 3
        case renameCollection = 4
        case dropCollection = 5
        case deletePrefix = 6
    }
}

/// A put; the pointers are borrowed from the payload.
package struct PutOperation {
    package let collectionID: UInt32
    package let id: UnsafeRawBufferPointer
    /// 0 when it never expires.
    package let expiry: UInt64
    /// `dimensions` little-endian f32 at any alignment; `nil` without vector.
    package let vector: UnsafeRawBufferPointer?
    /// Prefixed text, then prefixed metadata.
    package let body: UnsafeRawBufferPointer
}

/// The payload of a commit, read operation by operation.
package struct CommitReader {
    /// Milliseconds since 1970.
    package let time: UInt64
    private var reader: ByteReader

    package init(_ payload: UnsafeRawBufferPointer) throws(FormatError) {
        reader = ByteReader(payload)
        time = try reader.readUInt64("commitTime")
    }

    /// Goes on behind the first `offset` bytes of the payload, where an operation begins.
    package init(_ payload: UnsafeRawBufferPointer, from offset: Int) throws(FormatError) {
        try self.init(payload)
        _ = try reader.readBytes(offset - reader.position, "operations")
    }

    package var isAtEnd: Bool { reader.isAtEnd }

    /// Bytes of the payload that were read.
    package var position: Int { reader.position }

    /// The next operation.
    ///
    /// Checks structure and lengths, not the canonical form of metadata.
    package mutating func next() throws(FormatError) -> Operation {
        let start = UInt64(reader.position)
        let tag = try reader.readUInt8("operation")
        switch Operation.Tag(rawValue: tag) {
        case .put: return .put(try readPut())
        case .delete:
            let collectionID = try reader.readCollectionID()
            return .delete(collectionID: collectionID, id: try reader.readID())
        case .createCollection:
            return .createCollection(try reader.readCollectionShape())
        case .renameCollection:
            let id = try reader.readCollectionID()
            return .renameCollection(id: id, name: try reader.readCollectionName())
        case .dropCollection: return .dropCollection(id: try reader.readCollectionID())
        case .deletePrefix:
            let collectionID = try reader.readCollectionID()
            return .deletePrefix(collectionID: collectionID, prefix: try reader.readID())
        case nil:
            throw FormatError(
                .newer,
                at: start,
                field: "operation",
                expected: "1 to 6",
                found: "\(tag)"
            )
        }
    }

    private mutating func readPut() throws(FormatError) -> PutOperation {
        let collectionID = try reader.readCollectionID()
        let id = try reader.readID()
        let flagsAt = UInt64(reader.position)
        let flags = try reader.readUInt8("flags")
        guard flags <= 1 else {
            throw FormatError(
                .newer,
                at: flagsAt,
                field: "flags",
                expected: "0 or 1",
                found: "\(flags)"
            )
        }
        let expiry = try reader.readVarint("expiry")
        var vector: UnsafeRawBufferPointer?
        if flags == 1 {
            let at = UInt64(reader.position)
            let dimensions = try reader.readCount("dimensions", unit: 4)
            guard dimensions >= 1, dimensions <= FormatLimits.dimensions else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "dimensions",
                    expected: "1 to 16384",
                    found: "\(dimensions)"
                )
            }
            vector = try reader.readBytes(dimensions * 4, "vector")
        }
        let bodyStart = reader.position
        _ = try reader.readPrefixed("text")
        _ = try reader.readPrefixed("metadata")
        let body = UnsafeRawBufferPointer(rebasing: reader.bytes[bodyStart..<reader.position])
        return PutOperation(
            collectionID: collectionID,
            id: id,
            expiry: expiry,
            vector: vector,
            body: body
        )
    }
}

/// Builds the payload of a commit.
package struct CommitWriter: Sendable {
    private var writer: ByteWriter
    package private(set) var operationCount = 0

    /// The time is set when the commit gets its number; until then it is 0.
    ///
    /// - Parameter memory: the bytes of an earlier commit, whose memory is used again.
    package init(reusing memory: consuming [UInt8] = []) {
        writer = ByteWriter(reusing: memory)
        writer.writeUInt64(0)
    }

    /// Encoded bytes so far.
    package var byteCount: Int { writer.count }

    /// Calls `body` with what is encoded so far.
    package func withPayload<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try writer.withBytes(body)
    }

    /// Adds a put.
    ///
    /// `text` is UTF-8, `metadata` a canonical metadata object, `expiry` 0 for never.
    package mutating func put(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        vector: UnsafeBufferPointer<Float>?,
        text: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer,
        expiry: UInt64 = 0
    ) {
        writer.writeUInt8(Operation.Tag.put.rawValue)
        writer.writeVarint(UInt64(collectionID))
        writer.writePrefixed(id)
        writer.writeUInt8(vector == nil ? 0 : 1)
        writer.writeVarint(expiry)
        if let vector {
            writer.writeVarint(UInt64(vector.count))
            #if _endian(little)
            writer.writeBytes(UnsafeRawBufferPointer(vector))
            #else
            for value in vector { writer.writeUInt32(value.bitPattern) }
            #endif
        }
        writer.writePrefixed(text)
        writer.writePrefixed(metadata)
        operationCount += 1
    }

    package mutating func delete(collectionID: UInt32, id: UnsafeRawBufferPointer) {
        writer.writeUInt8(Operation.Tag.delete.rawValue)
        writer.writeVarint(UInt64(collectionID))
        writer.writePrefixed(id)
        operationCount += 1
    }

    package mutating func createCollection(_ shape: CollectionShape) {
        writer.writeUInt8(Operation.Tag.createCollection.rawValue)
        writer.writeCollectionShape(shape)
        operationCount += 1
    }

    package mutating func renameCollection(id: UInt32, name: String) {
        writer.writeUInt8(Operation.Tag.renameCollection.rawValue)
        writer.writeVarint(UInt64(id))
        writer.writeString(name)
        operationCount += 1
    }

    package mutating func dropCollection(id: UInt32) {
        writer.writeUInt8(Operation.Tag.dropCollection.rawValue)
        writer.writeVarint(UInt64(id))
        operationCount += 1
    }

    package mutating func deletePrefix(collectionID: UInt32, prefix: UnsafeRawBufferPointer) {
        writer.writeUInt8(Operation.Tag.deletePrefix.rawValue)
        writer.writeVarint(UInt64(collectionID))
        writer.writePrefixed(prefix)
        operationCount += 1
    }

    package consuming func finish() -> [UInt8] { writer.finish() }
}
