// Directory and footer of sealed files. Bytes: format-spec/file-header.md.

package import MoraineBytes

/// What the manifest remembers of a sealed file; enough to tell it from every other one.
package struct SealedFileReference: Sendable, Hashable {
    package let fileID: UInt64
    package let byteCount: UInt64
    package let footerChecksum: UInt32

    package init(fileID: UInt64, byteCount: UInt64, footerChecksum: UInt32) {
        self.fileID = fileID
        self.byteCount = byteCount
        self.footerChecksum = footerChecksum
    }
}

/// The last 64 bytes of a sealed file.
package struct FileFooter: Sendable, Equatable {
    package static let byteCount = 64
    package static let end: [UInt8] = Array("MEND".utf8)

    package static let layout = [
        ByteField("directoryOffset", offset: 0, size: 8, type: "u64"),
        ByteField("directoryByteCount", offset: 8, size: 4, type: "u32"),
        ByteField("directoryChecksum", offset: 12, size: 4, type: "u32"),
        ByteField("fileByteCount", offset: 16, size: 8, type: "u64"),
        ByteField("rowCount", offset: 24, size: 8, type: "u64"),
        ByteField("minLSN", offset: 32, size: 8, type: "u64"),
        ByteField("maxLSN", offset: 40, size: 8, type: "u64"),
        ByteField("fileID", offset: 48, size: 8, type: "u64"),
        ByteField("footerChecksum", offset: 56, size: 4, type: "u32"),
        ByteField("end", offset: 60, size: 4, type: "u8[4]"),
    ]

    package var directoryOffset: UInt64
    package var directoryByteCount: UInt32
    package var directoryChecksum: UInt32
    package var fileByteCount: UInt64
    /// Rows of the segment; for deletions: dead rows.
    package var rowCount: UInt64
    /// Lowest and highest LSN of a record in the file, 0 when there is none.
    package var minLSN: UInt64
    package var maxLSN: UInt64
    package var fileID: UInt64

    package init(
        directoryOffset: UInt64,
        directoryByteCount: UInt32,
        directoryChecksum: UInt32,
        fileByteCount: UInt64,
        rowCount: UInt64,
        minLSN: UInt64,
        maxLSN: UInt64,
        fileID: UInt64
    ) {
        self.directoryOffset = directoryOffset
        self.directoryByteCount = directoryByteCount
        self.directoryChecksum = directoryChecksum
        self.fileByteCount = fileByteCount
        self.rowCount = rowCount
        self.minLSN = minLSN
        self.maxLSN = maxLSN
        self.fileID = fileID
    }

    /// The 64 bytes and the checksum in them.
    package func encode(storeID: StoreID) -> (bytes: [UInt8], checksum: UInt32) {
        var writer = ByteWriter(capacity: FileFooter.byteCount)
        writer.writeUInt64(directoryOffset)
        writer.writeUInt32(directoryByteCount)
        writer.writeUInt32(directoryChecksum)
        writer.writeUInt64(fileByteCount)
        writer.writeUInt64(rowCount)
        writer.writeUInt64(minLSN)
        writer.writeUInt64(maxLSN)
        writer.writeUInt64(fileID)
        let checksum = writer.withBytes { storeID.seed.checksum($0) }
        writer.writeUInt32(checksum)
        writer.writeBytes(FileFooter.end)
        return (writer.finish(), checksum)
    }

    /// Reads the 64 bytes and checks end mark and checksum.
    package init(decoding bytes: UnsafeRawBufferPointer, storeID: StoreID) throws(FormatError) {
        var reader = ByteReader(bytes)
        directoryOffset = try reader.readUInt64("directoryOffset")
        directoryByteCount = try reader.readUInt32("directoryByteCount")
        directoryChecksum = try reader.readUInt32("directoryChecksum")
        fileByteCount = try reader.readUInt64("fileByteCount")
        rowCount = try reader.readUInt64("rowCount")
        minLSN = try reader.readUInt64("minLSN")
        maxLSN = try reader.readUInt64("maxLSN")
        fileID = try reader.readUInt64("fileID")
        let checksum = try reader.readUInt32("footerChecksum")
        let end = try reader.readBytes(4, "end")
        try reader.expectEnd("footer")
        try expect(end.elementsEqual(FileFooter.end), 60, "end", "MEND")
        try expectChecksum(
            storeID.seed.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<56])),
            checksum.littleEndian,
            at: 56,
            "footerChecksum"
        )
    }
}

