// Commits, checkpoints, syncs.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
package import MoraineStorage
import Synchronization

extension Engine {
    /// The largest payload whose memory is kept.
    private static let keptPayloadByteCount = 8 << 20

    static var closedError: StoreError { StoreError(.closed, "the store is closed") }

    /// The writer, under the commit lock.
    ///
    /// Only for engines that write.
    func withWriter<R, E: Error>(_ body: (Writer) throws(E) -> R) throws(E) -> R {
        guard let writer else { preconditionFailure("only called where a writer is") }
        return try commitLock.withLock { (_) throws(E) -> sending R in try body(writer) }
    }

    /// Shows readers what has been committed.
    ///
    /// Called under the commit lock.
    func publish(_ writer: Writer) {
        var memtables = [writer.active]
        if let sealed = writer.sealed { memtables.append(sealed.table) }
        let version = Version(
            lsn: writer.lastLSN,
            time: writer.lastTime,
            table: writer.collections,
            memtables: memtables,
            segments: writer.segments,
            scanPool: scanPool
        )
        current.withLock { current in
            if current != nil { current = version }
        }
        snapshots.expire()
    }

    // MARK: Commits

    /// Commits what `build` gathers, all or nothing, and returns its LSN once it has the
    /// durability that the store was opened with.
    ///
    /// - Parameters:
    ///   - logged: false for a bulk load beside the log: visible at once, durable after the next
    ///     `checkpoint()` or `close()`, lost by a killed process before.
    ///   - build: may be called again when another commit changed the collections, or a document
    ///     that it patches, meanwhile.
    /// - Returns: the commit's LSN; the newest LSN when there was nothing to do.
    /// - Throws: what `build` throws; `versionConflict`, `readOnly`, `closed`, `noSpace`,
    ///   `poisoned`, `inputOutput`.
    @discardableResult
    package func commit(
        logged: Bool = true,
        _ build: (inout BatchBuilder) throws(StoreError) -> Void
    ) throws(StoreError) -> UInt64 {
        try commitCounting(logged: logged, build).lsn
    }

    /// As `commit`, and says how many documents were deleted by prefix.
    package func commitCounting(
        logged: Bool = true,
        _ build: (inout BatchBuilder) throws(StoreError) -> Void
    ) throws(StoreError) -> CommitResult {
        while true {
            guard let request = try request(logged: logged, build) else { return try nothing() }
            let answer = try commitQueue().commit(request)
            if !logged { keepMemory(of: request) }
            if let result = try result(of: answer) { return result }
        }
    }

    /// Keeps a bulk load's memory for its next commit, which is as large.
    private func keepMemory(of request: CommitRequest) {
        let payload = request.takePayload()
        guard payload.capacity <= Self.keptPayloadByteCount else { return }
        sparePayload.withLock { $0 = payload }
    }

    /// As `commitCounting`, without blocking the caller's thread but for what `build` reads.
    @discardableResult
    package func commitAsync(
        logged: Bool = true,
        _ build: @Sendable (inout BatchBuilder) throws(StoreError) -> Void
    ) async throws(StoreError) -> CommitResult {
        while true {
            guard let request = try request(logged: logged, build) else { return try nothing() }
            if let result = try result(of: await commitQueue().commit(request)) { return result }
        }
    }

    /// The result of a commit without operations.
    private func nothing() throws(StoreError) -> CommitResult {
        CommitResult(lsn: try version().lsn, removedCount: 0)
    }

    private func commitQueue() throws(StoreError) -> CommitQueue {
        guard let queue = queue.withLock({ $0 }) else { throw Self.closedError }
        return queue
    }

    private func request(
        logged: Bool,
        _ build: (inout BatchBuilder) throws(StoreError) -> Void
    ) throws(StoreError) -> CommitRequest? {
        try checkCanWrite()
        let ids = ids
        var builder = BatchBuilder(
            base: try version(),
            now: UInt64(max(0, options.clock.wallMilliseconds())),
            reusing: logged ? [] : takeSparePayload(),
            reserveID: { ids.allocateCollection() }
        )
        try build(&builder)
        if builder.operationCount == 0 { return nil }
        return CommitRequest(builder, isLogged: logged)
    }

