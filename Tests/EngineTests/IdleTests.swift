// What an idle store gives back: threads and descriptors, and how it gets them again.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

/// Counts, from any thread.
private final class Counter: Sendable {
    private let value = Atomic(0)
    var count: Int { value.load(ordering: .acquiring) }
    func add() { value.add(1, ordering: .releasing) }
}

/// Waits, without a clock, until a condition that a thread brings about holds.
private func until(_ condition: () -> Bool) async {
    while !condition() { await Task.yield() }
}

struct IdleTests {
    @Test func aThreadForWorkComesAndGoes() async throws {
        let runs = Counter()
        let work = BackgroundWork(hasThread: true, idleMilliseconds: 1) { runs.add() }
        #expect(!work.isServing)
        for round in 1...20 {
            if round % 2 == 0 { work.request() } else { try work.runAndWait() }
            await until { runs.count == round && !work.isServing }
        }
        work.close()
        #expect(runs.count == 20)
    }

    @Test func callersOfWorkNeverMissARunWhileThreadsEnd() async throws {
        let runs = Counter()
        let work = BackgroundWork(hasThread: true, idleMilliseconds: 0) { runs.add() }
        for round in 1...300 {
            try work.runAndWait()
            #expect(runs.count >= round)
        }
        work.close()
    }

    @Test func theIntervalSyncsWhatWasWrittenAndThenEnds() async throws {
        let shared = Pending()
        let interval = IntervalSync(milliseconds: 2, idleMilliseconds: 3) { shared.sync() }
        #expect(!interval.isServing)
        for round in 1...10 {
            shared.write()
            #expect(interval.request())
            await until { shared.syncCount == round && !interval.isServing }
        }
        interval.close()
    }

    @Test func commitsFromTasksGoOnAfterTheirThreadHasEnded() async throws {
        let disk = SimulatedFileSystem()
        var options = options(disk)
        options.runsInBackground = true
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        let queue = CommitQueue(runsThread: true, idleMilliseconds: 1) { engine.process($0) }
        engine.queue.withLock { old in
            old?.close()
            old = queue
        }
        for number in 0..<20 {
            _ = try await engine.commitAsync { batch throws(StoreError) in
                try batch.delete(try batch.collection("notes"), id: "k\(number)")
            }
            await until { !queue.isServing }
        }
        #expect(try engine.version().lsn == 21)
        try engine.close()
    }

    // MARK: Descriptors