/// The types of sections.
///
/// On disk: never renumber.
package enum SectionType {
    package static let documentBlocks: UInt32 = 1
    package static let blockIndex: UInt32 = 2
    package static let schema: UInt32 = 3
    package static let inputs: UInt32 = 4
    package static let removals: UInt32 = 5
    package static let expiries: UInt32 = 6
    package static let keyBlocks: UInt32 = 16
    package static let fences: UInt32 = 17
    package static let filter: UInt32 = 18
    package static let spaces: UInt32 = 31
    package static let vectors: UInt32 = 32
    package static let rowMap: UInt32 = 33
    package static let norms: UInt32 = 34
    package static let deletionSummary: UInt32 = 48
    package static let deadRowContainers: UInt32 = 49
    package static let source: UInt32 = 64
    package static let codeSpaces: UInt32 = 65
    package static let codeHighHalves: UInt32 = 66
    package static let codeErrors: UInt32 = 67
    package static let codeSquareSums: UInt32 = 68
    package static let codeLowHalves: UInt32 = 69
    package static let coarseErrors: UInt32 = 70
    package static let coarseSquareSums: UInt32 = 71
    package static let columnValues: UInt32 = 80
    package static let columnPaths: UInt32 = 81
    package static let columns: UInt32 = 82
    package static let columnFields: UInt32 = 83
    package static let columnCollections: UInt32 = 84
    package static let graphSpaces: UInt32 = 96
    package static let links: UInt32 = 97
    package static let graphEntries: UInt32 = 98
    package static let duplicates: UInt32 = 99
    package static let checksumTable: UInt32 = 255

    /// True when files of that kind have sections of that type.
    package static func isKnown(_ type: UInt32, in kind: FileKind) -> Bool {
        switch kind {
        case .document: (documentBlocks...expiries).contains(type)
        case .key: (keyBlocks...filter).contains(type)
        case .vector: (spaces...norms).contains(type)
        case .deletions: (deletionSummary...deadRowContainers).contains(type)
        case .codes: (source...coarseSquareSums).contains(type)
        case .columns: type == source || (columnValues...columnCollections).contains(type)
        case .graph: type == source || (graphSpaces...duplicates).contains(type)
        case .root, .manifest, .log: false
        }
    }

    /// True for sections whose content carries its own checksums.
    package static func isSelfChecked(_ type: UInt32) -> Bool { type == documentBlocks }
}

/// One entry of a sealed file's directory.
package struct SectionEntry: Sendable, Equatable {
    package static let byteCount = 32
    /// Sections start at multiples of this.
    package static let alignment: UInt64 = 64
    /// Bytes under one checksum of the table.
    package static let chunkByteCount = 65_536

    package static let layout = [
        ByteField("type", offset: 0, size: 4, type: "u32"),
        ByteField("ordinal", offset: 4, size: 4, type: "u32"),
        ByteField("offset", offset: 8, size: 8, type: "u64"),
        ByteField("byteCount", offset: 16, size: 8, type: "u64"),
        ByteField("firstChecksum", offset: 24, size: 4, type: "u32"),
        ByteField("tableChecksum", offset: 28, size: 4, type: "u32"),
    ]

    package var type: UInt32
    package var ordinal: UInt32
    package var offset: UInt64
    package var byteCount: UInt64
    package var firstChecksum: UInt32
    package var tableChecksum: UInt32

    package init(
        type: UInt32,
        ordinal: UInt32,
        offset: UInt64,
        byteCount: UInt64,
        firstChecksum: UInt32,
        tableChecksum: UInt32
    ) {
        self.type = type
        self.ordinal = ordinal
        self.offset = offset
        self.byteCount = byteCount
        self.firstChecksum = firstChecksum
        self.tableChecksum = tableChecksum
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(type)
        writer.writeUInt32(ordinal)
        writer.writeUInt64(offset)
        writer.writeUInt64(byteCount)
        writer.writeUInt32(firstChecksum)
        writer.writeUInt32(tableChecksum)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        type = try reader.readUInt32("type")
        ordinal = try reader.readUInt32("ordinal")
        offset = try reader.readUInt64("offset")
        byteCount = try reader.readUInt64("byteCount")
        firstChecksum = try reader.readUInt32("firstChecksum")
        tableChecksum = try reader.readUInt32("tableChecksum")
    }

    /// How many checksums of the table belong to the section.
    package var chunkCount: UInt64 {
        if SectionType.isSelfChecked(type) { return 0 }
        let size = UInt64(SectionEntry.chunkByteCount)
        return byteCount / size + (byteCount % size == 0 ? 0 : 1)
    }
}
