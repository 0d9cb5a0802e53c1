// The newest documents, in memory, until a checkpoint writes them to a segment.
//
// One writer (under the commit lock), any number of readers without a lock. Rows are only added;
// a row's death is set once. What a reader may see follows from the LSN of its version:
// a row is visible at V when lsn <= V < death.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineVectors
import Synchronization

/// One row of a memtable: a put or a delete.
package struct MemRow: ~Copyable {
    package let collectionID: UInt32
    package let isTombstone: Bool
    package let id: UnsafeRawBufferPointer
    /// Prefixed text, prefixed metadata; empty for a tombstone.
    package let body: UnsafeRawBufferPointer
    /// As many floats as the collection has dimensions; `nil` without vector.
    package let vector: UnsafePointer<Float>?
    /// The vector's norm; 0 without vector.
    package let norm: Float
    /// CRC-32C of the vector's f32s; 0 without vector.
    let vectorChecksum: UInt32
    package let lsn: UInt64
    package let created: UInt64
    package let updated: UInt64
    package let expiry: UInt64
    /// The row of the same key before this one, in this memtable.
    fileprivate let previous: UInt32
    /// The row of the same collection before this one.
    let previousInCollection: UInt32
    /// The LSN that replaced or deleted this row; the largest number while it lives.
    fileprivate let death: Atomic<UInt64>

    /// True for a document that a reader at `version` sees.
    @inline(__always)
    package borrowing func isLive(at version: UInt64) -> Bool {
        !isTombstone && lsn <= version && death.load(ordering: .acquiring) > version
    }

    /// True when the document is gone for a reader whose time is `now`.
    @inline(__always)
    package borrowing func isExpired(at now: UInt64) -> Bool { expiry != 0 && expiry <= now }

    /// The LSN at which the row died, if it did.
    package var deathLSN: UInt64? {
        let value = death.load(ordering: .acquiring)
        return value == .max ? nil : value
    }
}

/// A vector in a memtable.
struct MemVector {
    let start: UnsafePointer<Float>
    let facts: VectorFacts
}

