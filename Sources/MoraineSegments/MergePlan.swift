// What a compaction makes of several segments: the order of their rows, and the tombstones that
// are still needed. Only keys are read here; documents follow in DocumentMerge.

import MoraineBytes
import MoraineFormat
package import MoraineStorage

/// A segment that a merge reads, and which of its rows are dead.
package struct MergeInput: Sendable {
    package let segment: SegmentReader
    package let dead: DeadRows

    package init(segment: SegmentReader, dead: DeadRows) {
        precondition(segment.rowCount == dead.rowCount)
        self.segment = segment
        self.dead = dead
    }

    func isLive(_ entry: KeyEntry, at time: UInt64) -> Bool {
        !dead.isDead(entry.row) && !MergePlan.isExpired(entry, at: time)
    }
}

/// Which row of which input becomes which row of the output.
///
/// Immutable; any thread. Memory: 14 bytes for each row of the output.
package final class MergePlan: Sendable {
    /// Inputs that one merge takes at most.
    package static let inputLimit = 64

    package let inputs: [MergeInput]
    /// For each row of the output, the number of its input.
    package let inputNumbers: [UInt8]
    /// For each row of the output, its row in that input.
    package let inputRows: [UInt32]
    /// For each row of the output, the LSN that its key has: its document must have the same.
    let lsns: [UInt64]
    /// The rows of each collection, in the order of their ids.
    package let rowCounts: [(collectionID: UInt32, count: Int)]
    /// The collections with rows that expire.
    let expiries: [UInt32: SegmentExpiry]
    /// Live rows that have expired, in key order: each becomes a tombstone.
    let expired: ExpiredKeys
    private let time: UInt64

    package var rowCount: Int { inputRows.count }
    /// Rows of the inputs that had expired.
    package var expiredRowCount: Int { expired.count }

    /// Goes over the live keys of all inputs in order.
    ///
    /// - Parameters:
    ///   - inputs: 1 to ``inputLimit``; no two hold a live row of the same key.
    ///   - time: rows that have expired by then are left out, in milliseconds since 1970.
    ///   - step: called now and then; throws to end the work.
    /// - Throws: `corrupted` where a key file is damaged, or two inputs hold the same key; what
    ///   `step` throws.
    package init(
        _ inputs: [MergeInput],
        expiredAt time: UInt64,
        step: () throws(StoreError) -> Void
    ) throws(StoreError) {
        precondition(!inputs.isEmpty && inputs.count <= MergePlan.inputLimit)
        let liveCount = inputs.reduce(0) { $0 + Int($1.segment.rowCount) - $1.dead.count }
        var numbers: [UInt8] = []
        var rows: [UInt32] = []
        var lsns: [UInt64] = []
        numbers.reserveCapacity(liveCount)
        rows.reserveCapacity(liveCount)
        lsns.reserveCapacity(liveCount)
        var rowCounts: [(collectionID: UInt32, count: Int)] = []
        var rowCount = 0
        var expiries: [UInt32: SegmentExpiry] = [:]
        let expired = ExpiredKeys()
        var order = try KeyOrder(inputs)
        while let (number, key, entry) = try order.next() {
            if MergePlan.isExpired(entry, at: time) {
                expired.append(key, entry)
                continue
            }
            let collectionID = KeyBytes.collection(of: key)
            if rowCounts.last?.collectionID != collectionID { rowCounts.append((collectionID, 0)) }
            rowCounts[rowCounts.count - 1].count += 1
            SegmentExpiry.counting(entry.expiry, of: collectionID, into: &expiries)
            numbers.append(UInt8(truncatingIfNeeded: number))
            rows.append(entry.row)
            lsns.append(entry.lsn)
            rowCount += 1
            if rowCount % 65_536 == 0 { try step() }
        }
        self.inputs = inputs
        self.rowCounts = rowCounts
        self.expiries = expiries
        self.expired = expired
        self.time = time
        inputNumbers = numbers
        inputRows = rows
        self.lsns = lsns
    }

    static func isExpired(_ entry: KeyEntry, at time: UInt64) -> Bool {
        entry.expiry != 0 && entry.expiry <= time
    }

    /// Calls `body` with the key of each row of the output and what is known of it, in order.
    ///
    /// The order is known by now: no key is compared.
    func forEachKey(_ body: (UnsafeRawBufferPointer, KeyEntry) throws(StoreError) -> Void)
        throws(StoreError)
    {
        let cursors = inputs.map { $0.segment.keys.cursor(from: 0) }
        for output in inputRows.indices {
            let number = Int(inputNumbers[output])
            let cursor = cursors[number]
            let row = inputRows[output]
            repeat {
                guard try cursor.next() else { throw inputs[number].disorder(row) }
            } while cursor.row != row
            try body(cursor.key, cursor.entry)
        }
    }

    /// For each input, the row of the output that each of its rows has become; `UInt32.max` for
    /// rows that were left out.
    ///
    /// Memory: four bytes for each row of an input.
    package func outputRows() -> [[UInt32]] {
        var result = inputs.map { [UInt32](repeating: .max, count: Int($0.segment.rowCount)) }
        for output in inputRows.indices {
            result[Int(inputNumbers[output])][Int(inputRows[output])] = UInt32(output)
        }
        return result
    }

    /// Calls `body` with each tombstone that the output has to hold, in key order.
    ///
    /// A tombstone goes when its key lives on in the inputs, or when nothing else can hold an
    /// older document of the key.
    ///
    /// - Parameter isNeeded: whether a segment outside the inputs may hold a document of the key
    ///   that is older than an LSN.
    package func forEachTombstone(
        isNeeded: (UnsafeRawBufferPointer, UInt64) throws(StoreError) -> Bool,
        _ body: (Tombstone) throws(StoreError) -> Void
    ) throws(StoreError) {
        var sources: [TombstoneCursor] = []
        for input in inputs where input.segment.documents.tombstoneCount > 0 {
            sources.append(TombstoneCursor(input.segment.documents))
        }
        var heads: [Tombstone?] = []
        for source in sources { heads.append(try source.next()) }
        var expiredIndex = 0
        while true {
            var newest = expired.tombstone(expiredIndex)
            for case .some(let head) in heads {
                guard let best = newest else {
                    newest = head
                    continue
                }
                let order = Tombstone.compareKeys(head, best)
                if order < 0 || (order == 0 && head.lsn > best.lsn) { newest = head }
            }
            guard let newest else { return }
            // The heads borrow from their cursors: judged and used before any of them moves.
            let isKept = try KeyBytes.with(collection: newest.collectionID, id: newest.id) {
                key throws(StoreError) in
                if try livesOn(key) { return false }
                return try isNeeded(key, newest.lsn)
            }
            if isKept { try body(newest) }
            var passed: [Int] = []
            for (index, head) in heads.enumerated() {
                if let head, Tombstone.compareKeys(head, newest) == 0 { passed.append(index) }
            }
            if let head = expired.tombstone(expiredIndex),
                Tombstone.compareKeys(head, newest) == 0
            {
                expiredIndex += 1
            }
            for index in passed { heads[index] = try sources[index].next() }
        }
    }

    private func livesOn(_ key: UnsafeRawBufferPointer) throws(StoreError) -> Bool {
        for input in inputs {
            if let entry = try input.segment.keys.find(key), input.isLive(entry, at: time) {
                return true
            }
        }
        return false
    }
}

