// The one place where the store's state changes. Everything here runs under the commit lock, which
// is held over the log's write and sync: that is what makes one order of commits.
//
// The life of a commit: check, number, log buffer and memtable, one write, one sync, publish,
// acknowledge. Rows above the published LSN are invisible, so a failed write leaves readers as
// they were; the store then refuses writes until it is opened again.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
import MoraineStorage

/// A memtable that takes no more rows and is being written to a segment.
struct SealedMemTable: Sendable {
    let table: MemTable
    /// The last commit in it.
    let lsn: UInt64
    let time: UInt64
    /// The dead rows of every segment as of that commit.
    var dead: [UInt64: DeadRows]
    let collections: CollectionTable
    /// What its commits took away at once.
    let removals: [Removal]
    /// Collections that its commits gave another name.
    let renamed: [CollectionShape]
}

/// The writer's state.
///
/// `@unchecked Sendable`: only touched by the holder of the commit lock.
final class Writer: @unchecked Sendable {
    /// What a bulk load gathers before its first checkpoint.
    private static let firstLoadByteCount = 8 << 20

    let fileSystem: any FileSystem
    let folder: String
    let options: EngineOptions

    /// As the manifest says, edits that were committed included.
    var state: StoreState
    var root: Root
    /// Both copies of ROOT were sound and the same when the store was opened.
    let isRootWhole: Bool
    /// `nil` until this writer has started: until its first write it changes nothing on disk.
    var manifest: ManifestWriter?
    var log: LogWriter?
    /// Bytes of the current log file.
    var logCapacity: UInt64 = 0
    /// The file after the current one was asked for.
    var isLogPrepared = false
    /// The last commit in each live log file but the current one.
    var logEnds: [UInt64: UInt64] = [:]
    /// Where the records of the last log file of an earlier writer end.
    var logTail: (sequence: UInt64, end: UInt64)?
    /// Every commit up to here was known to be synced when the store was opened.
    let openedPromise: UInt64
    /// Record bytes in live log files but the current one.
    var closedLogByteCount: UInt64 = 0

    var active: MemTable
    /// Memory of memtables that are gone.
    let pages: PagePool
    var sealed: SealedMemTable?
    /// Collections, those not yet in the manifest included.
    var collections: CollectionTable
    /// What happened to collections since the last checkpoint, in order.
    var newChanges: [(change: CollectionChange, lsn: UInt64)] = []
    /// What commits since the last checkpoint took away at once, in order.
    var newRemovals: [Removal] = []
    var segments: [SegmentView]
    /// Dead rows of each segment as of the floor: what its deletion file holds.
    var floorDead: [UInt64: DeadRows]

    /// The last commit applied.
    var lastLSN: UInt64
    var lastTime: UInt64
    /// The last commit that is in memory only, by a bulk load beside the log.
    var unloggedLSN: UInt64 = 0
    /// Bytes of memtables that were sealed since the writer started.
    var loadedByteCount = 0
    let ids: IDCounters
    var reserve = DiskReserve()
    /// Why the store takes no more writes.
    var poison: StoreError?
    /// The last failure of a checkpoint that may succeed when tried again.
    var checkpointFailure: StoreError?

    var commitCount: UInt64 = 0
    var volume = WriteVolume()
    var checkpointCount: UInt64 = 0
    var compactions = CompactionCounters()
    var indexes = IndexCounters()
    /// False while documents are purged: old log files are removed.
    var recyclesLogs = true
    /// Syncs of log files that are no longer current.
    var retiredSyncCount: UInt64 = 0
    /// Shows readers the state after the last commit.
    var publish: (Writer) -> Void = { _ in }
    /// Has files removed that nothing refers to.
    var retire: ([String]) -> Void = { _ in }

