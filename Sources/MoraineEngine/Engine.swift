// A store, open: one writer or a reader beside one. Ties commits, checkpoints and versions
// together; see ARCHITECTURE.md, "Life of a write".
//
// Locks, in the order in which they are taken: the commit lock (held over the log's write and
// sync), then `current`, the version that readers take. Nothing is called back under either.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
package import MoraineStorage
import MoraineVectors
import Synchronization

/// An open store.
///
/// All methods may be called from any thread; they block unless they say otherwise.
package final class Engine: Sendable {
    package let folder: String
    package let options: EngineOptions
    /// What opening had to say: a tail of the log that was cut, a copy of ROOT that is damaged.
    package let openingNotes: [StoreError]

    let cache: BlockCache
    let scanPool: ScanPool
    let snapshots: SnapshotRegistry
    let scrubber: Scrubber
    package let compactions: CompactionScheduler
    package let indexing: IndexScheduler
    let reaper: FileReaper
    /// Held while what was built is taken into the store; taken before the commit lock.
    let installing = Mutex(())
    /// Opens segment files as they are needed; `nil` for a reader, which needs them when their
    /// names are gone.
    let descriptors: DescriptorCache?
    /// Steady nanoseconds at which unused descriptors are closed.
    let descriptorsDue = Atomic(UInt64.max)
    /// Steady nanoseconds at which segments are looked at for old tombstones.
    let tombstonesDue = Atomic(UInt64(0))
    let fileLock: (any FileLock)?
    let processID: Int32
    /// The newest version; `nil` once closed.
    let current: Mutex<Version?>
    let closing = Mutex(false)
    /// For a reader: the log as of the last refresh.
    let followed: Mutex<FollowedLog>
    /// Guards `writer`; `nil` for a reader.
    let commitLock = Mutex(())
    let writer: Writer?
    let queue = Mutex<CommitQueue?>(nil)
    let checkpoints = Mutex<BackgroundWork?>(nil)
    let syncs = Mutex<IntervalSync?>(nil)
    let logPreparation = Mutex<BackgroundWork?>(nil)
    /// One refresh at a time.
    let refreshing = Mutex(())
    let ids: IDCounters
    /// Memory for the next commit of a bulk load.
    let sparePayload = Mutex<[UInt8]>([])

    // MARK: Opening

    /// Opens the store in `folder`, making it when there is nothing and `createsStore` is set.
    ///
    /// - Throws: `locked` naming the writer's process, `notAStore`, `corrupted`, `newerFormat`,
    ///   `notFound`, `permissionDenied`, `inputOutput`.
    package static func open(at folder: String, options: EngineOptions) throws(StoreError)
        -> Engine
    {
        let folder = trimmed(folder)
        let engine =
            options.isReadOnly
            ? try openForReading(folder, options) : try openForWriting(folder, options)
        if !options.isReadOnly {
            do throws(StoreError) {
                try engine.startServing()
            } catch {
                try? engine.close()
                throw error
            }
        }
        return engine
    }

    private static func trimmed(_ folder: String) -> String {
        var path = folder
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    private static func openForWriting(_ folder: String, _ options: EngineOptions)
        throws(StoreError) -> Engine
    {
        let descriptors = DescriptorCache(
            options.fileSystem,
            limit: options.openFileCount,
            isKept: FileNames.isSegmentFile
        )
        var options = options
        options.fileSystem = descriptors
        let creator = StoreCreator(options: options, folder: folder)
        var contents = try creator.contents()
        if case .store = contents {} else if !options.createsStore { throw absent(folder) }
        try refuseNetwork(folder, options)
        if case .nothing = contents {
            do throws(FileError) {
                try options.fileSystem.createDirectory(folder)
            } catch {
                throw StoreError(error, doing: "make the store's folder")
            }
        }
        let lock = try takeLock(folder, options)
        if let volume = try? options.fileSystem.volume(folder) {
            options.diskReserveByteCount = min(
                options.diskReserveByteCount,
                Int(clamping: volume.byteCount / 8)
            )
        }
        do throws(StoreError) {
            // Another process may have made the store before this one got the lock.
            contents = try creator.contents()
            if case .store = contents {} else { try creator.create() }
            let cache = BlockCache(byteBudget: options.blockCacheByteCount)
            let opener = StoreOpener(
                options: options,
                folder: folder,
                cache: cache,
                promisedOnly: false
            )
            let opened = try opener.open()
            try opener.requireWritable(opened)
            return Engine(
                folder,
                options,
                descriptors,
                cache: cache,
                lock: lock,
                opened: opened
            )
        } catch {
            lock.release()
            throw error
        }
    }

    static func absent(_ folder: String) -> StoreError {
        StoreError(
            .notAStore,
            "there is no store here",
            path: folder,
            expected: "a store",
            found: "none"
        )
    }

    private static func refuseNetwork(_ folder: String, _ options: EngineOptions)
        throws(StoreError)
    {
        // A folder that is not there yet stands on the file system of its parent.
        guard let volume = try? options.fileSystem.volume(folder), volume.isNetwork else { return }
        throw StoreError(
            .readOnly,
            "the store is on a network file system (\(volume.kind)), where locks and syncs cannot "
                + "be trusted; it can be opened for reading only",
            path: folder
        )
    }

    private static func takeLock(_ folder: String, _ options: EngineOptions) throws(StoreError)
        -> any FileLock
    {
        do throws(FileError) {
            return try options.fileSystem.lock(FileNames.path(folder, FileNames.lock))
        } catch {
            if error.isHeldByOther {
                let holder = error.holder.map { "process \($0)" } ?? "another process"
                throw StoreError(
                    .locked,
                    "the store is in use by \(holder)",
                    path: error.path,
                    expected: "no other writer",
                    found: holder
                )
            }
            throw StoreError(error, doing: "lock the store")
        }
    }

    /// The files of a store that is only read: few open ones.
    static func readersFiles(_ options: EngineOptions) -> DescriptorCache {
        // The writer may remove the names of files that are read here.
        DescriptorCache(
            options.fileSystem,
            limit: options.openFileCount,
            namesMayGo: true,
            isKept: FileNames.isSegmentFile
        )
    }

    private static func openForReading(_ folder: String, _ options: EngineOptions)
        throws(StoreError) -> Engine
    {
        guard case .store = try StoreCreator(options: options, folder: folder).contents() else {
            throw absent(folder)
        }
        let descriptors = readersFiles(options)
        var options = options
        options.fileSystem = descriptors
        let cache = BlockCache(byteBudget: options.blockCacheByteCount)
        let opened = try read(folder, options, cache: cache, known: [:])
        let engine = Engine(
            folder,
            options,
            descriptors,
            cache: cache,
            lock: nil,
            opened: opened
        )
        engine.watchDescriptors()
        return engine
    }

    /// Reads a store that a writer may be changing: what vanishes meanwhile is looked for again
    /// in the newer state.
    static func read(
        _ folder: String,
        _ options: EngineOptions,
        cache: BlockCache,
        known: [UInt64: SegmentView]
    ) throws(StoreError) -> OpenedState {
        var attempts = ReadAttempts(options.fileSystem, folder: folder)
        while true {
            let hasWriter = attempts.hasWriter
            do throws(StoreError) {
                return try StoreOpener(
                    options: options,
                    folder: folder,
                    cache: cache,
                    promisedOnly: hasWriter,
                    believesUnpromisedEdits: attempts.believesUnpromisedEdits,
                    known: known
                ).open()
            } catch {
                guard error.code == .corrupted, attempts.goOn(hadWriter: hasWriter) else {
                    throw error
                }
            }
        }
    }

    private init(
        _ folder: String,
        _ options: EngineOptions,
        _ descriptors: DescriptorCache?,
        cache: BlockCache,
        lock: (any FileLock)?,
        opened: OpenedState
    ) {
        self.folder = folder
        self.options = options
        self.descriptors = descriptors
        self.cache = cache
        fileLock = lock
        processID = WorkerThread.processID
        scanPool = ScanPool(width: options.scanThreadCount)
        snapshots = SnapshotRegistry(options: options)
        scrubber = Scrubber(options: options, folder: folder, storeID: opened.root.storeID)
        compactions = CompactionScheduler(threadCount: options.compactionThreadCount)
        indexing = IndexScheduler(options: options)
        let isThreaded = options.runsInBackground
        let owner = WeakEngine()
        reaper = FileReaper {
            guard isThreaded, let engine = owner.engine else { return }
            Maintenance.shared.request(engine, afterMilliseconds: 0)
        }
        openingNotes = opened.notes
        followed = Mutex(FollowedLog(opened))
        ids = IDCounters(
            nextFile: opened.nextFileID,
            nextCollection: opened.nextCollectionID
        )
        current = Mutex(
            Version(
                lsn: opened.lastLSN,
                time: opened.lastTime,
                table: opened.collections,
                memtables: [opened.memtable],
                segments: opened.segments,
                scanPool: scanPool
            )
        )
        writer =
            lock == nil ? nil : Writer(options: options, folder: folder, opened: opened, ids: ids)
        owner.engine = self
        compactions.jobs.serve(self)
        indexing.jobs.serve(self)
    }

    /// Starts the writer's threads, and the writer itself when there are commits to make safe.
    private func startServing() throws(StoreError) {
        guard let writer else { return }
        writer.publish = { [weak self] in self?.publish($0) }
        writer.retire = { [reaper] in reaper.add($0) }
        let isThreaded = options.runsInBackground
        let work = BackgroundWork(hasThread: isThreaded) { [weak self] () throws(StoreError) in
            try self?.writeCheckpoint()
        }
        checkpoints.withLock { $0 = work }
        if isThreaded {
            let preparation = BackgroundWork(hasThread: true) {
                [weak self] () throws(StoreError) in
                self?.prepareLog()
            }
            logPreparation.withLock { $0 = preparation }
        }
        let commits = CommitQueue(runsThread: isThreaded, clock: options.clock) {
            [weak self] group in
            guard let self else {
                for request in group { request.finish(.refused(Self.closedError)) }
                return
            }
            self.process(group)
        }
        queue.withLock { $0 = commits }
        if case .relaxed(let milliseconds) = options.durability, isThreaded {
            let sync = IntervalSync(milliseconds: milliseconds) { [weak self] in
                self?.syncLogQuietly() ?? false
            }
            syncs.withLock { $0 = sync }
        }
        // After a crash, what was found may be only in the page cache, and ROOT may have one
        // sound copy only.
        if writer.root.state == .inUse || !writer.isRootWhole {
            try withWriter { writer throws(StoreError) in try writer.start() }
        } else {
            // A crash at the end of a clean close may have left files. That they cannot be removed
            // now is no reason not to open: the writer's start tries again.
            withWriter { writer in try? writer.removeOrphans() }
        }
        if withWriter({ $0.isFull }) { work.request() }
        watchDescriptors()
        requestCompaction()
        requestIndexes()
    }
}
