// Compaction as the engine drives it: in the background where there is reason, or when asked to.
//
// Two locks beside the commit lock, taken before it: `installing` is held while a checkpoint is
// built and taken in, and while a compaction's result is taken in, so that neither sees the
// segments or the floor move; the scheduler's own lock guards who compacts what.

import MoraineFiles
import MoraineFormat
import MoraineSegments
package import MoraineStorage
import Synchronization

/// What `compact` did.
package struct CompactionSummary: Sendable, Equatable {
    package var mergeCount = 0
    package var inputSegmentCount = 0
    package var readByteCount: UInt64 = 0
    package var writtenByteCount: UInt64 = 0
    /// Bytes of all segments before and after.
    package var byteCountBefore: UInt64 = 0
    package var byteCountAfter: UInt64 = 0
}

/// The output of a merge that is not part of the store yet.
package struct PendingCompaction: Sendable {
    let built: BuiltCompaction
}

extension Engine {
    var compactionPolicy: CompactionPolicy {
        CompactionPolicy(
            rowLimit: options.compactionRowLimit,
            now: UInt64(max(0, options.clock.wallMilliseconds()))
        )
    }

    // MARK: When asked to

    /// Merges what there is reason to merge, or everything, after a checkpoint.
    ///
    /// Waits for merges in the background first. Ended early, it leaves the store as the finished
    /// merges made it.
    ///
    /// - Parameters:
    ///   - all: into as few segments as the memory budget allows, rewriting each once.
    ///   - width: threads for each merge; `nil`: one for each processor.
    ///   - progress: called now and then; answers false to end.
    /// - Throws: `cancelled`, `noSpace` before anything is written when there is not enough of it,
    ///   `corrupted`, `inputOutput`, `poisoned`, `readOnly`, `closed`.
    @discardableResult
    package func compact(
        all: Bool = false,
        width: Int? = nil,
        progress: @escaping @Sendable (CompactionProgress) -> Bool = { _ in true }
    ) throws(StoreError) -> CompactionSummary {
        try checkpoint()
        // Inputs go with the last of what was at work on them.
        defer { reaper.reap(options.fileSystem, folder: folder) }
        return try compactions.jobs.exclusively { () throws(StoreError) in
            // One threads more than needed is harmless; without background threads there is one.
            let width = options.runsInBackground ? width ?? WorkerThread.processorCount : 1
            let teller = ProgressTeller(progress)
            var summary = CompactionSummary()
            summary.byteCountBefore = try segmentByteCount()
            try withWriter { writer throws(StoreError) in try writer.advanceTime() }
            var done: Set<UInt64> = []
            while let task = try nextTask(all: all, done: done) {
                let segments = task.inputs.map(\.segment.id)
                let output = try compactions.jobs.holding(segments) { () throws(StoreError) in
                    try run(task, width: width, telling: teller)
                }
                if let output { done.insert(output.id) }
                summary.mergeCount += 1
                summary.inputSegmentCount += task.inputs.count
                summary.readByteCount += task.byteCount
                summary.writtenByteCount += output?.byteCount ?? 0
            }
            summary.byteCountAfter = try segmentByteCount()
            return summary
        }
    }

    static var cancelledError: StoreError { StoreError(.cancelled, "the work was cancelled") }

    private func segmentByteCount() throws(StoreError) -> UInt64 {
        try version().segments.reduce(0) { $0 + $1.segment.byteCount }
    }

    private func nextTask(all: Bool, done: Set<UInt64>) throws(StoreError) -> CompactionTask? {
        try withWriter { writer throws(StoreError) in
            try writer.checkWritable()
            let candidates = writer.compactionCandidates
            let chosen =
                all
                ? compactionPolicy.chooseAll(candidates, done: done)
                : compactionPolicy.choose(
                    candidates,
                    all: candidates,
                    settled: compactions.settled.union(done)
                )
            return chosen.map {
                writer.compactionTask($0, isIndexed: options.indexesInBackground)
            }
        }
    }

    // MARK: In the background

