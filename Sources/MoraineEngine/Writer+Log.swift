// Starts a writer and moves its log from file to file. Order of writes: format-spec/root.md and
// format-spec/log.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

extension Writer {
    /// Log files are not smaller than this unless the options say so.
    static let firstLogByteCount: UInt64 = 1 << 20
    /// Recycled log files that are kept.
    private static let spareLimit = 4
    /// When all live records take at most this, a starting writer carries all of them over.
    private static let carryAllByteCount: UInt64 = 1 << 20

    // MARK: Start

    /// Makes this process the store's writer: a new incarnation, manifest and ROOT.
    ///
    /// Until ROOT is written the store is as it was; a failure before that can be tried again.
    func start() throws(StoreError) {
        try checkNumbers()
        var next = state
        var newRoot = root
        newRoot.parentIncarnation = root.incarnation
        newRoot.incarnation = options.random.next()
        newRoot.epoch += 1
        newRoot.sequence += 1
        newRoot.state = .inUse
        newRoot.logSequence = 0
        newRoot.logEnd = 0
        newRoot.durableLSN = lastLSN

        let carried = try carry(newRoot, into: &next)
        // Log files that hold nothing above the floor may never have been synced: the new
        // incarnation does not rely on them.
        if lastLSN == state.floor { next.logs = [] }
        let manifestID = ids.allocateFile()
        next.nextFileID = ids.nextFile
        next.nextCollectionID = ids.nextCollection
        let manifest: ManifestWriter
        do throws(StoreError) {
            manifest = try makeManifest(manifestID, of: newRoot, next)
        } catch {
            if let carried {
                removeQuietly(
                    FileNames.log(epoch: newRoot.epoch, sequence: carried.log.header.fileID)
                )
            }
            throw error
        }
        newRoot.follow(manifest)
        do throws(StoreError) {
            try writeRoot(newRoot)
        } catch {
            poison(error)
            throw error
        }
        adoptStart(next, manifest: manifest, carried: carried)
        try removeOrphans()
        makeBallast()
    }

    /// Refuses a store whose numbers no writer can have counted to: what would be written on from
    /// there could one day not be read.
    private func checkNumbers() throws(StoreError) {
        let highest = max(lastLSN, ids.nextFile, root.epoch, root.sequence)
        guard FormatLimits.startNumbers.contains(highest) else {
            throw StoreError(
                .corrupted,
                "a number of the store is larger than any that was ever counted to",
                path: FileNames.path(folder, FileNames.root),
                expected: "below 2^61",
                found: "\(highest)"
            )
        }
    }

    private func adoptStart(
        _ next: StoreState,
        manifest: ManifestWriter,
        carried: CarriedLog?
    ) {
        let live = Set(next.logs.map(\.sequence))
        logEnds = logEnds.filter { live.contains($0.key) }
        if let carried {
            log = carried.log
            closedLogByteCount = carried.keptByteCount
            logTail = nil
        } else if next.logs.isEmpty {
            closedLogByteCount = 0
            logTail = nil
        }
        state = next
        self.manifest = manifest
    }

    /// Copies verified commits that may so far be only in the page cache into a log file of the
    /// new incarnation; `nil` when there are none.
    private func carry(_ newRoot: Root, into next: inout StoreState) throws(StoreError)
        -> CarriedLog?
    {
        guard !state.logs.isEmpty, lastLSN > state.floor else { return nil }
        let all = closedLogByteCount <= Self.carryAllByteCount
        // Reading a long log once more only to find that all of it is safe would double recovery.
        if !all, openedPromise >= lastLSN { return nil }
        let chain = try LogFiles.chain(
            fileSystem,
            folder: folder,
            root: root,
            state: state
        )
        defer { for link in chain.links { link.file.close() } }
        let outcome = try chain.read { _ in }
        // Promises below the floor say nothing about what is above it.
        let first = (all ? state.floor : max(outcome.promise, state.floor)) + 1
        guard first <= outcome.lastNumber else { return nil }

        var source: (link: Int, offset: UInt64)?
        _ = try chain.read { entry in
            if entry.number == first { source = (entry.linkIndex, entry.offset) }
        }
        guard let source else {
            throw StoreError(
                .corrupted,
                "the log changed while it was read",
                path: chain.links.last?.file.path,
                expected: "record \(first)",
                found: "none"
            )
        }
        let needed = closedLogByteCount + 2 * UInt64(LogHeader.byteCount)
        let kept = all ? [] : Array(state.logs[...source.link])
        if !all {
            do throws(FileError) {
                // DURABLE: records below the floor may be in segments only; the file must be
                // whole before a successor vouches for it.
                try chain.links[source.link].file.sync()
            } catch {
                throw StoreError(error, doing: "sync the log")
            }
        }
        let header = LogHeader(
            kind: .log,
            storeID: root.storeID,
            fileID: ids.allocateFile(),
            createdLSN: lastLSN,
            epoch: newRoot.epoch,
            incarnation: newRoot.incarnation,
            predecessor: kept.last?.sequence ?? 0,
            predecessorEnd: kept.isEmpty ? 0 : source.offset,
            firstNumber: first,
            carriedEnd: try carriedEnd(chain, from: first)
        )
        let writer = try makeLog(header, needed: needed) { log throws(StoreError) in
            _ = try chain.read { entry throws(StoreError) in
                guard entry.number >= first else { return }
                log.append(
                    .commit,
                    number: entry.number,
                    operationCount: entry.operationCount,
                    payload: entry.payload
                )
                if log.position - log.flushedEnd > 1 << 20 { try log.flush() }
            }
            try log.flush()
        }
        writer.confirm(upTo: outcome.lastNumber)
        next.logs = kept + [LogEntry(header)]
        return CarriedLog(log: writer, keptByteCount: kept.isEmpty ? 0 : closedLogByteCount)
    }

