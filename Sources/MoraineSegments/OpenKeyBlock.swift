// Puts keys into a block of a key file. Bytes: format-spec/key.md, "Key block".

import MoraineBytes
import MoraineFormat

/// A key block that is being filled.
///
/// Entries go straight into the block's memory: a merge writes each key of its output here.
struct OpenKeyBlock: ~Copyable {
    private let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: KeyBlock.byteCount,
        alignment: 8
    )
    /// The key before, also of the block before.
    private let lastKey = UnsafeMutableRawBufferPointer.allocate(
        byteCount: KeyBytes.maximumByteCount,
        alignment: 8
    )
    private var lastKeyByteCount = 0
    private var byteCount = 0
    private var restarts: [UInt16] = []
    private(set) var entryCount = 0

    deinit {
        memory.deallocate()
        lastKey.deallocate()
    }

    /// Adds a key, which is above the one before; false when the block has no room for it.
    ///
    /// An empty block has room for any key.
    mutating func append(
        _ key: UnsafeRawBufferPointer,
        lsn: UInt64,
        created: UInt64,
        expiry: UInt64
    ) -> Bool {
        precondition(key.count <= KeyBytes.maximumByteCount)
        let common = commonCount(key)
        precondition(
            common < key.count && (common == lastKeyByteCount || lastKey[common] < key[common]),
            "keys ascend"
        )
        let isRestart = entryCount % KeyBlock.restartInterval == 0
        let shared = isRestart ? 0 : common
        let rest = UnsafeRawBufferPointer(rebasing: key[shared...])
        let needed =
            varintByteCount(UInt64(shared)) + varintByteCount(UInt64(rest.count)) + rest.count
            + varintByteCount(lsn) + varintByteCount(created) + varintByteCount(expiry)
        let restartCount = restarts.count + (isRestart ? 1 : 0)
        guard
            byteCount + needed + restartCount * 2 + KeyBlock.trailerByteCount <= KeyBlock.byteCount
        else {
            precondition(entryCount > 0, "a block has room for the longest key")
            return false
        }
        if isRestart { restarts.append(UInt16(byteCount)) }
        writeVarint(UInt64(shared))
        writeVarint(UInt64(rest.count))
        UnsafeMutableRawBufferPointer(rebasing: memory[byteCount...]).copyMemory(from: rest)
        byteCount += rest.count
        writeVarint(lsn)
        writeVarint(created)
        writeVarint(expiry)
        entryCount += 1
        UnsafeMutableRawBufferPointer(rebasing: lastKey[common...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: key[common...]))
        lastKeyByteCount = key.count
        return true
    }

    /// Completes the block, hands its bytes to `body` and begins the next one.
    ///
    /// There must be an entry.
    mutating func close<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        let tail = restarts.count * 2 + KeyBlock.trailerByteCount
        UnsafeMutableRawBufferPointer(rebasing: memory[byteCount..<(KeyBlock.byteCount - tail)])
            .initializeMemory(as: UInt8.self, repeating: 0)
        byteCount = KeyBlock.byteCount - tail
        for restart in restarts { writeUInt16(restart) }
        writeUInt16(UInt16(restarts.count))
        writeUInt16(UInt16(entryCount))
        byteCount = 0
        entryCount = 0
        restarts.removeAll(keepingCapacity: true)
        try body(UnsafeRawBufferPointer(memory))
    }

    /// How many bytes the key has in common with the one before.
    private func commonCount(_ key: UnsafeRawBufferPointer) -> Int {
        let limit = min(key.count, lastKeyByteCount)
        var count = 0
        while count &+ 8 <= limit {
            let difference =
                lastKey.loadUnaligned(fromByteOffset: count, as: UInt64.self).littleEndian
                ^ key.loadUnaligned(fromByteOffset: count, as: UInt64.self).littleEndian
            if difference != 0 { return count &+ difference.trailingZeroBitCount / 8 }
            count &+= 8
        }
        while count < limit, key[count] == lastKey[count] { count &+= 1 }
        return count
    }

    private func varintByteCount(_ value: UInt64) -> Int {
        (UInt64.bitWidth - (value | 1).leadingZeroBitCount + 6) / 7
    }

    private mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            memory[byteCount] = UInt8(truncatingIfNeeded: rest) | 0x80
            byteCount += 1
            rest >>= 7
        }
        memory[byteCount] = UInt8(truncatingIfNeeded: rest)
        byteCount += 1
    }

    private mutating func writeUInt16(_ value: UInt16) {
        memory.storeBytes(of: value.littleEndian, toByteOffset: byteCount, as: UInt16.self)
        byteCount += 2
    }
}
