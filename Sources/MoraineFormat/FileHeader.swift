// The first 64 bytes of every file. Bytes: format-spec/file-header.md, "Header".

package import MoraineBytes

/// What a file is.
///
/// On disk: never change the letters.
package enum FileKind: String, Sendable, CaseIterable {
    case root = "RT"
    case manifest = "MF"
    case log = "WL"
    case document = "DC"
    case key = "KY"
    case vector = "VC"
    case deletions = "DL"
    case codes = "Q8"
    case graph = "GR"
    case columns = "CL"

    /// True for files that are mapped: their first page holds the header only, so that what
    /// follows starts on a page.
    package var isMapped: Bool {
        switch self {
        case .key, .vector, .codes, .graph, .columns: true
        case .root, .manifest, .log, .document, .deletions: false
        }
    }

    /// True for files that can be made again from others: their sections may become more.
    package var isDerived: Bool {
        switch self {
        case .key, .codes, .graph, .columns: true
        case .root, .manifest, .log, .document, .vector, .deletions: false
        }
    }

    /// The two letters as they stand in a file.
    package var bytes: [UInt8] { Array(rawValue.utf8) }
}

/// The header of a file: whose it is, what it is, and which readers may read it.
package struct FileHeader: Sendable, Equatable {
    package static let byteCount = 64
    /// The one revision that this code reads and writes.
    package static let revision: UInt16 = 1
    package static let magic: [UInt8] = [0x89, 0x4D, 0x52, 0x4E]
    package static let lineEnd: [UInt8] = [0x0D, 0x0A]

    package static let layout = [
        ByteField("magic", offset: 0, size: 4, type: "u8[4]"),
        ByteField("kind", offset: 4, size: 2, type: "u8[2]"),
        ByteField("lineEnd", offset: 6, size: 2, type: "u8[2]"),
        ByteField("revision", offset: 8, size: 2, type: "u16"),
        ByteField("headerByteCount", offset: 10, size: 2, type: "u16"),
        ByteField("compatFlags", offset: 12, size: 4, type: "u32"),
        ByteField("roCompatFlags", offset: 16, size: 4, type: "u32"),
        ByteField("incompatFlags", offset: 20, size: 4, type: "u32"),
        ByteField("storeID", offset: 24, size: 16, type: "u8[16]"),
        ByteField("fileID", offset: 40, size: 8, type: "u64"),
        ByteField("createdLSN", offset: 48, size: 8, type: "u64"),
        ByteField("reserved", offset: 56, size: 4, type: "u32"),
        ByteField("headerChecksum", offset: 60, size: 4, type: "u32"),
    ]

    package var kind: FileKind
    /// Bits that a reader may ignore.
    package var compatFlags: UInt32 = 0
    /// Bits that forbid writing to who does not know them; none is known.
    package var roCompatFlags: UInt32 = 0
    package var storeID: StoreID
    /// Never used twice in a store; 0 for ROOT.
    package var fileID: UInt64
    /// The newest LSN when the file was made.
    package var createdLSN: UInt64

    package init(kind: FileKind, storeID: StoreID, fileID: UInt64, createdLSN: UInt64) {
        self.kind = kind
        self.storeID = storeID
        self.fileID = fileID
        self.createdLSN = createdLSN
    }

    /// Appends the 64 bytes.
    package func encode(into writer: inout ByteWriter) {
        let start = writer.count
        writer.writeBytes(FileHeader.magic)
        writer.writeBytes(kind.bytes)
        writer.writeBytes(FileHeader.lineEnd)
        writer.writeUInt16(FileHeader.revision)
        writer.writeUInt16(UInt16(FileHeader.byteCount))
        writer.writeUInt32(compatFlags)
        writer.writeUInt32(roCompatFlags)
        writer.writeUInt32(0)
        storeID.encode(into: &writer)
        writer.writeUInt64(fileID)
        writer.writeUInt64(createdLSN)
        writer.writeUInt32(0)
        writer.writeUInt32(
            writer.withBytes { CRC32C.value(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        )
    }

    /// Reads a header and throws unless the file is the one that its referrer names.
    ///
    /// - Parameters:
    ///   - storeID: `nil` accepts any store.
    ///   - fileID: `nil` accepts any file.
    /// - Throws: `newer` for a file of a later version, other kinds for what is none of ours.
    package static func decode(
        _ reader: inout ByteReader,
        kind: FileKind,
        storeID: StoreID?,
        fileID: UInt64?
    ) throws(FormatError) -> FileHeader {
        let start = UInt64(reader.position)
        do throws(FormatError) {
            let header = try FileHeader(decoding: reader.readBytes(byteCount, "header"))
            try header.validate(kind: kind, storeID: storeID, fileID: fileID)
            return header
        } catch {
            throw error.shifted(by: start)
        }
    }

    /// Reads 64 bytes of a file of any kind and store.
    package init(decoding header: UnsafeRawBufferPointer) throws(FormatError) {
        guard header.count == FileHeader.byteCount else {
            throw FormatError(
                .truncated,
                at: 0,
                field: "header",
                expected: "64 bytes",
                found: "\(header.count)"
            )
        }
        try expect(header[0..<4].elementsEqual(FileHeader.magic), 0, "magic", "89 4D 52 4E")
        try expect(header[6..<8].elementsEqual(FileHeader.lineEnd), 6, "lineEnd", "0D 0A")
        try expectChecksum(
            CRC32C.value(UnsafeRawBufferPointer(rebasing: header[0..<60])),
            header.loadUnaligned(fromByteOffset: 60, as: UInt32.self),
            at: 60,
            "headerChecksum"
        )

        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: header[4..<60]))
        let letters = try reader.readUInt16("kind")
        _ = try reader.readUInt16("lineEnd")
        let revision = try reader.readUInt16("revision")
        let headerByteCount = try reader.readUInt16("headerByteCount")
        guard revision == FileHeader.revision else {
            throw FormatError(
                .newer,
                at: 8,
                field: "revision",
                expected: "1",
                found: "\(revision)"
            )
        }
        compatFlags = try reader.readUInt32("compatFlags")
        roCompatFlags = try reader.readUInt32("roCompatFlags")
        let incompatFlags = try reader.readUInt32("incompatFlags")
        guard incompatFlags == 0 else {
            throw FormatError(
                .newer,
                at: 20,
                field: "incompatFlags",
                expected: "0",
                found: "\(incompatFlags)"
            )
        }
        storeID = try StoreID(decoding: &reader)
        fileID = try reader.readUInt64("fileID")
        createdLSN = try reader.readUInt64("createdLSN")
        let reserved = try reader.readUInt32("reserved")
        try expect(Int(headerByteCount) == FileHeader.byteCount, 10, "headerByteCount", "64")
        try expect(reserved == 0, 56, "reserved", "0")
        let text = String(decoding: [UInt8(letters & 0xFF), UInt8(letters >> 8)], as: UTF8.self)
        guard let kind = FileKind(rawValue: text) else {
            throw FormatError(
                .newer,
                at: 4,
                field: "kind",
                expected: "a known kind",
                found: text
            )
        }
        self.kind = kind
    }

    private func validate(kind: FileKind, storeID: StoreID?, fileID: UInt64?) throws(FormatError) {
        guard self.kind == kind else {
            throw FormatError(
                .mismatch,
                at: 4,
                field: "kind",
                expected: kind.rawValue,
                found: self.kind.rawValue
            )
        }
        if let storeID, storeID != self.storeID {
            throw FormatError(
                .mismatch,
                at: 24,
                field: "storeID",
                expected: storeID.text,
                found: self.storeID.text
            )
        }
        if let fileID, fileID != self.fileID {
            throw FormatError(
                .mismatch,
                at: 40,
                field: "fileID",
                expected: "\(fileID)",
                found: "\(self.fileID)"
            )
        }
    }

    /// True when a bit is set that allows this code to read but not to write.
    package var isReadOnly: Bool { roCompatFlags != 0 }
}

/// Throws a mismatch at `offset` unless `holds`.
func expect(
    _ holds: Bool,
    _ offset: Int,
    _ field: StaticString,
    _ expected: String
) throws(FormatError) {
    guard holds else {
        throw FormatError(
            .mismatch,
            at: UInt64(offset),
            field: "\(field)",
            expected: expected,
            found: "other bytes"
        )
    }
}

/// Throws unless the checksum that was computed is the one that is stored.
package func expectChecksum(
    _ computed: UInt32,
    _ stored: UInt32,
    at offset: UInt64,
    _ field: StaticString
) throws(FormatError) {
    let stored = UInt32(littleEndian: stored)
    guard computed == stored else {
        throw FormatError(
            .checksum,
            at: offset,
            field: "\(field)",
            expected: hex(stored),
            found: hex(computed)
        )
    }
}
