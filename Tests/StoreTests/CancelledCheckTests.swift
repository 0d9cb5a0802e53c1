// Checks and salvages whose task is cancelled, or whose disk fails, while they are at work: they
// end soon, say so, the store that was read is as it was, and what was being made is no store.

import Moraine
import MoraineFiles
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

private final class Counter: Sendable { let count = Atomic(0) }

struct CancelledCheckTests {
    private let disk = SimulatedFileSystem()

    /// A closed store of two segments and a log, so that every part of a check has work.
    private func make(documentCount: Int = 200) throws {
        let store = try Store.open(
            at: "store",
            configuration: Store.Configuration(),
            fileSystem: disk,
            clock: ManualClock(wallMilliseconds: 1_000)
        )
        let notes = try store.collection("notes", dimensions: 4)
        for part in 0..<2 {
            let first = part * documentCount
            try notes.put(documents(first..<(first + documentCount)))
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

    /// What a salvage left does not open, and does not take another salvage in.
    private func expectNoStore(_ path: String, on disk: SimulatedFileSystem) {
        var configuration = Store.Configuration()
        configuration.isReadOnly = true
        let thrown = code { () throws(MoraineError) in
            _ = try Store.open(at: path, configuration: configuration, fileSystem: disk)
        }
        #expect(thrown == .notAStore, "\(path)")
        guard disk.filePaths.contains(path + "/ROOT.unfinished") else { return }
        do throws(MoraineError) {
            _ = try Store.open(at: path, configuration: Store.Configuration(), fileSystem: disk)
            Issue.record("\(path) opened")
        } catch {
            #expect(error.message.contains("a salvage into this folder did not come to its end"))
        }
    }

    private func count(_ path: String, on disk: SimulatedFileSystem) throws -> Int {
        let store = try Store.open(
            at: path,
            configuration: Store.Configuration(),
            fileSystem: disk
        )
        defer { try? store.close() }
        return try store.existingCollection("notes").count()
    }

    /// The `ordinal`-th call about the new store, as far as there are so many, fails.
    private func failing(_ ordinal: Int, _ calls: Counter, on disk: SimulatedFileSystem)
        -> WatchedFileSystem
    {
        WatchedFileSystem(
            disk,
            before: { operation, path throws(FileError) in
                guard path.hasPrefix("new") else { return }
                let number = calls.count.add(1, ordering: .relaxed).newValue
                guard number == ordinal else { return }
                throw FileError(operation, path: path, errorNumber: ENOSPC)
            }
        )
    }

    @Test func aSalvageThatFailsAtAnyCallLeavesNoStore() async throws {
        try make(documentCount: 8)
        let all = Counter()
        _ = try await Store.salvage("store", into: "new", in: failing(0, all, on: disk.copy()))
        let total = all.count.load(ordering: .relaxed)
        #expect(total > 50)
        var failureCount = 0
        for ordinal in 1...total {
            let disk = disk.copy()
            let files = failing(ordinal, Counter(), on: disk)
            do throws(MoraineError) {
                let result = try await Store.salvage("store", into: "new", in: files)
                #expect(result.isComplete)
            } catch {
                failureCount += 1
                // The last call makes the name of a whole store durable.
                if ordinal < total { expectNoStore("new", on: disk) }
                continue
            }
            #expect(try count("new", on: disk) == 26, "\(ordinal)")
        }
        #expect(failureCount > total / 2)
        try await aSecondSalvageIsRefused()
    }

    private func aSecondSalvageIsRefused() async throws {
        let disk = disk.copy()
        let files = WatchedFileSystem(
            disk,
            before: { operation, path throws(FileError) in
                guard operation == .rename, path.hasSuffix("ROOT.unfinished") else { return }
                throw FileError(operation, path: path, errorNumber: EIO)
            }
        )
        for (files, code) in [
            (files, MoraineError.Code.inputOutput),
            (WatchedFileSystem(disk), .invalidArgument),
        ] {
            let thrown = await asyncCode { () throws(MoraineError) in
                _ = try await Store.salvage("store", into: "new", in: files)
            }
            #expect(thrown == code)
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
            expectNoStore("new-\(operation)", on: disk)
            // What there is of files is looked at to the end first.
            #expect(later < 120, "\(operation): \(later) more")
            last = operation
        }
        // Only while it closes the new store it is not asked any more.
        #expect(last + 80 > total)
        for (path, bytes) in old { #expect(disk.contents(of: path) == bytes) }
    }
}
