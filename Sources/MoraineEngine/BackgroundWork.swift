// One piece of work that runs whenever asked, and callers that may wait for it.

import MoraineFiles
import MoraineStorage
import Synchronization

/// Runs `work` on a thread of its own, or in the caller's when there is none.
///
/// The thread starts when it is needed and ends when it has had nothing to do for a while.
final class BackgroundWork: Sendable {
    private struct State {
        var isWanted = false
        var isRunning = false
        var isClosed = false
        var isServing = false
        var finishedCount: UInt64 = 0
        var failure: StoreError?
    }

    private let monitor = Monitor()
    private let state = Mutex(State())
    private let thread = ThreadSlot()
    private let work: @Sendable () throws(StoreError) -> Void
    private let hasThread: Bool
    private let idleMilliseconds: Int

    init(
        hasThread: Bool,
        idleMilliseconds: Int = WorkerThread.idleMilliseconds,
        work: @escaping @Sendable () throws(StoreError) -> Void
    ) {
        self.work = work
        self.hasThread = hasThread
        self.idleMilliseconds = idleMilliseconds
    }

    /// True while there is a thread.
    var isServing: Bool { state.withLock { $0.isServing } }

    /// Asks for a run, without waiting.
    ///
    /// Without a thread this does nothing: who needs the work done asks by `runAndWait`.
    func request() {
        guard hasThread else { return }
        try? wake { $0.isWanted = true }
    }

    /// Waits for a run that is under way, or for one more, and throws what it threw.
    func runAndWait() throws(StoreError) {
        guard hasThread else { return try work() }
        let target = try wake { state in
            if !state.isRunning { state.isWanted = true }
            return state.finishedCount + 1
        }
        monitor.withLock {
            while state.withLock({ $0.finishedCount < target && !$0.isClosed }) {
                monitor.wait()
            }
        }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    /// Changes the state and sees to it that a thread looks at it.
    @discardableResult
    private func wake<R>(_ change: (inout State) -> R) throws(StoreError) -> R {
        let (result, mustStart) = state.withLock { state -> (R, Bool) in
            let result = change(&state)
            guard !state.isServing, !state.isClosed else { return (result, false) }
            state.isServing = true
            return (result, true)
        }
        if mustStart {
            guard thread.start({ [weak self] in self?.serve() }) else {
                state.withLock { $0.isServing = false }
                throw StoreError(.inputOutput, "cannot start a thread for checkpoints")
            }
        } else {
            monitor.withLock { monitor.broadcast() }
        }
        return result
    }

    private func serve() {
        while waitForWork() {
            state.withLock {
                $0.isWanted = false
                $0.isRunning = true
            }
            var failure: StoreError?
            do throws(StoreError) { try work() } catch { failure = error }
            state.withLock {
                $0.isRunning = false
                $0.finishedCount += 1
                $0.failure = failure
            }
            monitor.withLock { monitor.broadcast() }
        }
    }

    /// False when the thread is to end.
    private func waitForWork() -> Bool {
        monitor.withLock { () -> Bool in
            var isIdle = false
            while true {
                let (isWanted, ends) = state.withLock { state -> (Bool, Bool) in
                    let ends = state.isClosed || (isIdle && !state.isWanted)
                    if ends { state.isServing = false }
                    return (state.isWanted, ends)
                }
                if ends { return false }
                if isWanted { return true }
                isIdle = !monitor.wait(milliseconds: idleMilliseconds)
            }
        }
    }

    /// Ends the thread after the run that is under way.
    func close() {
        state.withLock { $0.isClosed = true }
        monitor.withLock { monitor.broadcast() }
        thread.join()
    }
}