    init(options: EngineOptions, folder: String, opened: OpenedState, ids: IDCounters) {
        fileSystem = options.fileSystem
        self.folder = folder
        self.options = options
        state = opened.state
        root = opened.root
        isRootWhole = opened.isRootWhole
        logEnds = opened.logEnds
        logTail = opened.logTail
        closedLogByteCount = opened.logByteCount
        openedPromise = opened.logPromise
        pages = PagePool(byteLimit: options.memtableLimit)
        active = opened.memtable
        collections = opened.collections
        newChanges = opened.newChanges
        newRemovals = opened.newRemovals
        segments = opened.segments
        floorDead = opened.floorDead
        lastLSN = opened.lastLSN
        lastTime = opened.lastTime
        self.ids = ids
    }

    /// Live bytes of log records.
    var logByteCount: UInt64 {
        closedLogByteCount + (log.map { $0.position - UInt64(LogHeader.byteCount) } ?? 0)
    }

    var isFull: Bool {
        active.byteCount >= options.memtableLimit
            || active.rowCount > MemTable.maximumRowCount / 2
            || (logByteCount >= options.logByteLimit && active.rowCount > 0)
    }

    /// True while there are commits past the log that no checkpoint has written yet.
    var isLoading: Bool { unloggedLSN > state.floor }

    /// True when a bulk load has filled enough for a checkpoint to be worth its while now, long
    /// before writers have to wait for one.
    ///
    /// The first segments of a load are small, so that little is left to write at its end; later
    /// ones grow with the load, so that they stay few.
    var wantsEarlyCheckpoint: Bool {
        options.runsInBackground && sealed == nil && isLoading
            && active.byteCount >= loadByteCount
    }

    /// True when a bulk load has gathered twice what it should while a checkpoint is written: more
    /// of it would only touch more memory.
    var isAheadOfCheckpoint: Bool {
        options.runsInBackground && sealed != nil && active.byteCount >= 2 * loadByteCount
    }

    private var loadByteCount: Int { max(Self.firstLoadByteCount, loadedByteCount / 4) }

    // MARK: A group of commits

    /// Commits a group: all its records in one write, and one sync when durability is full.
    ///
    /// Every request is answered before this returns.
    func commit(_ group: [CommitRequest]) {
        var accepted: [(request: CommitRequest, result: CommitResult)] = []
        let group = admitted(group)
        if group.isEmpty { return }
        let logStart = log?.position ?? 0
        for request in group {
            do throws(StoreError) {
                let now = UInt64(max(0, options.clock.wallMilliseconds()))
                let time = max(lastTime, now)
                guard fits(request), try check(request, at: time) else {
                    request.finish(.rebuild)
                    continue
                }
                let count = try apply(request, at: time)
                accepted.append((request, CommitResult(lsn: lastLSN, removedCount: count)))
            } catch {
                request.finish(.refused(error))
            }
        }
        guard !accepted.isEmpty else { return }
        do throws(StoreError) {
            try makeDurable()
        } catch {
            poison(error)
            for (request, _) in accepted { request.finish(.refused(error)) }
            return
        }
        commitCount += UInt64(accepted.count)
        volume.givenByteCount += accepted.reduce(0) { $0 + UInt64($1.0.payload.count) }
        volume.logByteCount += (log?.position ?? 0) - logStart
        publish(self)
        for (request, result) in accepted { request.finish(.committed(result)) }
    }

    /// The requests that can be committed now; the others are answered.
    private func admitted(_ group: [CommitRequest]) -> [CommitRequest] {
        var rest = refusingPastReserve(group)
        if rest.isEmpty { return [] }
        do throws(StoreError) {
            do throws(StoreError) {
                try admit(rest)
            } catch {
                guard error.code == .noSpace else { throw error }
                // Deletes may still find room, if need be that of the ballast.
                rest = refusingData(rest, error)
                if rest.isEmpty || !releaseBallast() { throw error }
                try admit(rest)
            }
            return rest
        } catch {
            for request in rest { request.finish(.refused(error)) }
            return []
        }
    }

    /// Sees to it that nothing but the disk itself can fail once rows are in the memtable.
    private func admit(_ group: [CommitRequest]) throws(StoreError) {
        try checkWritable()
        if manifest == nil { try start() }
        guard group.contains(where: \.isLogged) else { return }
        var byteCount: UInt64 = UInt64(LogRecord.headerByteCount)
        for request in group where request.isLogged {
            byteCount += LogWriter.frameByteCount(payload: request.payload.count)
        }
        try reserveLog(byteCount)
    }

