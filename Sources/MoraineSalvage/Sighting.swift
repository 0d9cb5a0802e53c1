// One place that says something about one key, and the streams that give them in key order.

import MoraineBytes
import MoraineFormat
import MoraineSegments
import MoraineStorage

/// What one place says about a key.
struct Sighting {
    enum Content {
        /// A record of a document, in a block that verified.
        case record(DecodedBlock, index: Int, ordinals: ClosedRange<Int>)
        /// A row that a key file names and that cannot be read.
        case ghost
        case put(PutOperation, time: UInt64)
        /// A tombstone or a delete.
        case delete
    }

    /// The collection's id, big-endian, then the document's.
    let key: [UInt8]
    let lsn: UInt64
    /// The operation's place in its commit; a segment holds what the whole commit left.
    var order = UInt32.max
    /// `nil` for an operation of the log.
    var segment: SegmentSource?
    var row: UInt32 = 0
    /// As a record or a key file says.
    var created: UInt64?
    /// 0 for never.
    var expiry: UInt64 = 0
    /// From a place that counts only where others are damaged.
    var isStale = false
    let content: Content

    var isDelete: Bool { if case .delete = content { true } else { false } }
    var isGhost: Bool { if case .ghost = content { true } else { false } }

    /// True for a row that a deletion file calls dead.
    var isDead: Bool {
        guard let segment, let dead = segment.dead, !isDelete, row < dead.rowCount else {
            return false
        }
        return dead.isDead(row)
    }
}

/// Sightings in key order.
protocol SightingStream: AnyObject {
    /// The next one; `nil` at the end.
    var current: Sighting? { get }
    /// True when more may have stood between the sighting before and this one, unreadable.
    var isBlind: Bool { get }
    /// Whose stream it is; `nil` for the log.
    var segment: SegmentSource? { get }
    func advance()
}

/// Numbers of commits that are believed: a writer must be able to go on from them.
let commitNumbers: ClosedRange<UInt64> = 0...(1 << 60)

/// The documents or the tombstones of a segment.
final class SegmentStream: SightingStream {
    private let source: SegmentSource
    private let holdsDocuments: Bool
    private var parts: ArraySlice<StreamPart>
    private var block: DecodedBlock?
    private var nextRecord = 0
    private var ghosts: KeyCursor?
    private var ghostRows: Range<UInt32> = 0..<0
    private var lastKey: [UInt8] = []
    private var vectorCollection: UInt32 = 0
    private var vectorsSeen = 0
    private var rowsMissed = 0
    private(set) var current: Sighting?
    private(set) var isBlind = false
    /// Rows that nothing names, with where they stand.
    private(set) var nameless: [Range<UInt32>] = []

    var segment: SegmentSource? { source }

    init(_ source: SegmentSource, documents: Bool) {
        self.source = source
        holdsDocuments = documents
        parts = (documents ? source.documentParts : source.tombstoneParts)[...]
        advance()
    }

    func advance() {
        isBlind = false
        current = nil
        while current == nil {
            if takeRecord() || takeGhost() { continue }
            guard let part = parts.popFirst() else { return }
            switch part {
            case .block(let place):
                block = source.document?.read(place)
                nextRecord = 0
                let end = place.firstRow &+ place.recordCount
                if block == nil { miss(holdsDocuments ? place.firstRow..<end : nil) }
            case .gap(let rows): miss(rows)
            }
        }
    }

    /// Goes to the next record of the open block; false when there is none.
    private func takeRecord() -> Bool {
        guard let open = block else { return false }
        guard nextRecord < open.recordCount else {
            block = nil
            return false
        }
        let index = nextRecord
        nextRecord += 1
        let row = holdsDocuments ? open.firstRow + UInt32(index) : 0
        do throws(StoreError) {
            let record = try open.record(index)
            do throws(FormatError) { try record.validate() } catch {
                throw StoreError(error, path: source.document?.name ?? "", base: open.offset)
            }
            try take(record, open, index, row)
        } catch {
            source.document?.note(
                Finding(error, .record, file: source.document?.name ?? "")
            )
            miss(holdsDocuments ? row..<(row + 1) : nil)
        }
        return true
    }

    private func take(_ record: DocumentRecord, _ block: DecodedBlock, _ index: Int, _ row: UInt32)
        throws(StoreError)
    {
        let key = Self.key(record.collectionID, record.id)
        guard record.isTombstone != holdsDocuments, commitNumbers.contains(record.lsn),
            isAbove(key)
        else {
            throw StoreError(
                .corrupted,
                "a record stands where it cannot stand",
                path: source.document?.name,
                offset: block.offset,
                expected: "a higher key",
                found: "another"
            )
        }
        if record.collectionID != vectorCollection {
            vectorCollection = record.collectionID
            vectorsSeen = 0
            rowsMissed = 0
        }
        let ordinals = vectorsSeen...(vectorsSeen + rowsMissed)
        if record.vectorChecksum != nil { vectorsSeen += 1 }
        lastKey = key
        current = Sighting(
            key: key,
            lsn: record.lsn,
            segment: source,
            row: row,
            created: record.isTombstone ? nil : record.created,
            expiry: record.isTombstone ? 0 : record.expiry,
            isStale: source.isStale && !record.isTombstone,
            content: record.isTombstone
                ? .delete : .record(block, index: index, ordinals: ordinals)
        )
    }