    /// A log file of a new incarnation with commits of older ones.
    struct CarriedLog {
        let log: LogWriter
        /// Record bytes in the older files that stay.
        let keptByteCount: UInt64
    }

    /// Where the records carried over will end in the new file.
    private func carriedEnd(_ chain: LogChain, from first: UInt64) throws(StoreError) -> UInt64 {
        var end = UInt64(LogHeader.byteCount)
        _ = try chain.read { entry in
            if entry.number >= first {
                end += LogWriter.frameByteCount(payload: entry.payload.count)
            }
        }
        return end
    }

    func writeRoot(_ newRoot: Root) throws(StoreError) {
        do throws(FileError) {
            let file = try fileSystem.open(
                FileNames.path(folder, FileNames.root),
                .readWrite
            )
            defer { file.close() }
            try RootFile.write(newRoot, over: root, to: file)
        } catch {
            throw StoreError(error, doing: "write ROOT")
        }
        root = newRoot
    }

    // MARK: Log files

    /// Makes room for `byteCount` bytes of records in the current log file, moving on to the next
    /// file where needed.
    ///
    /// Commits that a bulk load left in memory only come before these: they are made durable by a
    /// checkpoint before, which the caller has seen to.
    func reserveLog(_ byteCount: UInt64) throws(StoreError) {
        if let log, log.lastNumber == lastLSN, logCapacity >= log.position,
            logCapacity - log.position >= byteCount + UInt64(LogRecord.headerByteCount)
        {
            return
        }
        try rotateLog(needed: byteCount)
    }

    func rotateLog(needed byteCount: UInt64) throws(StoreError) {
        if let log {
            do throws(StoreError) {
                // DURABLE: the successor's head vouches for everything before it.
                try log.flush()
                try log.sync()
            } catch {
                poison(error)
                throw error
            }
        }
        let sequence = ids.allocateFile()
        let tail =
            log.map { ($0.header.fileID, $0.position) }
            ?? logTail.map { ($0.sequence, $0.end) }
        let header = LogHeader(
            kind: .log,
            storeID: root.storeID,
            fileID: sequence,
            createdLSN: lastLSN,
            epoch: root.epoch,
            incarnation: root.incarnation,
            predecessor: tail?.0 ?? 0,
            predecessorEnd: tail?.1 ?? 0,
            firstNumber: lastLSN + 1
        )
        let capacityBefore = logCapacity
        let next: LogWriter
        do throws(StoreError) {
            next = try makeLog(header, needed: byteCount + UInt64(LogHeader.byteCount) + 64) { _ in
            }
        } catch {
            logCapacity = capacityBefore
            throw error
        }
        do throws(StoreError) {
            // DURABLE: the manifest knows the file before it takes its first commit, so that a
            // missing file is noticed.
            try commitEdits([.log(LogEntry(header))])
        } catch {
            next.file.close()
            logCapacity = capacityBefore
            // Nothing was added to the manifest, and nothing names the file.
            if error.code == .noSpace {
                removeQuietly(FileNames.log(epoch: root.epoch, sequence: sequence))
            }
            throw error
        }
        if let log {
            logEnds[log.header.fileID] = log.lastNumber
            closedLogByteCount += log.position - UInt64(LogHeader.byteCount)
            retiredSyncCount += log.syncCount
            log.file.close()
        }
        logTail = nil
        log = next
        isLogPrepared = false
    }

