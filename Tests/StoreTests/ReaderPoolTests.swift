// The pool of readers: caps, queue, checks, recycling. No test waits for time to pass.

import Foundation
import Moraine
import MoraineFiles
import Synchronization
import Testing

/// The code of the library's error that `body` throws.
private func blockingCode<R>(_ body: () throws -> R) -> MoraineError.Code? {
    do {
        _ = try body()
        return nil
    } catch {
        return (error as? MoraineError)?.code
    }
}

/// The same for asynchronous calls.
private func readerCode<R>(_ body: () async throws -> R) async -> MoraineError.Code? {
    do {
        _ = try await body()
        return nil
    } catch {
        return (error as? MoraineError)?.code
    }
}

/// A value that tasks share.
private final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<R: Sendable>(_ body: (inout Value) -> R) -> R {
        value.withLock { value in body(&value) }
    }
}

struct ReaderPoolTests {
    private let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)

    private func store() throws -> Store {
        let store = try Store.open(
            at: "/store",
            configuration: .init(),
            fileSystem: SimulatedFileSystem(),
            clock: clock
        )
        try store.collection("notes", dimensions: 4).put(documents(0..<10))
        return store
    }

    private func pool(
        _ store: Store,
        size: Int = 1,
        overflow: Int = 1,
        timeout: Duration = .seconds(30)
    ) throws -> ReaderPool {
        var configuration = ReaderPool.Configuration()
        configuration.size = size
        configuration.overflow = overflow
        configuration.waitTimeout = timeout
        return try ReaderPool(store: store, configuration: configuration)
    }

    /// Waits, without a clock, until a condition that another task brings about holds.
    private func until(_ condition: () -> Bool) async {
        while !condition() { await Task.yield() }
    }

    @Test func theDefaultsAreThoseOfAConnectionPool() {
        let configuration = ReaderPool.Configuration()
        #expect(configuration.size == 10)
        #expect(configuration.overflow == 20)
        #expect(configuration.waitTimeout == .seconds(30))
        #expect(configuration.maxAge == .seconds(3_600))
    }

    @Test func aReaderShowsTheNewestState() throws {
        let store = try store()
        let pool = try pool(store)
        func count() throws -> Int {
            try pool.withReader { reader in try reader.count(in: "notes") }
        }
        #expect(try count() == 10)
        try store.existingCollection("notes").put(documents(10..<15))
        #expect(try count() == 15)
        #expect(pool.statistics.checkoutCount == 2)
        #expect(pool.statistics.idleCount == 1)
        #expect(pool.statistics.inUseCount == 0)
    }

    @Test func anIdleReaderIsLentAgain() throws {
        let pool = try pool(try store())
        let first = try pool.withReader { $0.id }
        #expect(try pool.withReader { $0.id } == first)
    }

    @Test func atLeastTakesAnOlderStateThatContainsTheCommit() throws {
        let store = try store()
        let pool = try pool(store)
        let old = try pool.withReader { $0.version }
        let new = try store.existingCollection("notes").put(Document(id: "x"))
        #expect(try pool.withReader(.atLeast(old)) { $0.version } == old)
        // It came back as an older state, which is not kept.
        #expect(pool.statistics.idleCount == 0)
        #expect(try pool.withReader(.atLeast(old)) { $0.version } == new)
        #expect(try pool.withReader(.atLeast(new)) { $0.version } == new)
        let absent = blockingCode {
            try pool.withReader(.atLeast(new + 1)) { $0.version }
        }
        #expect(absent == .notFound)
        #expect(pool.statistics.inUseCount == 0)
    }

    @Test func whenAllAreTakenWithoutPatienceItIsATimeout() throws {
        let pool = try pool(try store(), size: 1, overflow: 1, timeout: .zero)
        try pool.withReader { _ in
            try pool.withReader { _ in
                #expect(pool.statistics.inUseCount == 2)
                #expect(pool.statistics.overflowCount == 1)
                let third = blockingCode { try pool.withReader { _ in } }
                #expect(third == .poolTimeout)
            }
        }
        let statistics = pool.statistics
        #expect(statistics.inUseCount == 0)
        #expect(statistics.idleCount == 1)
        #expect(statistics.overflowCount == 0)
        #expect(statistics.timeoutCount == 1)
        #expect(statistics.checkoutCount == 2)
    }

    @Test func anOldReaderIsRecycled() throws {
        let pool = try pool(try store())
        let first = try pool.withReader { $0.id }
        clock.advance(milliseconds: 3_599_999)
        #expect(try pool.withReader { $0.id } == first)
        #expect(pool.statistics.recycledCount == 0)
        clock.advance(milliseconds: 1)
        #expect(try pool.withReader { $0.id } != first)
        #expect(pool.statistics.recycledCount == 1)
    }

    @Test func whoThrowsGivesTheReaderBack() async throws {
        let pool = try pool(try store(), size: 1, overflow: 0, timeout: .zero)
        let blocking = blockingCode {
            try pool.withReader { reader in try reader.count(in: "nothing") }
        }
        #expect(blocking == .unknownCollection)
        let waiting = await readerCode {
            try await pool.withReader { reader in
                try await reader.count(in: "nothing")
            }
        }
        #expect(waiting == .unknownCollection)
        #expect(pool.statistics.inUseCount == 0)
    }

    @Test func whoWaitsIsServedInTheOrderOfArrival() async throws {
        let pool = try pool(try store(), size: 1, overflow: 0)
        let order = Shared<[Int]>([])
        let tasks = Shared<[Task<Void, any Error>]>([])
        try await pool.withReader { _ in
            for number in 0..<5 {
                let task = Task {
                    try await pool.withReader { _ async in
                        order.withLock { $0.append(number) }
                    }
                }
                tasks.withLock { $0.append(task) }
                await until { pool.statistics.waitingCount == number + 1 }
            }
            clock.advance(milliseconds: 2_000)
        }
        for task in tasks.withLock({ $0 }) { try await task.value }
        #expect(order.withLock { $0 } == [0, 1, 2, 3, 4])
        #expect(pool.statistics.longestWait == .seconds(2))
        #expect(pool.statistics.inUseCount == 0)
        #expect(pool.statistics.waitingCount == 0)
    }

    @Test func aCancelledWaiterLeavesNothingBehind() async throws {
        let pool = try pool(try store(), size: 1, overflow: 0)
        try await pool.withReader { _ in
            let cancelled = Task {
                await readerCode {
                    try await pool.withReader { _ async in }
                }
            }
            await until { pool.statistics.waitingCount == 1 }
            cancelled.cancel()
            #expect(await cancelled.value == .cancelled)
            #expect(pool.statistics.waitingCount == 0)
        }
        // The slot is free for the next.
        #expect(try await pool.withReader { try await $0.count(in: "notes") } == 10)
        #expect(pool.statistics.timeoutCount == 0)
    }

    @Test func aTaskCancelledBeforeItCameGetsNoReader() async throws {
        let pool = try pool(try store())
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await readerCode {
                try await pool.withReader { _ async in }
            }
        }
        #expect(await task.value == .cancelled)
        #expect(pool.statistics.checkoutCount == 0)
    }

    @Test func waitersTimeOutByTheClock() async throws {
        let pool = try pool(try store(), size: 1, overflow: 0)
        try await pool.withReader { _ in
            let waiting = Task {
                await readerCode {
                    try await pool.withReader { _ async in }
                }
            }
            let blocked = Shared<MoraineError.Code?>(nil)
            let isOver = Shared(false)
            let thread = Thread {
                let result = blockingCode { try pool.withReader { _ in } }
                blocked.withLock { $0 = result }
                isOver.withLock { $0 = true }
            }
            thread.start()
            await until { pool.statistics.waitingCount == 2 }
            clock.advance(milliseconds: 29_999)
            pool.checkDeadlines()
            #expect(pool.statistics.waitingCount == 2)
            clock.advance(milliseconds: 1)
            pool.checkDeadlines()
            #expect(await waiting.value == .poolTimeout)
            await until { isOver.withLock { $0 } }
            #expect(blocked.withLock { $0 } == .poolTimeout)
        }
        #expect(pool.statistics.timeoutCount == 2)
        #expect(pool.statistics.longestWait == .seconds(30))
        #expect(pool.statistics.inUseCount == 0)
    }

    @Test func closingAnswersWhoWaitsAndRefusesNewcomers() async throws {
        let store = try store()
        let pool = try pool(store, size: 1, overflow: 0)
        try await pool.withReader { reader in
            let waiting = Task {
                await readerCode {
                    try await pool.withReader { _ async in }
                }
            }
            await until { pool.statistics.waitingCount == 1 }
            pool.close()
            #expect(await waiting.value == .closed)
            let count = try await reader.count(in: "notes")
            #expect(count == 10)
        }
        #expect(pool.statistics.idleCount == 0)
        #expect(try store.statistics().snapshots.isEmpty)
        let refused = await readerCode {
            try await pool.withReader { _ async in }
        }
        #expect(refused == .closed)
    }

    @Test func aClosedStoreHasNoReaders() async throws {
        let store = try store()
        let pool = try pool(store)
        try await pool.withReader { _ async in }
        try await store.close()
        let refused = await readerCode {
            try await pool.withReader { _ async in }
        }
        #expect(refused == .closed)
        #expect(pool.statistics.inUseCount == 0)
    }

    @Test func manyTasksShareFewReaders() async throws {
        let pool = try pool(try store(), size: 2, overflow: 1)
        let most = Shared(0)
        let now = Shared(0)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<64 {
                group.addTask {
                    _ = await readerCode {
                        try await pool.withReader { reader in
                            let users = now.withLock { count in
                                count += 1
                                return count
                            }
                            most.withLock { $0 = max($0, users) }
                            let id = "d00\(number % 10)"
                            let document = try await reader.get(id, in: "notes")
                            #expect(document != nil)
                            now.withLock { $0 -= 1 }
                        }
                    }
                }
            }
        }
        #expect(most.withLock { $0 } <= 3)
        let statistics = pool.statistics
        #expect(statistics.checkoutCount == 64)
        #expect(statistics.inUseCount == 0)
        #expect(statistics.idleCount <= 2)
        #expect(statistics.timeoutCount == 0)
    }

    @Test func aPoolWithoutReadersIsRefused() throws {
        let store = try store()
        for (size, overflow) in [(0, 0), (-1, 5), (5, -1)] {
            #expect(
                code { () throws(MoraineError) in
                    var configuration = ReaderPool.Configuration()
                    configuration.size = size
                    configuration.overflow = overflow
                    return try ReaderPool(store: store, configuration: configuration)
                } == .invalidArgument
            )
        }
    }
}
