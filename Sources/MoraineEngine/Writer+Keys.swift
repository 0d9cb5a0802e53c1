// Where a key's newest document is, and how its life ends. Under the commit lock, as all of Writer.

import MoraineBytes
import MoraineFormat
import MoraineSegments
import MoraineStorage

extension Writer {
    /// A live row of a segment.
    struct SegmentPlace {
        let index: Int
        let entry: KeyEntry
    }

    /// The newest row of a key in memory, put or delete.
    func findInMemory(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer)
        -> (table: MemTable, row: Int)?
    {
        if let row = active.newestRow(collectionID: collectionID, id: id) { return (active, row) }
        guard let table = sealed?.table,
            let row = table.newestRow(collectionID: collectionID, id: id)
        else { return nil }
        return (table, row)
    }

    /// The live row of a key in a segment; not looked for when memory has a newer one.
    func findInSegments(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer)
        throws(StoreError) -> SegmentPlace?
    {
        if segments.isEmpty || findInMemory(collectionID, id) != nil { return nil }
        return try KeyBytes.with(collection: collectionID, id: id) {
            key throws(StoreError) -> SegmentPlace? in
            // By index: a copy of each view would count up all that it refers to, for each key.
            for index in segments.indices {
                if let entry = try segments[index].segment.files.keys.find(key),
                    !segments[index].dead.isDead(entry.row)
                {
                    return SegmentPlace(index: index, entry: entry)
                }
            }
            return nil
        }
    }

    /// The version of a key's document at a commit's time; 0 when there is none.
    func currentVersion(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer, at time: UInt64)
        throws(StoreError) -> UInt64
    {
        if let (table, row) = findInMemory(collectionID, id) {
            let found = table.row(row)
            let isThere = !found.pointee.isTombstone && found.pointee.deathLSN == nil
            return isThere && !found.pointee.isExpired(at: time) ? found.pointee.lsn : 0
        }
        guard let entry = try findInSegments(collectionID, id)?.entry else { return 0 }
        return entry.isExpired(at: time) ? 0 : entry.lsn
    }

    /// Ends the life of a key's document; returns when it was created, `nil` if there was none or
    /// it had expired at the commit's time.
    func end(
        _ collectionID: UInt32,
        _ id: UnsafeRawBufferPointer,
        _ place: SegmentPlace?,
        at lsn: UInt64,
        _ time: UInt64,
        _ kills: inout KilledRows
    ) -> UInt64? {
        // Memory first: an earlier operation of this commit may have put the key.
        if let (table, row) = findInMemory(collectionID, id) {
            // Dead without a successor: its collection or prefix was taken away.
            let isThere =
                !table.row(row).pointee.isTombstone && table.row(row).pointee.deathLSN == nil
            guard isThere else { return nil }
            table.kill(row, at: lsn)
            let old = table.row(row)
            return old.pointee.isExpired(at: time) ? nil : old.pointee.created
        }
        // Dead by now: this commit has deleted its prefix.
        guard let place, !segments[place.index].dead.isDead(place.entry.row) else { return nil }
        kills.add(segment: place.index, row: place.entry.row)
        return place.entry.isExpired(at: time) ? nil : place.entry.created
    }
}

/// Rows of a segment that follow each other.
struct SegmentRange {
    let index: Int
    let rows: Range<UInt32>
    /// Those of them that have expired at the commit's time.
    var expired: [UInt32] = []
}

/// Rows of segments that one commit ends, gathered so that bitmaps are copied once.
struct KilledRows {
    private var rows: [Int: [UInt32]] = [:]
    private var ranges: [SegmentRange] = []

    mutating func add(segment: Int, row: UInt32) { rows[segment, default: []].append(row) }

    mutating func add(_ range: SegmentRange) { ranges.append(range) }

    func apply(to segments: inout [SegmentView]) {
        for (index, rows) in rows {
            segments[index].dead = segments[index].dead.with(dead: rows)
        }
        for range in ranges {
            segments[range.index].dead = segments[range.index].dead.with(deadRange: range.rows)
        }
    }
}
