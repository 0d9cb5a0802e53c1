// An immutable state of the store: what a reader holds. Reading takes no lock and is never in a
// writer's way.

import MoraineBytes
package import MoraineFormat
import MoraineSegments
package import MoraineStorage
import MoraineVectors

/// A document as a reader sees it.
///
/// The pointers are borrowed: valid inside the closure only.
package struct DocumentView {
    package let collectionID: UInt32
    package let id: UnsafeRawBufferPointer
    /// UTF-8.
    package let text: UnsafeRawBufferPointer
    /// A canonical object (format-spec/document.md).
    package let metadata: UnsafeRawBufferPointer
    /// The LSN of the commit that put it.
    package let version: UInt64
    /// Milliseconds since 1970.
    package let created: UInt64
    /// Milliseconds since 1970.
    package let updated: UInt64
    /// Milliseconds since 1970; 0 for never.
    package let expiry: UInt64
    /// The vector's f32s; `nil` when there is none or it was not asked for.
    package let vector: UnsafeRawBufferPointer?
}

/// The state of the store after one commit.
package final class Version: Sendable {
    /// The newest commit that this version contains.
    package let lsn: UInt64
    /// When that was, in milliseconds since 1970.
    package let time: UInt64
    /// Its collections: the same object for all versions since one was made, renamed or dropped.
    package let table: CollectionTable
    /// Newest first.
    let memtables: [MemTable]
    package let segments: [SegmentView]
    let scanPool: ScanPool
    /// The time of its reader: what expires at or before it is not there.
    package let now: UInt64
    /// When its reader's reads are to end; `nil` for never.
    package let limit: ReadLimit?
    /// False when no document ever expires, so that the time does not matter.
    let hasExpiries: Bool

    init(
        lsn: UInt64,
        time: UInt64,
        table: CollectionTable,
        memtables: [MemTable],
        segments: [SegmentView],
        scanPool: ScanPool,
        now: UInt64 = 0
    ) {
        self.now = max(now, time)
        hasExpiries =
            memtables.contains { $0.hasExpiries }
            || segments.contains { !$0.segment.files.documents.expiries.isEmpty }
        self.lsn = lsn
        self.time = time
        self.table = table
        self.memtables = memtables
        self.segments = segments
        self.scanPool = scanPool
        limit = nil
    }

    /// The same state for another reader: nothing is looked for again.
    private init(_ other: Version, now: UInt64, limit: ReadLimit?) {
        lsn = other.lsn
        time = other.time
        table = other.table
        memtables = other.memtables
        segments = other.segments
        scanPool = other.scanPool
        hasExpiries = other.hasExpiries
        self.now = now
        self.limit = limit
    }

    /// The same state for a reader at a later time.
    func at(_ now: UInt64) -> Version {
        guard hasExpiries, now > self.now else { return self }
        return Version(self, now: now, limit: limit)
    }

    /// The same state for a reader whose reads end early: scans, counts, searches and hashes then
    /// throw `cancelled` or `deadline-exceeded`.
    package func limited(by limit: ReadLimit) -> Version {
        Version(self, now: now, limit: limit)
    }

    /// True for a row of memory that this version's reader sees.
    @inline(__always)
    func sees(_ row: UnsafePointer<MemRow>) -> Bool {
        row.pointee.isLive(at: lsn) && !row.pointee.isExpired(at: now)
    }

    /// The rows of a collection in a segment that this version's reader does not see.
    func hidden(_ view: SegmentView, _ collectionID: UInt32) throws(StoreError) -> DeadRows {
        let expired = try view.segment.expiredRows(of: collectionID, at: now)
        return expired.isEmpty ? view.dead : view.dead.with(dead: expired)
    }

    /// All collections, by the bytes of their names.
    package var collections: [CollectionShape] { table.shapes }

    /// The collection of a name.
    package func collection(_ name: String) -> CollectionShape? { table[name] }

    /// The collection of an id, whatever its name is by now; `nil` when it was dropped.
    package func collection(id: UInt32) -> CollectionShape? { table[id] }

    /// Calls `body` with a document; `nil` when there is none of this id.
    ///
    /// - Throws: `corrupted` when the document's bytes are damaged; what `body` throws.
    package func withDocument<R>(
        _ collection: CollectionShape,
        id: UnsafeRawBufferPointer,
        wantsVector: Bool,
        _ body: (DocumentView) throws(StoreError) -> R
    ) throws(StoreError) -> R? {
        guard id.count >= 1, id.count <= FormatLimits.idByteCount else { return nil }
        for index in memtables.indices {
            let memtable = Unmanaged.passUnretained(memtables[index])
            let found = memtable.borrowing { $0.find(collectionID: collection.id, id: id, at: lsn) }
            guard let row = found else { continue }
            guard sees(row) else { return nil }
            return try body(Self.view(row, collection, wantsVector: wantsVector))
        }
        if segments.isEmpty { return nil }
        guard
            let (index, entry) = try KeyBytes.with(
                collection: collection.id,
                id: id,
                { key throws(StoreError) -> (Int, KeyEntry)? in
                    for index in segments.indices {
                        let found = try segments[index].uncountedKeys.borrowing {
                            keys throws(StoreError) in try keys.find(key)
                        }
                        guard let entry = found else { continue }
                        let isDead = segments[index].uncountedDead.borrowing {
                            $0.isDead(entry.row)
                        }
                        if !isDead { return (index, entry) }
                    }
                    return nil
                }
            )
        else { return nil }
        if entry.isExpired(at: now) { return nil }
        let block = try segments[index].uncountedDocuments.borrowing {
            documents throws(StoreError) in try documents.block(ofRow: entry.row)
        }
        // The record borrows it.
        defer { withExtendedLifetime(block) {} }
        let record = try block.record(ofRow: entry.row)
        let view = try segments[index].uncountedSegment.borrowing { segment throws(StoreError) in
            try Self.view(segment, entry.row, record, collection, wantsVector: wantsVector)
        }
        return try body(view)
    }

    /// How many documents a collection has: counted row by row only in a memtable where some
    /// expire.
    package func count(_ collection: CollectionShape) throws(StoreError) -> Int {
        try limit?.check()
        var meter = ReadMeter(limit)
        var count = 0
        for memtable in memtables {
            guard memtable.hasExpiries else {
                count += memtable.liveCount(collectionID: collection.id, at: lsn)
                continue
            }
            try memtable.forEachRow(collectionID: collection.id) { _, row throws(StoreError) in
                try meter.step()
                if sees(row) { count += 1 }
            }
        }
        for view in segments {
            let rows = view.segment.files.rows(of: collection.id)
            count += rows.count - (try hidden(view, collection.id)).count(in: rows)
        }
        return count
    }

    static func view(
        _ row: UnsafePointer<MemRow>,
        _ collection: CollectionShape,
        wantsVector: Bool
    ) -> DocumentView {
        // The body was checked when the commit was built or read.
        var reader = ByteReader(row.pointee.body)
        let body = try? DocumentBody(decoding: &reader)
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        var vector: UnsafeRawBufferPointer?
        if wantsVector, let floats = row.pointee.vector {
            vector = UnsafeRawBufferPointer(start: floats, count: collection.dimensions * 4)
        }
        return DocumentView(
            collectionID: collection.id,
            id: row.pointee.id,
            text: body?.text ?? nothing,
            metadata: body?.metadata ?? nothing,
            version: row.pointee.lsn,
            created: row.pointee.created,
            updated: row.pointee.updated,
            expiry: row.pointee.expiry,
            vector: vector
        )
    }

    static func view(
        _ segment: Segment,
        _ row: UInt32,
        _ record: DocumentRecord,
        _ collection: CollectionShape,
        wantsVector: Bool
    ) throws(StoreError) -> DocumentView {
        var vector: UnsafeRawBufferPointer?
        if wantsVector, record.vectorChecksum != nil {
            let floats = try self.vector(segment, row, collection)
            vector = UnsafeRawBufferPointer(start: floats, count: collection.dimensions * 4)
        }
        return DocumentView(
            collectionID: record.collectionID,
            id: record.id,
            text: record.text,
            metadata: record.metadata,
            version: record.lsn,
            created: record.created,
            updated: record.updated,
            expiry: record.expiry,
            vector: vector
        )
    }

    private static func vector(_ segment: Segment, _ row: UInt32, _ collection: CollectionShape)
        throws(StoreError) -> UnsafePointer<Float>
    {
        guard let space = segment.vectors?.space(ofCollection: collection.id),
            space.dimensions == collection.dimensions,
            let ordinal = try space.ordinal(ofRow: row)
        else {
            throw StoreError(
                .corrupted,
                "a document's vector is missing",
                path: segment.vectors?.path,
                expected: "a vector of \(collection.dimensions) numbers for row \(row)",
                found: "none"
            )
        }
        return try space.vector(ordinal)
    }
}
