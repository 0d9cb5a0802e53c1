// The first key of each key block. Bytes: format-spec/key.md, "Fences".

import MoraineBytes
import MoraineFormat

/// The fences of a key file; they borrow its mapping.
///
/// All of it was checked at opening, so that searching them need not check anything. Searching the
/// keys themselves would miss the cache twice a step, so eight bytes of each stand in an array:
/// those behind the beginning that all fences share.
final class KeyFences: Sendable {
    let blockCount: Int
    private let bytes: FenceBytes
    /// Bytes that all first keys begin with.
    private let sharedByteCount: Int
    /// For each block the next eight bytes of its first key, big-endian, zeros behind its end.
    // Written before init returns, never after; freed in deinit.
    nonisolated(unsafe) private let words: UnsafeMutablePointer<UInt64>

    init(_ section: UnsafeRawBufferPointer, rowCount: UInt32, blockByteCount: Int)
        throws(FormatError)
    {
        let bytes = try FenceBytes(section, rowCount: rowCount, blockByteCount: blockByteCount)
        self.bytes = bytes
        blockCount = bytes.blockCount
        words = .allocate(capacity: max(blockCount, 1))
        // The keys ascend, so what the first and the last one share they all do.
        var shared = 0
        if blockCount > 0 {
            let first = bytes.key(0)
            let last = bytes.key(blockCount - 1)
            while shared < min(first.count, last.count), first[shared] == last[shared] {
                shared += 1
            }
        }
        sharedByteCount = shared
        for block in 0..<blockCount { words[block] = KeyFences.word(bytes.key(block), shared) }
    }

    deinit { words.deallocate() }

    /// The row of a block's first entry; for `blockCount` the rows of the segment.
    @inline(__always)
    func firstRow(_ block: Int) -> UInt32 { bytes.firstRow(block) }

    /// A block's first key.
    func key(_ block: Int) -> UnsafeRawBufferPointer { bytes.key(block) }

    /// The last block whose first key is at or below `key`; `nil` when `key` is below them all.
    @inline(__always)
    func block(of key: UnsafeRawBufferPointer) -> Int? {
        guard blockCount > 0 else { return nil }
        let order = KeyBytes.compare(
            UnsafeRawBufferPointer(rebasing: key[..<min(sharedByteCount, key.count)]),
            UnsafeRawBufferPointer(rebasing: bytes.key(0)[..<sharedByteCount])
        )
        guard order == 0 else { return order < 0 ? nil : blockCount - 1 }
        let word = KeyFences.word(key, sharedByteCount)
        let high = lastBlock { $0 <= word }
        guard words[high] == word else { return words[high] < word ? high : nil }
        // Several blocks may begin with these bytes: among them the keys decide.
        var low = lastBlock { $0 < word }
        if words[low] >= word { low = -1 }
        var end = high + 1
        while end - low > 1 {
            let middle = (low + end) / 2
            if KeyBytes.compare(bytes.key(middle), key) <= 0 { low = middle } else { end = middle }
        }
        return low < 0 ? nil : low
    }

    /// The last block whose word is low enough; 0 also when none is.
    @inline(__always)
    private func lastBlock(_ isLow: (UInt64) -> Bool) -> Int {
        var low = 0
        var count = blockCount
        while count > 1 {
            let half = count &>> 1
            // No branch: which way it goes is anybody's guess.
            low = isLow(words[low &+ half]) ? low &+ half : low
            count &-= half
        }
        return low
    }

    /// The block that holds a row, which is below the segment's.
    @inline(__always)
    func block(ofRow row: UInt32) -> Int {
        var low = 0
        var count = blockCount
        while count > 1 {
            let half = count &>> 1
            low = bytes.firstRow(low &+ half) <= row ? low &+ half : low
            count &-= half
        }
        return low
    }