    /// One merge that there is reason for, among segments that are not in `busy`.
    ///
    /// While a load goes on only many segments are a reason: it has work for all processors.
    func chooseCompaction(busy: Set<UInt64>) -> CompactionTask? {
        guard !closing.withLock({ $0 }) else { return nil }
        return withWriter { writer in
            guard writer.poison == nil else { return nil }
            let all = writer.compactionCandidates
            if writer.isLoading, all.count <= CompactionPolicy.segmentCount { return nil }
            let free = all.filter { !busy.contains($0.id) }
            return compactionPolicy.choose(free, all: all, settled: compactions.settled)
                .map { writer.compactionTask($0) }
        }
    }

    /// The share of the time that background compaction may take, by how many segments there are.
    var compactionDuty: Double {
        let count = current.withLock { $0?.segments.count ?? 0 }
        return min(1, 0.5 + Double(count) / Double(max(1, options.segmentLimit)))
    }

    /// Has the segments looked at, if this engine compacts by itself.
    func requestCompaction() {
        guard writer != nil, options.runsInBackground, options.compactsInBackground else { return }
        compactions.jobs.request()
    }

    /// Has segments with tombstones looked at once an hour; milliseconds until the next look, `nil`
    /// when there is none to look at.
    func watchTombstones() -> UInt64? {
        let hasTombstones =
            current.withLock { $0?.segments.contains { $0.segment.entry.tombstoneCount > 0 } }
            ?? false
        guard writer != nil, options.compactsInBackground, hasTombstones else { return nil }
        let now = options.clock.steadyNanoseconds()
        let due = tombstonesDue.load(ordering: .relaxed)
        if now < due { return (due - now) / 1_000_000 + 1 }
        tombstonesDue.store(now + Self.tombstonePause * 1_000_000, ordering: .relaxed)
        requestCompaction()
        return Self.tombstonePause
    }

    /// Milliseconds between two looks at old tombstones.
    private static let tombstonePause: UInt64 = 3_600_000

    // MARK: By hand

    /// Writes the output of one merge, which is not part of the store until it is installed;
    /// `nil` when there is nothing to merge.
    ///
    /// For callers that drive the engine step by step. What is never installed is an orphan, which
    /// the next writer's start removes.
    package func buildCompaction(all: Bool) throws(StoreError) -> PendingCompaction? {
        guard let task = try nextTask(all: all, done: []) else { return nil }
        return PendingCompaction(built: try build(task, width: 1) { _ in })
    }

    /// Takes the output of a merge into the store.
    package func install(_ pending: PendingCompaction) throws(StoreError) {
        try install(pending.built)
    }

    // MARK: One merge

    /// The same, for somebody who waits for it.
    @discardableResult
    func run(_ task: CompactionTask, width: Int, telling teller: ProgressTeller)
        throws(StoreError) -> Segment?
    {
        teller.begin(task)
        let output = try run(
            task,
            width: width,
            linking: { linked, toLink in teller.link(linked, of: toLink) }
        ) { byteCount throws(StoreError) in try teller.step(byteCount) }
        teller.end()
        return output
    }

    /// Merges segments and takes the result in; returns the output, `nil` when nothing was left.
    @discardableResult
    func run(
        _ task: CompactionTask,
        width: Int,
        linking: @escaping @Sendable (_ linked: Int, _ toLink: Int) -> Void = { _, _ in },
        step: @escaping @Sendable (UInt64) throws(StoreError) -> Void
    ) throws(StoreError) -> Segment? {
        let built = try build(task, width: width, linking: linking, step: step)
        try install(built)
        return built.segment
    }

    /// Writes the output of a merge with its derived files, which is not part of the store yet.
    func build(
        _ task: CompactionTask,
        width: Int,
        linking: @escaping @Sendable (_ linked: Int, _ toLink: Int) -> Void = { _, _ in },
        step: @escaping @Sendable (UInt64) throws(StoreError) -> Void
    ) throws(StoreError) -> BuiltCompaction {
        let hasRoomForIndexes = try checkSpace(for: task)
        try startWriter()
        var built = try CompactionBuilder(
            fileSystem: options.fileSystem,
            folder: folder,
            codec: options.codec,
            ids: ids,
            cache: cache,
            reaper: reaper,
            task: task,
            width: width,
            step: step
        ).build()
        guard let segment = built.segment else { return built }
        do throws(StoreError) {
            if hasRoomForIndexes {
                try makeIndexes(of: &built, width: width, progress: linking) {
                    () throws(StoreError) in try step(0)
                }
            }
            // Last: what is in the cache now is what readers have met a moment ago.
            built.warmBlocks = try WarmBlocks(segment.files.documents, plan: built.plan) {
                () throws(StoreError) in try step(0)
            }
        } catch {
            built.retire(reaper)
            throw error
        }
        return built
    }

