// Blocks of documents and the index of them. Bytes: format-spec/document.md.

package import MoraineBytes

/// The header of a block of records.
package struct DocumentBlockHeader: Sendable, Equatable {
    /// What the records are.
    ///
    /// On disk: never renumber.
    package enum Kind: UInt8, Sendable {
        case documents = 1
        case tombstones = 2
    }

    package static let byteCount = 56
    package static let magic: [UInt8] = Array("MBLK".utf8)
    /// `firstRow` of a block of tombstones.
    package static let noRow = UInt32.max

    package static let layout = [
        ByteField("magic", offset: 0, size: 4, type: "u8[4]"),
        ByteField("headerChecksum", offset: 4, size: 4, type: "u32"),
        ByteField("segmentID", offset: 8, size: 8, type: "u64"),
        ByteField("blockNumber", offset: 16, size: 4, type: "u32"),
        ByteField("firstRow", offset: 20, size: 4, type: "u32"),
        ByteField("recordCount", offset: 24, size: 4, type: "u32"),
        ByteField("codec", offset: 28, size: 1, type: "u8"),
        ByteField("kind", offset: 29, size: 1, type: "u8"),
        ByteField("flags", offset: 30, size: 2, type: "u16"),
        ByteField("rawByteCount", offset: 32, size: 4, type: "u32"),
        ByteField("storedByteCount", offset: 36, size: 4, type: "u32"),
        ByteField("maxLSN", offset: 40, size: 8, type: "u64"),
        ByteField("payloadChecksum", offset: 48, size: 4, type: "u32"),
        ByteField("reserved", offset: 52, size: 4, type: "u32"),
    ]

    package var segmentID: UInt64
    package var blockNumber: UInt32
    package var firstRow: UInt32
    package var recordCount: UInt32
    package var codec: Codec
    package var kind: Kind
    package var rawByteCount: UInt32
    package var storedByteCount: UInt32
    package var maxLSN: UInt64
    package var payloadChecksum: UInt32

    package init(
        segmentID: UInt64,
        blockNumber: UInt32,
        firstRow: UInt32,
        recordCount: UInt32,
        codec: Codec,
        kind: Kind,
        rawByteCount: UInt32,
        storedByteCount: UInt32,
        maxLSN: UInt64,
        payloadChecksum: UInt32
    ) {
        self.segmentID = segmentID
        self.blockNumber = blockNumber
        self.firstRow = firstRow
        self.recordCount = recordCount
        self.codec = codec
        self.kind = kind
        self.rawByteCount = rawByteCount
        self.storedByteCount = storedByteCount
        self.maxLSN = maxLSN
        self.payloadChecksum = payloadChecksum
    }

    /// Appends the 56 bytes of a block that stands at `offset` in the file.
    ///
    /// - Parameter seed: store and file.
    /// - Returns: the header's checksum.
    package func encode(at offset: UInt64, seed: ChecksumSeed, into writer: inout ByteWriter)
        -> UInt32
    {
        var rest = ByteWriter(capacity: DocumentBlockHeader.byteCount)
        rest.writeUInt64(segmentID)
        rest.writeUInt32(blockNumber)
        rest.writeUInt32(firstRow)
        rest.writeUInt32(recordCount)
        rest.writeUInt8(codec.rawValue)
        rest.writeUInt8(kind.rawValue)
        rest.writeUInt16(0)
        rest.writeUInt32(rawByteCount)
        rest.writeUInt32(storedByteCount)
        rest.writeUInt64(maxLSN)
        rest.writeUInt32(payloadChecksum)
        rest.writeUInt32(0)
        let checksum = rest.withBytes { seed.mixed(offset).checksum($0) }
        writer.writeBytes(DocumentBlockHeader.magic)
        writer.writeUInt32(checksum)
        writer.writeBytes(rest.finish())
        return checksum
    }

    /// Reads 56 bytes that stand at `offset` in the file, and checks them.
    ///
    /// Offsets in errors count from the block's start.
    ///
    /// - Parameter named: the checksum by which the index of blocks knows the header; `nil` where
    ///   there is no index to ask.
    package init(
        decoding bytes: UnsafeRawBufferPointer,
        at offset: UInt64,
        seed: ChecksumSeed,
        named: UInt32?
    ) throws(FormatError) {
        var reader = ByteReader(bytes)
        let magic = try reader.readBytes(4, "magic")
        let checksum = try reader.readUInt32("headerChecksum")
        let rest = try reader.readBytes(48, "block header")
        try reader.expectEnd("block header")
        try expect(magic.elementsEqual(DocumentBlockHeader.magic), 0, "magic", "MBLK")
        try expectChecksum(
            seed.mixed(offset).checksum(rest),
            checksum.littleEndian,
            at: 4,
            "headerChecksum"
        )
        // Sound, and perhaps of another history of the same store.
        if let named, checksum != named {
            throw FormatError(
                .mismatch,
                at: 4,
                field: "headerChecksum",
                expected: hex(named),
                found: hex(checksum)
            )
        }
        reader = ByteReader(rest)
        segmentID = try reader.readUInt64("segmentID")
        blockNumber = try reader.readUInt32("blockNumber")
        firstRow = try reader.readUInt32("firstRow")
        recordCount = try reader.readUInt32("recordCount")
        let codecByte = try reader.readUInt8("codec")
        let kindByte = try reader.readUInt8("kind")
        let flags = try reader.readUInt16("flags")
        rawByteCount = try reader.readUInt32("rawByteCount")
        storedByteCount = try reader.readUInt32("storedByteCount")
        maxLSN = try reader.readUInt64("maxLSN")
        payloadChecksum = try reader.readUInt32("payloadChecksum")
        let reserved = try reader.readUInt32("reserved")
        guard let codec = Codec(rawValue: codecByte), let kind = Kind(rawValue: kindByte),
            flags == 0, reserved == 0
        else {
            throw FormatError(
                .newer,
                at: 28,
                field: "codec",
                expected: "a known codec and kind, no flags",
                found: "codec \(codecByte), kind \(kindByte), flags \(flags), \(reserved)"
            )
        }
        self.codec = codec
        self.kind = kind
    }
}