/// A delete, as it stands in a segment.
package struct Tombstone {
    package let collectionID: UInt32
    /// Borrowed: valid inside the closure that it is given to.
    package let id: UnsafeRawBufferPointer
    package let lsn: UInt64
    /// Milliseconds since 1970.
    package let time: UInt64

    static func compareKeys(_ a: Tombstone, _ b: Tombstone) -> Int {
        KeyBytes.compare(a.collectionID, a.id, b.collectionID, b.id)
    }
}

/// Keys of rows that have expired, in order.
final class ExpiredKeys: @unchecked Sendable {  // written only while the plan is made
    private struct Entry {
        let start: Int
        let count: Int
        let lsn: UInt64
        let expiry: UInt64
    }

    private var entries: [Entry] = []
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 8)
    private var byteCount = 0

    deinit { memory.deallocate() }

    var count: Int { entries.count }

    func append(_ key: UnsafeRawBufferPointer, _ entry: KeyEntry) {
        if memory.count - byteCount < key.count { grow(by: key.count) }
        UnsafeMutableRawBufferPointer(rebasing: memory[byteCount...]).copyMemory(from: key)
        entries.append(
            Entry(start: byteCount, count: key.count, lsn: entry.lsn, expiry: entry.expiry)
        )
        byteCount += key.count
    }

    private func grow(by count: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(4096, 2 * memory.count, byteCount + count),
            alignment: 8
        )
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<byteCount]))
        memory.deallocate()
        memory = larger
    }

    /// The tombstone that an expired row leaves, which borrows this object; `nil` behind the last.
    func tombstone(_ index: Int) -> Tombstone? {
        guard index < entries.count else { return nil }
        let entry = entries[index]
        let key = UnsafeRawBufferPointer(rebasing: memory[entry.start..<entry.start + entry.count])
        return Tombstone(
            collectionID: KeyBytes.collection(of: key),
            id: UnsafeRawBufferPointer(rebasing: key[KeyBytes.prefixByteCount...]),
            lsn: entry.lsn,
            time: entry.expiry
        )
    }
}

/// Goes over the tombstones of a segment in key order.
private final class TombstoneCursor {
    private let file: DocumentFile
    private var number: Int
    private var block: DecodedBlock?
    private var place = 0

    init(_ file: DocumentFile) {
        self.file = file
        number = file.documentBlockCount
    }

    /// The next tombstone, which borrows this cursor until it is moved on.
    func next() throws(StoreError) -> Tombstone? {
        while true {
            if let block, place < block.recordCount {
                let record = try block.record(place)
                place += 1
                return Tombstone(
                    collectionID: record.collectionID,
                    id: record.id,
                    lsn: record.lsn,
                    time: record.updated
                )
            }
            guard number < file.blockCount else { return nil }
            block = try file.block(number, caching: false)
            number += 1
            place = 0
        }
    }
}
