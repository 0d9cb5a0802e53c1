// The edits of a manifest. Bytes: format-spec/manifest.md.

package import MoraineBytes

/// One change of the set of files that make up the store.
package enum ManifestEdit: Sendable, Equatable {
    case counters(nextFileID: UInt64, nextCollectionID: UInt32)
    case collection(CollectionShape, createdLSN: UInt64)
    case segment(SegmentEntry)
    case deletions(DeletionsEntry)
    case log(LogEntry)
    case logDropped(sequence: UInt64)
    case floor(lsn: UInt64, commitTime: UInt64)
    case collectionRenamed(id: UInt32, name: String)
    /// The collection is gone; its id is never used again.
    case collectionDropped(id: UInt32)
    /// A segment that is no longer part of the store; its files may still be there.
    case segmentDropped(id: UInt64)
    /// A derived file; takes the place of an earlier one of its kind and segment.
    case derived(DerivedEntry)
    /// The derived file of that kind is no longer part of the store.
    case derivedDropped(segmentID: UInt64, kindNumber: UInt8)

    /// On disk: never renumber.
    private enum Tag: UInt8 {
        case counters = 1
        case collection = 2
        case segment = 3
        case deletions = 4
        case log = 5
        case logDropped = 6
        case floor = 7
        case collectionRenamed = 8
        case collectionDropped = 9
        case segmentDropped = 10
        case derived = 11
        case derivedDropped = 12
    }
}

/// A live log file.
package struct LogEntry: Sendable, Equatable {
    package let sequence: UInt64
    package let epoch: UInt64
    /// The number that its first commit has.
    package let firstLSN: UInt64
    /// Its writer's: what tells it from a log file of a copy of the store that went on by itself.
    package let incarnation: UInt64

    package init(sequence: UInt64, epoch: UInt64, firstLSN: UInt64, incarnation: UInt64) {
        self.sequence = sequence
        self.epoch = epoch
        self.firstLSN = firstLSN
        self.incarnation = incarnation
    }

    /// What a manifest says of the file with that head.
    package init(_ header: LogHeader) {
        self.init(
            sequence: header.fileID,
            epoch: header.epoch,
            firstLSN: header.firstNumber,
            incarnation: header.incarnation
        )
    }
}

/// The dead rows of a segment.
package struct DeletionsEntry: Sendable, Equatable {
    package let segmentID: UInt64
    package let file: SealedFileReference
    package let deadRowCount: UInt64

    package init(segmentID: UInt64, file: SealedFileReference, deadRowCount: UInt64) {
        self.segmentID = segmentID
        self.file = file
        self.deadRowCount = deadRowCount
    }
}

/// A segment and its files.
package struct SegmentEntry: Sendable, Equatable {
    /// On disk: never renumber.
    package enum FileKind: UInt8, Sendable {
        case document = 1
        case key = 2
        case vector = 3
    }

    package let id: UInt64
    package let rowCount: UInt64
    package let tombstoneCount: UInt64
    package let minLSN: UInt64
    package let maxLSN: UInt64
    /// The segments that a compaction read; empty after a flush.
    package let inputs: [UInt64]
    package let document: SealedFileReference
    package let key: SealedFileReference
    package let vector: SealedFileReference?

    package init(
        id: UInt64,
        rowCount: UInt64,
        tombstoneCount: UInt64,
        minLSN: UInt64,
        maxLSN: UInt64,
        inputs: [UInt64],
        document: SealedFileReference,
        key: SealedFileReference,
        vector: SealedFileReference?
    ) {
        self.id = id
        self.rowCount = rowCount
        self.tombstoneCount = tombstoneCount
        self.minLSN = minLSN
        self.maxLSN = maxLSN
        self.inputs = inputs
        self.document = document
        self.key = key
        self.vector = vector
    }
}

