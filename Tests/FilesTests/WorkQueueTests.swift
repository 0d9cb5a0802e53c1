// Work on threads of its own: every caller is answered once, whatever happens.

import MoraineFiles
import Synchronization
import Testing

@Suite struct WorkQueueTests {
    private struct Refusal: Error, Equatable {}

    private func value<R>(_ outcome: WorkQueue.Outcome<R, Refusal>) -> R? {
        if case .finished(.success(let value)) = outcome { value } else { nil }
    }

    @Test func everyCallerGetsItsOwnAnswer() async {
        let queue = WorkQueue(threadCount: 3)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<500 {
                group.addTask {
                    let outcome = await queue.run { () throws(Refusal) in
                        if number % 7 == 0 { throw Refusal() }
                        return number
                    }
                    switch outcome {
                    case .finished(.success(let answer)): #expect(answer == number)
                    case .finished(.failure): #expect(number % 7 == 0)
                    case .cancelled, .refused: Issue.record("not run")
                    }
                }
            }
        }
    }

    @Test func asManyRunAtOnceAsThereAreThreads() async {
        let queue = WorkQueue(threadCount: 2)
        let first = Gate()
        let second = Gate()
        async let a = queue.run { () throws(Refusal) in first.pass() }
        async let b = queue.run { () throws(Refusal) in second.pass() }
        await first.reached()
        await second.reached()
        first.open()
        second.open()
        _ = await (a, b)
    }

    @Test func whatWaitsCanBeCancelledAndWhatRunsCannot() async {
        let queue = WorkQueue(threadCount: 1)
        let gate = Gate()
        let running = Task {
            await queue.run { () throws(Refusal) in
                gate.pass()
                return 1
            }
        }
        await gate.reached()
        let ran = Mutex(false)
        let waiting = Task {
            await queue.run { () throws(Refusal) in ran.withLock { $0 = true } }
        }
        running.cancel()
        waiting.cancel()
        guard case .cancelled = await waiting.value else {
            Issue.record("a cancelled job was not cancelled")
            return gate.open()
        }
        gate.open()
        #expect(value(await running.value) == 1)
        #expect(value(await queue.run { () throws(Refusal) in 2 }) == 2)
        #expect(ran.withLock { $0 } == false)
    }

    @Test func aStoppedQueueEndsItsWorkAndRefusesMore() async {
        let queue = WorkQueue(threadCount: 1)
        let gate = Gate()
        let running = Task { await queue.run { () throws(Refusal) in gate.pass() } }
        await gate.reached()
        queue.stop()
        #expect(queue.isStopped)
        guard case .refused = await queue.run({ () throws(Refusal) in 1 }) else {
            Issue.record("a stopped queue took work")
            return gate.open()
        }
        gate.open()
        #expect(value(await running.value) != nil)
    }

    @Test func aQueueMayGoOnItsOwnThread() async {
        for _ in 0..<50 {
            let queue = WorkQueue(threadCount: 2)
            _ = await queue.run { () throws(Refusal) in _ = queue.isStopped }
        }
    }
}
