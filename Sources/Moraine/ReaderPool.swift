// A cap on concurrent readers, with a fair queue for those who come when all are taken.

import MoraineEngine
import MoraineFiles
import MoraineStorage
import Synchronization

/// Lends snapshots of a store to at most so many users at a time.
///
/// A store itself needs no pool: any number of threads may read from it. This is for hosts that
/// want to cap how many readers work at once, and how many states of the store they keep.
///
/// ```swift
/// let pool = try ReaderPool(store: store)
/// let count = try await pool.withReader { snapshot in try await snapshot.count(in: "notes") }
/// ```
///
/// **What a reader shows.** The newest state at the moment it is lent, unless `atLeast` is asked
/// for. It is checked before each use: one that has expired, or is older than
/// ``Configuration/maxAge``, is replaced.
///
/// **What idle readers cost.** At most ``Configuration/size`` snapshots, as they were when they
/// came back, each until it is used again or expires.
///
/// **Fairness.** Who waits is served in the order of arrival, nobody overtakes. Any thread or task.
public final class ReaderPool: Sendable {
    /// The sizes and times of a pool.
    public struct Configuration: Sendable, Hashable {
        /// Readers that are kept for the next user, 0 or more.
        public var size = 10
        /// Readers above ``size`` that may be lent when all are taken, and go when they come back.
        public var overflow = 20
        /// How long a user waits for a reader; zero: not at all.
        public var waitTimeout = Duration.seconds(30)
        /// The age at which a reader is replaced; `nil`: only when its snapshot expires.
        public var maxAge: Duration? = .seconds(3_600)

        /// The defaults.
        public init() {}
    }

    /// Which state a reader must show.
    public enum Freshness: Sendable, Hashable {
        /// The newest at the moment when the reader is lent.
        case newest
        /// Any that contains this commit: an idle reader's own if it does, else the newest.
        case atLeast(LSN)
    }

    /// The store that is read.
    public let store: Store
    /// How it was made.
    public let configuration: Configuration
    let clock: any Clock
    let state = Mutex(State())

    /// A pool without readers; they are made when they are needed.
    ///
    /// - Throws: `invalidArgument` for negative numbers or no reader at all.
    public init(store: Store, configuration: Configuration = Configuration())
        throws(MoraineError)
    {
        let isSound =
            configuration.size >= 0 && configuration.overflow >= 0
            && configuration.size.addingReportingOverflow(configuration.overflow).partialValue > 0
            && configuration.waitTimeout >= .zero && configuration.maxAge ?? .zero >= .zero
        guard isSound else {
            throw MoraineError(
                StoreError(
                    .invalidArgument,
                    "a reader pool's configuration is out of range",
                    expected: "1 reader or more, no negative number",
                    found: "\(configuration)"
                )
            )
        }
        self.store = store
        self.configuration = configuration
        clock = store.engine.options.clock
    }

    /// Calls `body` with a reader; blocks while all are taken, and in `body`.
    ///
    /// - Parameters:
    ///   - freshness: which state the reader must show.
    ///   - body: gets the snapshot, which is good until it returns.
    /// - Throws: ``MoraineError`` with `poolTimeout` when no reader became free in time, `closed`,
    ///   or `notFound` when the store has not the commit asked for; what `body` throws.
    @available(*, noasync, message: "use the form with await")
    public func withReader<R>(
        _ freshness: Freshness = .newest,
        _ body: (Store.Snapshot) throws -> R
    ) throws -> R {
        let reader: Reader
        switch try admit() {
        case .slot(let kept): reader = try prepare(kept, freshness)
        case .waiter(let waiter): reader = try prepare(try wait(waiter), freshness)
        }
        defer { takeBack(reader) }
        return try body(reader.snapshot)
    }

    /// Calls `body` with a reader; waits without holding a thread.
    ///
    /// A task that is cancelled while it waits leaves the queue. Give `body` an `await`, or write
    /// `async` in its head: the compiler chooses by it.
    ///
    /// - Parameters:
    ///   - freshness: which state the reader must show.
    ///   - body: gets the snapshot, which is good until it returns; runs where the caller does.
    /// - Throws: what the blocking form throws; `cancelled`.
    nonisolated(nonsending) public func withReader<R>(
        _ freshness: Freshness = .newest,
        _ body: (Store.Snapshot) async throws -> R
    ) async throws -> R {
        if Task.isCancelled { throw Self.cancelledError }
        let reader: Reader
        switch try admit() {
        case .slot(let kept): reader = try prepare(kept, freshness)
        case .waiter(let waiter): reader = try prepare(try await wait(waiter), freshness)
        }
        defer { takeBack(reader) }
        return try await body(reader.snapshot)
    }

    /// Lets go of all idle readers and refuses new users; those that wait get `closed`.
    ///
    /// Readers that are lent stay good until they come back.
    public func close() {
        let (idle, waiters) = state.withLock { state -> ([Reader], [PoolWaiter]) in
            state.isClosed = true
            defer {
                state.idle = []
                state.waiters = []
            }
            return (state.idle, state.waiters)
        }
        for reader in idle { reader.snapshot.close() }
        for waiter in waiters { waiter.finish(.closed) }
    }
}

// MARK: - Slots

