// Runs blocking work for asynchronous callers on threads of its own, so that the Swift concurrency
// pool, whose width is the number of cores, never waits for a disk.

import Synchronization

/// A fixed number of threads that run what callers await.
///
/// The queue is as long as there are callers that wait. Threads start when they are needed and end
/// when they have had nothing to do for a while.
package final class WorkQueue: Sendable {
    /// How a piece of work ended.
    package enum Outcome<Success: Sendable, Failure: Error>: Sendable {
        /// It ran to its end.
        case finished(Result<Success, Failure>)
        /// The caller's task was cancelled before it began; nothing happened.
        case cancelled
        /// The queue was stopped, or the system has no thread for it; nothing happened.
        case refused
    }

    private let line: WaitingLine

    /// - Parameters:
    ///   - threadCount: threads at most; at least 1.
    ///   - idleMilliseconds: how long a thread without work stays.
    package init(
        threadCount: Int,
        idleMilliseconds: Int = WorkerThread.idleMilliseconds
    ) {
        precondition(threadCount >= 1)
        line = WaitingLine(threadCount: threadCount, idleMilliseconds: idleMilliseconds)
    }

    deinit { stop() }

    /// Threads that there are now.
    package var runningCount: Int { line.runningCount }

    /// Runs `body` on a thread of the queue.
    ///
    /// A cancelled task's work is dropped if it has not begun, and runs to its end if it has.
    package func run<Success: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Success
    ) async -> Outcome<Success, Failure> {
        let job = Job(body)
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                guard job.begin(continuation) else {
                    continuation.resume(returning: .cancelled)
                    return
                }
                submit(job)
            }
        } onCancel: {
            job.cancel()
        }
    }

    /// Lets the threads end once the line is empty; later work is refused.
    ///
    /// Does not wait.
    package func stop() { line.close() }

    /// True once `stop` was called.
    package var isStopped: Bool { line.hasClosed }

    private func submit(_ job: any Performable) {
        switch line.add(job) {
        case .refused: job.refuse()
        case .accepted: break
        case .needsThread:
            guard let thread = WorkerThread({ [line] in line.serve() }) else {
                for stranded in line.threadIsMissing() { stranded.refuse() }
                return
            }
            thread.detach()
        }
    }
}

private protocol Performable: Sendable {
    func perform()
    func refuse()
}

/// A piece of work and who awaits it, resumed exactly once.
private final class Job<Success: Sendable, Failure: Error>: Performable {
    typealias Outcome = WorkQueue.Outcome<Success, Failure>

    private enum State {
        case new
        case waiting(UnsafeContinuation<Outcome, Never>)
        case over
    }

    private let body: @Sendable () throws(Failure) -> Success
    private let state = Mutex(State.new)

    init(_ body: @escaping @Sendable () throws(Failure) -> Success) { self.body = body }

    /// Notes who waits; false when the job was cancelled before.
    func begin(_ continuation: UnsafeContinuation<Outcome, Never>) -> Bool {
        state.withLock { state in
            guard case .new = state else { return false }
            state = .waiting(continuation)
            return true
        }
    }

    func perform() {
        guard let continuation = take() else { return }
        let result = Result { () throws(Failure) in try body() }
        continuation.resume(returning: .finished(result))
    }

    func refuse() { take()?.resume(returning: .refused) }

    /// Ends a job that has not begun.
    func cancel() { take()?.resume(returning: .cancelled) }

    private func take() -> UnsafeContinuation<Outcome, Never>? {
        state.withLock { state in
            defer { state = .over }
            guard case .waiting(let continuation) = state else { return nil }
            return continuation
        }
    }
}

/// The jobs that wait, and the threads that take them.
private final class WaitingLine: @unchecked Sendable {  // the vars are only used under `monitor`
    enum Admission { case accepted, needsThread, refused }

    private let monitor = Monitor()
    private let threadCount: Int
    private let idleMilliseconds: Int
    private var jobs: [any Performable] = []
    /// The first of `jobs` that was not taken.
    private var head = 0
    private var startedCount = 0
    private var idleCount = 0
    private var isClosed = false

    init(threadCount: Int, idleMilliseconds: Int) {
        self.threadCount = threadCount
        self.idleMilliseconds = idleMilliseconds
    }

    var runningCount: Int { monitor.withLock { startedCount } }

    func add(_ job: any Performable) -> Admission {
        monitor.withLock {
            if isClosed { return .refused }
            jobs.append(job)
            // An idle thread may have been signalled for an earlier job and not have woken yet.
            if idleCount >= jobs.count - head || startedCount == threadCount {
                monitor.signal()
                return .accepted
            }
            startedCount += 1
            return .needsThread
        }
    }

    /// A thread did not start.
    ///
    /// Hands over the jobs that nobody will take, when there is no other.
    func threadIsMissing() -> [any Performable] {
        monitor.withLock {
            startedCount -= 1
            guard startedCount == 0 else {
                monitor.signal()
                return []
            }
            defer {
                jobs = []
                head = 0
            }
            return Array(jobs[head...])
        }
    }

    var hasClosed: Bool { monitor.withLock { isClosed } }

    func close() {
        monitor.withLock {
            isClosed = true
            monitor.broadcast()
        }
    }

    /// A thread's life: takes jobs until the line is closed and empty, or long empty.
    func serve() {
        while let job = next() { job.perform() }
    }

    private func next() -> (any Performable)? {
        monitor.withLock {
            while head == jobs.count {
                if isClosed { return nil }
                idleCount += 1
                let isCalled = monitor.wait(milliseconds: idleMilliseconds)
                idleCount -= 1
                if !isCalled, head == jobs.count {
                    startedCount -= 1
                    return nil
                }
            }
            let job = jobs[head]
            head += 1
            // Taken jobs are let go when they are half of the array: constant cost for each.
            if head * 2 >= jobs.count {
                jobs.removeFirst(head)
                head = 0
            }
            return job
        }
    }
}