/// An append-only table of rows with a hash index.
///
/// Memory grows by chunks whose addresses never change. `@unchecked Sendable`: written only by
/// the holder of the commit lock; readers reach rows through atomics published after the rows.
package final class MemTable: @unchecked Sendable {
    private static let rowsPerChunk = 1024
    private static let maximumChunkCount = 1 << 13
    /// No row.
    static let none = UInt32.max
    /// Rows that fit.
    package static let maximumRowCount = rowsPerChunk * maximumChunkCount

    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<MemRow>?>
    private var arena: Arena
    private var index: HashIndex
    private var retiredIndexes: [HashIndex] = []
    /// The current index, for readers.
    private let published: Atomic<UnsafeRawPointer?>
    private let rows = Atomic<Int>(0)
    private let expires = Atomic<Bool>(false)
    let collections = Mutex<[UInt32: CollectionRows]>([:])
    /// Bytes of all `LiveCounts`; only for the holder of the commit lock.
    private var countByteCount = 0

    package convenience init() { self.init(after: nil, pool: nil) }

    /// - Parameters:
    ///   - previous: a table that was filled; this one will come to hold about as much.
    ///   - pool: where large memory comes from and goes; `nil`: the system.
    init(after previous: MemTable?, pool: PagePool?) {
        let isLarge = (previous?.arena.byteCount ?? 0) >= PagePool.pieceByteCount
        arena = Arena(pool: pool, startsLarge: isLarge)
        chunks = .allocate(capacity: Self.maximumChunkCount)
        chunks.initialize(repeating: nil, count: Self.maximumChunkCount)
        index = HashIndex(capacity: isLarge ? previous?.index.capacity ?? 1024 : 1024)
        published = Atomic(UnsafeRawPointer(index.storage))
    }

    deinit {
        let count = rowCount
        for chunk in 0..<((count + Self.rowsPerChunk - 1) / Self.rowsPerChunk) {
            let first = chunk * Self.rowsPerChunk
            chunks[chunk]?.deinitialize(count: min(Self.rowsPerChunk, count - first))
            chunks[chunk]?.deallocate()
        }
        chunks.deallocate()
        index.free()
        for retired in retiredIndexes { retired.free() }
        arena.free()
    }

    /// Rows added so far, dead ones and tombstones included.
    package var rowCount: Int { rows.load(ordering: .acquiring) }

    /// True once a row has an expiry.
    package var hasExpiries: Bool { expires.load(ordering: .acquiring) }

    /// Bytes taken.
    ///
    /// Only for the holder of the commit lock.
    package var byteCount: Int {
        arena.byteCount + rowCount * MemoryLayout<MemRow>.stride + index.byteCount
            + countByteCount
    }

    /// The row numbered `row`, which must exist.
    @inline(__always)
    package func row(_ row: Int) -> UnsafePointer<MemRow> {
        UnsafePointer(
            chunks[row / Self.rowsPerChunk].unsafelyUnwrapped + row % Self.rowsPerChunk
        )
    }

    // MARK: Writing, under the commit lock

    /// Copies bytes to where a row can point at them, at a multiple of 8.
    package func adopt(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        arena.copy(bytes)
    }

    /// As `adopt`, for a vector; `nil` when it has no numbers.
    ///
    /// - Parameter known: what was computed of it before.
    func adopt(vector bytes: UnsafeRawBufferPointer, _ known: VectorFacts? = nil) -> MemVector? {
        let floats = arena.copy(bytes).bindMemory(to: Float.self)
        return floats.baseAddress.map { start in
            let facts =
                known
                ?? VectorFacts(
                    floats,
                    norm: VectorMath.norm(start, dimensions: floats.count)
                )
            return MemVector(start: start, facts: facts)
        }
    }

    /// The newest row of a key, whether put or delete, whatever its LSN.
    package func newestRow(collectionID: UInt32, id: UnsafeRawBufferPointer) -> Int? {
        let hash = Self.hash(collectionID, id)
        let row = lookUp(index.storage, hash, collectionID, id)
        return row == Self.none ? nil : Int(row)
    }

    /// Adds a row and makes it the newest of its key.
    ///
    /// The pointers come from `adopt`.
    func add(
        collectionID: UInt32,
        isTombstone: Bool,
        id: UnsafeRawBufferPointer,
        body: UnsafeRawBufferPointer,
        vector: MemVector?,
        lsn: UInt64,
        created: UInt64,
        updated: UInt64,
        expiry: UInt64
    ) {
        let number = rows.load(ordering: .relaxed)
        precondition(number < Self.maximumRowCount)
        let chunk = number / Self.rowsPerChunk
        if chunks[chunk] == nil { chunks[chunk] = .allocate(capacity: Self.rowsPerChunk) }
        let hash = Self.hash(collectionID, id)
        let previous = lookUp(index.storage, hash, collectionID, id)
        let previousInCollection = collections.withLock { $0[collectionID]?.head ?? Self.none }
        (chunks[chunk].unsafelyUnwrapped + number % Self.rowsPerChunk).initialize(
            to: MemRow(
                collectionID: collectionID,
                isTombstone: isTombstone,
                id: id,
                body: body,
                vector: vector?.start,
                norm: vector?.facts.norm ?? 0,
                vectorChecksum: vector?.facts.checksum ?? 0,
                lsn: lsn,
                created: created,
                updated: updated,
                expiry: expiry,
                previous: previous,
                previousInCollection: previousInCollection,
                death: Atomic(.max)
            )
        )
        if expiry != 0 { expires.store(true, ordering: .releasing) }
        rows.store(number + 1, ordering: .releasing)
        // Only now: who finds the row through its collection must find it whole.
        change(collectionID) {
            $0.head = UInt32(number)
            return !isTombstone && $0.live.add(1, at: lsn)
        }
        if index.isFull { growIndex() }
        index.set(hash, UInt32(number), isNew: previous == Self.none) { row in
            self.matches(row, collectionID, id)
        }
    }

    /// Ends the life of a row, a document that lives, at `lsn`.
    ///
    /// Versions before it still see the row.
    func kill(_ row: Int, at lsn: UInt64) {
        let row = self.row(row)
        row.pointee.death.store(lsn, ordering: .releasing)
        change(row.pointee.collectionID) { $0.live.add(-1, at: lsn) }
    }

    /// - Parameter body: true when it noted a count of its own.
    private func change(_ collectionID: UInt32, _ body: (inout CollectionRows) -> Bool) {
        let isNoted = collections.withLock { body(&$0[collectionID, default: CollectionRows()]) }
        if isNoted { countByteCount += LiveCounts.stepByteCount }
    }

    private func growIndex() {
        var larger = HashIndex(capacity: index.capacity * 2)
        rehash(from: index, into: &larger)
        retiredIndexes.append(index)
        index = larger
        published.store(UnsafeRawPointer(larger.storage), ordering: .releasing)
    }

    // MARK: Reading, from any thread

    /// The newest row of a key that a reader at `version` may see, put or delete.
    package func find(collectionID: UInt32, id: UnsafeRawBufferPointer, at version: UInt64)
        -> UnsafePointer<MemRow>?
    {
        guard let storage = published.load(ordering: .acquiring) else { return nil }
        var row = lookUp(
            storage,
            Self.hash(collectionID, id),
            collectionID,
            id
        )
        while row != Self.none {
            let candidate = self.row(Int(row))
            if candidate.pointee.lsn <= version { return candidate }
            row = candidate.pointee.previous
        }
        return nil
    }

    /// Calls `body` with each row of a collection, newest first, dead ones and deletes included.
    package func forEachRow<E: Error>(
        collectionID: UInt32,
        _ body: (Int, UnsafePointer<MemRow>) throws(E) -> Void
    ) throws(E) {
        var row = collections.withLock { $0[collectionID]?.head ?? Self.none }
        while row != Self.none {
            let pointer = self.row(Int(row))
            try body(Int(row), pointer)
            row = pointer.pointee.previousInCollection
        }
    }

    // MARK: The index

    @inline(__always)
    private static func hash(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) -> UInt64 {
        hash64(id, seed: UInt64(collectionID))
    }

    @inline(__always)
    private func matches(_ row: UInt32, _ collectionID: UInt32, _ id: UnsafeRawBufferPointer)
        -> Bool
    {
        let other = self.row(Int(row))
        return other.pointee.collectionID == collectionID
            && KeyBytes.compare(other.pointee.id, id) == 0
    }

    @inline(__always)
    private func lookUp(
        _ storage: UnsafeRawPointer,
        _ hash: UInt64,
        _ collectionID: UInt32,
        _ id: UnsafeRawBufferPointer
    ) -> UInt32 {
        HashIndex.find(storage, hash) { matches($0, collectionID, id) }
    }
}

