// Threads for scans that are large enough to be worth more than one core.

import MoraineFiles
import Synchronization

/// Runs numbered jobs on a few threads of its own and on the caller's.
///
/// Any number of threads may call `run` at once; a job may itself call `run`. Threads start at the
/// first call that needs them and end when they have had nothing to do for a while, so that a store
/// that does not scan has none.
package final class ScanPool: Sendable {
    /// How many threads work at most on one call: the caller's and the pool's own.
    package let width: Int
    private let queue: BatchQueue

    /// - Parameters:
    ///   - width: usually the number of cores; below 2 every job runs in the caller.
    ///   - idleMilliseconds: how long a thread without work stays.
    package init(width: Int, idleMilliseconds: Int = WorkerThread.idleMilliseconds) {
        self.width = max(1, width)
        queue = BatchQueue(idleMilliseconds: idleMilliseconds)
    }

    deinit { close() }

    /// Threads that there are now.
    package var runningCount: Int { queue.runningCount }

    /// Runs `body(0)` to `body(jobs - 1)`, each once, in any order, and returns when all are done.
    ///
    /// The caller's thread takes part. After `close()` it does all of it.
    package func run(jobs: Int, _ body: @escaping @Sendable (Int) -> Void) {
        guard jobs > 1, width > 1 else {
            for job in 0..<max(0, jobs) { body(job) }
            return
        }
        let batch = Batch(jobs: jobs, body: body)
        queue.add(batch, threads: width - 1)
        batch.work()
        queue.forget(batch)
        batch.waitForHelpers()
    }

    /// Ends the threads after the jobs they are at.
    ///
    /// Harmless when repeated.
    package func close() { queue.close() }
}

/// The jobs of one call of `run`.
private final class Batch: Sendable {
    let jobs: Int
    private let body: @Sendable (Int) -> Void
    private let next = Atomic(0)
    /// Threads of the pool that are at this batch.
    ///
    /// Grows only under the queue's lock while the queue names the batch; shrinks only under
    /// `finished`.
    private let helpers = Atomic(0)
    private let finished = Monitor()

    init(jobs: Int, body: @escaping @Sendable (Int) -> Void) {
        self.jobs = jobs
        self.body = body
    }

    /// Takes jobs until none is left.
    func work() {
        while true {
            let job = next.add(1, ordering: .relaxed).oldValue
            guard job < jobs else { return }
            body(job)
        }
    }

    func join() { helpers.add(1, ordering: .relaxed) }

    /// Called after `join()` and `work()`: what the helper's jobs wrote is visible to the caller.
    func leave() {
        finished.withLock {
            if helpers.subtract(1, ordering: .releasing).newValue == 0 { finished.signal() }
        }
    }

    func waitForHelpers() {
        finished.withLock {
            while helpers.load(ordering: .acquiring) > 0 { finished.wait() }
        }
    }
}

/// What the pool's threads share: the batches that may have jobs nobody has taken, oldest first.
private final class BatchQueue: Sendable {
    private let monitor = Monitor()
    private let idleMilliseconds: Int
    // The three below are only used under `monitor`.
    private nonisolated(unsafe) var batches: [Batch] = []  // guarded by monitor
    private nonisolated(unsafe) var threadCount = 0  // guarded by monitor
    private nonisolated(unsafe) var isClosed = false  // guarded by monitor

    init(idleMilliseconds: Int) { self.idleMilliseconds = idleMilliseconds }

    /// Threads that there are now.
    var runningCount: Int { monitor.withLock { threadCount } }

    /// Shows a batch to the threads, starting up to `threads` of them if there are none yet.
    func add(_ batch: Batch, threads wanted: Int) {
        monitor.withLock {
            guard !isClosed else { return }
            while threadCount < wanted {
                // Fewer than wanted are fine: the caller works too.
                guard let thread = WorkerThread({ self.serve() }) else { break }
                thread.detach()
                threadCount += 1
            }
            batches.append(batch)
            for _ in 0..<min(batch.jobs - 1, threadCount) { monitor.signal() }
        }
    }

    /// After this no thread joins the batch any more.
    func forget(_ batch: Batch) {
        monitor.withLock { batches.removeAll { $0 === batch } }
    }

    func close() {
        monitor.withLock {
            isClosed = true
            monitor.broadcast()
        }
    }

    private func serve() {
        while let batch = nextBatch() {
            batch.work()
            forget(batch)  // all its jobs are taken
            batch.leave()
        }
    }

    /// Waits for a batch and joins it; `nil` when the pool was closed.
    private func nextBatch() -> Batch? {
        monitor.withLock {
            var isIdle = false
            while !isClosed {
                if let batch = batches.first {
                    batch.join()
                    return batch
                }
                if isIdle { break }
                isIdle = !monitor.wait(milliseconds: idleMilliseconds)
            }
            threadCount -= 1
            return nil
        }
    }
}
