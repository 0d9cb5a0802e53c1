// Who waits for a reader, and how long. A waiter is answered by whoever takes it out of the queue,
// under the pool's lock: so it is answered once, and one that left can be given nothing.

import MoraineFiles
import Synchronization

/// Somebody in the queue of a pool.
final class PoolWaiter: Sendable {
    enum Answer: Sendable {
        /// A slot that is now the waiter's, with an idle reader if there was one.
        case slot(ReaderPool.Reader?)
        case timedOut(waiting: Int)
        case cancelled
        case closed
    }

    /// Steady nanoseconds by the pool's clock.
    let since: UInt64
    let deadline: UInt64
    private let monitor = Monitor()
    private let state = Mutex<(answer: Answer?, continuation: Continuation?)>((nil, nil))

    typealias Continuation = UnsafeContinuation<Answer, Never>

    init(since: UInt64, deadline: UInt64) {
        self.since = since
        self.deadline = deadline
    }

    /// Called once, by who took the waiter out of the queue.
    func finish(_ answer: Answer) {
        let continuation = state.withLock { state -> Continuation? in
            state.answer = answer
            return state.continuation
        }
        continuation?.resume(returning: answer)
        monitor.withLock { monitor.broadcast() }
    }

    var answer: Answer? { state.withLock { $0.answer } }

    /// Waits for the answer; `nil` after about so many milliseconds.
    func wait(milliseconds: Int) -> Answer? {
        monitor.withLock {
            if answer == nil { monitor.wait(milliseconds: milliseconds) }
        }
        return answer
    }

    func wait() async -> Answer {
        await withUnsafeContinuation { continuation in
            let answer = state.withLock { state -> Answer? in
                if state.answer == nil { state.continuation = continuation }
                return state.answer
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

extension ReaderPool {
    /// Waits for a slot in the calling thread.
    func wait(_ waiter: PoolWaiter) throws(MoraineError) -> Reader? {
        while true {
            let now = clock.steadyNanoseconds()
            if now >= waiter.deadline { leave(waiter, .timedOut(waiting: 0)) }
            let rest = now < waiter.deadline ? (waiter.deadline - now) / 1_000_000 + 1 : 0
            if let answer = waiter.wait(milliseconds: Int(clamping: rest)) {
                return try slot(of: answer)
            }
        }
    }

    /// Waits for a slot without a thread.
    func wait(_ waiter: PoolWaiter) async throws(MoraineError) -> Reader? {
        // A task of its own, not a child: nobody waits for the timer's end.
        let timer = Task { [weak self] in
            while waiter.answer == nil, let self {
                let now = self.clock.steadyNanoseconds()
                if now >= waiter.deadline { return self.leave(waiter, .timedOut(waiting: 0)) }
                do {
                    try await Task.sleep(for: .nanoseconds(waiter.deadline - now))
                } catch {
                    return
                }
            }
        }
        let answer = await withTaskCancellationHandler {
            await waiter.wait()
        } onCancel: {
            leave(waiter, .cancelled)
        }
        timer.cancel()
        return try slot(of: answer)
    }

    private func slot(of answer: PoolWaiter.Answer) throws(MoraineError) -> Reader? {
        switch answer {
        case .slot(let reader): return reader
        case .timedOut(let waiting): throw timeoutError(waiting: waiting)
        case .cancelled: throw Self.cancelledError
        case .closed: throw Self.closedError
        }
    }

    /// Takes a waiter out of the queue, if it is still there, with what it gets instead of a slot.
    private func leave(_ waiter: PoolWaiter, _ answer: PoolWaiter.Answer) {
        let now = clock.steadyNanoseconds()
        let others = state.withLock { state -> Int? in
            guard let place = state.waiters.firstIndex(where: { $0 === waiter }) else {
                return nil
            }
            state.waiters.remove(at: place)
            state.longestWait = max(state.longestWait, now - waiter.since)
            if case .timedOut = answer { state.timeoutCount += 1 }
            return state.waiters.count
        }
        guard let others else { return }
        if case .timedOut = answer {
            waiter.finish(.timedOut(waiting: others))
        } else {
            waiter.finish(answer)
        }
    }

    /// Answers those that have waited too long by the pool's clock.
    ///
    /// They do so themselves as time passes; a clock in a test's hands needs this.
    package func checkDeadlines() {
        let now = clock.steadyNanoseconds()
        for waiter in state.withLock({ $0.waiters }) where now >= waiter.deadline {
            leave(waiter, .timedOut(waiting: 0))
        }
    }
}

extension ReaderPool {
    /// Numbers about a pool at one moment.
    public struct Statistics: Sendable, Hashable {
        /// Readers that are lent.
        public let inUseCount: Int
        /// Readers that are kept for the next user.
        public let idleCount: Int
        /// Of those that are lent, how many are above ``Configuration/size``.
        public let overflowCount: Int
        /// Users that wait.
        public let waitingCount: Int
        /// Readers that were lent since the pool was made.
        public let checkoutCount: UInt64
        /// Users that waited in vain.
        public let timeoutCount: UInt64
        /// Readers that were replaced because of their age or because their snapshot had expired.
        public let recycledCount: UInt64
        /// The longest wait of a user who has been answered.
        public let longestWait: Duration
    }

    /// Numbers about the pool now.
    public var statistics: Statistics {
        state.withLock { state in
            Statistics(
                inUseCount: state.inUse,
                idleCount: state.idle.count,
                overflowCount: max(0, state.inUse - configuration.size),
                waitingCount: state.waiters.count,
                checkoutCount: state.checkoutCount,
                timeoutCount: state.timeoutCount,
                recycledCount: state.recycledCount,
                longestWait: .nanoseconds(Int64(clamping: state.longestWait))
            )
        }
    }
}
