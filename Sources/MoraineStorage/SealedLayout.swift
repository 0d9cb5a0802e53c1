// Header, footer, directory and checksum table of a sealed file, read and checked.
// Bytes: format-spec/file-header.md, "How to read".

package import MoraineBytes
import MoraineFiles
package import MoraineFormat

/// Where everything stands in a sealed file and what its checksums are.
package struct SealedLayout: Sendable {
    package let header: FileHeader
    package let footer: FileFooter
    /// The sections in the order of their offsets, the checksum table last.
    package let entries: [SectionEntry]
    /// The checksums of all chunks of all sections.
    let checksums: [UInt32]
    /// Store and file: what every checksum in the file starts with.
    package let seed: ChecksumSeed

    /// Reads the layout.
    ///
    /// No length in the file is believed before it was compared with the file's own, so that
    /// nothing larger than the file is ever allocated.
    init(_ file: any File, kind: FileKind, storeID: StoreID, reference: SealedFileReference)
        throws(StoreError)
    {
        let path = file.path
        let byteCount = try fileCall("read a file's length") { () throws(FileError) in
            try file.byteCount()
        }
        guard byteCount == reference.byteCount else {
            throw StoreError(
                .corrupted,
                "the file has another length than the manifest says",
                path: path,
                offset: min(byteCount, reference.byteCount),
                expected: "\(reference.byteCount) bytes",
                found: "\(byteCount)"
            )
        }
        let least = UInt64(FileHeader.byteCount + SectionEntry.byteCount + FileFooter.byteCount)
        guard byteCount >= least else {
            throw StoreError(
                .corrupted,
                "the file is too short to be sealed",
                path: path,
                offset: byteCount,
                expected: "at least \(least) bytes",
                found: "\(byteCount)"
            )
        }
        header = try readStructure(file, at: 0, count: FileHeader.byteCount) {
            bytes throws(FormatError) in
            var reader = ByteReader(bytes)
            return try FileHeader.decode(
                &reader,
                kind: kind,
                storeID: storeID,
                fileID: reference.fileID
            )
        }
        footer = try SealedLayout.readFooter(file, storeID, reference)
        let seed = storeID.seed.mixed(reference.fileID)
        let directory = try SealedLayout.readDirectory(file, kind, footer, seed)
        entries = directory
        checksums = try SealedLayout.readTable(file, directory, seed)
        self.seed = seed
    }

    private static func readFooter(
        _ file: any File,
        _ storeID: StoreID,
        _ reference: SealedFileReference
    ) throws(StoreError) -> FileFooter {
        let at = reference.byteCount - UInt64(FileFooter.byteCount)
        return try readStructure(file, at: at, count: FileFooter.byteCount) {
            bytes throws(FormatError) in
            let footer = try FileFooter(decoding: bytes, storeID: storeID)
            let checksum = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 56, as: UInt32.self)
            )
            guard checksum == reference.footerChecksum else {
                throw FormatError(
                    .mismatch,
                    at: 56,
                    field: "footerChecksum",
                    expected: hex(reference.footerChecksum),
                    found: hex(checksum)
                )
            }
            try expectEqual(footer.fileByteCount, reference.byteCount, at: 16, "fileByteCount")
            try expectEqual(footer.fileID, reference.fileID, at: 48, "fileID")
            let size = UInt64(footer.directoryByteCount)
            guard footer.directoryOffset <= at, at - footer.directoryOffset == size,
                footer.directoryOffset % SectionEntry.alignment == 0,
                footer.directoryOffset >= UInt64(FileHeader.byteCount),
                size % UInt64(SectionEntry.byteCount) == 0, size > 0
            else {
                throw FormatError(
                    .range,
                    at: 0,
                    field: "directoryOffset",
                    expected: "a directory that ends at \(at)",
                    found: "\(size) bytes at \(footer.directoryOffset)"
                )
            }
            return footer
        }
    }

    private static func readDirectory(
        _ file: any File,
        _ kind: FileKind,
        _ footer: FileFooter,
        _ seed: ChecksumSeed
    ) throws(StoreError) -> [SectionEntry] {
        try readStructure(
            file,
            at: footer.directoryOffset,
            count: Int(footer.directoryByteCount)
        ) { bytes throws(FormatError) in
            let checksum = seed.checksum(bytes)
            guard checksum == footer.directoryChecksum else {
                throw FormatError(
                    .checksum,
                    at: 0,
                    field: "directoryChecksum",
                    expected: hex(footer.directoryChecksum),
                    found: hex(checksum)
                )
            }
            var reader = ByteReader(bytes)
            var entries: [SectionEntry] = []
            var end = UInt64(FileHeader.byteCount)
            var checksumCount: UInt64 = 0
            var names: Set<UInt64> = []
            while !reader.isAtEnd {
                let at = UInt64(reader.position)
                let entry = try SectionEntry(decoding: &reader)
                let isTable = entry.type == SectionType.checksumTable
                guard isTable || kind.isDerived || SectionType.isKnown(entry.type, in: kind) else {
                    throw FormatError(
                        .newer,
                        at: at,
                        field: "type",
                        expected: "a section of a \(kind.rawValue) file",
                        found: "\(entry.type)"
                    )
                }
                guard entry.offset % SectionEntry.alignment == 0, entry.offset >= end,
                    entry.offset <= footer.directoryOffset,
                    entry.byteCount <= footer.directoryOffset - entry.offset
                else {
                    throw FormatError(
                        .range,
                        at: at + 8,
                        field: "offset",
                        expected: "a section between \(end) and \(footer.directoryOffset)",
                        found: "\(entry.byteCount) bytes at \(entry.offset)"
                    )
                }
                end = entry.offset + entry.byteCount
                try expectEqual(
                    UInt64(entry.firstChecksum),
                    isTable ? 0 : checksumCount,
                    at: at + 24,
                    "firstChecksum"
                )
                guard names.insert(UInt64(entry.type) << 32 | UInt64(entry.ordinal)).inserted,
                    isTable == reader.isAtEnd
                else {
                    throw FormatError(
                        .mismatch,
                        at: at,
                        field: "type",
                        expected: "each section once, the checksum table last",
                        found: "\(entry.type).\(entry.ordinal)"
                    )
                }
                if isTable {
                    // Divided, not multiplied: the count comes from the file.
                    try expectEqual(entry.byteCount % 4, 0, at: at + 16, "byteCount")
                    try expectEqual(entry.byteCount / 4, checksumCount, at: at + 16, "byteCount")
                } else {
                    checksumCount += entry.chunkCount
                }
                entries.append(entry)
            }
            return entries
        }
    }

    private static func readTable(
        _ file: any File,
        _ entries: [SectionEntry],
        _ seed: ChecksumSeed
    ) throws(StoreError) -> [UInt32] {
        guard let table = entries.last, let count = Int(exactly: table.byteCount) else {
            throw StoreError(.corrupted, "there is no checksum table", path: file.path)
        }
        return try readStructure(file, at: table.offset, count: count) {
            bytes throws(FormatError) in
            for entry in entries {
                // In range: the directory's counts were compared with the table's length. The
                // sections' parts are the whole table, whose own entry covers none of it.
                let isTable = entry.type == SectionType.checksumTable
                let start = Int(entry.firstChecksum) * 4
                let end = isTable ? start : start + Int(entry.chunkCount) * 4
                let part = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                let checksum = seed.mixed(entry.offset).checksum(part)
                guard checksum == entry.tableChecksum else {
                    throw FormatError(
                        .checksum,
                        at: UInt64(start),
                        field: "checksums of section \(entry.type).\(entry.ordinal)",
                        expected: hex(entry.tableChecksum),
                        found: hex(checksum)
                    )
                }
            }
            var reader = ByteReader(bytes)
            var checksums: [UInt32] = []
            checksums.reserveCapacity(count / 4)
            while !reader.isAtEnd { checksums.append(try reader.readUInt32("checksum")) }
            return checksums
        }
    }
}

/// Throws a mismatch unless the numbers are equal.
private func expectEqual(
    _ found: UInt64,
    _ expected: UInt64,
    at offset: UInt64,
    _ field: StaticString
) throws(FormatError) {
    guard found == expected else {
        throw FormatError(
            .mismatch,
            at: offset,
            field: "\(field)",
            expected: "\(expected)",
            found: "\(found)"
        )
    }
}

/// Reads `count` bytes at `offset` and decodes them; errors name file and place.
private func readStructure<T>(
    _ file: any File,
    at offset: UInt64,
    count: Int,
    _ decode: (UnsafeRawBufferPointer) throws(FormatError) -> T
) throws(StoreError) -> T {
    let bytes = try fileCall("read a sealed file") { () throws(FileError) in
        try file.readBytes(at: offset, count: count)
    }
    guard bytes.count == count else {
        throw StoreError(
            .corrupted,
            "the file became shorter while it was read",
            path: file.path,
            offset: offset + UInt64(bytes.count),
            expected: "\(count) bytes",
            found: "\(bytes.count)"
        )
    }
    do throws(FormatError) {
        return try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
            try decode(UnsafeRawBufferPointer(buffer))
        }
    } catch {
        throw StoreError(error, path: file.path, base: offset)
    }
}
