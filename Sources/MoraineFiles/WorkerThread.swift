// Threads of our own. Blocking work and long scans must not sit on the Swift concurrency pool,
// whose width is the number of cores, nor on Dispatch's global queues, which share its workers.

// The compiler may attribute the C library's types to CKernels, whose header includes them too.
import CKernels

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One thread of the system, which runs one function and ends.
package final class WorkerThread: @unchecked Sendable {  // all stored properties are constants
    /// How long threads that wait for work live without any: an idle store has none.
    package static let idleMilliseconds = 10_000

    private let handle: pthread_t

    /// Starts a thread; `nil` when the system has none left.
    ///
    /// - Parameters:
    ///   - isBackground: gives way to other threads where the processors are busy.
    ///   - body: runs on the new thread; the thread keeps it until it ends.
    package init?(isBackground: Bool = false, _ body: @escaping @Sendable () -> Void) {
        #if canImport(Darwin)
        var handle: pthread_t?
        #else
        var handle = pthread_t()
        #endif
        let threadBody =
            isBackground
            ? ThreadBody {
                mk_lower_priority()
                body()
            } : ThreadBody(body)
        let context = Unmanaged.passRetained(threadBody)
        let status = pthread_create(&handle, nil, runThreadBody, context.toOpaque())
        guard status == 0 else {
            context.release()
            return nil
        }
        #if canImport(Darwin)
        guard let handle else { return nil }
        #endif
        self.handle = handle
    }

    /// The number of this process.
    package static var processID: Int32 { getpid() }

    /// Processors that this process may use.
    package static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Blocks the calling thread for a while.
    package static func sleep(nanoseconds: UInt64) {
        var rest = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000),
            tv_nsec: Int(nanoseconds % 1_000_000_000)
        )
        var left = timespec()
        while nanosleep(&rest, &left) != 0 { rest = left }
    }

    /// True on this thread itself.
    package var isCurrent: Bool { pthread_equal(handle, pthread_self()) != 0 }

    /// Lets the thread go; nobody waits for its end.
    ///
    /// To be called exactly once, and then not `join()`.
    package func detach() { pthread_detach(handle) }

    /// Waits until the thread has ended, or lets it go when called by the thread itself.
    ///
    /// To be called exactly once.
    package func join() {
        if isCurrent {
            pthread_detach(handle)
        } else {
            pthread_join(handle, nil)
        }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

#if canImport(Darwin)
private func runThreadBody(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
#else
private func runThreadBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}
#endif

/// A lock that one can wait under until another thread signals.
package final class Monitor: @unchecked Sendable {  // the memory is only used by pthread calls
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` while holding the lock.
    ///
    /// Not recursive.
    @inline(__always)
    package func withLock<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Lets go of the lock, waits for a signal (or wakes without one), takes the lock again.
    ///
    /// Only inside `withLock`, in a loop that checks what is waited for.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// As `wait`, but at most about that long; false when that time has passed.
    @discardableResult
    package func wait(milliseconds: Int) -> Bool { wait(nanoseconds: milliseconds * 1_000_000) }

    /// As `wait`, but at most about that long; false when that time has passed.
    @discardableResult
    package func wait(nanoseconds: Int) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        let end = deadline.tv_nsec + nanoseconds % 1_000_000_000
        deadline.tv_sec += nanoseconds / 1_000_000_000 + end / 1_000_000_000
        deadline.tv_nsec = end % 1_000_000_000
        return pthread_cond_timedwait(condition, mutex, &deadline) == 0
    }

    /// Wakes one thread that waits.
    package func signal() { pthread_cond_signal(condition) }

    /// Wakes all threads that wait.
    package func broadcast() { pthread_cond_broadcast(condition) }
}
