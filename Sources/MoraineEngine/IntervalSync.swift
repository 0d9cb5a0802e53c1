// Syncs the log at intervals, for relaxed durability.

import MoraineFiles
import MoraineStorage
import Synchronization

/// Calls a function at intervals on a thread of its own, which ends when there is long nothing to
/// sync.
final class IntervalSync: Sendable {
    private struct State {
        var isClosed = false
        var isServing = false
        /// Something was written since the thread last looked.
        var isWanted = false
    }

    private let monitor = Monitor()
    private let state = Mutex(State())
    private let thread = ThreadSlot()
    private let pause: Int
    private let idleRounds: Int
    private let sync: @Sendable () -> Bool

    /// - Parameters:
    ///   - milliseconds: what a power cut may lose. The sync starts twice as often, so that it is
    ///     over in time.
    ///   - sync: false when there was nothing to sync.
    init(
        milliseconds: Int,
        idleMilliseconds: Int = WorkerThread.idleMilliseconds,
        _ sync: @escaping @Sendable () -> Bool
    ) {
        pause = max(1, milliseconds / 2)
        idleRounds = max(1, idleMilliseconds / pause)
        self.sync = sync
    }

    /// True while there is a thread.
    var isServing: Bool { state.withLock { $0.isServing } }

    /// Sees to it that what was just written is synced in time; false when the system has no
    /// thread for it.
    func request() -> Bool {
        let mustStart = state.withLock { state -> Bool in
            state.isWanted = true
            guard !state.isServing, !state.isClosed else { return false }
            state.isServing = true
            return true
        }
        guard mustStart else { return true }
        if thread.start({ [weak self] in self?.serve() }) { return true }
        state.withLock { $0.isServing = false }
        return false
    }

    private func serve() {
        var idle = 0
        while true {
            let isOver = state.withLock { state -> Bool in
                if state.isWanted { idle = 0 }
                state.isWanted = false
                guard state.isClosed || idle >= idleRounds else { return false }
                state.isServing = false
                return true
            }
            if isOver { return }
            monitor.withLock {
                if !state.withLock({ $0.isClosed }) { monitor.wait(milliseconds: pause) }
            }
            idle = sync() ? 0 : idle + 1
        }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        monitor.withLock { monitor.broadcast() }
        thread.join()
    }
}
