// Walks the entries of one key block. Bytes: format-spec/key.md, "Key block".
// Nothing in a block is believed: every length is held against what is left.

import CKernels
import MoraineBytes
import MoraineFormat

/// What a key file knows of a row.
package struct KeyEntry: Sendable, Equatable {
    package let row: UInt32
    package let lsn: UInt64
    /// Milliseconds since 1970.
    package let created: UInt64
    /// Milliseconds since 1970; 0 = never.
    package let expiry: UInt64

    /// True when the document is gone for a reader whose time is `now`.
    @inline(__always)
    package func isExpired(at now: UInt64) -> Bool { expiry != 0 && expiry <= now }

    package init(row: UInt32, lsn: UInt64, created: UInt64, expiry: UInt64) {
        self.row = row
        self.lsn = lsn
        self.created = created
        self.expiry = expiry
    }
}

/// A block that does not follow the format.
///
/// The caller knows which block it is.
struct KeyBlockDamage: Error {
    let offset: Int
}

/// The entries of a block, one after the other.
struct KeyBlockCursor {
    private let block: UnsafePointer<UInt8>
    /// Where the entries' bytes can end at most.
    let end: Int
    private let restartCount: Int
    let entryCount: Int
    private(set) var position = 0
    /// The entry's place in the block.
    private(set) var index = 0
    /// Bytes that the entry's key shares with the one before.
    private(set) var shared = 0
    /// Where the entry starts in the block.
    private(set) var entryOffset = 0
    private var restStart = 0
    private var restCount = 0

