// Decompressed blocks, kept up to a number of bytes. CLOCK in shards: a hit sets one flag.

import MoraineBytes
import Synchronization

/// A cache of blocks that all document files of a store share.
///
/// Any thread.
package final class BlockCache: Sendable {
    /// What the cache holds and did since it was made.
    package struct Statistics: Sendable, Equatable {
        package var hitCount: UInt64 = 0
        package var missCount: UInt64 = 0
        package var byteCount = 0
        package var blockCount = 0
    }

    private final class Shard: Sendable {
        let state: Mutex<ShardState>

        init(byteBudget: Int) { state = Mutex(ShardState(byteBudget: byteBudget)) }
    }

    /// Shards smaller than this would bypass too many blocks; more than 16 gain nothing.
    private static let leastShardByteCount = 1 << 20

    private let shards: [Shard]
    private let largestBlockByteCount: Int
    /// Bytes that the cache holds at most.
    package let byteBudget: Int

    /// - Parameter byteBudget: 0 keeps nothing.
    package init(byteBudget: Int) {
        self.byteBudget = byteBudget
        var count = 1
        while count < 16, byteBudget / (count * 2) >= BlockCache.leastShardByteCount { count *= 2 }
        let share = byteBudget / count
        // One large document must not push out everything else.
        largestBlockByteCount = share / 4
        shards = (0..<count).map { _ in Shard(byteBudget: share) }
    }

    /// The block, when it is here.
    package func block(fileID: UInt64, number: UInt32) -> DecodedBlock? {
        let key = BlockKey(fileID: fileID, number: number)
        let shard = Unmanaged.passUnretained(shards[shard(of: key)])
        return shard.borrowing { shard in shard.state.withLock { $0.find(key) } }
    }

    /// Keeps a block, unless it is large for this cache.
    package func insert(_ block: DecodedBlock, fileID: UInt64, number: UInt32) {
        guard block.memoryByteCount <= largestBlockByteCount else { return }
        let key = BlockKey(fileID: fileID, number: number)
        // Evicted blocks are freed outside of the lock.
        let evicted = shards[shard(of: key)].state.withLock { $0.insert(key, block) }
        withExtendedLifetime(evicted) {}
    }

    /// Whether a block is here; unlike ``block(fileID:number:)`` no use of it.
    func holds(fileID: UInt64, number: UInt32) -> Bool {
        let key = BlockKey(fileID: fileID, number: number)
        return shards[shard(of: key)].state.withLock { $0.holds(key) }
    }

    /// Removes all blocks of some files and keeps others of another one, at once for each shard.
    func exchange(
        _ oldFileIDs: Set<UInt64>,
        for blocks: [(number: UInt32, block: DecodedBlock)],
        of fileID: UInt64
    ) {
        var parts = [[(BlockKey, DecodedBlock)]](repeating: [], count: shards.count)
        for (number, block) in blocks where block.memoryByteCount <= largestBlockByteCount {
            let key = BlockKey(fileID: fileID, number: number)
            parts[shard(of: key)].append((key, block))
        }
        for (shard, part) in zip(shards, parts) {
            let gone = shard.state.withLock { state -> [DecodedBlock] in
                var gone = state.removeAll { oldFileIDs.contains($0) }
                for (key, block) in part { gone += state.insert(key, block) }
                return gone
            }
            withExtendedLifetime(gone) {}
        }
    }

    /// Frees all blocks that no reader holds.
    package func removeAll() {
        for shard in shards {
            let gone = shard.state.withLock { $0.removeAll { _ in true } }
            withExtendedLifetime(gone) {}
        }
    }

    /// Sums over the shards; not of one moment.
    package var statistics: Statistics {
        var sum = Statistics()
        for shard in shards {
            let part = shard.state.withLock { $0.statistics }
            sum.hitCount += part.hitCount
            sum.missCount += part.missCount
            sum.byteCount += part.byteCount
            sum.blockCount += part.blockCount
        }
        return sum
    }

    private func shard(of key: BlockKey) -> Int {
        // The low bits choose the slot, these the shard.
        Int(truncatingIfNeeded: key.hash &>> 48) & (shards.count - 1)
    }
}

