// Derived files in the background: made by themselves, tried again, and in nobody's way.

import MoraineFiles
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

struct IndexSchedulerTests {
    private let place = IndexFixture()

    /// Waits until `condition` holds; false when it never does.
    private func holds(_ condition: () throws -> Bool) rethrows -> Bool {
        for _ in 0..<2_000 {
            if try condition() { return true }
            WorkerThread.sleep(nanoseconds: 5_000_000)
        }
        return false
    }

    private func error(_ code: StoreError.Code) -> StoreError { StoreError(code, "on purpose") }

    @Test func segmentsGetTheirFilesByThemselves() throws {
        let engine = try place.make { $0.runsInBackground = true }
        #expect(try holds { try place.kinds(engine) == [[.codes, .graph, .columns], [.columns]] })
        try engine.close()
        try place.expectSound()
    }

    @Test func openingMakesWhatIsLacking() throws {
        try place.make().close()
        let engine = try place.open { $0.runsInBackground = true }
        #expect(try holds { try place.kinds(engine) == [[.codes, .graph, .columns], [.columns]] })
        #expect(holds { engine.statistics().runningIndexCount == 0 })
        try engine.close()
        try place.expectSound()
    }

    @Test func aLoadComesFirst() throws {
        let engine = try place.make()
        func load(_ id: String) throws {
            try engine.commit(logged: false) { batch throws(StoreError) in
                let shape = try batch.collection("notes")
                try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                    try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                        try batch.put(
                            shape,
                            id: UnsafeRawBufferPointer(id),
                            text: UnsafeRawBufferPointer(id),
                            metadata: UnsafeRawBufferPointer(metadata),
                            vector: nil
                        )
                    }
                }
            }
        }
        #expect(engine.chooseIndex(busy: [], blocked: []) != nil)
        try load("loaded")
        #expect(engine.chooseIndex(busy: [], blocked: []) == nil)
        try engine.checkpoint()
        #expect(engine.chooseIndex(busy: [], blocked: []) != nil)
        try engine.close()
    }

    @Test func aPauseHoldsAndEndsOnce() throws {
        try place.make().close()
        let engine = try place.open {
            $0.runsInBackground = true
            $0.indexesInBackground = false
        }
        engine.indexing.pause()
        engine.indexing.jobs.request()
        #expect(engine.statistics().isIndexingPaused)
        #expect(engine.statistics().runningIndexCount == 0)
        #expect(try place.kinds(engine) == [[], []])
        engine.indexing.resume()
        #expect(try holds { try place.kinds(engine).joined().count == 4 })
        try engine.close()
    }

    @Test func closingGivesUpABuildUnderWay() throws {
        try place.make().close()
        let isWriting = Mutex(false)
        let engine = try place.open {
            $0.runsInBackground = true
            $0.indexFormats = SampleIndex.formats { kind, _ throws(StoreError) in
                isWriting.withLock { $0 = true }
                WorkerThread.sleep(nanoseconds: 50_000_000)
                return false
            }
        }
        #expect(holds { isWriting.withLock { $0 } })
        try engine.close()
        try place.expectSound()
    }

    @Test func closingEndsACallersBuildsAndStartsNothingAnew() throws {
        let engine = try place.make()
        let isClosed = Mutex(false)
        let code = storeCode { () throws(StoreError) in
            try engine.buildIndexes { _ in
                let isFirst = isClosed.withLock { closed -> Bool in
                    defer { closed = true }
                    return !closed
                }
                if isFirst { try? engine.close() }
                return true
            }
        }
        #expect(code == .closed)
        #expect(try place.files().isEmpty)
        try place.expectSound()
    }

    @Test func aFailureIsReportedAndTriedAgainLater() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        let fails = Mutex(true)
        let tries = Mutex(0)
        let engine = try place.make {
            $0.runsInBackground = true
            $0.clock = clock
            $0.indexFormats = SampleIndex.formats { kind, _ throws(StoreError) in
                guard kind == .columns else { return false }
                tries.withLock { $0 += 1 }
                if fails.withLock({ $0 }) { throw error(.noSpace) }
                return false
            }
        }
        #expect(holds { tries.withLock { $0 } == 2 && engine.indexing.failure != nil })
        #expect(holds { engine.statistics().runningIndexCount == 0 })
        let health = engine.health()
        #expect(!health.hasFailed)
        #expect(
            health.reasons.contains { if case .indexingFailed = $0 { true } else { false } }
        )
        // The store goes on, and the others are there.
        try engine.put("notes", "x", text: "x")
        #expect(try place.kinds(engine) == [[.codes, .graph], []])
        engine.requestIndexes()
        #expect(holds { engine.statistics().runningIndexCount == 0 })
        #expect(tries.withLock { $0 } == 2)
        fails.withLock { $0 = false }
        clock.advance(milliseconds: 5_001)
        _ = engine.maintain()
        #expect(try holds { try place.kinds(engine) == [[.codes, .graph, .columns], [.columns]] })
        #expect(holds { engine.health().reasons.isEmpty })
        try engine.close()
    }

    @Test func pausesDoubleUpToAnHour() throws {
        let clock = ManualClock(wallMilliseconds: 0)
        let memory = IndexMemory(clock: clock)
        let key = IndexKey(segmentID: 7, kind: .graph)
        var pauses: [UInt64] = []
        for _ in 0..<12 {
            memory.note(key, error(.corrupted))
            let pause = try #require(memory.millisecondsToRetry)
            pauses.append(pause / 1_000)
            #expect(memory.blocked() == [key] && !memory.takeRetries())
            clock.advance(milliseconds: UInt32(pause))
            #expect(memory.blocked().isEmpty)
            #expect(memory.takeRetries() && !memory.takeRetries())
            #expect(memory.millisecondsToRetry == nil)
        }
        #expect(pauses.prefix(4) == [5, 10, 20, 40] && pauses.last == 3_600)
        #expect(memory.failure != nil)
        memory.keep([8])
        #expect(memory.failure == nil)
    }

    @Test func aFailureOfOneDoesNotKeepTheOthersFromBeingMade() throws {
        let engine = try place.make(segments: 3) {
            $0.indexFormats = SampleIndex.formats { kind, segment throws(StoreError) in
                if kind == .codes, segment.rowCount == 10 { throw error(.corrupted) }
                return false
            }
        }
        #expect(storeCode { () throws(StoreError) in try engine.buildIndexes() } == .corrupted)
        #expect(try place.kinds(engine) == [[.columns], [.codes, .graph, .columns], [.columns]])
        try engine.close()
        try place.expectSound()
    }

    @Test func writersWaitForIndexesAndNotForEver() throws {
        try place.make().close()
        let mayWrite = Mutex(false)
        let engine = try place.open {
            $0.runsInBackground = true
            $0.compactsInBackground = false
            $0.unindexedRowLimit = 15
            $0.memtableByteCount = 1 << 16
            $0.indexFormats = SampleIndex.formats { _, _ throws(StoreError) in
                while !mayWrite.withLock({ $0 }) { WorkerThread.sleep(nanoseconds: 1_000_000) }
                return false
            }
        }
        try place.add(7, to: engine)
        #expect(engine.isAheadOfIndexes)
        // A memtable that is full waits for a build to end; here none can.
        let text = String(repeating: "x", count: 60_000)
        let isDone = Mutex(false)
        let thread = WorkerThread {
            for number in 0..<3 { _ = try? engine.put("notes", "big\(number)", text: text) }
            isDone.withLock { $0 = true }
        }
        WorkerThread.sleep(nanoseconds: 100_000_000)
        #expect(!isDone.withLock { $0 })
        mayWrite.withLock { $0 = true }
        thread?.join()
        #expect(holds { !engine.isAheadOfIndexes })
        try engine.close()

        // Where builds cannot help, writers do not wait.
        let paused = try place.open {
            $0.runsInBackground = true
            $0.unindexedRowLimit = 0
            $0.memtableByteCount = 1 << 16
        }
        paused.indexing.pause()
        for number in 0..<4 { try paused.put("notes", "big\(number)", text: text, vector: [1, 1]) }
        try paused.close()
        try place.expectSound()
    }
}
