// Versions, following a writer, closing, statistics.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
import MoraineVectors
package import MoraineStorage
import Synchronization

extension Engine {
    /// The newest committed state.
    ///
    /// Takes a small lock for a moment; never waits for a writer. Its reader's time is now, or the
    /// commit's where the clock is behind it, and stays so.
    ///
    /// - Throws: `closed`.
    package func version() throws(StoreError) -> Version {
        guard let version = current.withLock({ $0 }) else { throw Self.closedError }
        guard version.hasExpiries else { return version }
        return version.at(UInt64(max(0, options.clock.wallMilliseconds())))
    }

    /// Lets a reading engine see what its store's writer has made durable since.
    ///
    /// Versions taken before stay as they are. On a writing engine there is nothing to do.
    ///
    /// - Throws: `corrupted`, `inputOutput`, `closed`.
    package func refresh() throws(StoreError) {
        let old = try version()
        guard writer == nil else { return }
        try refreshing.withLock { _ throws(StoreError) in
            let known = Dictionary(
                uniqueKeysWithValues: old.segments.map { ($0.segment.id, $0) }
            )
            let opened = try Self.read(folder, options, cache: cache, known: known)
            let version = Version(
                lsn: opened.lastLSN,
                time: opened.lastTime,
                table: opened.collections,
                memtables: [opened.memtable],
                segments: opened.segments,
                scanPool: scanPool
            )
            current.withLock { current in
                guard let now = current, now.lsn <= version.lsn else { return }
                current = version
                followed.withLock { $0 = FollowedLog(opened) }
            }
        }
        snapshots.expire()
    }

    /// Closes the store: everything committed is durable afterwards, and the store is marked as
    /// closed cleanly.
    ///
    /// Closing twice is harmless; every other call throws `closed` from then on.
    ///
    /// Versions that are still held stay readable until another writer removes their files.
    ///
    /// - Throws: what kept the last commits from becoming durable; the store is closed all the
    ///   same, and recovers when it is opened again.
    package func close() throws(StoreError) {
        let isFirst = closing.withLock { closing -> Bool in
            defer { closing = true }
            return !closing
        }
        guard isFirst else { return }
        Maintenance.shared.forget(self)
        let commits = queue.withLock { queue -> CommitQueue? in
            defer { queue = nil }
            return queue
        }
        commits?.close()
        syncs.withLock { $0 }?.close()
        compactions.jobs.close()
        indexing.jobs.close()
        logPreparation.withLock { $0 }?.close()
        var failure: StoreError?
        if writer != nil, WorkerThread.processID == processID {
            do throws(StoreError) { try closeWriter() } catch { failure = error }
        }
        checkpoints.withLock { work in
            work?.close()
            work = nil
        }
        current.withLock { $0 = nil }
        if writer != nil, WorkerThread.processID == processID { withWriter { $0.letGo() } }
        cache.removeAll()
        if writer != nil { reaper.reap(options.fileSystem, folder: folder) }
        scanPool.close()
        fileLock?.release()
        if let failure { throw failure }
    }

    private func closeWriter() throws(StoreError) {
        let needsCheckpoint = withWriter { writer in
            writer.poison == nil && writer.manifest != nil
                && (writer.sealed != nil || writer.unloggedLSN > writer.state.floor
                    || writer.logByteCount > Writer.keptLogByteCount)
        }
        if needsCheckpoint { try checkpoint() }
        try withWriter { writer throws(StoreError) in try writer.finish() }
    }
}

extension Writer {
    /// Log records that a cleanly closed store keeps instead of writing a segment.
    static let keptLogByteCount: UInt64 = 262_144

    /// Ends a writer: the log is cut to its records or dropped, and ROOT says so.
    func finish() throws(StoreError) {
        guard manifest != nil || poison != nil else { return }
        defer { close() }
        // What was acknowledged before the failure may not be durable: closing must not hide that.
        try checkWritable()
        do throws(StoreError) {
            if state.floor == lastLSN {
                try dropWholeLog()
            } else {
                try syncLog()
                try cutLog()
            }
            guard let manifest else { return }
            // DURABLE: the file ends where ROOT will say, or the closed store would not open.
            try manifest.finish()
            var closed = root
            closed.sequence += 1
            closed.state = .closed
            closed.durableLSN = lastLSN
            closed.manifestEnd = manifest.end
            closed.manifestEdit = manifest.lastEdit
            closed.logSequence = state.logs.last?.sequence ?? 0
            closed.logEnd = state.logs.isEmpty ? 0 : lastLogEnd
            try writeRoot(closed)
        } catch {
            poison(error)
            throw error
        }
        removeSpares()
    }

    /// Where the last log file ends, once cut.
    private var lastLogEnd: UInt64 { log?.position ?? logTail?.end ?? 0 }

    private func dropWholeLog() throws(StoreError) {
        let dropped = state.logs
        guard !dropped.isEmpty else { return }
        try commitEdits(dropped.map { .logDropped(sequence: $0.sequence) })
        log?.file.close()
        log = nil
        logTail = nil
        for entry in dropped {
            removeQuietly(FileNames.log(epoch: entry.epoch, sequence: entry.sequence))
        }
    }

    /// Cuts the last log file behind its records: a closed store keeps no slack.
    private func cutLog() throws(StoreError) {
        guard let last = state.logs.last else { return }
        do throws(FileError) {
            let path = FileNames.path(
                folder,
                FileNames.log(epoch: last.epoch, sequence: last.sequence)
            )
            let file = try fileSystem.open(path, .readWrite)
            defer { file.close() }
            try file.truncate(to: lastLogEnd)
            // DURABLE: ROOT will say that the log ends here.
            try file.sync()
        } catch {
            throw StoreError(error, doing: "cut the log to its records")
        }
    }

    /// Lets go of files and memory; what readers still hold stays theirs.
    func letGo() {
        segments = []
        floorDead = [:]
        active = MemTable()
        sealed = nil
    }

    private func close() {
        log?.file.close()
        manifest?.close()
        log = nil
        manifest = nil
    }
}
