// Space comes back: what failing calls and killed processes leave in the folder does not stay.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Changes of the disk that fail one after the other.
private final class Burst: Sendable {
    private let count = Atomic(0)
    private let first: Int
    private let length: Int

    /// - Parameter first: the change that fails first; 1 is the next.
    init(first: Int, length: Int) {
        self.first = first
        self.length = length
    }

    /// False: the work ended before the first of them.
    var hasBegun: Bool { count.load(ordering: .relaxed) >= first }

    func files(_ disk: SimulatedFileSystem) -> WatchedFileSystem {
        WatchedFileSystem(
            disk,
            before: { [self] operation, path throws(FileError) in
                guard [.open, .write, .sync, .syncDirectory, .rename, .remove].contains(operation)
                else { return }
                let number = count.add(1, ordering: .relaxed).newValue
                guard first..<(first + length) ~= number else { return }
                throw FileError(operation, path: path, errorNumber: EIO)
            }
        )
    }
}

struct SpaceTests {
    /// The names of files that nothing refers to.
    private func unused(_ disk: SimulatedFileSystem) throws -> [String] {
        try IndexFixture(disk: disk).verify().unchecked
            .filter { $0.contains("not in use") }
            .map { String($0.prefix { $0 != ":" }) }
    }

    private func isSpare(_ name: String) -> Bool { name.hasPrefix(FileNames.spareLogFolder) }

    /// A store with a segment whose rows have died since, and dead rows and documents in memory.
    private func make(on disk: SimulatedFileSystem) throws -> Engine {
        let engine = try Engine.open(at: "store", options: options(disk))
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        try fill(engine, "first")
        try engine.checkpoint()
        try fill(engine, "second")
        return engine
    }

    private func fill(_ engine: Engine, _ text: String) throws {
        for number in 0..<10 {
            try engine.put("notes", "n\(number)", text: text, vector: [Float(number), 1])
        }
    }

    @Test(arguments: [2, 3, 5])
    func aCheckpointThatFailsAndCannotCleanUpLeavesNothingForGood(length: Int) throws {
        let before = SimulatedFileSystem()
        try make(on: before).close()
        for first in 1..<200 {
            let disk = before.copy(keepingUnsynced: true)
            let burst = Burst(first: first, length: length)
            var failing = options(disk)
            failing.fileSystem = burst.files(disk)
            let engine = try? Engine.open(at: "store", options: failing)
            // Again and again, until it goes well or the store takes no more writes.
            for _ in 0..<8 where engine?.statistics().poison == nil {
                try? engine?.checkpoint()
            }
            try? engine?.close()
            let again = try Engine.open(at: "store", options: options(disk))
            try again.put("notes", "later", text: "x")
            #expect(try again.contents("notes").count == 11)
            try again.close()
            #expect(try unused(disk) == [], "from change \(first)")
            if !burst.hasBegun { return }
        }
        Issue.record("the checkpoint has no end")
    }

    @Test(arguments: [2, 3])
    func aMergeOrIndexThatFailsAndCannotCleanUpLeavesNothingBehindACheckpoint(length: Int) throws {
        let before = IndexFixture()
        try before.make().close()
        for first in 1..<500 {
            let place = IndexFixture(disk: before.disk.copy(keepingUnsynced: true))
            let burst = Burst(first: first, length: length)
            let engine = try? place.open { $0.fileSystem = burst.files(place.disk) }
            for _ in 0..<2 where engine?.statistics().poison == nil {
                _ = try? engine?.compact(all: true)
                _ = try? engine?.buildIndexes()
            }
            if !burst.hasBegun {
                try? engine?.close()
                return
            }
            // The first may still meet the end of the burst.
            for number in 0..<2 where engine?.statistics().poison == nil {
                try? engine?.put("notes", "later-\(number)", text: "x")
                try? engine?.checkpoint()
            }
            if engine?.statistics().poison == nil {
                let unused = try unused(place.disk).filter { !isSpare($0) }
                #expect(unused == [], "from change \(first)")
            }
            try? engine?.close()
        }
        Issue.record("the merge has no end")
    }

    @Test func aFileThatCannotBeRemovedIsRemovedLater() throws {
        for operation in [FileError.Operation.remove, .rename] {
            for ordinal in UInt64(1)..<100 {
                let disk = SimulatedFileSystem()
                let engine = try make(on: disk)
                let count = disk.operationCounts[operation] ?? 0
                disk.setFault(Fault(operation: operation, ordinal: ordinal, errorNumber: EIO))
                let text = String(repeating: "moraine ", count: 400)
                for _ in 0..<4 {
                    for _ in 0..<3 {
                        // A commit whose log file cannot be made is refused and tried again.
                        do { try fill(engine, text) } catch { try fill(engine, text) }
                    }
                    try engine.checkpoint()
                }
                try engine.compact(all: true)
                // What could not be removed is tried again at the next checkpoint.
                try engine.put("notes", "last", text: "x")
                try engine.checkpoint()
                let isMet = (disk.operationCounts[operation] ?? 0) >= count + ordinal
                #expect(
                    try unused(disk).filter { !isSpare($0) } == [],
                    "\(operation) \(ordinal)"
                )
                try engine.close()
                guard isMet else {
                    #expect(ordinal > 3)
                    break
                }
            }
        }
    }

    @Test func aStoreThatIsKilledAgainAndAgainHasOneBallast() throws {
        let disk = SimulatedFileSystem()
        var reserving = options(disk)
        reserving.diskReserveByteCount = 1 << 16
        for life in 0..<5 {
            let engine = try Engine.open(at: "store", options: reserving)
            if life == 0 {
                try engine.commit { batch throws(StoreError) in
                    try batch.createCollection("notes", dimensions: 2, metric: .l2)
                }
            }
            try fill(engine, "\(life)")
            #expect(try unused(disk).filter(isSpare).count == 1, "life \(life)")
            disk.crashAt(change: 1)
            try? engine.close()
            disk.killProcess()
        }
        let engine = try Engine.open(at: "store", options: reserving)
        try engine.close()
        #expect(try unused(disk) == [])
    }

    @Test func aBallastThatCannotBeRemovedGoesBeforeTheNext() throws {
        let disk = SimulatedFileSystem()
        var reserving = options(disk)
        reserving.diskReserveByteCount = 1 << 16
        let engine = try Engine.open(at: "store", options: reserving)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        disk.setFault(Fault(operation: .remove, ordinal: 1, errorNumber: EIO))
        #expect(!engine.withWriter { $0.releaseBallast() })
        try fill(engine, "x")
        try engine.checkpoint()
        #expect(try unused(disk).filter(isSpare).count == 1)
        try engine.close()
    }
}
