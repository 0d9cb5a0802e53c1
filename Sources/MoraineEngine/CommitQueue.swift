// Lets concurrent writers share one write and one sync: group commit.
//
// A blocking writer that finds nobody leading leads in its own thread, since a hop to another one
// costs a quarter to a half of the rate of a lone writer. Who waits while it leads, and every
// asynchronous writer, is served by one thread of the queue's own, which loops until nobody waits.
// Every writer waits for its own commit, so the queue never holds more than the writers there are.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization

/// What a commit came to.
package struct CommitResult: Sendable, Equatable {
    package let lsn: UInt64
    /// Documents that its deletes by prefix removed.
    package let removedCount: Int
}

/// One commit on its way to the log.
// @unchecked: `payload` is touched by the caller before and after the commit, and in between by
// the holder of the commit lock; the queue's locks lie between. The rest is constant or locked.
final class CommitRequest: @unchecked Sendable {
    enum Answer: Sendable {
        case committed(CommitResult)
        /// The collections, or a document to patch, changed under the builder; build again.
        case rebuild
        case refused(StoreError)
    }

    /// Gets its time when the commit gets its number.
    private(set) var payload: [UInt8]
    let operationCount: UInt32
    /// Of the vectors, in the order of the puts that have one.
    let vectorFacts: [VectorFacts]
    let conditions: [BatchBuilder.Condition]
    /// The collections that it was built with.
    let table: CollectionTable
    let changes: [CollectionChange]
    /// Collections that existed and that it writes to.
    let usedCollections: Set<UInt32>
    /// False for a bulk load beside the log.
    let isLogged: Bool
    /// False when it only deletes.
    let addsData: Bool
    private let state = Mutex<(answer: Answer?, continuation: Continuation?)>((nil, nil))

    typealias Continuation = UnsafeContinuation<Answer, Never>

    init(_ builder: consuming BatchBuilder, isLogged: Bool) {
        operationCount = UInt32(builder.operationCount)
        conditions = builder.conditions
        addsData = builder.addsData
        vectorFacts = builder.vectorFacts
        table = builder.base.table
        changes = builder.changes
        usedCollections = builder.usedCollections
        payload = builder.writer.finish()
        self.isLogged = isLogged
    }

    /// Sets the time of the commit.
    ///
    /// Only for the holder of the commit lock.
    func setTime(_ time: UInt64) {
        payload.withUnsafeMutableBytes { $0.storeBytes(of: time.littleEndian, as: UInt64.self) }
    }

    /// Hands out the payload's memory, once the commit was answered.
    func takePayload() -> [UInt8] {
        defer { payload = [] }
        return payload
    }

    /// The answer, once there is one.
    var answer: Answer? { state.withLock { $0.answer } }

    /// Hands over the answer; the first one counts.
    func finish(_ answer: Answer) {
        let continuation = state.withLock { state -> Continuation? in
            guard state.answer == nil else { return nil }
            state.answer = answer
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(returning: answer)
    }

    /// Resumes `continuation` with the answer, at once if it is there.
    func resume(_ continuation: Continuation) {
        let answer = state.withLock { state -> Answer? in
            if state.answer == nil { state.continuation = continuation }
            return state.answer
        }
        if let answer { continuation.resume(returning: answer) }
    }
}

/// The writers that wait, and who leads.
final class CommitQueue: Sendable {
    private struct State {
        var waiting: [CommitRequest] = []
        var isLed = false
        /// The lead waits for the thread.
        var isHandedOver = false
        var isServing = false
        var isClosed = false
        /// The lead wants to know when so many wait; 0 when it does not wait for them.
        var wantedCount = 0

        /// Adds a request; true when that is what the lead waits for.
        mutating func add(_ request: CommitRequest) -> Bool {
            waiting.append(request)
            return waiting.count == wantedCount
        }
    }

    /// Groups of fewer are not gathered for: a few writers lose more by waiting than they win.
    private static let gatheredCount = 8
    private static let gatheringNanoseconds = (least: 200_000, most: 1_000_000)

    private let monitor = Monitor()
    /// Woken when a blocking writer's answer may be there.
    private let answered = Monitor()
    private let state = Mutex(State())
    private let thread = ThreadSlot()
    private let runsThread: Bool
    private let idleMilliseconds: Int
    private let clock: any Clock
    private let process: @Sendable ([CommitRequest]) -> Void

    /// - Parameters:
    ///   - runsThread: false when only blocking writers come, one at a time.
    ///   - idleMilliseconds: how long the thread stays without work.
    ///   - clock: tells how long a group takes; not asked without a thread.
    ///   - process: commits a group and answers each request.
    init(
        runsThread: Bool,
        idleMilliseconds: Int = WorkerThread.idleMilliseconds,
        clock: any Clock = SystemClock(),
        process: @escaping @Sendable ([CommitRequest]) -> Void
    ) {
        self.clock = clock
        self.process = process
        self.runsThread = runsThread
        self.idleMilliseconds = idleMilliseconds
    }