    /// Goes to the next row that only the key file names; false when there is none.
    private func takeGhost() -> Bool {
        guard let cursor = ghosts, let row = ghostRows.first else { return false }
        guard (try? cursor.next()) ?? false, cursor.row == row,
            cursor.key.count > KeyBytes.prefixByteCount, isAbove(Array(cursor.key)),
            KeyBytes.isValidID(KeyBytes.id(of: cursor.key)),
            commitNumbers.contains(cursor.entry.lsn)
        else {
            ghosts = nil
            loseSight(of: ghostRows)
            return true
        }
        ghostRows = ghostRows.dropFirst()
        let key = Array(cursor.key)
        lastKey = key
        current = Sighting(
            key: key,
            lsn: cursor.entry.lsn,
            segment: source,
            row: row,
            created: cursor.entry.created,
            expiry: cursor.entry.expiry,
            isStale: source.isStale,
            content: .ghost
        )
        return true
    }

    /// Passes over records that cannot be read.
    private func miss(_ rows: Range<UInt32>?) {
        guard let rows else {
            isBlind = true
            return
        }
        rowsMissed += rows.count
        if let keys = source.keys, rows.upperBound <= keys.rowCount, !rows.isEmpty {
            ghosts = keys.cursor(from: rows.lowerBound)
            ghostRows = rows
        } else {
            loseSight(of: rows)
        }
    }

    private func loseSight(of rows: Range<UInt32>) {
        isBlind = true
        if !rows.isEmpty { nameless.append(rows) }
        ghostRows = 0..<0
    }

    private func isAbove(_ key: [UInt8]) -> Bool { precedes(lastKey, key) }

    static func key(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) -> [UInt8] {
        withUnsafeBytes(of: collectionID.bigEndian) { Array($0) } + Array(id)
    }
}

/// The order of keys.
func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.withUnsafeBytes { a in b.withUnsafeBytes { b in KeyBytes.compare(a, b) < 0 } }
}

/// The operations of commits, by key.
final class LogStream: SightingStream {
    /// Keeps the bytes that the sightings borrow.
    private let payloads: [LogPayload]
    private var sightings: ArraySlice<Sighting>

    var current: Sighting? { sightings.first }
    var isBlind: Bool { false }
    var segment: SegmentSource? { nil }

    func advance() { sightings = sightings.dropFirst() }

    /// - Parameters:
    ///   - commits: read to the end and valid.
    ///   - isStale: they count only where segments are damaged.
    init(_ commits: [ParsedCommit], isStale: Bool) {
        payloads = commits.map(\.payload)
        var all: [Sighting] = []
        for commit in commits {
            for (order, operation) in commit.operations.enumerated() {
                let key: [UInt8]
                let content: Sighting.Content
                switch operation {
                case .put(let put):
                    key = SegmentStream.key(put.collectionID, put.id)
                    content = .put(put, time: commit.time)
                case .delete(let collectionID, let id):
                    key = SegmentStream.key(collectionID, id)
                    content = .delete
                case .createCollection, .renameCollection, .dropCollection, .deletePrefix: continue
                }
                var sighting = Sighting(
                    key: key,
                    lsn: commit.lsn,
                    order: UInt32(truncatingIfNeeded: order),
                    content: content
                )
                sighting.isStale = isStale && !sighting.isDelete
                if case .put(let put) = operation { sighting.expiry = put.expiry }
                all.append(sighting)
            }
        }
        all.sort { a, b in
            if a.key != b.key { return precedes(a.key, b.key) }
            return (a.lsn, a.order) < (b.lsn, b.order)
        }
        sightings = all[...]
    }
}

/// A commit's operations; they borrow its payload.
struct ParsedCommit {
    let lsn: UInt64
    let time: UInt64
    let payload: LogPayload
    let operations: [Operation]

    /// `nil` when the payload does not follow the format.
    init?(_ payload: LogPayload, lsn: UInt64) {
        guard commitNumbers.contains(lsn), var reader = try? CommitReader(payload.bytes) else {
            return nil
        }
        var operations: [Operation] = []
        for _ in 0..<payload.operationCount {
            guard let operation = try? reader.next(), ParsedCommit.isValid(operation) else {
                return nil
            }
            operations.append(operation)
        }
        guard reader.isAtEnd else { return nil }
        self.lsn = lsn
        self.payload = payload
        self.operations = operations
        time = reader.time
    }

    private static func isValid(_ operation: Operation) -> Bool {
        switch operation {
        case .put(let put):
            var reader = ByteReader(put.body)
            guard let body = try? DocumentBody(decoding: &reader) else { return false }
            return KeyBytes.isValidID(put.id) && (try? body.validate()) != nil
        case .delete(_, let id): return KeyBytes.isValidID(id)
        case .createCollection, .renameCollection, .dropCollection: return true
        case .deletePrefix(_, let prefix): return KeyBytes.isValidID(prefix)
        }
    }
}