    private func takeSparePayload() -> [UInt8] {
        sparePayload.withLock { spare in
            defer { spare = [] }
            return spare
        }
    }

    func checkCanWrite() throws(StoreError) {
        guard writer != nil else {
            throw StoreError(.readOnly, "the store was opened for reading only", path: folder)
        }
        guard WorkerThread.processID == processID else {
            throw StoreError(
                .readOnly,
                "the store was opened by the process that this one was forked from",
                path: folder
            )
        }
    }

    private func result(of answer: CommitRequest.Answer) throws(StoreError) -> CommitResult? {
        switch answer {
        case .committed(let result): return result
        case .rebuild: return nil
        case .refused(let error): throw error
        }
    }

    /// Commits a group that the queue has gathered.
    func process(_ group: [CommitRequest]) {
        // Logged and unlogged commits never share a write: one has a place in the log.
        var rest = group[...]
        while let first = rest.first {
            let run = Array(rest.prefix { $0.isLogged == first.isLogged })
            rest = rest.dropFirst(run.count)
            do throws(StoreError) {
                try makeRoom(isLogged: first.isLogged) { writer in writer.commit(run) }
            } catch {
                for request in run { request.finish(.refused(error)) }
            }
        }
        if let interval = syncs.withLock({ $0 }), !interval.request() { syncLogQuietly() }
    }

    /// Runs `body` under the commit lock once the memtable has room, and, for logged commits, once
    /// no earlier commit is in memory only.
    ///
    /// Writers wait here while a checkpoint is written, and while there are too many segments or
    /// too many rows without their derived files.
    func makeRoom(isLogged: Bool, _ body: (Writer) -> Void) throws(StoreError) {
        var waitsForMerges = options.runsInBackground && options.compactsInBackground
        var waitsForIndexes = true
        while true {
            let obstacle = withWriter { writer -> Obstacle? in
                let mustFlush = isLogged && writer.unloggedLSN > writer.state.floor
                let isFull = writer.isFull || !isLogged && writer.isAheadOfCheckpoint
                if mustFlush || isFull, writer.poison == nil {
                    if writer.sealed != nil || mustFlush {
                        if writer.sealed == nil { writer.seal() }
                        return .checkpoint
                    }
                    if waitsForMerges, writer.segments.count >= options.segmentLimit {
                        return .tooManySegments
                    }
                    if waitsForIndexes, isAheadOfIndexes { return .tooFewIndexes }
                    writer.seal()
                    checkpoints.withLock { $0 }?.request()
                } else if !isLogged, writer.wantsEarlyCheckpoint, writer.poison == nil {
                    writer.seal()
                    checkpoints.withLock { $0 }?.request()
                }
                body(writer)
                if writer.takesLogPreparation() { logPreparation.withLock { $0 }?.request() }
                return nil
            }
            switch obstacle {
            case nil: return
            case .checkpoint: try waitForCheckpoint()
            case .tooManySegments:
                // Merges that cannot help, being paused or out of space, must not stop all writing.
                waitsForMerges = compactions.jobs.waitForOne()
            case .tooFewIndexes: waitsForIndexes = indexing.jobs.waitForOne()
            }
        }
    }

    /// What a writer waits for.
    private enum Obstacle {
        case checkpoint
        case tooManySegments
        case tooFewIndexes
    }

    private func waitForCheckpoint() throws(StoreError) {
        guard let work = checkpoints.withLock({ $0 }) else { throw Self.closedError }
        try work.runAndWait()
    }

    // MARK: Checkpoints

    /// Writes everything committed so far to segments.
    ///
    /// - Throws: `noSpace`, `poisoned`, `inputOutput`, `readOnly`, `closed`.
    package func checkpoint() throws(StoreError) {
        try checkCanWrite()
        _ = takeSparePayload()
        let target = try version().lsn
        while true {
            let isDone = try withWriter { writer throws(StoreError) -> Bool in
                try writer.checkWritable()
                if writer.state.floor >= target {
                    // The end of a load: what it used goes back to the system.
                    if writer.active.rowCount == 0 { writer.pages.removeAll() }
                    return true
                }
                if writer.sealed == nil {
                    if writer.manifest == nil { try writer.start() }
                    writer.seal()
                }
                return false
            }
            if isDone { return }
            try waitForCheckpoint()
        }
    }