    /// True while there is a thread.
    var isServing: Bool { state.withLock { $0.isServing } }

    /// Commits in the caller's thread, or waits for who leads.
    func commit(_ request: CommitRequest) -> CommitRequest.Answer {
        let (leads, completes) = state.withLock { state -> (Bool, Bool) in
            let completes = state.add(request)
            if state.isLed { return (false, completes) }
            state.isLed = true
            return (true, false)
        }
        if completes { monitor.withLock { monitor.signal() } }
        if leads {
            process(take())
            passOn()
        } else {
            answered.withLock {
                while request.answer == nil { answered.wait() }
            }
        }
        return request.answer ?? .refused(StoreError(.closed, "the store is closed"))
    }

    /// Commits through the queue's thread.
    func commit(_ request: CommitRequest) async -> CommitRequest.Answer {
        await withUnsafeContinuation { continuation in
            request.resume(continuation)
            let (leads, completes) = state.withLock { state -> (Bool, Bool) in
                let completes = state.add(request)
                if state.isLed { return (false, completes) }
                state.isLed = true
                state.isHandedOver = true
                return (true, false)
            }
            if completes { monitor.withLock { monitor.signal() } }
            // Nobody else may lead, since this caller must not wait.
            if leads, !wake() { refuseAll() }
        }
    }

    /// Sees to it that a thread takes over; false when the system has none.
    private func wake() -> Bool {
        guard runsThread else { return false }
        let mustStart = state.withLock { state -> Bool in
            defer { state.isServing = true }
            return !state.isServing
        }
        guard mustStart else {
            monitor.withLock { monitor.signal() }
            return true
        }
        if thread.start({ [weak self] in self?.serve() }) { return true }
        state.withLock { $0.isServing = false }
        return false
    }

    private func refuseAll() {
        let stranded = state.withLock { state -> [CommitRequest] in
            state.isLed = false
            state.isHandedOver = false
            defer { state.waiting = [] }
            return state.waiting
        }
        let error = StoreError(.inputOutput, "cannot start a thread for commits")
        for request in stranded { request.finish(.refused(error)) }
        wakeAnswered()
    }

    private func take() -> [CommitRequest] {
        state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
    }

    /// Ends a blocking writer's lead: to the thread if somebody waits, else to nobody.
    private func passOn() {
        let othersWait = state.withLock { state -> Bool in
            if state.waiting.isEmpty {
                state.isLed = false
                return false
            }
            state.isHandedOver = true
            return true
        }
        let isServed = !othersWait || wake()
        wakeAnswered()
        if !isServed {
            state.withLock { $0.isHandedOver = false }
            leadUntilIdle()
        }
    }

    private func wakeAnswered() { answered.withLock { answered.broadcast() } }

    /// The thread: leads whenever it is told to, until nobody waits.
    private func serve() {
        while true {
            let isOver = monitor.withLock { () -> Bool in
                var isIdle = false
                while true {
                    let (leads, isOver) = state.withLock { state -> (Bool, Bool) in
                        defer { state.isHandedOver = false }
                        let isOver = !state.isHandedOver && (state.isClosed || isIdle)
                        if isOver { state.isServing = false }
                        return (state.isHandedOver, isOver)
                    }
                    if leads { return false }
                    if isOver { return true }
                    isIdle = !monitor.wait(milliseconds: idleMilliseconds)
                }
            }
            if isOver { return }
            leadUntilIdle()
        }
    }

    private func leadUntilIdle() {
        while true {
            let group = state.withLock { state -> [CommitRequest] in
                if state.waiting.isEmpty { state.isLed = false }
                defer { state.waiting = [] }
                return state.waiting
            }
            if group.isEmpty { return }
            let start = clock.steadyNanoseconds()
            process(group)
            let duration = clock.steadyNanoseconds() &- start
            wakeAnswered()
            gather(answered: group.count, duration: Int(clamping: duration))
        }
    }

    /// Waits a little for the writers that were just answered: those that write on and those that
    /// wait already then share one sync, where two halves would take turns with two.
    private func gather(answered count: Int, duration: Int) {
        guard count >= Self.gatheredCount else { return }
        state.withLock { $0.wantedCount = $0.waiting.count + count }
        let limit = min(
            Self.gatheringNanoseconds.most,
            max(Self.gatheringNanoseconds.least, duration / 2)
        )
        monitor.withLock {
            while state.withLock({ $0.waiting.count < $0.wantedCount && !$0.isClosed }) {
                if !monitor.wait(nanoseconds: limit) { break }
            }
        }
        state.withLock { $0.wantedCount = 0 }
    }

    /// Ends the thread after what waits was answered.
    func close() {
        state.withLock { $0.isClosed = true }
        monitor.withLock { monitor.broadcast() }
        thread.join()
    }
}
