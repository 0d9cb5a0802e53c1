// Commits of several threads and the sync that they share: what a loss of power leaves of a group,
// and what a sync may vouch for that was under way when more was written.

import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

struct GroupCommitTests {
    private func make(_ fileSystem: any FileSystem, _ durability: Durability) throws -> Engine {
        var options = options(SimulatedFileSystem())
        options.fileSystem = fileSystem
        options.durability = durability
        options.runsInBackground = true
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        return engine
    }

    @Test func aLossOfPowerUnderGroupsTakesNoAnswerBack() throws {
        for seed in UInt64(1)...30 {
            let disk = SimulatedFileSystem()
            let engine = try make(disk, .full)
            let answered = (0..<8).map { _ in Answered() }
            disk.crashAt(change: 3 + seed * 5)
            let threads = try answered.enumerated().map { number, answered in
                let thread = WorkerThread {
                    for count in 0..<40 {
                        guard
                            (try? engine.put("notes", "w\(number)-\(100 + count)", text: "x"))
                                != nil
                        else { return }
                        answered.count.store(count + 1, ordering: .releasing)
                    }
                }
                return try #require(thread)
            }
            for thread in threads { thread.join() }
            try? engine.close()
            disk.crash(CrashModel.allCases[Int(seed) % CrashModel.allCases.count], seed: seed)
            let again = try Engine.open(at: "store", options: options(disk))
            let found = try again.contents("notes")
            for (number, answered) in answered.enumerated() {
                let own = found.filter { $0.hasPrefix("w\(number)-") }
                let least = answered.count.load(ordering: .acquiring)
                // All that was answered, and in the thread's order: at most one commit more.
                #expect(own.count == least || own.count == least + 1, "seed \(seed)")
                #expect(own == own.indices.map { "w\(number)-\(100 + $0)=x" }, "seed \(seed)")
            }
            try again.close()
        }
    }

    @Test func whatIsWrittenDuringASyncWaitsForTheNext() throws {
        let disk = SimulatedFileSystem()
        let gate = SyncGate()
        let engine = try make(gate.files(on: disk), .full)
        gate.arm()
        let first = try #require(WorkerThread { try? engine.put("notes", "a", text: "a") })
        gate.waitUntilReached()
        let second = Answered()
        let other = try #require(
            WorkerThread {
                if (try? engine.put("notes", "b", text: "b")) != nil {
                    second.count.store(1, ordering: .releasing)
                }
            }
        )
        // Long enough for a commit that would not wait.
        WorkerThread.sleep(nanoseconds: 20_000_000)
        #expect(second.count.load(ordering: .acquiring) == 0)
        let before = gate.syncCount
        gate.open()
        first.join()
        other.join()
        #expect(second.count.load(ordering: .acquiring) == 1)
        #expect(gate.syncCount > before)
        disk.crash(.unsyncedLost, seed: 1)
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes") == ["a=a", "b=b"])
        try again.close()
        try? engine.close()
    }

    @Test func aSyncVouchesOnlyForWhatWasThereWhenItBegan() throws {
        let disk = SimulatedFileSystem()
        let gate = SyncGate()
        let engine = try make(gate.files(on: disk), .relaxed(milliseconds: 3_600_000))
        try engine.put("notes", "a", text: "a")
        gate.arm()
        let syncing = try #require(WorkerThread { engine.syncLogQuietly() })
        gate.waitUntilReached()
        try engine.put("notes", "b", text: "b")
        gate.open()
        syncing.join()
        #expect(engine.withWriter { $0.log?.promised } == 2)
        #expect(engine.withWriter { $0.log?.lastNumber } == 3)
        for seed in UInt64(0)..<20 {
            let copy = disk.copy(keepingUnsynced: true)
            copy.crash(seed % 2 == 0 ? .unsyncedLost : .sectors, seed: seed)
            let again = try Engine.open(at: "store", options: options(copy))
            #expect(try again.contents("notes").first == "a=a")
            try again.close()
        }
        try engine.close()
    }
}

/// Commits of a thread that were answered.
private final class Answered: Sendable { let count = Atomic(0) }

/// Holds the next sync of a log file at its end, when its work on the disk is done.
private final class SyncGate: Sendable {
    private enum Stage { case open, armed, reached }
    private let stage = Mutex(Stage.open)
    private let monitor = Monitor()
    private let syncs = Atomic(0)

    var syncCount: Int { syncs.load(ordering: .acquiring) }

    func arm() { stage.withLock { $0 = .armed } }

    func open() { change(to: .open) }

    func waitUntilReached() { wait { $0 == .reached } }

    /// A file system whose log files sync through the gate.
    func files(on disk: SimulatedFileSystem) -> WatchedFileSystem {
        WatchedFileSystem(
            disk,
            after: { operation, path in
                if operation == .sync, path.hasSuffix(".mwal") { self.pass() }
            }
        )
    }

    private func pass() {
        syncs.add(1, ordering: .acquiringAndReleasing)
        guard stage.withLock({ $0 }) == .armed else { return }
        change(to: .reached)
        wait { $0 == .open }
    }

    private func change(to next: Stage) {
        monitor.withLock {
            stage.withLock { $0 = next }
            monitor.broadcast()
        }
    }

    private func wait(_ isOver: (Stage) -> Bool) {
        monitor.withLock {
            while !isOver(stage.withLock { $0 }) { monitor.wait() }
        }
    }
}
