// One piece of work on a thread of its own, beside what its caller does.

import MoraineFiles
import MoraineStorage
import Synchronization

/// Runs `body` beside the caller, who waits for its result.
final class SideWork<Success: Sendable>: Sendable {
    private let body: @Sendable () throws(StoreError) -> Success
    private let result = Mutex<Result<Success, StoreError>?>(nil)
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameter isParallel: false, or no thread to be had: `body` runs in `wait`.
    init(isParallel: Bool, _ body: @escaping @Sendable () throws(StoreError) -> Success) {
        self.body = body
        guard isParallel else { return }
        let worker = WorkerThread { self.run() }
        thread.withLock { $0 = worker }
    }

    private func run() {
        let result = Result { () throws(StoreError) in try body() }
        self.result.withLock { $0 = result }
    }

    /// Waits for the end of the work.
    ///
    /// To be called exactly once.
    func wait() -> Result<Success, StoreError> {
        if let worker = thread.withLock({ $0 }) { worker.join() } else { run() }
        guard let result = result.withLock({ $0 }) else {
            preconditionFailure("the work has ended")
        }
        return result
    }
}