/// Names a block.
private struct BlockKey: Equatable {
    let fileID: UInt64
    let number: UInt32

    var hash: UInt64 {
        var x = fileID &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(number)
        x = (x ^ (x &>> 32)) &* 0xD6E8_FEB8_6659_FD93
        return x ^ (x &>> 32)
    }
}

/// An open hash table of slots and the hand of the clock.
private struct ShardState {
    private struct Slot {
        let key: BlockKey
        let block: DecodedBlock
        var wasUsed: Bool
    }

    private let byteBudget: Int
    /// The blocks in no order; the clock's hand goes over them.
    private var slots: [Slot] = []
    /// For each hash the slot's index, −1 where there is none.
    ///
    /// Linear probing.
    private var table: [Int32] = Array(repeating: -1, count: 64)
    private var hand = 0
    private(set) var statistics = BlockCache.Statistics()

    init(byteBudget: Int) { self.byteBudget = byteBudget }

    mutating func find(_ key: BlockKey) -> DecodedBlock? {
        let place = place(of: key)
        let index = Int(table[place])
        guard index >= 0 else {
            statistics.missCount &+= 1
            return nil
        }
        statistics.hitCount &+= 1
        slots[index].wasUsed = true
        return slots[index].block
    }

    func holds(_ key: BlockKey) -> Bool { table[place(of: key)] >= 0 }

    /// Removes the blocks of the files that are chosen, and returns them.
    mutating func removeAll(where isChosen: (UInt64) -> Bool) -> [DecodedBlock] {
        var gone: [DecodedBlock] = []
        for index in slots.indices.reversed() where isChosen(slots[index].key.fileID) {
            gone.append(remove(at: index))
        }
        return gone
    }

    /// Returns the blocks that had to go.
    mutating func insert(_ key: BlockKey, _ block: DecodedBlock) -> [DecodedBlock] {
        guard table[place(of: key)] < 0 else { return [] }
        var evicted: [DecodedBlock] = []
        while !slots.isEmpty, statistics.byteCount + block.memoryByteCount > byteBudget {
            if let old = turn() { evicted.append(old) }
        }
        if (slots.count + 1) * 2 > table.count { grow() }
        table[place(of: key)] = Int32(slots.count)
        slots.append(Slot(key: key, block: block, wasUsed: false))
        statistics.byteCount += block.memoryByteCount
        statistics.blockCount = slots.count
        return evicted
    }

    /// The key's place in the table, or the free one where it would stand.
    private func place(of key: BlockKey) -> Int {
        let mask = table.count - 1
        var at = Int(truncatingIfNeeded: key.hash) & mask
        while table[at] >= 0, slots[Int(table[at])].key != key { at = (at + 1) & mask }
        return at
    }

    /// Moves the hand by one: spares a block that was used since, removes another.
    private mutating func turn() -> DecodedBlock? {
        if hand >= slots.count { hand = 0 }
        if slots[hand].wasUsed {
            slots[hand].wasUsed = false
            hand += 1
            return nil
        }
        return remove(at: hand)
    }

    private mutating func remove(at index: Int) -> DecodedBlock {
        let slot = slots[index]
        removeFromTable(slot.key)
        // The last slot takes the free place, and its entry in the table follows it.
        let last = slots.count - 1
        if index != last {
            table[place(of: slots[last].key)] = Int32(index)
            slots[index] = slots[last]
        }
        slots.removeLast()
        statistics.byteCount -= slot.block.memoryByteCount
        statistics.blockCount = slots.count
        return slot.block
    }

    /// Frees a key's place and moves up those behind it that would no longer be found.
    private mutating func removeFromTable(_ key: BlockKey) {
        let mask = table.count - 1
        var free = place(of: key)
        var at = free
        while true {
            at = (at + 1) & mask
            guard table[at] >= 0 else { break }
            let home = Int(truncatingIfNeeded: slots[Int(table[at])].key.hash) & mask
            if (at - home) & mask >= (at - free) & mask {
                table[free] = table[at]
                free = at
            }
        }
        table[free] = -1
    }

    private mutating func grow() {
        table = Array(repeating: -1, count: table.count * 2)
        for index in slots.indices { table[place(of: slots[index].key)] = Int32(index) }
    }
}
