// Checks and salvages whose task is cancelled while they are at work: they end soon, say so, and
// the store that was read is as it was.

import Moraine
import MoraineFiles
import Synchronization
import Testing

struct CancelledCheckTests {
    private let disk = SimulatedFileSystem()

    /// A closed store of two segments and a log, so that every part of a check has work.
    private func make() throws {
        let store = try Store.open(
            at: "store",
            configuration: Store.Configuration(),
            fileSystem: disk,
            clock: ManualClock(wallMilliseconds: 1_000)
        )
        let notes = try store.collection("notes", dimensions: 4)
        for part in 0..<2 {
            try notes.put(documents((part * 200)..<(part * 200 + 200)))
            try store.checkpoint()
        }
        try notes.put(documents(400..<410))
        try store.close()
    }

    /// Runs `body` in a task that is cancelled in the middle of an operation of the file system.
    ///
    /// - Returns: what it threw, and how many operations there were behind that one.
    private func cancel(
        at operation: UInt64,
        _ body: @escaping @Sendable () async throws(MoraineError) -> Void
    ) async -> (code: MoraineError.Code?, later: UInt64) {
        let running = Mutex<Task<MoraineError.Code?, Never>?>(nil)
        let before = disk.operationCount
        disk.callAt(operation: operation) { running.withLock { $0?.cancel() } }
        let task = running.withLock { running in
            // The lock is held until the task can be found.
            let task = Task { await asyncCode(body) }
            running = task
            return task
        }
        let code = await task.value
        let count = disk.operationCount - before
        return (code, count > operation ? count - operation : 0)
    }

    /// How many operations `body` takes when nobody cancels it.
    private func count(_ body: () async throws -> Void) async throws -> UInt64 {
        let before = disk.operationCount
        try await body()
        return disk.operationCount - before
    }

    @Test func aCheckEndsWhereItsTaskIsCancelled() async throws {
        try make()
        let disk = disk
        let total = try await count { _ = try await Store.verify(at: "store", in: disk) }
        #expect(total > 60)
        for operation in stride(from: 1, to: total, by: 3) {
            let (code, later) = await cancel(at: operation) { () throws(MoraineError) in
                _ = try await Store.verify(at: "store", in: disk)
            }
            // Behind its last question a list of names is left, and nothing to be ended.
            #expect(code == .cancelled || operation + 20 > total, "\(operation)")
            // The log is read to its end.
            #expect(later < 64, "\(operation): \(later) more")
        }
    }

    @Test func aSalvageEndsWhereItsTaskIsCancelled() async throws {
        try make()
        let disk = disk
        let old = Dictionary(
            uniqueKeysWithValues: disk.filePaths.map { ($0, disk.contents(of: $0)) }
        )
        let total = try await count {
            let whole = try await Store.salvage("store", into: "whole", in: disk)
            #expect(whole.isComplete)
        }
        #expect(total > 60)
        var last: UInt64 = 0
        for operation in stride(from: 1, to: total, by: 3) {
            let (code, later) = await cancel(at: operation) { () throws(MoraineError) in
                _ = try await Store.salvage("store", into: "new-\(operation)", in: disk)
            }
            guard code != nil else { continue }
            #expect(code == .cancelled)
            // What there is of files is looked at to the end first.
            #expect(later < 120, "\(operation): \(later) more")
            last = operation
        }
        // Only while it closes the new store it is not asked any more.
        #expect(last + 80 > total)
        for (path, bytes) in old { #expect(disk.contents(of: path) == bytes) }
    }
}
