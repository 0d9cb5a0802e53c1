// One thread that runs one piece of work whenever asked, and callers that may wait for it.

import MoraineFiles
import MoraineStorage
import Synchronization

/// Runs `work` on a thread of its own, or in the caller's when there is none.
final class BackgroundWork: Sendable {
    private struct State {
        var isWanted = false
        var isRunning = false
        var isClosed = false
        var finishedCount: UInt64 = 0
        var failure: StoreError?
    }

    private let monitor = Monitor()
    private let state = Mutex(State())
    private let thread = Mutex<WorkerThread?>(nil)
    private let work: @Sendable () throws(StoreError) -> Void
    private let hasThread: Bool

    init(hasThread: Bool, work: @escaping @Sendable () throws(StoreError) -> Void)
        throws(StoreError)
    {
        self.work = work
        self.hasThread = hasThread
        guard hasThread else { return }
        guard let worker = WorkerThread({ [weak self] in self?.serve() }) else {
            throw StoreError(.inputOutput, "cannot start a thread for checkpoints")
        }
        thread.withLock { $0 = worker }
    }

    /// Asks for a run, without waiting.
    ///
    /// Without a thread this does nothing: who needs the work done asks by `runAndWait`.
    func request() {
        guard hasThread else { return }
        state.withLock { $0.isWanted = true }
        monitor.withLock { monitor.broadcast() }
    }

    /// Waits for a run that is under way, or for one more, and throws what it threw.
    func runAndWait() throws(StoreError) {
        guard hasThread else { return try work() }
        let target = state.withLock { state -> UInt64 in
            if !state.isRunning { state.isWanted = true }
            return state.finishedCount + 1
        }
        monitor.withLock {
            monitor.broadcast()
            while state.withLock({ $0.finishedCount < target && !$0.isClosed }) {
                monitor.wait()
            }
        }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    private func serve() {
        while true {
            let goesOn = monitor.withLock { () -> Bool in
                while true {
                    let (isWanted, isClosed) = state.withLock { ($0.isWanted, $0.isClosed) }
                    if isClosed { return false }
                    if isWanted { return true }
                    monitor.wait()
                }
            }
            guard goesOn else { return }
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

    /// Ends the thread after the run that is under way.
    func close() {
        state.withLock { $0.isClosed = true }
        monitor.withLock { monitor.broadcast() }
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }
}
