// Derived files as the engine drives them: in the background when segments lack some, or when asked
// to. A build holds no lock; taking the file into the store is one edit under the commit lock.

import MoraineFiles
import MoraineFormat
package import MoraineStorage
import Synchronization

/// What was made since the store was opened.
package struct IndexCounters: Sendable, Equatable {
    /// Derived files that were taken into the store.
    package var count: UInt64 = 0
    /// Their bytes.
    package var writtenByteCount: UInt64 = 0

    package init() {}
}

/// How far the making of derived files is.
package struct IndexProgress: Sendable {
    /// Files that are finished.
    package var doneCount = 0
    /// Files that were still to make when this began, those included that others made necessary.
    package var totalCount = 0
}

/// A derived file to make.
struct IndexTask: Sendable {
    let view: SegmentView
    let format: IndexFormat
    /// False: there is nothing to make any more, only to take away what the manifest names.
    let isWanted: Bool
    let storeID: StoreID
    let createdLSN: UInt64

    var key: IndexKey { IndexKey(segmentID: view.segment.id, kind: format.kind) }
}

/// A derived file that was written and synced, but is not part of the store yet.
struct BuiltIndex: Sendable {
    let task: IndexTask
    /// `nil` when nothing was worth a file.
    let file: DerivedFile?
}

extension Engine {
    // MARK: When asked to

    /// Makes every derived file that segments lack; waits for those under way first.
    ///
    /// Goes on with the others where one cannot be made. Ended early, what was made stays.
    ///
    /// - Parameters:
    ///   - width: threads for each; `nil`: one for each processor.
    ///   - progress: called now and then; answers false to end.
    /// - Returns: how many files were made.
    /// - Throws: `cancelled`; what kept the first from being made: `noSpace`, `corrupted`,
    ///   `inputOutput`; `poisoned`, `readOnly`, `closed`.
    @discardableResult
    package func buildIndexes(
        width: Int? = nil,
        progress: @escaping @Sendable (IndexProgress) -> Bool = { _ in true }
    ) throws(StoreError) -> Int {
        try checkCanWrite()
        _ = try version()
        defer { reaper.reap(options.fileSystem, folder: folder) }
        return try indexing.jobs.exclusively { () throws(StoreError) in
            let width = options.runsInBackground ? width ?? WorkerThread.processorCount : 1
            // Each once, whatever becomes of it.
            var tried: Set<IndexKey> = []
            var firstFailure: StoreError?
            let made = Mutex(IndexProgress())
            var count = 0
            while true {
                try withWriter { writer throws(StoreError) in try writer.checkWritable() }
                let tasks = indexTasks(blocked: indexing.memory.needless.union(tried))
                guard let task = tasks.first else { break }
                let now = made.withLock { made -> IndexProgress in
                    made.totalCount = max(made.totalCount, made.doneCount + tasks.count)
                    return made
                }
                if !progress(now) { throw Self.cancelledError }
                tried.insert(task.key)
                do throws(StoreError) {
                    let hasMade = try run(task, width: width) { () throws(StoreError) in
                        if !progress(now) { throw Self.cancelledError }
                    }
                    if hasMade { count += 1 }
                    indexing.memory.note(task.key, nil)
                } catch {
                    _ = try self.version()
                    // A segment that was merged away meanwhile is no failure.
                    let isGone = error.code == .cancelled && !isLive(task.key.segmentID)
                    guard isGone || error.code != .cancelled else { throw error }
                    indexing.memory.note(task.key, error)
                    if !isGone, firstFailure == nil { firstFailure = error }
                }
                made.withLock { $0.doneCount += 1 }
            }
            if let firstFailure { throw firstFailure }
            return count
        }
    }

    // MARK: By hand

    /// Makes one derived file; false when none is lacking.
    ///
    /// For callers that drive the engine step by step.
    package func buildIndex() throws(StoreError) -> Bool {
        try withWriter { writer throws(StoreError) in try writer.checkWritable() }
        guard let task = indexTasks(blocked: indexing.memory.needless).first else { return false }
        try run(task, width: 1) {}
        return true
    }

    // MARK: In the background

    /// Has segments looked at, if this engine makes derived files by itself.
    func requestIndexes() {
        guard indexesByItself else { return }
        indexing.jobs.request()
    }

