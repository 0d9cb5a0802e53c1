// Who compacts what: merges of disjoint segments side by side in the background, one caller at a
// time when asked to. Threads exist only while there is work.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization

/// Runs merges for an engine.
///
/// Any thread. `@unchecked Sendable`: the vars are only used under `monitor`, `engine` is set once
/// before anything else happens.
package final class CompactionScheduler: @unchecked Sendable {
    private let monitor = Monitor()
    private weak var engine: Engine?
    private let threadCount: Int
    private var runningThreadCount = 0
    private var busy: Set<UInt64> = []
    private var pauseCount = 0
    private var isExclusive = false
    private var isClosed = false
    private var wantsMore = false
    private var finishedCount: UInt64 = 0
    /// Segments that could not be compacted: not tried again until the store is opened anew.
    private var broken: Set<UInt64> = []
    private var settledSegments: Set<UInt64> = []
    private var lastFailure: StoreError?

    init(threadCount: Int) { self.threadCount = threadCount }

    /// Names the engine to work for.
    func serve(_ engine: Engine) { self.engine = engine }

    /// Segments whose tombstones were kept when they were last looked at.
    var settled: Set<UInt64> { monitor.withLock { settledSegments } }

    /// The last failure of a merge in the background; cleared by the next success.
    var failure: StoreError? { monitor.withLock { lastFailure } }

    var runningCount: Int { monitor.withLock { runningThreadCount } }

    /// A caller waits for the merges under way.
    private var isAwaited: Bool { monitor.withLock { isExclusive } }

    var isPaused: Bool { monitor.withLock { pauseCount > 0 } }

    /// Has segments looked at in the background; does not wait.
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
        while let task = take(engine) {
            var failure: StoreError?
            do throws(StoreError) {
                let pace = Pace()
                let output = try engine.run(task, width: 1) { [self] _ throws(StoreError) in
                    try waitWhilePaused()
                    pace.rest(duty: isAwaited ? 1 : engine.compactionDuty)
                }
                noteSettled(output)
            } catch {
                failure = error
            }
            finish(task, failure)
        }
        monitor.withLock {
            runningThreadCount -= 1
            monitor.broadcast()
        }
    }

    /// A task whose segments nobody else compacts; `nil` ends the thread.
    private func take(_ engine: Engine) -> CompactionTask? {
        while true {
            let (taken, isOver) = monitor.withLock { () -> (Set<UInt64>, Bool) in
                let isOver = isClosed || isExclusive || pauseCount > 0 || !wantsMore
                return (busy.union(broken), isOver)
            }
            if isOver { return nil }
            guard let task = engine.chooseCompaction(busy: taken) else {
                monitor.withLock { wantsMore = false }
                return nil
            }
            let isMine = monitor.withLock { () -> Bool in
                let ids = task.inputs.map(\.segment.id)
                guard busy.isDisjoint(with: ids), !isExclusive, !isClosed else { return false }
                busy.formUnion(ids)
                // Another thread may find other segments to merge.
                startThread()
                return true
            }
            if isMine { return task }
        }
    }

    private func finish(_ task: CompactionTask, _ failure: StoreError?) {
        monitor.withLock {
            let ids = task.inputs.map(\.segment.id)
            busy.subtract(ids)
            finishedCount += 1
            if let failure, failure.code != .cancelled {
                lastFailure = failure
                // Damage does not go away; space may come back.
                if failure.code == .noSpace { wantsMore = false } else { broken.formUnion(ids) }
            } else if failure == nil {
                lastFailure = nil
                wantsMore = true
            }
            monitor.broadcast()
        }
    }

    /// Remembers an output that kept its tombstones; segments that went may free those of others.
    private func noteSettled(_ output: Segment?) {
        monitor.withLock {
            settledSegments = []
            if let output, output.entry.tombstoneCount > 0 { settledSegments.insert(output.id) }
        }
    }

    private func waitWhilePaused() throws(StoreError) {
        let isOver = monitor.withLock { () -> Bool in
            // A merge that waits in a pause is given up when a caller wants to compact.
            while pauseCount > 0, !isClosed, !isExclusive { monitor.wait() }
            return isClosed || pauseCount > 0
        }
        if isOver { throw Engine.cancelledError }
    }

    // MARK: For callers

    /// Runs `body` while nothing is compacted in the background.
    func exclusively<R>(_ body: () throws(StoreError) -> R) throws(StoreError) -> R {
        let isOpen = monitor.withLock { () -> Bool in
            while isExclusive, !isClosed { monitor.wait() }
            guard !isClosed else { return false }
            isExclusive = true
            monitor.broadcast()
            while runningThreadCount > 0 { monitor.wait() }
            return true
        }
        guard isOpen else { throw Engine.closedError }
        defer {
            monitor.withLock {
                isExclusive = false
                monitor.broadcast()
                startThread()
            }
        }
        return try body()
    }

    /// Begins no merge, and lets those under way wait at their next step, until `resume()`.
    package func pause() { monitor.withLock { pauseCount += 1 } }

    /// Ends one `pause()`.
    ///
    /// Without one there is nothing to do.
    package func resume() {
        monitor.withLock {
            pauseCount = max(0, pauseCount - 1)
            monitor.broadcast()
            startThread()
        }
    }

    /// Waits until a merge that is under way in the background has ended; false when there is
    /// nothing to wait for.
    func waitForMerge() -> Bool {
        request()
        return monitor.withLock {
            let target = finishedCount + 1
            var hasWaited = false
            while runningThreadCount > 0, pauseCount == 0, !isClosed, finishedCount < target {
                hasWaited = true
                monitor.wait()
            }
            return hasWaited && lastFailure == nil
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
