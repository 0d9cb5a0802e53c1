// Syncs the log at intervals, for relaxed durability.

import MoraineFiles
import MoraineStorage
import Synchronization

/// Calls a function at intervals on a thread of its own.
final class IntervalSync: Sendable {
    private let monitor = Monitor()
    private let isClosed = Mutex(false)
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameter milliseconds: what a power cut may lose. The sync starts twice as often, so
    ///   that it is over in time.
    init(milliseconds: Int, _ sync: @escaping @Sendable () -> Void) throws(StoreError) {
        let pause = max(1, milliseconds / 2)
        let monitor = monitor
        guard
            let worker = WorkerThread({ [weak self] in
                while self?.isClosed.withLock({ $0 }) == false {
                    monitor.withLock { monitor.wait(milliseconds: pause) }
                    sync()
                }
            })
        else {
            throw StoreError(.inputOutput, "cannot start a thread for syncs")
        }
        thread.withLock { $0 = worker }
    }

    func close() {
        isClosed.withLock { $0 = true }
        monitor.withLock { monitor.broadcast() }
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }
}