extension ManifestEdit {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .counters(let nextFileID, let nextCollectionID):
            writer.writeUInt8(Tag.counters.rawValue)
            writer.writeVarint(nextFileID)
            writer.writeVarint(UInt64(nextCollectionID))
        case .collection(let shape, let createdLSN):
            writer.writeUInt8(Tag.collection.rawValue)
            writer.writeCollectionShape(shape)
            writer.writeVarint(createdLSN)
        case .segment(let entry):
            writer.writeUInt8(Tag.segment.rawValue)
            entry.encode(into: &writer)
        case .deletions(let entry):
            writer.writeUInt8(Tag.deletions.rawValue)
            writer.writeVarint(entry.segmentID)
            writer.writeReference(entry.file)
            writer.writeVarint(entry.deadRowCount)
        case .log(let entry):
            writer.writeUInt8(Tag.log.rawValue)
            writer.writeVarint(entry.sequence)
            writer.writeVarint(entry.epoch)
            writer.writeVarint(entry.firstLSN)
            writer.writeUInt64(entry.incarnation)
        case .logDropped(let sequence):
            writer.writeUInt8(Tag.logDropped.rawValue)
            writer.writeVarint(sequence)
        case .floor(let lsn, let commitTime):
            writer.writeUInt8(Tag.floor.rawValue)
            writer.writeVarint(lsn)
            writer.writeVarint(commitTime)
        case .collectionRenamed(let id, let name):
            writer.writeUInt8(Tag.collectionRenamed.rawValue)
            writer.writeVarint(UInt64(id))
            writer.writeString(name)
        case .collectionDropped(let id):
            writer.writeUInt8(Tag.collectionDropped.rawValue)
            writer.writeVarint(UInt64(id))
        case .segmentDropped(let id):
            writer.writeUInt8(Tag.segmentDropped.rawValue)
            writer.writeVarint(id)
        case .derived(let entry):
            writer.writeUInt8(Tag.derived.rawValue)
            writer.writeVarint(entry.segmentID)
            writer.writeUInt8(entry.kindNumber)
            writer.writeReference(entry.file)
        case .derivedDropped(let segmentID, let kindNumber):
            writer.writeUInt8(Tag.derivedDropped.rawValue)
            writer.writeVarint(segmentID)
            writer.writeUInt8(kindNumber)
        }
    }

    package static func decode(_ reader: inout ByteReader) throws(FormatError) -> ManifestEdit {
        let at = UInt64(reader.position)
        let tag = try reader.readUInt8("tag")
        switch Tag(rawValue: tag) {
        case .counters:
            let nextFileID = try reader.readNumber("nextFileID")
            return .counters(
                nextFileID: nextFileID,
                nextCollectionID: try reader.readUInt32Varint("nextCollectionID")
            )
        case .collection:
            let shape = try reader.readCollectionShape()
            return .collection(shape, createdLSN: try reader.readNumber("createdLSN"))
        case .segment: return .segment(try SegmentEntry.decode(&reader))
        case .deletions:
            let segmentID = try reader.readNumber("segment id")
            let file = try reader.readReference()
            return .deletions(
                DeletionsEntry(
                    segmentID: segmentID,
                    file: file,
                    deadRowCount: try reader.readVarint("deadRowCount")
                )
            )
        case .log:
            let sequence = try reader.readNumber("sequence")
            let epoch = try reader.readNumber("epoch")
            return .log(
                LogEntry(
                    sequence: sequence,
                    epoch: epoch,
                    firstLSN: try reader.readNumber("firstLSN"),
                    incarnation: try reader.readUInt64("incarnation")
                )
            )
        case .logDropped: return .logDropped(sequence: try reader.readNumber("sequence"))
        case .floor:
            let lsn = try reader.readNumber("LSN")
            return .floor(lsn: lsn, commitTime: try reader.readVarint("commitTime"))
        case .collectionRenamed:
            let id = try reader.readCollectionID()
            return .collectionRenamed(id: id, name: try reader.readCollectionName())
        case .collectionDropped: return .collectionDropped(id: try reader.readCollectionID())
        case .segmentDropped: return .segmentDropped(id: try reader.readNumber("segment id"))
        case .derived:
            let segmentID = try reader.readNumber("segment id")
            let kindNumber = try reader.readUInt8("kind")
            return .derived(
                DerivedEntry(
                    segmentID: segmentID,
                    kindNumber: kindNumber,
                    file: try reader.readReference()
                )
            )
        case .derivedDropped:
            let segmentID = try reader.readNumber("segment id")
            return .derivedDropped(
                segmentID: segmentID,
                kindNumber: try reader.readUInt8("kind")
            )
        case nil:
            throw FormatError(
                .newer,
                at: at,
                field: "tag",
                expected: "1 to 12",
                found: "\(tag)"
            )
        }
    }
}