    func checkWritable() throws(StoreError) {
        if let poison {
            throw StoreError(
                .poisoned,
                "the store takes no writes since an earlier failure (\(poison.message)); "
                    + "close it and open it again",
                path: poison.path
            )
        }
    }

    /// Ends all writing: what the disk holds of the last write is not known.
    func poison(_ error: StoreError) {
        if poison == nil { poison = error }
    }

    private func makeDurable() throws(StoreError) {
        guard let log else { return }
        try log.flush()
        if case .full = options.durability, log.lastNumber > log.promised {
            try log.sync()
            try log.mark()
        }
    }

    // MARK: One commit

    func forEachOperation(
        _ request: CommitRequest,
        _ body: (Int, Operation) throws(StoreError) -> Void
    ) throws(StoreError) {
        try request.payload.withUnsafeBufferPointer { buffer throws(StoreError) in
            try Self.forEachOperation(
                UnsafeRawBufferPointer(buffer),
                count: request.operationCount,
                path: folder,
                base: 0,
                body
            )
        }
    }

    /// Reads the operations of a payload.
    static func forEachOperation(
        _ payload: UnsafeRawBufferPointer,
        count: UInt32,
        path: String,
        base: UInt64,
        _ body: (Int, Operation) throws(StoreError) -> Void
    ) throws(StoreError) {
        func wrap<R>(_ read: () throws(FormatError) -> R) throws(StoreError) -> R {
            do throws(FormatError) { return try read() } catch {
                throw StoreError(error, path: path, base: base)
            }
        }
        var reader = try wrap { () throws(FormatError) in try CommitReader(payload) }
        for index in 0..<Int(count) {
            let operation = try wrap { () throws(FormatError) in try reader.next() }
            try body(index, operation)
        }
        guard reader.isAtEnd else {
            throw StoreError(
                .corrupted,
                "a commit has more bytes than operations",
                path: path,
                offset: base,
                expected: "\(count) operations",
                found: "more"
            )
        }
    }

    /// Numbers a commit, puts its record into the log's buffer and its rows into the memtable;
    /// returns how many documents its deletes by prefix removed.
    private func apply(_ request: CommitRequest, at time: UInt64) throws(StoreError) -> Int {
        let lsn = lastLSN + 1
        request.setTime(time)
        return try request.payload.withUnsafeBufferPointer { buffer throws(StoreError) in
            let bytes = UnsafeRawBufferPointer(buffer)
            let removedCount = try apply(
                bytes,
                count: request.operationCount,
                vectorFacts: request.vectorFacts,
                lsn: lsn,
                path: folder,
                base: 0
            )
            if request.isLogged {
                log?.append(
                    .commit,
                    number: lsn,
                    operationCount: request.operationCount,
                    payload: bytes
                )
            } else {
                unloggedLSN = lsn
            }
            return removedCount
        }
    }

