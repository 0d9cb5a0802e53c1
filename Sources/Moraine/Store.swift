// A store: one folder of collections. Blocking methods; the asynchronous ones stand beside them.

import MoraineEngine
package import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization

/// A store of documents and their embeddings in one folder.
///
/// ```swift
/// let store = try await Store.open(at: "library.moraine")
/// let notes = try await store.collection("notes", dimensions: 384)
/// try await notes.put(Document(id: "a", text: "...", embedding: vector))
/// let hits = try await notes.search(near: query, limit: 10)
/// ```
///
/// **Two forms of every call.** What may wait for a disk, a lock or a long computation exists
/// twice under one name: called with `await` it leaves the calling thread free, called from
/// synchronous code it blocks until done. Writes with `await` join the next group of commits;
/// reads, searches, `open`, `close`, `sync`, `checkpoint` and `refresh` run on a few threads of the
/// store's own, never on the Swift concurrency pool. That costs some ten microseconds a call:
/// code that reads many single documents is faster with `get(_:)` of many ids, or synchronous on a
/// thread of its own. What never waits, such as ``snapshot()``, exists once.
///
/// **Threads.** Everything may be called from any thread or task at the same time.
///
/// **Cancellation.** A task that is cancelled before its call began gets `cancelled`, and nothing
/// has happened. A read that has begun ends early with the same code; a write that has begun runs
/// to its end, and what it committed stays. ``Collection/readTimeout`` and
/// ``Snapshot/readTimeout`` set a time for reads.
///
/// **One writer.** A store is open for writing once: a second open throws `locked`, in this
/// process or another. Any number of read-only stores may follow, see `refresh()`.
///
/// **Errors.** Only ``MoraineError``. After `close()` every call on the store, its collections
/// and its snapshots throws `closed`.
public final class Store: Sendable {
    /// The store's folder, from the root; where a symbolic link led when it was opened.
    public let path: String
    let engine: Engine
    let queue: WorkQueue
    private let isClosed = Atomic(false)

    private init(engine: Engine, queue: WorkQueue) {
        path = engine.folder
        self.engine = engine
        self.queue = queue
    }

    // MARK: Opening and closing

    /// Opens a store, making it when nothing is there; blocks.
    ///
    /// After a crash this reads what the log holds; how long that takes grows with
    /// ``Configuration/memtableByteCount``.
    ///
    /// - Parameters:
    ///   - path: the folder; its parent must exist. A relative path means what it means now, also
    ///     when the process changes its working directory later.
    ///   - configuration: how to open it.
    /// - Throws: `notAStore`, `locked`, `corrupted`, `newerFormat`, `permissionDenied`,
    ///   `inputOutput`, `invalidArgument` for a configuration out of range, `readOnly` for writing
    ///   on a network file system.
    public static func open(at path: String, configuration: Configuration = Configuration())
        throws(MoraineError) -> Store
    {
        try open(
            at: PosixFileSystem.folder(meantBy: path),
            configuration: configuration,
            fileSystem: PosixFileSystem(),
            queue: makeQueue()
        )
    }

    /// Opens an empty store in memory, for tests of programs that use this library.
    ///
    /// It behaves as one on a disk and is gone with the object.
    ///
    /// - Parameter configuration: as for a store in a folder; it is always made, and has no disk
    ///   to reserve.
    /// - Throws: `invalidArgument`, also for one that is read-only.
    public static func inMemory(configuration: Configuration = Configuration())
        throws(MoraineError) -> Store
    {
        var configuration = configuration
        if configuration.isReadOnly {
            throw MoraineError(
                StoreError(
                    .invalidArgument,
                    "a new store in memory is empty: reading only makes no sense",
                    expected: "isReadOnly to be false",
                    found: "true"
                )
            )
        }
        configuration.createsIfMissing = true
        configuration.diskReserveByteCount = 0
        return try open(
            at: "/store",
            configuration: configuration,
            fileSystem: SimulatedFileSystem()
        )
    }

    /// Opens a store on a file system and with a clock of the caller's.
    package static func open(
        at path: String,
        configuration: Configuration,
        fileSystem: any FileSystem,
        clock: any Clock = SystemClock()
    ) throws(MoraineError) -> Store {
        try open(
            at: path,
            configuration: configuration,
            fileSystem: fileSystem,
            clock: clock,
            queue: makeQueue()
        )
    }

    static func open(
        at path: String,
        configuration: Configuration,
        fileSystem: any FileSystem,
        clock: any Clock = SystemClock(),
        queue: WorkQueue
    ) throws(MoraineError) -> Store {
        let engine = try face { () throws(StoreError) in
            var options = try configuration.options(fileSystem)
            options.clock = clock
            return try Engine.open(at: path, options: options)
        }
        return Store(engine: engine, queue: queue)
    }

    /// Threads for asynchronous reads.
    ///
    /// They mostly wait for disks, so four even on two cores: a guess.
    static func makeQueue() -> WorkQueue {
        WorkQueue(threadCount: max(4, WorkerThread.processorCount))
    }

    /// Writes what is only in memory to files, makes everything durable and lets go of the folder;
    /// blocks.
    ///
    /// Calls that are running end first. Closing twice is harmless. A store that is dropped without
    /// this loses nothing that was acknowledged as durable; the next open replays the log. Its lock
    /// goes when what runs in the background has ended, a moment later.
    ///
    /// - Throws: `noSpace`, `inputOutput`, `poisoned`; the store is closed all the same.
    public func close() throws(MoraineError) {
        isClosed.store(true, ordering: .releasing)
        queue.stop()
        try face { () throws(StoreError) in try engine.close() }
    }

