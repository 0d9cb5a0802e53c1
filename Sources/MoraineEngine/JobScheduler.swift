// Jobs of an engine in the background: disjoint in the segments that they work on, with pace and
// pause, and one caller's turn at a time. Threads exist only while there is work.

import MoraineFiles
import MoraineStorage
import Synchronization

/// What a kind of job is to its scheduler.
struct JobKind<Job: Sendable>: Sendable {
    /// The segments that a job works on: no other job gets them meanwhile.
    let segments: @Sendable (Job) -> [UInt64]
    /// A job that there is reason for, among segments that are not in the set.
    let choose: @Sendable (Engine, Set<UInt64>) -> Job?
    /// Does a job, calling the closure at each step.
    let run:
        @Sendable (Engine, Job, @escaping @Sendable () throws(StoreError) -> Void)
            throws(StoreError) -> Void
    /// Takes note of what became of a job, `nil` for success; false: no more jobs until asked again.
    let finished: @Sendable (Engine, Job, StoreError?) -> Bool
    /// The share of the time that jobs may take, above 0, at most 1.
    let duty: @Sendable (Engine) -> Double
}

/// Runs jobs of one kind.
///
/// Any thread. `@unchecked Sendable`: the vars are only used under `monitor`, `engine` is set once
/// before anything else happens.
final class JobScheduler<Job: Sendable>: @unchecked Sendable {
    private let monitor = Monitor()
    private weak var engine: Engine?
    private let kind: JobKind<Job>
    private let threadCount: Int
    private var runningThreadCount = 0
    private var busy: Set<UInt64> = []
    private var pauseCount = 0
    private var isExclusive = false
    private var mustGiveUp = false
    private var isClosed = false
    private var wantsMore = false
    private var finishedCount: UInt64 = 0
    private var lastHasFailed = false

    init(_ kind: JobKind<Job>, threadCount: Int) {
        self.kind = kind
        self.threadCount = threadCount
    }

    /// Names the engine to work for.
    func serve(_ engine: Engine) { self.engine = engine }

    var runningCount: Int { monitor.withLock { runningThreadCount } }

    var isPaused: Bool { monitor.withLock { pauseCount > 0 } }

    /// The segments that jobs are working on.
    var busySegments: Set<UInt64> { monitor.withLock { busy } }

    /// A caller waits for the jobs under way.
    private var isAwaited: Bool { monitor.withLock { isExclusive } }

    /// Has jobs looked for in the background; does not wait.
    func request() {
        monitor.withLock {
            wantsMore = true
            startThread()
        }
    }

    /// Under `monitor`.
    private func startThread() {
        guard wantsMore, !isClosed, !isExclusive, pauseCount == 0,
            runningThreadCount < threadCount, let engine
        else { return }
        runningThreadCount += 1
        guard let thread = WorkerThread(isBackground: true, { [self] in work(engine) }) else {
            runningThreadCount -= 1
            return
        }
        thread.detach()
    }

    private func work(_ engine: Engine) {
        while let job = take(engine) {
            var failure: StoreError?
            do throws(StoreError) {
                let pace = Pace()
                try kind.run(engine, job) { [self] () throws(StoreError) in
                    try waitWhilePaused()
                    pace.rest(duty: isAwaited ? 1 : kind.duty(engine))
                }
            } catch {
                failure = error
            }
            let goesOn = kind.finished(engine, job, failure)
            finish(job, failure, goesOn: goesOn)
        }
        monitor.withLock {
            runningThreadCount -= 1
            monitor.broadcast()
        }
    }

    /// A job whose segments nobody else works on; `nil` ends the thread.
    private func take(_ engine: Engine) -> Job? {
        while true {
            let (taken, isOver) = monitor.withLock { () -> (Set<UInt64>, Bool) in
                (busy, isClosed || isExclusive || pauseCount > 0 || !wantsMore)
            }
            if isOver { return nil }
            guard let job = kind.choose(engine, taken) else {
                monitor.withLock { wantsMore = false }
                return nil
            }
            let isMine = monitor.withLock { () -> Bool in
                let ids = kind.segments(job)
                guard busy.isDisjoint(with: ids), !isExclusive, !isClosed else { return false }
                busy.formUnion(ids)
                // Another thread may find other segments.
                startThread()
                return true
            }
            if isMine { return job }
        }
    }