    /// Puts the rows of a commit into the memtable, new or replayed from the log.
    ///
    /// All that can fail comes first: a commit is applied whole or not at all.
    ///
    /// - Parameter vectorFacts: in the order of the puts; computed when `nil`.
    /// - Returns: how many documents its deletes by prefix removed.
    @discardableResult
    func apply(
        _ payload: UnsafeRawBufferPointer,
        count: UInt32,
        vectorFacts: [VectorFacts]? = nil,
        lsn: UInt64,
        path: String,
        base: UInt64
    ) throws(StoreError) -> Int {
        let (places, ranges) = try resolve(payload, count: count, path: path, base: base)
        let time = UInt64(littleEndian: payload.loadUnaligned(as: UInt64.self))
        var kills = KilledRows()
        var removedCount = 0
        var vectorFacts = vectorFacts?[...]
        try Self.forEachOperation(payload, count: count, path: path, base: base) {
            index,
            operation throws(StoreError) in
            switch operation {
            case .put(let put):
                let created = end(put.collectionID, put.id, places[index], at: lsn, time, &kills)
                let facts = put.vector == nil ? nil : vectorFacts?.popFirst()
                add(put, facts, lsn: lsn, created: created ?? time, updated: time)
            case .delete(let collectionID, let id):
                _ = end(collectionID, id, places[index], at: lsn, time, &kills)
                active.add(
                    collectionID: collectionID,
                    isTombstone: true,
                    id: active.adopt(id),
                    body: UnsafeRawBufferPointer(start: nil, count: 0),
                    vector: nil,
                    lsn: lsn,
                    created: time,
                    updated: time,
                    expiry: 0
                )
            case .createCollection(let shape): change(.created(shape), at: lsn)
            case .renameCollection(let id, let name):
                change(.renamed(id: id, name: name), at: lsn)
            case .dropCollection(let id):
                drop(id, at: lsn, &kills)
                change(.dropped(id: id), at: lsn)
            case .deletePrefix(let collectionID, let prefix):
                removedCount += remove(
                    collectionID,
                    prefix: prefix,
                    ranges[index] ?? [],
                    at: lsn,
                    time,
                    &kills
                )
            }
        }
        kills.apply(to: &segments)
        lastLSN = lsn
        lastTime = time
        return removedCount
    }

    /// Checks every operation against the collections, and finds the rows of segments that the
    /// commit replaces: reading them may fail.
    private func resolve(
        _ payload: UnsafeRawBufferPointer,
        count: UInt32,
        path: String,
        base: UInt64
    ) throws(StoreError) -> (places: [SegmentPlace?], ranges: [Int: [SegmentRange]]) {
        var places: [SegmentPlace?] = []
        var ranges: [Int: [SegmentRange]] = [:]
        var table = collections
        var last: CollectionShape?
        func shape(_ id: UInt32) throws(StoreError) -> CollectionShape {
            if let last, last.id == id { return last }
            guard let shape = table[id] else {
                throw StoreError(
                    .corrupted,
                    "a commit names a collection that does not exist",
                    path: path,
                    offset: base,
                    expected: "a collection",
                    found: "id \(id)"
                )
            }
            last = shape
            return shape
        }
        try Self.forEachOperation(payload, count: count, path: path, base: base) {
            index,
            operation throws(StoreError) in
            switch operation {
            case .put(let put):
                let shape = try shape(put.collectionID)
                guard put.vector.map({ $0.count == shape.dimensions * 4 }) ?? true else {
                    throw StoreError(
                        .corrupted,
                        "a commit's vector has not its collection's dimensions",
                        path: path,
                        offset: base,
                        expected: "\(shape.dimensions)",
                        found: "\((put.vector?.count ?? 0) / 4)"
                    )
                }
                places.append(try findInSegments(put.collectionID, put.id))
            case .delete(let collectionID, let id):
                _ = try shape(collectionID)
                places.append(try findInSegments(collectionID, id))
            case .createCollection(let shape):
                table = try changed(table, .created(shape), path, base)
                places.append(nil)
            case .renameCollection(let id, let name):
                table = try changed(table, .renamed(id: id, name: name), path, base)
                places.append(nil)
            case .dropCollection(let id):
                last = nil
                table = try changed(table, .dropped(id: id), path, base)
                places.append(nil)
            case .deletePrefix(let collectionID, let prefix):
                _ = try shape(collectionID)
                let time = UInt64(littleEndian: payload.loadUnaligned(as: UInt64.self))
                ranges[index] = try findInSegments(collectionID, prefix: prefix, at: time)
                places.append(nil)
            }
        }
        return (places, ranges)
    }

    private func add(
        _ put: PutOperation,
        _ known: VectorFacts?,
        lsn: UInt64,
        created: UInt64,
        updated: UInt64
    ) {
        let active = active
        let vector = put.vector.flatMap { active.adopt(vector: $0, known) }
        active.add(
            collectionID: put.collectionID,
            isTombstone: false,
            id: active.adopt(put.id),
            body: active.adopt(put.body),
            vector: vector,
            lsn: lsn,
            created: created,
            updated: updated,
            expiry: put.expiry
        )
    }
}