    /// What opening found that is no error: an unacknowledged end of the log that was cut, say.
    public var openingNotes: [MoraineError] { engine.openingNotes.map { MoraineError($0) } }

    /// The newest commit that reads see; 0 in an empty store.
    ///
    /// Never waits.
    ///
    /// - Throws: `closed`.
    public func version() throws(MoraineError) -> LSN { try newest().lsn }

    // MARK: Collections

    /// Opens a collection, making it when there is none of this name; blocks.
    ///
    /// - Parameters:
    ///   - name: 1 to 255 bytes of UTF-8 without control characters, compared as bytes.
    ///   - dimensions: numbers in an embedding, to 16,384; 0: documents have none.
    ///   - metric: how embeddings are compared.
    /// - Returns: the collection; durable as ``Configuration/durability`` says.
    /// - Throws: `collectionMismatch` when it exists with other dimensions or another metric,
    ///   `invalidName`, `invalidArgument`, `readOnly`, `closed`, and what a write throws.
    @discardableResult
    public func collection(_ name: String, dimensions: Int = 0, metric: Metric = .cosine)
        throws(MoraineError) -> Collection
    {
        if let found = try matching(name, dimensions, metric) { return found }
        var batch = WriteBatch()
        batch.createCollection(name, dimensions: dimensions, metric: metric)
        try write(batch)
        return try existingCollection(name)
    }

    /// A collection that exists.
    ///
    /// Never waits.
    ///
    /// - Parameter name: the name, compared as bytes.
    /// - Throws: `unknownCollection`, `closed`.
    public func existingCollection(_ name: String) throws(MoraineError) -> Collection {
        let version = try newest()
        guard let shape = version.collection(name) else { throw Self.unknown(name) }
        return Collection(store: self, shape: shape, of: version)
    }

    /// All collections, ordered by the bytes of their names.
    ///
    /// Never waits.
    ///
    /// - Throws: `closed`.
    public func collections() throws(MoraineError) -> [Collection] {
        let version = try newest()
        return version.collections.map { Collection(store: self, shape: $0, of: version) }
    }

    /// The collection of a name if it has the shape asked for; `nil`: to be made.
    ///
    /// - Throws: `collectionMismatch`, also from a store that cannot make any; `closed`.
    func matching(_ name: String, _ dimensions: Int, _ metric: Metric) throws(MoraineError)
        -> Collection?
    {
        let version = try newest()
        guard let shape = version.collection(name) else { return nil }
        guard shape.dimensions == dimensions, shape.metric == metric.stored else {
            throw MoraineError(shape.mismatch(dimensions: dimensions, metric: metric.stored))
        }
        return Collection(store: self, shape: shape, of: version)
    }

    static func unknown(_ name: String) -> MoraineError {
        MoraineError(StoreError(.unknownCollection, "there is no collection \"\(name)\""))
    }

    // MARK: Writing

    /// Does everything in a batch, or nothing of it; blocks.
    ///
    /// - Parameter batch: what to do; with no operation the call does nothing.
    /// - Returns: the commit's number, once it is as durable as ``Configuration/durability`` says.
    /// - Throws: `unknownCollection`, `invalidName`, `collectionMismatch`, `invalidID`,
    ///   `invalidMetadata`, `wrongDimension`, `invalidVector`, `tooLarge`, `versionConflict`,
    ///   `invalidArgument`, `readOnly`, `closed`, `noSpace`, `inputOutput`, `poisoned`.
    @discardableResult
    public func write(_ batch: WriteBatch) throws(MoraineError) -> LSN {
        if batch.isEmpty { return try version() }
        return try face { () throws(StoreError) in
            try engine.commit { builder throws(StoreError) in try batch.build(&builder) }
        }
    }

    /// Makes everything written so far durable, whatever the configured durability; blocks.
    ///
    /// - Throws: `readOnly`, `closed`, `noSpace`, `inputOutput`, `poisoned`.
    public func sync() throws(MoraineError) {
        try face { () throws(StoreError) in try engine.sync() }
    }

    /// Writes the documents that are only in memory and the log to a segment; blocks.
    ///
    /// The store does so by itself when the memory for them is full. Useful before a copy of the
    /// folder, or to make the next open quick.
    ///
    /// - Throws: `readOnly`, `closed`, `noSpace`, `inputOutput`, `poisoned`.
    public func checkpoint() throws(MoraineError) {
        try face { () throws(StoreError) in try engine.checkpoint() }
    }

    // MARK: Reading

    /// The newest state, to read from until ``Configuration/maxSnapshotAge``.
    ///
    /// Never waits and holds up no writer. It keeps the files and the memory that it shows until
    /// its last copy goes, it is closed, or it expires; ``statistics()`` lists it till then.
    ///
    /// - Parameter label: names it in the statistics.
    /// - Throws: `closed`.
    public func snapshot(label: String? = nil) throws(MoraineError) -> Snapshot {
        try checkOpen()
        let pin = try face { () throws(StoreError) in try engine.pin(label: label) }
        return Snapshot(store: self, pin: pin)
    }

    /// Lets a read-only store see what the writer has committed since; blocks.
    ///
    /// Without effect on a store that writes, which always sees its own commits.
    ///
    /// - Throws: `closed`, `corrupted`, `inputOutput`.
    public func refresh() throws(MoraineError) {
        try face { () throws(StoreError) in try engine.refresh() }
    }

    func newest() throws(MoraineError) -> Version {
        try checkOpen()
        return try face { () throws(StoreError) in try engine.version() }
    }

    func checkOpen() throws(MoraineError) {
        if isClosed.load(ordering: .acquiring) { throw Self.closedError }
    }

    static var closedError: MoraineError {
        MoraineError(StoreError(.closed, "the store is closed"))
    }
}