extension SegmentEntry {
    fileprivate func encode(into writer: inout ByteWriter) {
        for value in [id, rowCount, tombstoneCount, minLSN, maxLSN, UInt64(inputs.count)] + inputs {
            writer.writeVarint(value)
        }
        writer.writeVarint(vector == nil ? 2 : 3)
        writer.writeUInt8(FileKind.document.rawValue)
        writer.writeReference(document)
        writer.writeUInt8(FileKind.key.rawValue)
        writer.writeReference(key)
        if let vector {
            writer.writeUInt8(FileKind.vector.rawValue)
            writer.writeReference(vector)
        }
    }

    fileprivate static func decode(_ reader: inout ByteReader) throws(FormatError) -> SegmentEntry {
        let start = UInt64(reader.position)
        let id = try reader.readNumber("segment id")
        let rowCount = try reader.readVarint("rowCount")
        let tombstoneCount = try reader.readVarint("tombstoneCount")
        let minLSN = try reader.readNumber("minLSN")
        let maxLSN = try reader.readNumber("maxLSN")
        var inputs: [UInt64] = []
        for _ in 0..<(try reader.readCount("inputCount")) {
            inputs.append(try reader.readNumber("input"))
        }
        var files: [FileKind: SealedFileReference] = [:]
        for _ in 0..<(try reader.readCount("fileCount")) {
            let at = UInt64(reader.position)
            let tag = try reader.readUInt8("file kind")
            guard let kind = FileKind(rawValue: tag), files[kind] == nil else {
                throw FormatError(
                    .newer,
                    at: at,
                    field: "file kind",
                    expected: "1 to 3, each once",
                    found: "\(tag)"
                )
            }
            files[kind] = try reader.readReference()
        }
        guard let document = files[.document], let key = files[.key], document.fileID == id,
            rowCount < UInt64(UInt32.max), minLSN <= maxLSN
        else {
            throw FormatError(
                .mismatch,
                at: start,
                field: "segment",
                expected: "a .doc with the segment's id, a .key, fewer than 2^32 - 1 rows",
                found: "segment \(id) with \(files.count) files, \(rowCount) rows"
            )
        }
        return SegmentEntry(
            id: id,
            rowCount: rowCount,
            tombstoneCount: tombstoneCount,
            minLSN: minLSN,
            maxLSN: maxLSN,
            inputs: inputs,
            document: document,
            key: key,
            vector: files[.vector]
        )
    }
}

extension ByteReader {
    fileprivate mutating func readReference() throws(FormatError) -> SealedFileReference {
        let fileID = try readNumber("fileID")
        let byteCount = try readVarint("byteCount")
        return SealedFileReference(
            fileID: fileID,
            byteCount: byteCount,
            footerChecksum: try readUInt32("footerChecksum")
        )
    }

    fileprivate mutating func readUInt32Varint(_ field: StaticString) throws(FormatError) -> UInt32
    {
        let at = UInt64(position)
        let value = try readVarint(field)
        guard let narrow = UInt32(exactly: value) else {
            throw FormatError(
                .range,
                at: at,
                field: "\(field)",
                expected: "32 bits",
                found: "\(value)"
            )
        }
        return narrow
    }
}

extension ByteWriter {
    fileprivate mutating func writeReference(_ file: SealedFileReference) {
        writeVarint(file.fileID)
        writeVarint(file.byteCount)
        writeUInt32(file.footerChecksum)
    }
}