    /// Makes a log file, fills it by `fill`, and makes file and name durable.
    private func makeLog(
        _ header: LogHeader,
        needed: UInt64,
        fill: (LogWriter) throws(StoreError) -> Void
    ) throws(StoreError) -> LogWriter {
        let least = max(LogFiles.minimumByteCount, (needed + 4095) & ~4095)
        let usual = max(nextLogByteCount, least)
        do throws(StoreError) {
            return try makeLog(header, byteCount: usual, fill: fill)
        } catch {
            // On a full disk a small file may still find room.
            guard error.code == .noSpace, least < usual else { throw error }
            return try makeLog(header, byteCount: least, fill: fill)
        }
    }

    private func makeLog(
        _ header: LogHeader,
        byteCount: UInt64,
        fill: (LogWriter) throws(StoreError) -> Void
    ) throws(StoreError) -> LogWriter {
        let name = FileNames.log(epoch: header.epoch, sequence: header.fileID)
        do throws(StoreError) {
            let file = try openLogFile(name, byteCount: byteCount)
            let log = LogWriter(
                file: file,
                header: header,
                lastNumber: header.firstNumber - 1,
                promised: header.firstNumber - 1
            )
            do throws(FileError) {
                try LogFiles.writeHeader(header, to: file)
            } catch {
                throw StoreError(error, doing: "make a log file")
            }
            try fill(log)
            do throws(FileError) {
                // DURABLE: head and carried commits are whole before anything refers to them.
                try file.sync()
                try fileSystem.syncDirectory(FileNames.path(folder, FileNames.logFolder))
            } catch {
                throw StoreError(error, doing: "make a log file")
            }
            logCapacity = byteCount
            return log
        } catch {
            removeQuietly(name)
            throw error
        }
    }

    /// A file of zeros, or a recycled one of the same size, under a log file's name.
    private func openLogFile(_ name: String, byteCount: UInt64) throws(StoreError) -> any File {
        let path = FileNames.path(folder, name)
        do throws(FileError) {
            if let spare = try takeSpare(byteCount: byteCount) {
                try fileSystem.rename(spare, to: path)
                // DURABLE: the file must be gone from wal/free/ before it is used under its new
                // name, or a crash could leave one file under two names.
                try fileSystem.syncDirectory(
                    FileNames.path(folder, FileNames.spareLogFolder)
                )
                return try fileSystem.open(path, .readWrite)
            }
            let file = try fileSystem.open(path, .createNew)
            try LogFiles.fill(file, byteCount: byteCount)
            return file
        } catch {
            throw StoreError(error, doing: "make a log file")
        }
    }

    /// A recycled log file of that size.
    func takeSpare(byteCount: UInt64) throws(FileError) -> String? {
        for path in try spares() {
            if try fileSystem.info(path)?.byteCount == byteCount { return path }
        }
        return nil
    }

    private func spares() throws(FileError) -> [String] {
        let free = FileNames.path(folder, FileNames.spareLogFolder)
        return try fileSystem.list(free)
            .filter { FileNames.parse(FileNames.spareLogFolder + "/" + $0.name) != nil }
            .map { free + "/" + $0.name }
    }

    /// Log files, but the current one, whose commits are all at or below `floor`.
    func logsToDrop(floor: UInt64) -> [LogEntry] {
        state.logs.filter { entry in
            guard entry.sequence != log?.header.fileID else { return false }
            return (logEnds[entry.sequence] ?? .max) <= floor
        }
    }

    /// Recycles or removes files that a durable edit has dropped.
    ///
    /// What fails is removed later.
    func recycle(_ dropped: [LogEntry]) {
        for entry in dropped {
            logEnds[entry.sequence] = nil
            let name = FileNames.log(epoch: entry.epoch, sequence: entry.sequence)
            let path = FileNames.path(folder, name)
            do throws(FileError) {
                if recyclesLogs, try spares().count < Self.spareLimit,
                    try fileSystem.info(path)?.byteCount == logCapacity
                {
                    let spare = FileNames.path(folder, FileNames.spareLog(entry.sequence))
                    try fileSystem.rename(path, to: spare)
                } else {
                    try fileSystem.remove(path)
                }
            } catch {
                retire([name])
            }
        }
    }

    /// Removes recycled files: a store at rest gives back what it does not need.
    func removeSpares() {
        do throws(FileError) {
            for spare in try spares() { try fileSystem.remove(spare) }
        } catch {
            return
        }
    }
}