    private var indexesByItself: Bool {
        writer != nil && options.runsInBackground && options.indexesInBackground
    }

    /// A derived file to make for a segment that is not in `busy` and not about to be merged.
    ///
    /// None while a load goes on: it has work for all processors, and many of its segments will be
    /// merged soon. The checkpoint at its end asks again.
    func chooseIndex(busy: Set<UInt64>, blocked: Set<IndexKey>) -> IndexTask? {
        guard !closing.withLock({ $0 }), !withWriter({ $0.isLoading }) || isAheadOfIndexes else {
            return nil
        }
        let busy = busy.union(compactions.jobs.busySegments)
        return indexTasks(blocked: blocked).first { !busy.contains($0.view.segment.id) }
    }

    /// The share of the time that builds in the background may take, by how much there is to do.
    var indexDuty: Double {
        let share = Double(unindexedRowCount) / Double(max(1, options.unindexedRowLimit))
        return min(1, 0.5 + share)
    }

    /// Lets what failed be tried again when its time has come; milliseconds until the next.
    func retryIndexes() -> UInt64? {
        guard indexesByItself else { return nil }
        if indexing.memory.takeRetries() { requestIndexes() }
        return indexing.memory.millisecondsToRetry
    }

    /// Rows with vectors in segments that still lack derived files for them.
    var unindexedRowCount: Int {
        guard let version = current.withLock({ $0 }) else { return 0 }
        let blocked = indexing.memory.blocked()
        return version.segments.reduce(0) { sum, view in
            let isUnindexed = options.indexFormats.contains { format in
                format.kind != .columns && view.lacks(format)
                    && !blocked.contains(IndexKey(segmentID: view.segment.id, kind: format.kind))
            }
            return isUnindexed ? sum + view.segment.vectorCount : sum
        }
    }

    /// True while more rows wait for their derived files than writers may leave behind.
    var isAheadOfIndexes: Bool {
        indexesByItself && unindexedRowCount > options.unindexedRowLimit
    }

    // MARK: One file

    /// What there is to make: kind by kind, small segments first.
    private func indexTasks(blocked: Set<IndexKey>) -> [IndexTask] {
        withWriter { writer in
            guard writer.poison == nil else { return [] }
            indexing.memory.keep(Set(writer.segments.map(\.segment.id)))
            return writer.indexTasks(options.indexFormats, blocked: blocked)
        }
    }

    private func isLive(_ segmentID: UInt64) -> Bool {
        current.withLock { $0?.segments.contains { $0.segment.id == segmentID } ?? false }
    }

    /// Makes a derived file and takes it in; false when nothing was worth a file.
    @discardableResult
    func run(
        _ task: IndexTask,
        width: Int,
        step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) -> Bool {
        let built = try build(task, width: width, step: step)
        try install(built)
        return built.file != nil
    }

    /// Writes a derived file, which is not part of the store yet.
    func build(
        _ task: IndexTask,
        width: Int,
        step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) -> BuiltIndex {
        try startWriter()
        guard task.isWanted else { return BuiltIndex(task: task, file: nil) }
        let segmentID = task.key.segmentID
        let source = IndexSource(
            fileSystem: options.fileSystem,
            folder: folder,
            storeID: task.storeID,
            segment: task.view.segment,
            indexes: task.view.indexes
        )
        let target = IndexTarget(
            source: source,
            fileID: ids.allocateFile(),
            createdLSN: task.createdLSN,
            width: width,
            origins: indexing.memory.origins(of: task.key),
            progress: { _, _ in },
            step: { [weak self] () throws(StoreError) in
                try step()
                guard self?.isLive(segmentID) ?? false else { throw Self.cancelledError }
            }
        )
        return BuiltIndex(task: task, file: try write(task.format, target))
    }

    /// Writes a derived file, syncs it and its name, and opens it; `nil` when nothing is worth one.
    ///
    /// On an error no file is left.
    func write(_ format: IndexFormat, _ target: IndexTarget) throws(StoreError) -> DerivedFile? {
        try checkReserve(for: target.source.segment)
        do throws(StoreError) {
            guard let file = try format.write(target) else { return nil }
            do throws(FileError) {
                // DURABLE: the name must outlive a crash before an edit relies on it.
                try options.fileSystem.syncDirectory(
                    FileNames.path(folder, FileNames.segmentFolder)
                )
            } catch {
                throw StoreError(error, doing: "sync the segment folder")
            }
            return try format.file(file, target.source)
        } catch {
            let id = target.source.segment.id
            reaper.add([FileNames.derived(format.kind, id, fileID: target.fileID)])
            reaper.reap(options.fileSystem, folder: folder)
            throw error
        }
    }

