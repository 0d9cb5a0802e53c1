// Sealed files whose sections stand across and behind 1, 2 and 4 GiB, where numbers stop fitting
// into 31 and 32 bits. The files have holes: they take no room on disk.

import Foundation
import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@Suite struct FarOffsetTests {
    private let system = PosixFileSystem()
    private let storeID = StoreID(low: 3, high: 4)
    private let fileID: UInt64 = 70
    private var seed: ChecksumSeed { storeID.seed.mixed(fileID) }

    private func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private func sum(_ bytes: some Sequence<UInt8>, at offset: UInt64) -> UInt32 {
        Array(bytes).withUnsafeBytes { seed.mixed(offset).checksum($0) }
    }

    /// Writes a sealed file whose first section starts at `start`.
    private func write(_ sections: [[UInt8]], from start: UInt64, to file: any File) throws
        -> SealedFileReference
    {
        func put(_ bytes: [UInt8], at offset: UInt64) throws {
            try bytes.withUnsafeBytes { try file.writeAll($0, at: offset) }
        }
        var header = ByteWriter()
        FileHeader(kind: .vector, storeID: storeID, fileID: fileID, createdLSN: 3)
            .encode(into: &header)
        try put(header.finish(), at: 0)
        var table = ByteWriter()
        var directory = ByteWriter()
        var offset = start
        var checksumCount: UInt32 = 0
        for (ordinal, content) in sections.enumerated() {
            try put(content, at: offset)
            var part = ByteWriter()
            for at in stride(from: 0, to: content.count, by: SectionEntry.chunkByteCount) {
                let chunk = content[at...].prefix(SectionEntry.chunkByteCount)
                part.writeUInt32(sum(chunk, at: offset + UInt64(at)))
            }
            let sums = part.finish()
            table.writeBytes(sums)
            SectionEntry(
                type: SectionType.vectors,
                ordinal: UInt32(ordinal),
                offset: offset,
                byteCount: UInt64(content.count),
                firstChecksum: checksumCount,
                tableChecksum: sum(sums, at: offset)
            ).encode(into: &directory)
            checksumCount += UInt32(sums.count / 4)
            offset = (offset + UInt64(content.count) + 63) & ~63
        }
        let sums = table.finish()
        try put(sums, at: offset)
        SectionEntry(
            type: SectionType.checksumTable,
            ordinal: 0,
            offset: offset,
            byteCount: UInt64(sums.count),
            firstChecksum: 0,
            tableChecksum: sum([], at: offset)
        ).encode(into: &directory)
        offset = (offset + UInt64(sums.count) + 63) & ~63
        let entries = directory.finish()
        try put(entries, at: offset)
        let end = offset + UInt64(entries.count + FileFooter.byteCount)
        let (footer, checksum) = FileFooter(
            directoryOffset: offset,
            directoryByteCount: UInt32(entries.count),
            directoryChecksum: entries.withUnsafeBytes { seed.checksum($0) },
            fileByteCount: end,
            rowCount: 5,
            minLSN: 2,
            maxLSN: 3,
            fileID: fileID
        ).encode(storeID: storeID)
        try put(footer, at: offset + UInt64(entries.count))
        return SealedFileReference(fileID: fileID, byteCount: end, footerChecksum: checksum)
    }

    @Test(arguments: [1 << 30, 1 << 31, 1 << 32, 5 << 30] as [UInt64])
    func sectionsAcrossTheEdgesReadBack(edge: UInt64) throws {
        let folder = NSTemporaryDirectory() + "moraine-far-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try system.createDirectory(folder)
        try system.createDirectory(folder + "/seg")
        let file = try system.open(folder + "/" + FileNames.vector(7), .createNew)
        defer { file.close() }
        let sections = [
            bytes(SectionEntry.chunkByteCount + 1000, seed: edge), bytes(300, seed: edge + 1),
        ]
        let reference = try write(sections, from: edge - 128, to: file)
        func load(_ access: SealedFile.Access) throws -> [[UInt8]] {
            let sealed = try SealedFile(
                fileSystem: system,
                root: folder,
                name: FileNames.vector(7),
                kind: .vector,
                storeID: storeID,
                reference: reference,
                access: access
            )
            defer { withExtendedLifetime(sealed) {} }
            return try sections.indices.map {
                try sealed.requiredSection(SectionType.vectors, ordinal: UInt32($0)).load()
            }
        }
        #expect(try load(.read) == sections)
        #expect(try load(.mapped) == sections)
        // Just behind the edge.
        try [sections[0][128] ^ 1].withUnsafeBytes { try file.writeAll($0, at: edge) }
        #expect(throws: StoreError.self) { try load(.read) }
        #expect(throws: StoreError.self) { try load(.mapped) }
    }
}