/// An open-addressing table of (high half of the hash, row), one writer, lock-free readers.
///
/// The storage is one header word (the mask) and `capacity` slots.
private struct HashIndex {
    let storage: UnsafeMutableRawPointer
    let capacity: Int
    private var used = 0

    init(capacity: Int) {
        self.capacity = capacity
        storage = .allocate(byteCount: 64 + capacity * 8, alignment: 64)
        storage.initializeMemory(as: UInt64.self, to: UInt64(capacity - 1))
        slots.initialize(repeating: 0)
    }

    private var slots: UnsafeMutableBufferPointer<UInt64> {
        UnsafeMutableBufferPointer(
            start: (storage + 64).assumingMemoryBound(to: UInt64.self),
            count: capacity
        )
    }

    var byteCount: Int { 64 + capacity * 8 }
    var isFull: Bool { used * 2 >= capacity }

    func free() { storage.deallocate() }

    @inline(__always)
    private static func slot(_ storage: UnsafeRawPointer, _ index: Int) -> UnsafeMutablePointer<
        Atomic<UInt64>
    > {
        // SAFETY: the slots are 8-aligned words inside the allocation; Atomic<UInt64> has the
        // layout of UInt64.
        UnsafeMutablePointer(
            mutating: (storage + 64 + index &* 8).assumingMemoryBound(to: Atomic<UInt64>.self)
        )
    }

