// The derived files of a merge's output: there from its first moment, where its inputs had some.

import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineSimulation
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

struct OutputIndexTests {
    private let place = IndexFixture()

    /// Merges all segments as it is done in the background.
    private func merge(_ engine: Engine) throws {
        let task = engine.withWriter { $0.compactionTask($0.segments.map(\.segment.id)) }
        try engine.run(task, width: 1) { _ in }
    }

    @Test func everyVersionBehindAMergeHasItsFiles() throws {
        let engine = try place.make()
        try engine.buildIndexes()
        let pending = try #require(try engine.buildCompaction(all: true))
        #expect(try place.files().count == 4 + 3)
        // What ends meanwhile is ended in the output too.
        try engine.delete("notes", "n0-3")
        try engine.put("notes", "n1-2", text: "newer")
        try engine.checkpoint()
        try engine.delete("notes", "n0-4")
        let contents = try engine.contents("notes")
        try engine.install(pending)
        let views = try engine.version().segments
        #expect(views.map(\.segment.entry.inputs.count) == [0, 2])
        #expect(views[1].indexes.all.compactMap(\.entry.kind) == DerivedKind.allCases)
        #expect(views[1].dead.count == 3)
        #expect(try engine.contents("notes") == contents)
        let counters = engine.withWriter { $0.indexes }
        #expect(counters.count == 4 + 3)
        try engine.close()
        let again = try place.open()
        #expect(try place.kinds(again).last == DerivedKind.allCases)
        #expect(try again.contents("notes") == contents)
        try again.close()
        try place.expectSound()
    }

    @Test func inTheBackgroundItGetsTheKindsThatAnInputHas() throws {
        let engine = try place.make()
        try merge(engine)
        #expect(try place.kinds(engine) == [[]])
        try place.add(5, to: engine)
        // Of the smaller segment alone: its codes.
        #expect(try engine.buildIndex())
        try merge(engine)
        #expect(try place.kinds(engine) == [[.codes]])
        try engine.close()
        try place.expectSound()
    }

    @Test func whenAskedToItGetsAllUnlessTheStoreMakesNone() throws {
        let engine = try place.make()
        try engine.compact(all: true)
        #expect(try place.kinds(engine) == [DerivedKind.allCases])
        try engine.close()
        let other = IndexFixture()
        let without = try other.make { $0.indexesInBackground = false }
        try without.compact(all: true)
        #expect(try other.kinds(without) == [[]])
        try without.close()
    }

    @Test func aFileThatCannotBeMadeHoldsNothingUp() throws {
        let fails = Mutex(true)
        let engine = try place.make {
            $0.indexFormats = SampleIndex.formats { kind, _ throws(StoreError) in
                if kind == .codes, fails.withLock({ $0 }) {
                    throw StoreError(.corrupted, "on purpose")
                }
                return false
            }
        }
        try engine.compact(all: true)
        #expect(try place.kinds(engine) == [[.columns]])
        #expect(engine.indexing.failure != nil)
        fails.withLock { $0 = false }
        #expect(try engine.buildIndexes() == 2)
        #expect(engine.indexing.failure == nil)
        try engine.close()
        try place.expectSound()
    }

    @Test func withoutRoomForThemTheSegmentsAreMergedAllTheSame() throws {
        let engine = try place.make()
        try engine.buildIndexes()
        do {
            let task = engine.withWriter {
                $0.compactionTask($0.segments.map(\.segment.id), isIndexed: true)
            }
            #expect(task.neededDerivedByteCount >= task.neededByteCount / 2)
            place.disk.leave(Int(task.neededByteCount) + 1000)
        }
        try engine.compact(all: true)
        #expect(try place.kinds(engine) == [[]])
        #expect(engine.health().reasons.isEmpty)
        place.disk.setQuota(byteCount: nil)
        #expect(try engine.buildIndexes() == 3)
        try engine.close()
        try place.expectSound()
    }

    @Test func cancellingWhileTheyAreMadeLeavesEverythingAsItWas() throws {
        let isWriting = Mutex(false)
        let engine = try place.make {
            $0.indexFormats = SampleIndex.formats { kind, _ throws(StoreError) in
                if kind == .graph { isWriting.withLock { $0 = true } }
                return false
            }
        }
        let before = try place.disk.list("store/seg").map(\.name).sorted()
        let code = storeCode { () throws(StoreError) in
            try engine.compact(all: true) { _ in !isWriting.withLock { $0 } }
        }
        #expect(code == .cancelled)
        #expect(isWriting.withLock { $0 })
        #expect(try place.disk.list("store/seg").map(\.name).sorted() == before)
        #expect(try place.kinds(engine) == [[], []])
        try engine.close()
        try place.expectSound()
    }

    @Test func anOutputThatIsNotTakenInGoesWithItsFiles() throws {
        let engine = try place.make()
        do {
            let pending = try #require(try engine.buildCompaction(all: true))
            try engine.compact(all: true)
            #expect(
                storeCode { () throws(StoreError) in try engine.install(pending) } == .cancelled
            )
        }
        #expect(try engine.buildIndexes() == 0)
        #expect(try place.files().count == 3)
        try engine.close()
        try place.expectSound()
    }

    @Test func noFilesAreMadeForSegmentsThatACallerMerges() throws {
        let engine = try place.make()
        let seen = Mutex<[Bool]>([])
        try engine.compact(all: true) { [weak engine] _ in
            let chosen = engine?.chooseIndex(busy: [], blocked: [])
            seen.withLock { $0.append(chosen == nil) }
            return true
        }
        #expect(seen.withLock { !$0.isEmpty && $0.allSatisfy { $0 } })
        try engine.close()
    }
}
