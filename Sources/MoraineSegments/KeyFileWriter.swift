// Writes the keys of a segment, with fences and filter. Bytes: format-spec/key.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The numbers of key blocks that writer and reader share.
enum KeyBlock {
    static let byteCount = 4096
    /// Every entry with this many before it in the block is whole.
    static let restartInterval = 16
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
    private var entries = ByteWriter(capacity: KeyBlock.byteCount)
    /// The entry being added.
    private var entry = ByteWriter()
    private var restarts: [UInt16] = []
    private var entryCount = 0
    private var previousKey: [UInt8] = []
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
        precondition(key.count <= KeyBytes.maximumByteCount)
        precondition(
            hashes.isEmpty
                || previousKey.withUnsafeBytes { KeyBytes.compare($0, key) < 0 },
            "keys ascend"
        )
        entry.removeAll()
        var isRestart = entryCount % KeyBlock.restartInterval == 0
        encodeEntry(key, isRestart ? 0 : sharedCount(key), lsn, created, expiry)
        let restartCount = restarts.count + (isRestart ? 1 : 0)
        if entries.count + entry.count + restartCount * 2 + KeyBlock.trailerByteCount
            > KeyBlock.byteCount
        {
            try closeBlock()
            entry.removeAll()
            isRestart = true
            encodeEntry(key, 0, lsn, created, expiry)
        }
        if entryCount == 0 { openBlock(key) }
        if isRestart { restarts.append(UInt16(entries.count)) }
        entry.withBytes { entries.writeBytes($0) }
        entryCount += 1
        hashes.append(hash64(key, seed: seed))
        previousKey.removeAll(keepingCapacity: true)
        previousKey.append(contentsOf: key)
        minLSN = minLSN == 0 ? lsn : min(minLSN, lsn)
        maxLSN = max(maxLSN, lsn)
    }

    /// Writes what is left, fences, filter and the frame, and syncs the file.
    package func finish() throws(StoreError) -> SealedFileReference {
        if entryCount > 0 { try closeBlock() }
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

    private func encodeEntry(
        _ key: UnsafeRawBufferPointer,
        _ shared: Int,
        _ lsn: UInt64,
        _ created: UInt64,
        _ expiry: UInt64
    ) {
        entry.writeVarint(UInt64(shared))
        entry.writePrefixed(UnsafeRawBufferPointer(rebasing: key[shared...]))
        entry.writeVarint(lsn)
        entry.writeVarint(created)
        entry.writeVarint(expiry)
    }

    private func sharedCount(_ key: UnsafeRawBufferPointer) -> Int {
        let limit = min(key.count, previousKey.count)
        var count = 0
        while count < limit, key[count] == previousKey[count] { count += 1 }
        return count
    }

    private func openBlock(_ key: UnsafeRawBufferPointer) {
        firstRows.append(UInt32(hashes.count))
        fenceStarts.append(UInt32(fenceKeys.count))
        fenceKeys.writeBytes(key)
    }

    private func closeBlock() throws(StoreError) {
        let tail = restarts.count * 2 + KeyBlock.trailerByteCount
        entries.writeZeros(KeyBlock.byteCount - tail - entries.count)
        for restart in restarts { entries.writeUInt16(restart) }
        entries.writeUInt16(UInt16(restarts.count))
        entries.writeUInt16(UInt16(entryCount))
        try file.append(entries)
        entries.removeAll()
        restarts.removeAll(keepingCapacity: true)
        entryCount = 0
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
