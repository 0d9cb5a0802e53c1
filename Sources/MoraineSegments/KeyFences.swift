// The first key of each key block. Bytes: format-spec/key.md, "Fences".

import MoraineBytes
import MoraineFormat

/// The fences of a key file; they borrow its mapping.
///
/// All of it was checked at opening, so that searching them need not check anything.
// @unchecked: the bytes are never written, and the key file that holds this keeps them mapped.
struct KeyFences: @unchecked Sendable {
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
    }

    /// The row of a block's first entry; for `blockCount` the rows of the segment.
    @inline(__always)
    func firstRow(_ block: Int) -> UInt32 {
        UInt32(littleEndian: firstRows.loadUnaligned(fromByteOffset: block &* 4, as: UInt32.self))
    }

    @inline(__always)
    private func start(_ block: Int) -> Int {
        Int(
            UInt32(littleEndian: starts.loadUnaligned(fromByteOffset: block &* 4, as: UInt32.self))
        )
    }

    /// A block's first key.
    @inline(__always)
    func key(_ block: Int) -> UnsafeRawBufferPointer {
        let start = start(block)
        return UnsafeRawBufferPointer(
            start: keys.baseAddress.map { $0 + start },
            count: self.start(block &+ 1) &- start
        )
    }

    /// The last block whose first key is at or below `key`; `nil` when `key` is below them all.
    @inline(__always)
    func block(of key: UnsafeRawBufferPointer) -> Int? {
        var low = -1
        var high = blockCount
        while high &- low > 1 {
            let middle = (low &+ high) &>> 1
            if KeyBytes.compare(self.key(middle), key) <= 0 { low = middle } else { high = middle }
        }
        return low < 0 ? nil : low
    }

    /// The block that holds a row, which is below the segment's.
    @inline(__always)
    func block(ofRow row: UInt32) -> Int {
        var low = 0
        var high = blockCount
        while high &- low > 1 {
            let middle = (low &+ high) &>> 1
            if firstRow(middle) <= row { low = middle } else { high = middle }
        }
        return low
    }
}