    private func finish(_ job: Job, _ failure: StoreError?, goesOn: Bool) {
        monitor.withLock {
            busy.subtract(kind.segments(job))
            finishedCount += 1
            // What was cancelled says nothing about the others.
            if failure?.code != .cancelled { lastHasFailed = failure != nil }
            if !goesOn { wantsMore = false } else if failure == nil { wantsMore = true }
            monitor.broadcast()
        }
    }

    private func waitWhilePaused() throws(StoreError) {
        let isOver = monitor.withLock { () -> Bool in
            // A job that waits in a pause is given up when a caller wants its turn.
            while pauseCount > 0, !isClosed, !isExclusive { monitor.wait() }
            return isClosed || pauseCount > 0 || mustGiveUp
        }
        if isOver { throw Engine.cancelledError }
    }

    // MARK: For callers

    /// Runs `body` while no job runs in the background.
    ///
    /// - Parameter givingUp: does not wait for the ends of jobs under way; they start anew later.
    func exclusively<R>(givingUp: Bool = false, _ body: () throws(StoreError) -> R)
        throws(StoreError) -> R
    {
        let isOpen = monitor.withLock { () -> Bool in
            while isExclusive, !isClosed { monitor.wait() }
            guard !isClosed else { return false }
            isExclusive = true
            mustGiveUp = givingUp
            monitor.broadcast()
            while runningThreadCount > 0 { monitor.wait() }
            return true
        }
        guard isOpen else { throw Engine.closedError }
        defer {
            monitor.withLock {
                isExclusive = false
                mustGiveUp = false
                monitor.broadcast()
                startThread()
            }
        }
        return try body()
    }

    /// Keeps jobs of other kinds from segments that a caller works on in its turn.
    func holding<R>(_ segments: [UInt64], _ body: () throws(StoreError) -> R)
        throws(StoreError) -> R
    {
        monitor.withLock { busy.formUnion(segments) }
        defer { monitor.withLock { busy.subtract(segments) } }
        return try body()
    }

    /// Begins no job, and lets those under way wait at their next step, until `resume()`.
    func pause() { monitor.withLock { pauseCount += 1 } }

    /// Ends one `pause()`.
    ///
    /// Without one there is nothing to do.
    func resume() {
        monitor.withLock {
            pauseCount = max(0, pauseCount - 1)
            monitor.broadcast()
            startThread()
        }
    }

    /// Waits until a job that is under way in the background has ended; false when there is nothing
    /// to wait for, or it has failed.
    func waitForOne() -> Bool {
        request()
        return monitor.withLock {
            let target = finishedCount + 1
            while runningThreadCount > 0, pauseCount == 0, !isClosed, finishedCount < target {
                monitor.wait()
            }
            // Where no job was begun, none is to be had for now.
            return finishedCount >= target && !lastHasFailed
        }
    }

    /// Gives up what is under way, waits for its end, and begins nothing more.
    func close() {
        monitor.withLock {
            isClosed = true
            monitor.broadcast()
            while runningThreadCount > 0 { monitor.wait() }
        }
    }
}

/// Rests between steps, so that work takes a share of the time only.
private final class Pace: Sendable {
    private let clock = SystemClock()
    private let last: Mutex<UInt64>
    /// Longer rests would only make the work seem stuck.
    private static let longestRest: UInt64 = 50_000_000

    init() { last = Mutex(clock.steadyNanoseconds()) }

    /// Rests after the work since the last call.
    ///
    /// - Parameter duty: the share of the time to work, above 0, at most 1.
    func rest(duty: Double) {
        let now = clock.steadyNanoseconds()
        let worked = last.withLock { now &- $0 }
        let rest = min(Double(worked) * (1 / duty - 1), Double(Self.longestRest))
        if rest > 0 { WorkerThread.sleep(nanoseconds: UInt64(rest)) }
        last.withLock { $0 = clock.steadyNanoseconds() }
    }
}