extension ReaderPool {
    /// A snapshot on its way through the pool.
    struct Reader: Sendable {
        let snapshot: Store.Snapshot
        /// Steady nanoseconds.
        let made: UInt64
    }

    struct State {
        /// The one that came back last is lent first.
        var idle: [Reader] = []
        /// Slots that are taken: lent readers, and those on their way.
        var inUse = 0
        /// In the order of arrival.
        var waiters: [PoolWaiter] = []
        var isClosed = false
        var checkoutCount: UInt64 = 0
        var timeoutCount: UInt64 = 0
        var recycledCount: UInt64 = 0
        var longestWait: UInt64 = 0
    }

    enum Admission {
        /// A slot, with an idle reader if there was one.
        case slot(Reader?)
        case waiter(PoolWaiter)
    }

    /// Takes a slot or a place in the queue.
    private func admit() throws(MoraineError) -> Admission {
        try store.checkOpen()
        let now = clock.steadyNanoseconds()
        let timeout = UInt64(clamping: configuration.waitTimeout.boundedMilliseconds) * 1_000_000
        return try state.withLock { state throws(MoraineError) -> Admission in
            if state.isClosed { throw Self.closedError }
            if state.waiters.isEmpty, state.inUse < configuration.size + configuration.overflow {
                state.inUse += 1
                return .slot(state.idle.popLast())
            }
            guard timeout > 0 else {
                state.timeoutCount += 1
                throw timeoutError(waiting: state.waiters.count)
            }
            let waiter = PoolWaiter(since: now, deadline: now + timeout)
            state.waiters.append(waiter)
            return .waiter(waiter)
        }
    }

    /// Makes sure that a slot's reader is good for use; gives the slot back when it cannot be.
    private func prepare(_ kept: Reader?, _ freshness: Freshness) throws(MoraineError) -> Reader {
        do throws(MoraineError) {
            let newest = try store.version()
            if case .atLeast(let lsn) = freshness, lsn > newest { throw absent(lsn, newest) }
            let least =
                switch freshness {
                case .newest: newest
                case .atLeast(let lsn): lsn
                }
            var reader = kept
            var isRecycled = false
            if let old = kept, isWornOut(old) || old.snapshot.version < least {
                isRecycled = isWornOut(old)
                old.snapshot.close()
                reader = nil
            }
            let made = if let reader { reader } else { try makeReader() }
            state.withLock { state in
                state.checkoutCount += 1
                if isRecycled { state.recycledCount += 1 }
            }
            return made
        } catch {
            kept?.snapshot.close()
            giveBackSlot(with: nil)
            throw error
        }
    }

    private func makeReader() throws(MoraineError) -> Reader {
        Reader(
            snapshot: try store.snapshot(label: "reader pool"),
            made: clock.steadyNanoseconds()
        )
    }

    /// Too old, or its snapshot has expired.
    private func isWornOut(_ reader: Reader) -> Bool {
        if let limit = configuration.maxAge {
            let age = clock.steadyNanoseconds() - reader.made
            if age / 1_000_000 >= UInt64(clamping: limit.boundedMilliseconds) { return true }
        }
        do throws(MoraineError) {
            _ = try reader.snapshot.state()
            return false
        } catch {
            return true
        }
    }

    /// Ends a use: the reader goes to who waits longest, among the idle ones, or away.
    private func takeBack(_ reader: Reader) {
        // A state that is no longer the newest would keep files for nobody.
        let newest = try? store.version()
        if reader.snapshot.version == newest, !isWornOut(reader) {
            giveBackSlot(with: reader)
        } else {
            reader.snapshot.close()
            giveBackSlot(with: nil)
        }
    }

    private func giveBackSlot(with reader: Reader?) {
        let now = clock.steadyNanoseconds()
        let (next, surplus) = state.withLock { state -> (PoolWaiter?, Reader?) in
            if !state.waiters.isEmpty {
                let waiter = state.waiters.removeFirst()
                state.longestWait = max(state.longestWait, now - waiter.since)
                return (waiter, nil)
            }
            state.inUse -= 1
            if let reader, !state.isClosed, state.idle.count + state.inUse < configuration.size {
                state.idle.append(reader)
                return (nil, nil)
            }
            return (nil, reader)
        }
        next?.finish(.slot(reader))
        surplus?.snapshot.close()
    }
}

// MARK: - Errors

extension ReaderPool {
    static var closedError: MoraineError {
        MoraineError(StoreError(.closed, "the reader pool is closed"))
    }

    static var cancelledError: MoraineError {
        MoraineError(StoreError(.cancelled, "the task was cancelled before it got a reader"))
    }

    func timeoutError(waiting: Int) -> MoraineError {
        let count = configuration.size + configuration.overflow
        return MoraineError(
            StoreError(
                .poolTimeout,
                "all \(count) readers were taken for \(configuration.waitTimeout), \(waiting) "
                    + "others wait",
                expected: "a free reader",
                found: "none"
            )
        )
    }

    private func absent(_ lsn: LSN, _ newest: LSN) -> MoraineError {
        MoraineError(
            StoreError(
                .notFound,
                "the store has not the commit that a reader must show",
                expected: "commit \(lsn)",
                found: "commits up to \(newest)"
            )
        )
    }
}
