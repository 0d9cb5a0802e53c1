// The asynchronous forms of a store's calls. Each says what its blocking form says; what differs
// is who waits.

import MoraineEngine
import MoraineFiles
import MoraineStorage
import Synchronization

extension Store {
    /// Opens a store, making it when nothing is there; runs on a thread of the store's own.
    ///
    /// - Parameters:
    ///   - path: the folder; its parent must exist. A relative path means what it means now.
    ///   - configuration: how to open it.
    /// - Throws: what the blocking form throws; `cancelled`.
    public static func open(at path: String, configuration: Configuration = Configuration())
        async throws(MoraineError) -> Store
    {
        let queue = makeQueue()
        let path = PosixFileSystem.folder(meantBy: path)
        return try await run(on: queue) { () throws(MoraineError) in
            try open(
                at: path,
                configuration: configuration,
                fileSystem: PosixFileSystem(),
                queue: queue
            )
        }
    }

    /// Closes the store; runs on a thread of the store's own.
    ///
    /// - Throws: what the blocking form throws. Never `cancelled`: a cancelled task closes too.
    public func close() async throws(MoraineError) {
        // A store that is closed has no threads left to close it with.
        if queue.isStopped { return }
        let outcome = await Task {
            await queue.run { () throws(MoraineError) in try self.close() }
        }.value
        try Self.value(of: outcome, queue)
    }

    /// Opens a collection, making it when there is none of this name.
    ///
    /// - Parameters:
    ///   - name: 1 to 255 bytes of UTF-8 without control characters, compared as bytes.
    ///   - dimensions: numbers in an embedding, to 16,384; 0: documents have none.
    ///   - metric: how embeddings are compared.
    /// - Returns: the collection; durable as ``Configuration/durability`` says.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func collection(_ name: String, dimensions: Int = 0, metric: Metric = .cosine)
        async throws(MoraineError) -> Collection
    {
        if let found = try matching(name, dimensions, metric) { return found }
        var batch = WriteBatch()
        batch.createCollection(name, dimensions: dimensions, metric: metric)
        try await write(batch)
        return try existingCollection(name)
    }

    /// Does everything in a batch, or nothing of it.
    ///
    /// - Parameter batch: what to do; with no operation the call does nothing.
    /// - Returns: the commit's number, once it is as durable as ``Configuration/durability`` says.
    /// - Throws: what the blocking form throws; `cancelled`.
    @discardableResult
    public func write(_ batch: WriteBatch) async throws(MoraineError) -> LSN {
        if batch.isEmpty { return try version() }
        // Patches read documents, which may wait for the disk.
        if batch.hasPatches {
            return try await run { () throws(MoraineError) in try self.write(batch) }
        }
        return try await commit { builder throws(StoreError) in try batch.build(&builder) }
    }

    /// Makes everything written so far durable; runs on a thread of the store's own.
    ///
    /// - Throws: what the blocking form throws; `cancelled`.
    public func sync() async throws(MoraineError) {
        try await run { () throws(MoraineError) in try self.sync() }
    }

    /// Writes the documents that are only in memory and the log to a segment; runs on a thread of
    /// the store's own.
    ///
    /// - Throws: what the blocking form throws; `cancelled`.
    public func checkpoint() async throws(MoraineError) {
        try await run { () throws(MoraineError) in try self.checkpoint() }
    }

    /// Lets a read-only store see what the writer has committed since; runs on a thread of the
    /// store's own.
    ///
    /// - Throws: what the blocking form throws; `cancelled`.
    public func refresh() async throws(MoraineError) {
        try await run { () throws(MoraineError) in try self.refresh() }
    }

    /// Commits with the next group, unless the task is cancelled.
    func commit(_ build: @Sendable (inout BatchBuilder) throws(StoreError) -> Void)
        async throws(MoraineError) -> LSN
    {
        try await commitCounting(build).lsn
    }

    /// As `commit`, and says how many documents were deleted by prefix.
    func commitCounting(_ build: @Sendable (inout BatchBuilder) throws(StoreError) -> Void)
        async throws(MoraineError) -> CommitResult
    {
        if Task.isCancelled { throw Self.cancelledError }
        do throws(StoreError) {
            return try await engine.commitAsync(build)
        } catch {
            throw MoraineError(error)
        }
    }

