// Goes over the keys of a segment in order. Bytes: format-spec/key.md.

import MoraineBytes
import MoraineFormat
package import MoraineStorage

/// The keys of a key file from a row on.
///
/// One thread at a time; keeps the file open.
package final class KeyCursor {
    private let file: KeyFile
    /// The key as it is put together from what it shares and what follows.
    private let memory: UnsafeMutableRawBufferPointer
    private var keyByteCount = 0
    private var block: Int
    private var blockCursor: KeyBlockCursor?
    private var firstRowOfBlock: UInt32 = 0
    /// The row that `next` will go to.
    private var nextRow: UInt32
    /// The row's numbers.
    ///
    /// Meaningful after `next` answered true.
    package private(set) var entry = KeyEntry(row: 0, lsn: 0, created: 0, expiry: 0)

    init(_ file: KeyFile, from row: UInt32) {
        self.file = file
        memory = .allocate(byteCount: KeyBytes.maximumByteCount, alignment: 8)
        nextRow = row
        block = row < file.rowCount ? file.fences.block(ofRow: row) : file.fences.blockCount
    }

    deinit { memory.deallocate() }

    /// The key; valid until the next call of `next`.
    ///
    /// Empty before the first one.
    package var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<keyByteCount])
    }

    /// The row of the key.
    package var row: UInt32 { entry.row }

    /// Goes to the next row; false behind the last one.
    package func next() throws(StoreError) -> Bool {
        guard nextRow < file.rowCount else { return false }
        if try !advanceInBlock() { try openBlock() }
        nextRow += 1
        return true
    }

    /// Goes on within the block; false when there is none or it has no further entry.
    private func advanceInBlock() throws(StoreError) -> Bool {
        guard var cursor = blockCursor else { return false }
        do throws(KeyBlockDamage) {
            guard try cursor.next() else {
                block += 1
                return false
            }
            try take(&cursor)
            return true
        } catch {
            throw file.damage(error, block)
        }
    }

    /// Opens the block of the next row and goes to it.
    private func openBlock() throws(StoreError) {
        var cursor = try file.cursor(inBlock: block)
        // The first call may start inside a block: keys are put together from the restart on.
        firstRowOfBlock = file.fences.firstRow(block)
        let place = Int(nextRow - firstRowOfBlock)
        do throws(KeyBlockDamage) {
            try cursor.seek(restart: place / KeyBlock.restartInterval)
            keyByteCount = 0
            while cursor.index < place {
                try take(&cursor)
                guard try cursor.next() else { throw KeyBlockDamage(offset: 0) }
            }
            try take(&cursor)
        } catch {
            throw file.damage(error, block)
        }
    }

    /// Reads the entry that the cursor stands at.
    private func take(_ cursor: inout KeyBlockCursor) throws(KeyBlockDamage) {
        // The block's cursor has held the sum against the longest key.
        guard cursor.shared <= keyByteCount else {
            throw KeyBlockDamage(offset: cursor.entryOffset)
        }
        UnsafeMutableRawBufferPointer(rebasing: memory[cursor.shared...])
            .copyMemory(from: cursor.rest)
        keyByteCount = cursor.shared + cursor.rest.count
        let numbers = try cursor.readNumbers()
        entry = KeyEntry(
            row: firstRowOfBlock + UInt32(cursor.index),
            lsn: numbers.lsn,
            created: numbers.created,
            expiry: numbers.expiry
        )
        blockCursor = cursor
    }
}