    /// - Parameter bytes: the 4,096 bytes of a block.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer) throws(KeyBlockDamage) {
        guard bytes.count == KeyBlock.byteCount,
            let base = bytes.assumingMemoryBound(to: UInt8.self).baseAddress
        else { throw KeyBlockDamage(offset: 0) }
        block = base
        restartCount = KeyBlockCursor.short(base, KeyBlock.byteCount - 4)
        entryCount = KeyBlockCursor.short(base, KeyBlock.byteCount - 2)
        end = KeyBlock.byteCount - KeyBlock.trailerByteCount - restartCount * 2
        guard entryCount > 0, end > 0,
            restartCount == (entryCount + KeyBlock.restartInterval - 1) / KeyBlock.restartInterval
        else { throw KeyBlockDamage(offset: KeyBlock.byteCount - 4) }
    }

    @inline(__always)
    private static func short(_ base: UnsafePointer<UInt8>, _ at: Int) -> Int {
        Int(base[at]) | Int(base[at &+ 1]) &<< 8
    }

    /// The bytes of the entry's key behind the shared ones.
    @inline(__always)
    var rest: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: block + restStart, count: restCount)
    }

    /// What the block lists as the place of a restart; −1 behind the last one.
    func restartOffset(_ restart: Int) -> Int {
        restart < restartCount ? KeyBlockCursor.short(block, end + restart * 2) : -1
    }

    /// Goes to the first entry of a restart and reads its key.
    @inline(__always)
    mutating func seek(restart: Int) throws(KeyBlockDamage) {
        let at = end &+ restart &* 2
        let start = KeyBlockCursor.short(block, at)
        guard start < end, restart > 0 || start == 0 else { throw KeyBlockDamage(offset: at) }
        position = start
        index = restart &* KeyBlock.restartInterval
        try readKey()
        guard shared == 0 else { throw KeyBlockDamage(offset: start) }
    }

    /// Goes on to the next entry; false behind the last one.
    ///
    /// The entry's numbers must have been read or skipped.
    @inline(__always)
    mutating func next() throws(KeyBlockDamage) -> Bool {
        index &+= 1
        guard index < entryCount else { return false }
        try readKey()
        return true
    }

    /// Reads the numbers behind the key.
    @inline(__always)
    mutating func readNumbers() throws(KeyBlockDamage) -> (
        lsn: UInt64, created: UInt64, expiry: UInt64
    ) {
        (try varint(), try varint(), try varint())
    }

    /// Skips the numbers behind the key.
    @inline(__always)
    mutating func skipNumbers() throws(KeyBlockDamage) {
        var left = 3
        // Eight bytes at a time: the last byte of a varint is the one without the top bit.
        while position &+ 8 <= end {
            let word = UnsafeRawPointer(block).loadUnaligned(
                fromByteOffset: position,
                as: UInt64.self
            )
            var ends = ~UInt64(littleEndian: word) & 0x8080_8080_8080_8080
            while ends != 0 {
                left &-= 1
                if left == 0 {
                    position &+= ends.trailingZeroBitCount &>> 3 &+ 1
                    return
                }
                ends &= ends &- 1
            }
            position &+= 8
        }
        while left > 0 {
            guard position < end else { throw KeyBlockDamage(offset: position) }
            if block[position] < 0x80 { left &-= 1 }
            position &+= 1
        }
    }

    /// The last restart whose key is at or below `key`; 0 when none is.
    @inline(__always)
    mutating func lastRestart(atOrBelow key: UnsafeRawBufferPointer) throws(KeyBlockDamage) -> Int {
        var low = 0
        var high = restartCount
        while high &- low > 1 {
            let middle = (low &+ high) &>> 1
            try seek(restart: middle)
            if KeyBytes.compare(rest, key) <= 0 { low = middle } else { high = middle }
        }
        return low
    }

    /// Asks for the first bytes of all restarts at once, as one look after the other would wait for
    /// memory each time.
    ///
    /// The places are not checked: asking for any address is harmless.
    @inline(__always)
    private func fetchRestarts() {
        for restart in 0..<restartCount {
            mk_prefetch(block + KeyBlockCursor.short(block, end &+ restart &* 2))
        }
    }

    /// Asks for the end of a block, where the restarts are listed.
    @inline(__always)
    static func fetchRestartList(_ bytes: UnsafeRawBufferPointer) {
        if let base = bytes.baseAddress { mk_prefetch(base + (KeyBlock.byteCount - 64)) }
    }

    /// Asks for the entries from a restart to the next.
    @inline(__always)
    func fetchEntries(of restart: Int) {
        let start = KeyBlockCursor.short(block, end &+ restart &* 2)
        let next =
            restart &+ 1 < restartCount
            ? KeyBlockCursor.short(block, end &+ restart &* 2 &+ 2) : end
        for line in stride(from: start, to: next, by: 64) { mk_prefetch(block + line) }
    }

    /// Goes to the first entry at or above `key`; false when there is none in the block.
    ///
    /// - Returns: whether there is one, and whether it is the key itself.
    @inline(__always)
    mutating func seek(_ key: UnsafeRawBufferPointer) throws(KeyBlockDamage) -> (
        isThere: Bool, isEqual: Bool
    ) {
        fetchRestarts()
        let restart = try lastRestart(atOrBelow: key)
        fetchEntries(of: restart)
        try seek(restart: restart)
        // Bytes of `key` that are known to be equal to the entry before.
        var matched = 0
        while true {
            // Sharing more with its predecessor than `key` does, an entry stands on the same side
            // of `key` as its predecessor: below.
            if shared < matched {
                return (true, false)
            }
            if shared == matched {
                let tail = UnsafeRawBufferPointer(rebasing: key[matched...])
                let common = commonCount(tail)
                matched &+= common
                if common == restCount {
                    if common == tail.count { return (true, true) }
                } else if common == tail.count || rest[common] > tail[common] {
                    return (true, false)
                }
            }
            try skipNumbers()
            guard try next() else { return (false, false) }
        }
    }

    /// Goes to an entry and appends the id in its key.
    @inline(__always)
    mutating func appendID(_ place: Int, to ids: inout [UInt8]) throws(KeyBlockDamage) {
        try withUnsafeTemporaryAllocation(of: Part.self, capacity: KeyBlock.restartInterval) {
            parts throws(KeyBlockDamage) in
            try seek(restart: place / KeyBlock.restartInterval)
            var last = 0
            var count = restCount
            parts[0] = Part(shared: 0, start: restStart)
            while index < place {
                try skipNumbers()
                guard try next(), shared <= count else {
                    throw KeyBlockDamage(offset: entryOffset)
                }
                count = shared &+ restCount
                last &+= 1
                parts[last] = Part(shared: shared, start: restStart)
            }
            guard count > KeyBytes.prefixByteCount else { return }
            let start = ids.count &- KeyBytes.prefixByteCount
            ids.append(contentsOf: repeatElement(0, count: count &- KeyBytes.prefixByteCount))
            ids.withUnsafeMutableBytes { ids in
                // From the last entry back, as most of the others' bytes were replaced. An entry
                // shares no more than its predecessor has, and the first shares nothing.
                while count > KeyBytes.prefixByteCount {
                    let part = parts[last]
                    last &-= 1
                    let first = max(part.shared, KeyBytes.prefixByteCount)
                    guard first < count else { continue }
                    UnsafeMutableRawBufferPointer(
                        rebasing: ids[(start &+ first)..<(start &+ count)]
                    )
                    .copyMemory(
                        from: UnsafeRawBufferPointer(
                            start: block + (part.start &+ first &- part.shared),
                            count: count &- first
                        )
                    )
                    count = first
                }
            }
        }
    }

    /// The part of a key that its entry holds.
    private struct Part {
        /// Bytes that are the predecessor's.
        let shared: Int
        /// Where the others stand in the block.
        let start: Int
    }

    /// How many bytes the entry's rest and `tail` have in common.
    @inline(__always)
    private func commonCount(_ tail: UnsafeRawBufferPointer) -> Int {
        let limit = min(restCount, tail.count)
        let bytes = rest
        var count = 0
        while count < limit, bytes[count] == tail[count] { count &+= 1 }
        return count
    }

    @inline(__always)
    private mutating func readKey() throws(KeyBlockDamage) {
        let start = position
        entryOffset = start
        let sharedCount = try varint()
        let count = try varint()
        guard sharedCount <= UInt64(KeyBytes.maximumByteCount),
            count <= UInt64(end &- position)
        else { throw KeyBlockDamage(offset: start) }
        shared = Int(truncatingIfNeeded: sharedCount)
        restCount = Int(truncatingIfNeeded: count)
        guard shared &+ restCount <= KeyBytes.maximumByteCount else {
            throw KeyBlockDamage(offset: start)
        }
        restStart = position
        position &+= restCount
    }

    @inline(__always)
    private mutating func varint() throws(KeyBlockDamage) -> UInt64 {
        guard position < end else { throw KeyBlockDamage(offset: position) }
        let first = block[position]
        if first < 0x80 {
            position &+= 1
            return UInt64(first)
        }
        return try longVarint()
    }

    private mutating func longVarint() throws(KeyBlockDamage) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end, shift <= 63 {
            let byte = block[position]
            position &+= 1
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 {
                guard byte != 0 else { break }
                return value
            }
            shift &+= 7
        }
        throw KeyBlockDamage(offset: start)
    }
}