    /// The row stored under `hash` for which `matches` is true; the largest number when none.
    @inline(__always)
    static func find(_ storage: UnsafeRawPointer, _ hash: UInt64, _ matches: (UInt32) -> Bool)
        -> UInt32
    {
        let mask = Int(storage.load(as: UInt64.self))
        let tag = hash >> 32
        var at = Int(truncatingIfNeeded: hash) & mask
        while true {
            let word = slot(storage, at).pointee.load(ordering: .acquiring)
            if word == 0 { return .max }
            if word >> 32 == tag {
                let row = UInt32(truncatingIfNeeded: word) &- 1
                if matches(row) { return row }
            }
            at = (at &+ 1) & mask
        }
    }

    /// Stores `row` under `hash`, over the row of the same key unless the key is new.
    mutating func set(_ hash: UInt64, _ row: UInt32, isNew: Bool, _ matches: (UInt32) -> Bool) {
        let mask = capacity &- 1
        let word = (hash >> 32) << 32 | UInt64(row &+ 1)
        var at = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = Self.slot(storage, at)
            let old = slot.pointee.load(ordering: .relaxed)
            if old == 0 {
                slot.pointee.store(word, ordering: .releasing)
                used += 1
                return
            }
            if !isNew, old >> 32 == hash >> 32, matches(UInt32(truncatingIfNeeded: old) &- 1) {
                slot.pointee.store(word, ordering: .releasing)
                return
            }
            at = (at &+ 1) & mask
        }
    }
}

extension MemTable {
    /// Fills a larger index with what a smaller one holds; hashes are computed anew.
    fileprivate func rehash(from old: HashIndex, into new: inout HashIndex) {
        old.forEach { row in
            let pointer = self.row(Int(row))
            let hash = hash64(pointer.pointee.id, seed: UInt64(pointer.pointee.collectionID))
            new.set(hash, row, isNew: true) { _ in false }
        }
    }
}

extension HashIndex {
    func forEach(_ body: (UInt32) -> Void) {
        for word in slots where word != 0 { body(UInt32(truncatingIfNeeded: word) &- 1) }
    }
}

/// Memory in pieces that double up to those of the pool, given back all at once.
private struct Arena {
    private static let firstPieceByteCount = 1 << 14

    private let pool: PagePool?
    private var pieces: [UnsafeMutableRawBufferPointer] = []
    /// What is left of the last piece.
    private var rest = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var nextPieceByteCount: Int
    /// Bytes handed out.
    private(set) var byteCount = 0

    init(pool: PagePool?, startsLarge: Bool) {
        self.pool = pool
        nextPieceByteCount = startsLarge ? PagePool.pieceByteCount : Self.firstPieceByteCount
    }

    mutating func copy(_ source: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let needed = (source.count + 7) & ~7
        if needed > rest.count { addPiece(needed) }
        let target = UnsafeMutableRawBufferPointer(rebasing: rest[..<source.count])
        rest = UnsafeMutableRawBufferPointer(rebasing: rest[needed...])
        byteCount += needed
        target.copyMemory(from: source)
        return UnsafeRawBufferPointer(target)
    }

    private mutating func addPiece(_ needed: Int) {
        let byteCount = max(needed, nextPieceByteCount)
        if byteCount == PagePool.pieceByteCount, let pool {
            rest = pool.take()
        } else {
            rest = AnonymousPages.allocate(byteCount: byteCount)
        }
        pieces.append(rest)
        nextPieceByteCount = min(nextPieceByteCount * 2, PagePool.pieceByteCount)
    }

    func free() {
        for piece in pieces {
            if piece.count == PagePool.pieceByteCount, let pool {
                pool.put(piece)
            } else {
                AnonymousPages.free(piece)
            }
        }
    }
}