/// One entry of the index of blocks.
package struct BlockIndexEntry: Sendable, Equatable {
    package static let byteCount = 32

    package static let layout = [
        ByteField("offset", offset: 0, size: 8, type: "u64"),
        ByteField("storedByteCount", offset: 8, size: 4, type: "u32"),
        ByteField("rawByteCount", offset: 12, size: 4, type: "u32"),
        ByteField("firstRow", offset: 16, size: 4, type: "u32"),
        ByteField("recordCount", offset: 20, size: 4, type: "u32"),
        ByteField("headerChecksum", offset: 24, size: 4, type: "u32"),
        ByteField("reserved", offset: 28, size: 4, type: "u32"),
    ]

    package var offset: UInt64
    package var storedByteCount: UInt32
    package var rawByteCount: UInt32
    package var firstRow: UInt32
    package var recordCount: UInt32
    /// What binds the block to the index, and so to the footer and the manifest.
    package var headerChecksum: UInt32

    package init(
        offset: UInt64,
        storedByteCount: UInt32,
        rawByteCount: UInt32,
        firstRow: UInt32,
        recordCount: UInt32,
        headerChecksum: UInt32
    ) {
        self.offset = offset
        self.storedByteCount = storedByteCount
        self.rawByteCount = rawByteCount
        self.firstRow = firstRow
        self.recordCount = recordCount
        self.headerChecksum = headerChecksum
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt64(offset)
        writer.writeUInt32(storedByteCount)
        writer.writeUInt32(rawByteCount)
        writer.writeUInt32(firstRow)
        writer.writeUInt32(recordCount)
        writer.writeUInt32(headerChecksum)
        writer.writeZeros(4)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        offset = try reader.readUInt64("offset")
        storedByteCount = try reader.readUInt32("storedByteCount")
        rawByteCount = try reader.readUInt32("rawByteCount")
        firstRow = try reader.readUInt32("firstRow")
        recordCount = try reader.readUInt32("recordCount")
        headerChecksum = try reader.readUInt32("headerChecksum")
        try reader.readZeros(4, "reserved")
    }

    /// True for a block of tombstones.
    package var holdsTombstones: Bool { firstRow == DocumentBlockHeader.noRow }
}

/// A collection in the schema of a segment.
package struct SegmentCollection: Sendable, Hashable {
    package let shape: CollectionShape
    package let firstRow: UInt32
    /// 0 when the segment has only tombstones of it.
    package let rowCount: UInt32

    package init(shape: CollectionShape, firstRow: UInt32, rowCount: UInt32) {
        self.shape = shape
        self.firstRow = firstRow
        self.rowCount = rowCount
    }

    /// The rows of the collection.
    package var rows: Range<UInt32> { firstRow..<(firstRow + rowCount) }

    /// Appends a schema.
    package static func encode(_ collections: [SegmentCollection], into writer: inout ByteWriter) {
        writer.writeVarint(UInt64(collections.count))
        for collection in collections {
            writer.writeCollectionShape(collection.shape)
            writer.writeVarint(UInt64(collection.firstRow))
            writer.writeVarint(UInt64(collection.rowCount))
        }
    }

    /// Reads a schema that takes all of `bytes` and covers `rowCount` rows without gaps.
    package static func decode(_ bytes: UnsafeRawBufferPointer, rowCount: UInt64)
        throws(FormatError) -> [SegmentCollection]
    {
        var reader = ByteReader(bytes)
        // The smallest entry: id, name of one byte, dimensions, metric, first row, rows.
        let count = try reader.readCount("count", unit: 7)
        var collections: [SegmentCollection] = []
        collections.reserveCapacity(count)
        var nextRow: UInt64 = 0
        for _ in 0..<count {
            let at = UInt64(reader.position)
            let shape = try reader.readCollectionShape()
            let firstRow = try reader.readVarint("firstRow")
            let rows = try reader.readVarint("rowCount")
            guard collections.last.map({ $0.shape.id < shape.id }) ?? true, firstRow == nextRow,
                rows <= rowCount - nextRow
            else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "schema",
                    expected: "ascending collections whose rows follow each other",
                    found: "collection \(shape.id) with \(rows) rows from \(firstRow)"
                )
            }
            nextRow += rows
            // In range: both are at most the segment's rows.
            collections.append(
                SegmentCollection(
                    shape: shape,
                    firstRow: UInt32(firstRow),
                    rowCount: UInt32(rows)
                )
            )
        }
        try reader.expectEnd("schema")
        guard nextRow == rowCount else {
            throw FormatError(
                .mismatch,
                at: 0,
                field: "schema",
                expected: "\(rowCount) rows",
                found: "\(nextRow)"
            )
        }
        return collections
    }
}
