// What a commit expects, and what it does to whole collections and to all ids with a prefix. Under
// the commit lock, as all of Writer.
//
// A drop and a delete by prefix write no tombstone for each document: the rows are marked dead in
// memtables and segments, and the next segment holds one removal that says so (see Removal). So
// both cost little memory, however many documents they take away.

import MoraineBytes
import MoraineFormat
import MoraineSegments
import MoraineStorage

extension Writer {
    // MARK: Checks

    /// False when the collections changed since the commit was built, in a way that matters to it.
    func fits(_ request: CommitRequest) -> Bool {
        if request.table === collections { return true }
        var table = collections
        for change in request.changes {
            guard let next = table.applying(change) else { return false }
            table = next
        }
        return request.usedCollections.allSatisfy { collections[$0] != nil }
    }

    /// Checks what the commit expects of the documents that it meets, in the order of operations.
    ///
    /// - Returns: false when a document that the commit was built from has changed since.
    /// - Throws: `versionConflict` when what the caller expects does not hold.
    func check(_ request: CommitRequest, at time: UInt64) throws(StoreError) -> Bool {
        guard !request.conditions.isEmpty else { return true }
        var met = MetKeys()
        var conditions = request.conditions[...]
        var isCurrent = true
        try forEachOperation(request) { index, operation throws(StoreError) in
            let collectionID: UInt32
            let id: UnsafeRawBufferPointer
            switch operation {
            case .put(let put): (collectionID, id) = (put.collectionID, put.id)
            case .delete(let collection, let key): (collectionID, id) = (collection, key)
            case .deletePrefix(let collection, let prefix):
                return met.remove(collection, prefix: prefix)
            case .createCollection, .renameCollection, .dropCollection: return
            }
            if let condition = conditions.first, condition.operation == index {
                conditions.removeFirst()
                let version: UInt64?
                switch met.state(collectionID, id) {
                case .put: version = nil  // put by this very commit: no version to name yet
                case .removed: version = 0
                case .untouched: version = try currentVersion(collectionID, id, at: time)
                }
                if version != condition.version, condition.isBase {
                    isCurrent = false
                } else if version != condition.version {
                    throw StoreError(
                        .versionConflict,
                        "document \"\(String(decoding: id, as: UTF8.self))\" has another version",
                        expected: "\(condition.version)",
                        found: version.map { "\($0)" } ?? "a version of this commit"
                    )
                }
            }
            if case .put = operation {
                met.put(collectionID, id)
            } else {
                met.remove(collectionID, id)
            }
        }
        return isCurrent
    }

    // MARK: Looking up

    /// The collections after a change that the log says.
    func changed(
        _ table: CollectionTable,
        _ change: CollectionChange,
        _ path: String,
        _ base: UInt64
    ) throws(StoreError) -> CollectionTable {
        if let next = table.applying(change) { return next }
        throw StoreError(
            .corrupted,
            "a commit changes collections in a way that does not fit them",
            path: path,
            offset: base,
            expected: "a new name and id, or a collection",
            found: "\(change)"
        )
    }

    /// The rows of each segment whose ids have a prefix, dead ones included.
    func findInSegments(
        _ collectionID: UInt32,
        prefix: UnsafeRawBufferPointer,
        at time: UInt64
    ) throws(StoreError) -> [SegmentRange] {
        var ranges: [SegmentRange] = []
        for (index, view) in segments.enumerated() {
            let rows = try view.segment.files.rows(of: collectionID, prefix: Array(prefix))
            if rows.isEmpty { continue }
            let expired = try view.segment.expiredRows(of: collectionID, at: time)
            ranges.append(
                SegmentRange(index: index, rows: rows, expired: expired.filter(rows.contains))
            )
        }
        return ranges
    }

    // MARK: Changing

    /// Takes note of what happened to a collection; that it fits was checked before.
    func change(_ change: CollectionChange, at lsn: UInt64) {
        guard let next = collections.applying(change) else { return }
        collections = next
        newChanges.append((change, lsn))
        if case .created(let shape) = change { ids.noteCollection(shape.id) }
    }

    /// Ends the life of all documents of a collection.
    func drop(_ collectionID: UInt32, at lsn: UInt64, _ kills: inout KilledRows) {
        for table in memory {
            table.forEachRow(collectionID: collectionID) { number, row in
                if Self.isAlive(row) { table.kill(number, at: lsn) }
            }
        }
        for (index, view) in segments.enumerated() {
            let rows = view.segment.files.rows(of: collectionID)
            if !rows.isEmpty { kills.add(SegmentRange(index: index, rows: rows)) }
        }
        newRemovals.append(Removal(collectionID: collectionID, lsn: lsn, prefix: nil))
    }

    /// Ends the life of all documents whose ids have a prefix; returns how many there were.
    func remove(
        _ collectionID: UInt32,
        prefix: UnsafeRawBufferPointer,
        _ ranges: [SegmentRange],
        at lsn: UInt64,
        _ time: UInt64,
        _ kills: inout KilledRows
    ) -> Int {
        // What this commit ended before does not count.
        kills.apply(to: &segments)
        kills = KilledRows()
        var count = 0
        var expiredCount = 0
        for table in memory {
            table.forEachRow(collectionID: collectionID, prefix: prefix) { number, row in
                guard Self.isAlive(row) else { return }
                table.kill(number, at: lsn)
                count += 1
                if row.pointee.isExpired(at: time) { expiredCount += 1 }
            }
        }
        for range in ranges {
            let dead = segments[range.index].dead
            count += range.rows.count - dead.count(in: range.rows)
            expiredCount += range.expired.count { !dead.isDead($0) }
            kills.add(range)
        }
        // A later put of this commit must find the rows dead.
        kills.apply(to: &segments)
        kills = KilledRows()
        // With nothing removed there is nothing that salvage could revive.
        if count > 0 {
            newRemovals.append(
                Removal(collectionID: collectionID, lsn: lsn, prefix: Array(prefix))
            )
        }
        return count - expiredCount
    }

    /// What no segment has yet.
    private var memory: [MemTable] { [active] + (sealed.map { [$0.table] } ?? []) }

    /// True for a document that nothing has ended.
    private static func isAlive(_ row: UnsafePointer<MemRow>) -> Bool {
        !row.pointee.isTombstone && row.pointee.deathLSN == nil
    }
}

/// What the operations of a commit so far did to documents.
private struct MetKeys {
    enum State {
        case untouched
        case put
        case removed
    }

    private var keys: [[UInt8]: State] = [:]
    private var prefixes: [[UInt8]] = []

    private func key(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) -> [UInt8] {
        withUnsafeBytes(of: collectionID.bigEndian) { Array($0) } + Array(id)
    }

    func state(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) -> State {
        let key = key(collectionID, id)
        if let state = keys[key] { return state }
        return prefixes.contains { key.starts(with: $0) } ? .removed : .untouched
    }

    mutating func put(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) {
        keys[key(collectionID, id)] = .put
    }

    mutating func remove(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) {
        keys[key(collectionID, id)] = .removed
    }

    mutating func remove(_ collectionID: UInt32, prefix: UnsafeRawBufferPointer) {
        let bytes = key(collectionID, prefix)
        for key in keys.keys where key.starts(with: bytes) { keys[key] = .removed }
        prefixes.append(bytes)
    }
}