    private func filled(_ disk: SimulatedFileSystem, _ change: (inout EngineOptions) -> Void)
        throws -> (Engine, ManualClock)
    {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        var options = options(disk)
        options.clock = clock
        change(&options)
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .cosine)
        }
        for number in 0..<6 {
            try engine.put("notes", "k\(number)", text: "\(number)", vector: [1, 2])
            try engine.checkpoint()
        }
        return (engine, clock)
    }

    @Test func anIdleEngineHoldsNoSegmentFile() throws {
        let (engine, clock) = try filled(SimulatedFileSystem()) { _ in }
        #expect(try engine.contents("notes").count == 6)
        #expect(engine.statistics().openFileCount > 0)
        // One period to see that nobody reads, one at whose end they go.
        for _ in 0..<2 {
            clock.advance(milliseconds: UInt32(Engine.descriptorMilliseconds))
            _ = engine.maintain()
        }
        #expect(engine.statistics().openFileCount == 0)
        #expect(engine.maintain() == nil)
        // And they come again.
        #expect(try engine.contents("notes").count == 6)
        #expect(engine.statistics().openFileCount > 0)
        #expect(engine.maintain() == Engine.descriptorMilliseconds + 1)
    }

    @Test func filesThatAreReadStayOpen() throws {
        let (engine, clock) = try filled(SimulatedFileSystem()) { _ in }
        for _ in 0..<5 {
            clock.advance(milliseconds: UInt32(Engine.descriptorMilliseconds))
            _ = engine.maintain()
            _ = try engine.contents("notes")
        }
        #expect(engine.statistics().openFileCount == 6)
    }

    @Test func theBudgetOfOpenFilesHolds() throws {
        let (engine, _) = try filled(SimulatedFileSystem()) { $0.openFileCount = 2 }
        for _ in 0..<3 {
            #expect(try engine.contents("notes").count == 6)
            #expect(engine.statistics().openFileCount <= 2)
        }
    }

    @Test func aReaderKeepsItsFilesWhoseNamesMayGo() throws {
        let disk = SimulatedFileSystem()
        let (engine, _) = try filled(disk) { _ in }
        var reading = options(disk)
        reading.isReadOnly = true
        let reader = try Engine.open(at: "store", options: reading)
        for path in disk.filePaths where path.hasPrefix("/store/seg/") { try disk.remove(path) }
        #expect(try reader.contents("notes").count == 6)
        try reader.close()
        withExtendedLifetime(engine) {}
    }

    /// A reader, and its clock.
    private func reader(_ disk: SimulatedFileSystem) throws -> (Engine, ManualClock) {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        var options = options(disk)
        options.clock = clock
        options.isReadOnly = true
        return (try Engine.open(at: "store", options: options), clock)
    }

    private func rest(_ engine: Engine, _ clock: ManualClock) {
        for _ in 0..<2 {
            clock.advance(milliseconds: UInt32(Engine.descriptorMilliseconds))
            _ = engine.maintain()
        }
    }

    @Test func anIdleReaderHoldsNoDescriptorAndLosesNothing() throws {
        let disk = SimulatedFileSystem()
        let (engine, _) = try filled(disk) { _ in }
        let (reader, clock) = try reader(disk)
        let version = try reader.version()
        let contents = try reader.contents("notes")
        #expect(contents.count == 6)
        #expect(reader.statistics().openFileCount > 0)
        rest(reader, clock)
        #expect(reader.statistics().openFileCount == 0)
        #expect(try reader.contents("notes") == contents)
        #expect(reader.statistics().openFileCount > 0)
        rest(reader, clock)
        // The names go, or come to mean other files.
        for (index, path) in disk.filePaths.enumerated() where path.hasPrefix("/store/seg/") {
            let bytes = try #require(disk.contents(of: path))
            try disk.remove(path)
            if index % 2 == 0 { disk.replace(path: path, bytes: bytes.map { ~$0 }) }
        }
        #expect(try reader.contents("notes") == contents)
        #expect(version.segments.count == 6)
        #expect(reader.statistics().openFileCount == 0)
        try reader.close()
        withExtendedLifetime(engine) {}
    }

    @Test func aClosedEngineLetsGoOfItsFiles() throws {
        let (engine, _) = try filled(SimulatedFileSystem()) { _ in }
        weak let segment = try engine.version().segments.first?.segment
        #expect(segment != nil)
        // A scan would leave the cache alone.
        _ = try segment?.files.documents.block(ofRow: 0)
        #expect(engine.statistics().blockCacheByteCount > 0)
        try engine.close()
        #expect(segment == nil)
        #expect(engine.statistics().memtableByteCount < 1 << 20)
        #expect(engine.statistics().blockCacheByteCount == 0)
    }
}

/// What an interval syncs.
private final class Pending: Sendable {
    private let state = Mutex((isPending: false, syncCount: 0))

    var syncCount: Int { state.withLock { $0.syncCount } }

    func write() { state.withLock { $0.isPending = true } }

    func sync() -> Bool {
        state.withLock { state in
            guard state.isPending else { return false }
            state.isPending = false
            state.syncCount += 1
            return true
        }
    }
}

extension BatchBuilder {
    mutating func delete(_ collection: CollectionShape, id: String)
        throws(StoreError)
    {
        try Array(id.utf8).withUnsafeBufferPointer { bytes throws(StoreError) in
            try delete(collection, id: UnsafeRawBufferPointer(bytes))
        }
    }
}