    /// Writes the sealed memtable, if there is one, to a segment and takes it into the store.
    func writeCheckpoint() throws(StoreError) {
        do throws(StoreError) {
            // Before: files of a checkpoint that could not be taken in must be gone for good when the
            // floor passes their commits. The checkpoint syncs their folder.
            reaper.reap(options.fileSystem, folder: folder)
            try installing.withLock { _ throws(StoreError) in try buildAndInstallCheckpoint() }
        } catch {
            // What deletes put into memory is small, and writing it is what makes room.
            guard error.code == .noSpace, withWriter({ $0.releaseBallast() }) else { throw error }
            try installing.withLock { _ throws(StoreError) in try buildAndInstallCheckpoint() }
        }
        reaper.reap(options.fileSystem, folder: folder)
        requestCompaction()
        requestIndexes()
    }

    private func buildAndInstallCheckpoint() throws(StoreError) {
        var built: BuiltCheckpoint?
        do throws(StoreError) {
            let builder = try withWriter { writer throws(StoreError) -> CheckpointBuilder? in
                try writer.checkWritable()
                guard let sealed = writer.sealed else { return nil }
                return CheckpointBuilder(
                    fileSystem: options.fileSystem,
                    folder: folder,
                    storeID: writer.root.storeID,
                    codec: options.codec,
                    sealed: sealed,
                    persistedDead: writer.floorDead.mapValues(\.count),
                    ids: ids,
                    reaper: reaper,
                    isParallel: options.runsInBackground
                )
            }
            guard let builder else { return }
            let files = try builder.build()
            built = files
            var segment: Segment?
            if let entry = files.entry {
                segment = try Segment(
                    options.fileSystem,
                    folder: folder,
                    storeID: builder.storeID,
                    entry: entry,
                    cache: cache
                )
            }
            try withWriter { writer throws(StoreError) in
                try writer.install(files, segment: segment)
            }
        } catch {
            withWriter { writer in
                writer.checkpointFailure = error
                // The files were new and nothing refers to them, so running out of space or of
                // descriptors can be tried again; a failed sync says that the disk cannot be
                // trusted.
                if error.isFailedSync { writer.poison(error) }
                // After a failed edit nobody knows; the next writer's start finds out.
                if let built, writer.poison == nil { reaper.add(built.fileNames) }
            }
            throw error
        }
    }

    // MARK: Syncs

    /// Makes everything committed so far durable.
    ///
    /// - Throws: `poisoned`, `inputOutput`, `noSpace`, `readOnly`, `closed`.
    package func sync() throws(StoreError) {
        try checkCanWrite()
        _ = try version()
        let needsCheckpoint = withWriter { $0.unloggedLSN > $0.state.floor }
        if needsCheckpoint { try checkpoint() }
        try withWriter { writer throws(StoreError) in
            try writer.checkWritable()
            try writer.syncLog()
        }
    }

    /// The interval's sync: not under the commit lock, so that commits go on.
    ///
    /// - Returns: false when there was nothing to sync.
    @discardableResult
    func syncLogQuietly() -> Bool {
        guard let writer else { return false }
        let pending = commitLock.withLock { _ -> (LogWriter, UInt64)? in
            guard let log = writer.log, writer.poison == nil, log.lastNumber > log.promised
            else { return nil }
            return (log, log.lastNumber)
        }
        guard let (log, number) = pending else { return false }
        var failure: StoreError?
        do throws(FileError) { try log.file.sync() } catch {
            failure = StoreError(error, doing: "sync the log")
        }
        commitLock.withLock { _ in
            // A log that was left meanwhile was synced when it was.
            guard writer.log === log else { return }
            if let failure { return writer.poison(failure) }
            log.confirm(upTo: number)
            do throws(StoreError) { try log.mark() } catch { writer.poison(error) }
        }
        return true
    }
}

extension Writer {
    /// Syncs what the log holds unsynced.
    func syncLog() throws(StoreError) {
        guard let log, log.lastNumber > log.promised else { return }
        do throws(StoreError) {
            try log.flush()
            try log.sync()
            try log.mark()
        } catch {
            poison(error)
            throw error
        }
    }
}
