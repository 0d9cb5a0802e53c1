// A place for a thread that comes and goes: started when there is work, gone when there is none.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// Holds at most one running thread, and joins those that have ended.
///
/// Whoever starts a thread sees to it that the one before has left its loop.
package final class ThreadSlot: Sendable {
    private let thread = Mutex<WorkerThread?>(nil)

    package init() {}

    /// Who let the slot go without waiting has nobody left to wait: a thread that ends then finds
    /// no slot, and what it leaves (its stack) would be kept for a `join` that never comes.
    deinit { thread.withLock { $0 }?.detach() }

    /// Starts a thread; false when the system has none left.
    package func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        let fresh = WorkerThread { [weak self] in
            body()
            self?.leave()
        }
        guard let fresh else { return false }
        let old = thread.withLock { thread -> WorkerThread? in
            defer { thread = fresh }
            return thread
        }
        old?.join()
        return true
    }

    /// Waits for the thread's end, if there is one.
    package func join() {
        let last = thread.withLock { thread -> WorkerThread? in
            defer { thread = nil }
            return thread
        }
        last?.join()
    }

    /// Called by a thread at its end: nobody needs to wait for it any more.
    private func leave() {
        let own = thread.withLock { thread -> WorkerThread? in
            guard let running = thread, running.isCurrent else { return nil }
            thread = nil
            return running
        }
        own?.join()
    }
}