    /// Runs blocking work on a thread of the store's own.
    func run<R: Sendable>(_ body: @escaping @Sendable () throws(MoraineError) -> R)
        async throws(MoraineError) -> R
    {
        try checkOpen()
        return try await Self.run(on: queue, body)
    }

    /// Runs blocking work on a thread of the store's own; a cancelled task is told by the closure
    /// that the work gets.
    func run<R: Sendable>(
        _ body:
            @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool)
            throws(MoraineError) -> R
    ) async throws(MoraineError) -> R {
        try checkOpen()
        return try await Self.run(on: queue, told: body)
    }

    /// Runs blocking work of no open store; a limit tells it of the end of its time, which begins
    /// now, and of a cancelled task.
    static func run<R: Sendable>(
        on queue: WorkQueue,
        after timeout: Duration?,
        _ body: @escaping @Sendable (ReadLimit) throws(MoraineError) -> R
    ) async throws(MoraineError) -> R {
        let clock = SystemClock()
        let deadline = ReadLimit.deadline(after: timeout, clock)
        return try await run(
            on: queue,
            told: { isCancelled throws(MoraineError) in
                try body(ReadLimit(deadline: deadline, clock: clock, isCancelled: isCancelled))
            }
        )
    }

    /// The limit of blocking work of no open store that begins now.
    static func ownLimit(after timeout: Duration?) -> ReadLimit {
        let clock = SystemClock()
        return ReadLimit(deadline: ReadLimit.deadline(after: timeout, clock), clock: clock)
    }

    private static func run<R: Sendable>(
        on queue: WorkQueue,
        told body:
            @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool)
            throws(MoraineError) -> R
    ) async throws(MoraineError) -> R {
        let flag = Flag()
        let outcome: Result<R, MoraineError> = await withTaskCancellationHandler {
            do throws(MoraineError) {
                return .success(
                    try await run(on: queue) { () throws(MoraineError) in try body { flag.isSet } }
                )
            } catch {
                return .failure(error)
            }
        } onCancel: {
            flag.set()
        }
        return try outcome.get()
    }

    /// Runs a read on a thread of the store's own; it ends early when its time, which begins now, is
    /// over, or its task is cancelled.
    func read<R: Sendable>(
        within timeout: Duration?,
        _ body: @escaping @Sendable (ReadLimit) throws(MoraineError) -> R
    ) async throws(MoraineError) -> R {
        try await read(until: ReadLimit.deadline(after: timeout, engine.options.clock), body)
    }

    /// As `read(within:)`, with a deadline in steady nanoseconds of the store's clock.
    func read<R: Sendable>(
        until deadline: UInt64,
        _ body: @escaping @Sendable (ReadLimit) throws(MoraineError) -> R
    ) async throws(MoraineError) -> R {
        let clock = engine.options.clock
        return try await run {
            (isCancelled: @escaping @Sendable () -> Bool) throws(MoraineError) in
            try body(ReadLimit(deadline: deadline, clock: clock, isCancelled: isCancelled))
        }
    }

    /// The limit of a blocking read that begins now; `nil` without a timeout.
    func limit(after timeout: Duration?) -> ReadLimit? {
        guard let timeout else { return nil }
        let clock = engine.options.clock
        return ReadLimit(deadline: ReadLimit.deadline(after: timeout, clock), clock: clock)
    }

    static func run<R: Sendable>(
        on queue: WorkQueue,
        _ body: @escaping @Sendable () throws(MoraineError) -> R
    ) async throws(MoraineError) -> R {
        try value(of: await queue.run(body), queue)
    }

    private static func value<R>(
        of outcome: WorkQueue.Outcome<R, MoraineError>,
        _ queue: WorkQueue
    ) throws(MoraineError) -> R {
        switch outcome {
        case .finished(let result): return try result.get()
        case .cancelled: throw cancelledError
        case .refused:
            // A closed store's queue takes nothing; an open one's only without any thread.
            throw queue.isStopped
                ? closedError
                : MoraineError(StoreError(.inputOutput, "the system has no thread to read with"))
        }
    }

    private static var cancelledError: MoraineError {
        MoraineError(StoreError(.cancelled, "the task was cancelled before the call began"))
    }
}

/// Set once, from any thread.
private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}
