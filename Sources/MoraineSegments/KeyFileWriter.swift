// Writes the keys of a segment, with fences and filter. Bytes: format-spec/key.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The numbers of key blocks that writer and reader share.
enum KeyBlock {
    static let byteCount = 4096
    /// Every entry with this many before it in the block is whole.
    static let restartInterval = 8
    /// restartCount and entryCount.
    static let trailerByteCount = 4
}

/// Writes a `.key` file from keys in ascending order.
///
/// One thread at a time. Memory: a block, its first key for each block, eight bytes a key, and
/// while the filter is built about 25 bytes a key more.
package final class KeyFileWriter {
    private let file: SealedFileWriter
    private let seed: UInt64
    private var block = OpenKeyBlock()
    private var hashes: [UInt64] = []
    private var firstRows: [UInt32] = []
    private var fenceStarts: [UInt32] = []
    private var fenceKeys = ByteWriter()
    private var minLSN: UInt64 = 0
    private var maxLSN: UInt64 = 0

    /// Makes the file.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        fileID: UInt64,
        storeID: StoreID,
        createdLSN: UInt64
    ) throws(StoreError) {
        file = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.key(segmentID, fileID: fileID),
            kind: .key,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        // Another seed for each file: keys that are bad for one filter are not bad for all.
        seed = storeID.low ^ fileID &* 0x9E37_79B9_7F4A_7C15
        try file.beginSection(SectionType.keyBlocks)
    }

    /// Adds the key of the next row; it is above the one before.
    package func add(
        key: UnsafeRawBufferPointer,
        lsn: UInt64,
        created: UInt64,
        expiry: UInt64
    ) throws(StoreError) {
        if !block.append(key, lsn: lsn, created: created, expiry: expiry) {
            try closeBlock()
            let isAdded = block.append(key, lsn: lsn, created: created, expiry: expiry)
            precondition(isAdded, "an empty block has room for any key")
        }
        if block.entryCount == 1 {
            firstRows.append(UInt32(hashes.count))
            fenceStarts.append(UInt32(fenceKeys.count))
            fenceKeys.writeBytes(key)
        }
        hashes.append(hash64(key, seed: seed))
        minLSN = minLSN == 0 ? lsn : min(minLSN, lsn)
        maxLSN = max(maxLSN, lsn)
    }

    /// Writes what is left, fences, filter and the frame, and syncs the file.
    package func finish() throws(StoreError) -> SealedFileReference {
        if block.entryCount > 0 { try closeBlock() }
        try file.endSection()
        try writeFences()
        let filter = FuseFilter(hashes: hashes, seed: seed)
        var header = ByteWriter(capacity: KeyFilterHeader.byteCount)
        filter.header.encode(into: &header)
        try file.beginSection(SectionType.filter)
        try file.append(header)
        try file.append(filter.fingerprints)
        try file.endSection()
        return try file.finish(rowCount: UInt64(hashes.count), minLSN: minLSN, maxLSN: maxLSN)
    }

    /// Closes the file and removes it.
    package func abandon() { file.abandon() }

    private func closeBlock() throws(StoreError) {
        try block.close { bytes throws(StoreError) in try file.append(bytes) }
    }

    private func writeFences() throws(StoreError) {
        var fences = ByteWriter(capacity: 12 + firstRows.count * 8)
        fences.writeUInt32(UInt32(firstRows.count))
        for row in firstRows { fences.writeUInt32(row) }
        fences.writeUInt32(UInt32(hashes.count))
        for start in fenceStarts { fences.writeUInt32(start) }
        fences.writeUInt32(UInt32(fenceKeys.count))
        try file.beginSection(SectionType.fences)
        try file.append(fences)
        try file.append(fenceKeys)
        try file.endSection()
    }
}