    /// Starts the writer, if it has not: its first write would find the files of a job to be
    /// orphans.
    func startWriter() throws(StoreError) {
        try withWriter { writer throws(StoreError) in
            // Another writer may have the store by now.
            if closing.withLock({ $0 }) { throw Self.closedError }
            try writer.checkWritable()
            if writer.manifest == nil { try writer.start() }
        }
    }

    /// False: there is room for the output, but not for its derived files as well.
    private func checkSpace(for task: CompactionTask) throws(StoreError) -> Bool {
        guard var volume = try? options.fileSystem.volume(folder) else { return true }
        let needed = task.neededByteCount
        if volume.freeByteCount < needed, withWriter({ $0.releaseBallast() }) {
            guard let more = try? options.fileSystem.volume(folder) else { return true }
            volume = more
        }
        guard volume.freeByteCount < needed else {
            return volume.freeByteCount - needed >= task.neededDerivedByteCount
        }
        throw StoreError(
            .noSpace,
            "compaction was not begun: there is not enough free space for its output",
            path: folder,
            expected: "\(needed) bytes",
            found: "\(volume.freeByteCount)"
        )
    }

    /// Takes the output of a merge into the store.
    func install(_ built: BuiltCompaction) throws(StoreError) {
        let outputRows = built.plan.outputRows()
        var deletions: DeletionsEntry?
        do throws(StoreError) {
            try installing.withLock { _ throws(StoreError) in
                let floor = withWriter { writer in
                    (dead: writer.floorDead, lsn: writer.state.floor)
                }
                if let segment = built.segment {
                    let dead = built.carry(floor.dead.map { ($0.key, $0.value) }, outputRows)
                    if dead.count > 0 {
                        deletions = try writeDeletions(dead, of: segment, lsn: floor.lsn)
                    }
                }
                try withWriter { writer throws(StoreError) in
                    try writer.install(
                        built,
                        outputRows: outputRows,
                        deletions: deletions,
                        reaper: reaper
                    )
                }
            }
        } catch {
            // Only what was certainly not taken in: after a failed sync of the manifest nobody
            // knows, and the next writer's start finds out.
            let isUnnamed = withWriter { writer in
                writer.poison == nil
                    && !writer.state.segments.contains { $0.id == built.segment?.id }
            }
            if isUnnamed, let segment = built.segment {
                built.retire(reaper)
                if let id = deletions?.file.fileID {
                    reaper.add([FileNames.deletions(segment.id, fileID: id)])
                }
            }
            if error.isFailedSync { withWriter { $0.poison(error) } }
            throw error
        }
        built.warmBlocks.moveIn()
        noteIndexes(of: built, outputRows: outputRows)
        requestIndexes()
    }

    private func writeDeletions(_ dead: DeadRows, of segment: Segment, lsn: UInt64)
        throws(StoreError) -> DeletionsEntry
    {
        let fileID = ids.allocateFile()
        let file = try DeletionFile.write(
            dead,
            lsn: lsn,
            fileSystem: options.fileSystem,
            root: folder,
            segmentID: segment.id,
            fileID: fileID,
            storeID: withWriter { $0.root.storeID },
            createdLSN: lsn
        )
        do throws(FileError) {
            // DURABLE: the name must outlive a crash before an edit relies on it.
            try options.fileSystem.syncDirectory(FileNames.path(folder, FileNames.segmentFolder))
        } catch {
            throw StoreError(error, doing: "sync the segment folder")
        }
        return DeletionsEntry(
            segmentID: segment.id,
            file: file,
            deadRowCount: UInt64(dead.count)
        )
    }
}