    /// Derived files leave the reserve to what the store must write: about half of what they are
    /// made from is asked for beside it.
    private func checkReserve(for segment: Segment) throws(StoreError) {
        let byteCount = Int(clamping: segment.byteCount / 2)
        guard let free = withWriter({ $0.lowFreeSpace(adding: byteCount) }) else { return }
        throw StoreError(
            .noSpace,
            "a derived file was not begun: there is not enough free space above the reserve",
            path: folder,
            expected: "\(options.diskReserveByteCount + byteCount) bytes",
            found: "\(free)"
        )
    }

    /// Takes a derived file into the store.
    ///
    /// - Throws: `cancelled` when its segment is no more.
    func install(_ built: BuiltIndex) throws(StoreError) {
        if built.file == nil { indexing.memory.noteNeedless(built.task.key) }
        do throws(StoreError) {
            try withWriter { writer throws(StoreError) in
                try writer.install(built, reaper: reaper)
            }
        } catch {
            // Only what was certainly not taken in: after a failed sync of the manifest nobody
            // knows, and the next writer's start finds out.
            if withWriter({ $0.poison == nil }) { built.file?.retire(reaper) }
            throw error
        }
    }
}

extension SegmentView {
    /// True when the segment should have a derived file of that kind and has none.
    func lacks(_ format: IndexFormat) -> Bool {
        indexes[format.kind] == nil
            && format.kind.base.map { indexes[$0] != nil } ?? true
            && format.isWanted(segment)
    }
}

extension Writer {
    /// The derived files to make: kind by kind, small segments first.
    func indexTasks(_ formats: [IndexFormat], blocked: Set<IndexKey>) -> [IndexTask] {
        let views = segments.sorted {
            ($0.segment.rowCount, $0.segment.id) < ($1.segment.rowCount, $1.segment.id)
        }
        var tasks: [IndexTask] = []
        for format in formats {
            for view in views where view.indexes[format.kind] == nil {
                let id = view.segment.id
                let isWanted = view.lacks(format)
                // A file that is named and could not be opened, and that nothing takes the place of.
                let isStale = state.derived[id]?[format.kind.rawValue] != nil
                guard isWanted || isStale,
                    !blocked.contains(IndexKey(segmentID: id, kind: format.kind))
                else { continue }
                tasks.append(
                    IndexTask(
                        view: view,
                        format: format,
                        isWanted: isWanted,
                        storeID: root.storeID,
                        createdLSN: state.floor
                    )
                )
            }
        }
        return tasks
    }

    /// Takes a built derived file into the store: one edit, then the next version has it.
    ///
    /// - Parameter reaper: gets the file whose place it takes once no version needs it.
    func install(_ built: BuiltIndex, reaper: FileReaper) throws(StoreError) {
        try checkWritable()
        let key = built.task.key
        guard let index = segments.firstIndex(where: { $0.segment.id == key.segmentID }) else {
            throw StoreError(
                .cancelled,
                "the segment of a derived file was merged meanwhile; nothing was changed",
                path: folder
            )
        }
        let old = state.derived[key.segmentID]?[key.kind.rawValue]
        if let file = built.file {
            try commitEdits([.derived(file.entry)])
            volume.derivedByteCount += file.byteCount
            indexes.count += 1
            indexes.writtenByteCount += file.byteCount
        } else if old != nil {
            try commitEdits([
                .derivedDropped(segmentID: key.segmentID, kindNumber: key.kind.rawValue)
            ])
        } else {
            return
        }
        let open = segments[index].indexes[key.kind]
        segments[index].indexes[key.kind] = built.file
        publish(self)
        if let open {
            open.retire(reaper)
        } else if let old {
            // Nobody has it open: it could not be.
            removeQuietly(FileNames.derived(key.kind, key.segmentID, fileID: old.fileID))
        }
    }
}