    /// Eight bytes of a key from `start` on, big-endian, zeros behind its end.
    @inline(__always)
    private static func word(_ key: UnsafeRawBufferPointer, _ start: Int) -> UInt64 {
        if start &+ 8 <= key.count {
            return UInt64(
                bigEndian: key.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            )
        }
        var word: UInt64 = 0
        for place in 0..<8 {
            let at = start &+ place
            word = word &<< 8 | (at < key.count ? UInt64(key[at]) : 0)
        }
        return word
    }
}

/// The section's bytes, checked.
// @unchecked: the mapping is never written, and the key file that holds the fences keeps it.
private struct FenceBytes: @unchecked Sendable {
    let blockCount: Int
    private let firstRows: UnsafeRawPointer
    private let starts: UnsafeRawPointer
    private let keys: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer, rowCount: UInt32, blockByteCount: Int)
        throws(FormatError)
    {
        var reader = ByteReader(bytes)
        let count = Int(try reader.readUInt32("blockCount"))
        guard blockByteCount % KeyBlock.byteCount == 0,
            count == blockByteCount / KeyBlock.byteCount
        else {
            throw FormatError(
                .mismatch,
                at: 0,
                field: "blockCount",
                expected: "blocks of \(blockByteCount) bytes",
                found: "\(count)"
            )
        }
        // In range: there are as many blocks in the file.
        let rows = try reader.readBytes(4 * (count + 1), "firstRow")
        let starts = try reader.readBytes(4 * (count + 1), "start")
        keys = try reader.readBytes(reader.remaining, "first keys")
        guard let rowBase = rows.baseAddress, let startBase = starts.baseAddress else {
            throw FormatError(
                .truncated,
                at: 0,
                field: "fences",
                expected: "bytes",
                found: "none"
            )
        }
        blockCount = count
        firstRows = rowBase
        self.starts = startBase
        try check(rowCount)
    }

    @inline(__always)
    func firstRow(_ block: Int) -> UInt32 {
        UInt32(littleEndian: firstRows.loadUnaligned(fromByteOffset: block &* 4, as: UInt32.self))
    }

    @inline(__always)
    func start(_ block: Int) -> Int {
        Int(
            UInt32(
                littleEndian: starts.loadUnaligned(fromByteOffset: block &* 4, as: UInt32.self)
            )
        )
    }

    @inline(__always)
    func key(_ block: Int) -> UnsafeRawBufferPointer {
        let start = start(block)
        return UnsafeRawBufferPointer(
            start: keys.baseAddress.map { $0 + start },
            count: self.start(block &+ 1) &- start
        )
    }

    /// Throws unless rows, starts and keys ascend and end where they must.
    private func check(_ rowCount: UInt32) throws(FormatError) {
        for block in 0...blockCount {
            let isLast = block == blockCount
            guard block == 0 ? firstRow(0) == 0 : firstRow(block) > firstRow(block - 1),
                !isLast || firstRow(block) == rowCount
            else {
                throw FormatError(
                    .range,
                    at: UInt64(4 + block * 4),
                    field: "firstRow",
                    expected: "ascending from 0 to \(rowCount)",
                    found: "\(firstRow(block))"
                )
            }
            guard block == 0 ? start(0) == 0 : start(block) > start(block - 1),
                isLast ? start(block) == keys.count : start(block) < keys.count
            else {
                throw FormatError(
                    .range,
                    at: UInt64(8 + (blockCount + block) * 4),
                    field: "start",
                    expected: "ascending from 0 to \(keys.count)",
                    found: "\(start(block))"
                )
            }
        }
        // Only now that all starts are known to ascend.
        for block in 1..<max(blockCount, 1) {
            guard KeyBytes.compare(key(block - 1), key(block)) < 0 else {
                throw FormatError(
                    .range,
                    at: UInt64(12 + blockCount * 8 + start(block)),
                    field: "first key",
                    expected: "above the one before",
                    found: "one that is not"
                )
            }
        }
    }
}
