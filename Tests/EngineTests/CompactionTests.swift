// Compaction: what it keeps, what it gives back, and what happens beside it.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage
import Testing

@testable import MoraineEngine

extension Version {
    /// The content hash of the store.
    fileprivate func wholeHash() throws(StoreError) -> [UInt8] {
        var hashes: [CollectionHash] = []
        for collection in collections { hashes.append(try contentHash(of: collection) { _ in }) }
        return Self.contentHash(of: hashes)
    }
}

struct CompactionTests {
    private let disk = SimulatedFileSystem()

    private func open(_ change: (inout EngineOptions) -> Void = { _ in }) throws -> Engine {
        var options = options(disk)
        change(&options)
        return try Engine.open(at: "store", options: options)
    }

    private func make() throws -> Engine {
        let engine = try open()
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
            try batch.createCollection("words", dimensions: 0, metric: .cosine)
        }
        return engine
    }

    /// Segments with updates and deletes across them; returns what is to be read.
    private func fill(_ engine: Engine, rounds: Int = 4) throws -> [String] {
        var expected: [String: String] = [:]
        for round in 0..<rounds {
            for number in 0..<40 where (number + round) % 3 != 0 {
                let id = "id-\(number)"
                expected[id] = "round \(round)"
                try engine.put(
                    "notes",
                    id,
                    text: "round \(round)",
                    vector: number % 4 == 0 ? nil : [Float(number), Float(round)]
                )
            }
            for number in 0..<40 where (number + round) % 7 == 0 {
                expected["id-\(number)"] = nil
                try engine.delete("notes", "id-\(number)")
            }
            try engine.put("words", "w\(round)", text: "word")
            try engine.checkpoint()
        }
        return expected.map { "\($0.key)=\($0.value)" }.sorted {
            Array($0.split(separator: "=")[0].utf8).lexicographicallyPrecedes(
                Array($1.split(separator: "=")[0].utf8)
            )
        }
    }

    private func files() throws -> [String] {
        try disk.list("store/seg").map(\.name).sorted()
    }

    private func expectSound() throws {
        let report = try Engine.verify("store", options: options(disk), progress: nil)
        #expect(report.findings.isEmpty)
    }

    @Test func mergingAllKeepsEveryLiveDocumentAndNothingElse() throws {
        let engine = try make()
        let expected = try fill(engine)
        let hash = try engine.version().wholeHash()
        #expect(engine.statistics().segmentCount == 4)
        let summary = try engine.compact(all: true)
        #expect(summary.inputSegmentCount == 4 && summary.mergeCount == 1)
        let statistics = engine.statistics()
        #expect(statistics.segmentCount == 1)
        #expect(statistics.deadRowCount == 0)
        #expect(statistics.rowCount == expected.count + 4)
        #expect(try engine.contents("notes") == expected)
        #expect(try engine.version().wholeHash() == hash)
        #expect(try engine.version().segments[0].segment.entry.tombstoneCount == 0)
        try expectSound()
        try engine.close()
        #expect(try files().count == 3)
        let again = try open()
        #expect(try again.contents("notes") == expected)
        #expect(try again.version().wholeHash() == hash)
        try again.close()
    }

    @Test func commitsAndCheckpointsBesideAMergeAreCarriedIntoItsOutput() throws {
        let engine = try make()
        _ = try fill(engine)
        let pending = try #require(try engine.buildCompaction(all: true))
        // Below the new floor by the time of the edit: needs a deletion file of the output.
        try engine.delete("notes", "id-1")
        try engine.put("notes", "id-2", text: "newer", vector: [9, 9])
        try engine.checkpoint()
        // Above it: in memory only.
        try engine.delete("notes", "id-4")
        try engine.install(pending)
        let expected = try engine.contents("notes")
        #expect(!expected.contains { $0.hasPrefix("id-1=") || $0.hasPrefix("id-4=") })
        #expect(expected.contains("id-2=newer"))
        let hash = try engine.version().wholeHash()
        try expectSound()
        // A crash instead of a close: what is on disk must say the same.
        disk.crash(seed: 5)
        let again = try open()
        #expect(try again.contents("notes") == expected)
        #expect(try again.version().wholeHash() == hash)
        #expect(try again.compact(all: true).mergeCount == 1)
        #expect(try again.version().wholeHash() == hash)
        try again.close()
        try expectSound()
    }

    @Test func aMemtableSealedBeforeTheMergeCountsItsDeathsInTheOutput() throws {
        let engine = try make()
        _ = try fill(engine)
        let pending = try #require(try engine.buildCompaction(all: true))
        try engine.delete("notes", "id-1")
        engine.withWriter { $0.seal() }
        try engine.install(pending)
        try engine.checkpoint()
        let expected = try engine.contents("notes")
        #expect(!expected.contains { $0.hasPrefix("id-1=") })
        try engine.close()
        try expectSound()
        let again = try open()
        #expect(try again.contents("notes") == expected)
        try again.close()
    }

    @Test func nothingLeftMeansNoSegment() throws {
        let engine = try make()
        for number in 0..<5 { try engine.put("notes", "n\(number)", text: "x", vector: [1, 2]) }
        try engine.checkpoint()
        for number in 0..<5 { try engine.delete("notes", "n\(number)") }
        try engine.compact(all: true)
        #expect(engine.statistics().segmentCount == 0)
        #expect(try files().isEmpty)
        try engine.close()
        let again = try open()
        #expect(try again.contents("notes") == [])
        #expect(try again.version().collection("notes") != nil)
        try again.close()
        try expectSound()
    }

    @Test func aPinnedVersionKeepsItsFilesUntilItIsLetGo() throws {
        let engine = try make()
        let expected = try fill(engine)
        let before = try files()
        let pin = try engine.pin(label: "old")
        try engine.compact(all: true)
        let during = try files()
        #expect(before.filter { !$0.hasSuffix(".del") }.allSatisfy { during.contains($0) })
        #expect(engine.statistics().pinnedByteCount > 0)
        var count = 0
        let version = try pin.version()
        try version.scan(try #require(version.collection("notes")), wantsVectors: true) { _ in
            count += 1
            return true
        }
        #expect(count == expected.count)
        try engine.close()
        withExtendedLifetime(version) {}
    }

    @Test func filesGoWithTheLastVersionThatNamesThem() throws {
        let engine = try make()
        _ = try fill(engine)
        do {
            let pin = try engine.pin()
            try engine.compact(all: true)
            #expect(try files().count > 3)
            pin.release()
        }
        try engine.put("notes", "z", text: "z")
        try engine.checkpoint()
        #expect(try files().count == 5)
        try engine.close()
    }

    @Test func dropsTombstonesOnlyWhenNothingOlderCanHoldTheirKeys() throws {
        let engine = try make()
        try engine.put("notes", "a", text: "old", vector: [1, 1])
        for number in 0..<20 { try engine.put("notes", "b\(number)", text: "old", vector: [1, 1]) }
        try engine.checkpoint()
        try engine.delete("notes", "a")
        try engine.checkpoint()
        try engine.put("notes", "c", text: "new", vector: [1, 1])
        try engine.checkpoint()
        // The two newer ones: the oldest still has the dead row of "a".
        let ids = try engine.version().segments.map(\.segment.id)
        let task = engine.withWriter { $0.compactionTask(Array(ids.dropFirst())) }
        try engine.run(task, width: 1) { _ in }
        #expect(try engine.version().segments.map(\.segment.entry.tombstoneCount) == [0, 1])
        try engine.compact(all: true)
        #expect(try engine.version().segments.map(\.segment.entry.tombstoneCount) == [0])
        try engine.close()
        try expectSound()
    }

    @Test func wholeBlocksAreCopiedAsTheyAre() throws {
        let engine = try make()
        for half in 0..<2 {
            try engine.commit { batch throws(StoreError) in
                let shape = try batch.collection("words")
                for number in 0..<400 {
                    let id = Array("\(half)-\(1000 + number)".utf8)
                    let text = Array(String(repeating: "text \(number) ", count: 40).utf8)
                    try id.withUnsafeBufferPointer { id throws(StoreError) in
                        try text.withUnsafeBufferPointer { text throws(StoreError) in
                            try Metadata.empty.withUnsafeBufferPointer {
                                metadata throws(StoreError) in
                                try batch.put(
                                    shape,
                                    id: UnsafeRawBufferPointer(id),
                                    text: UnsafeRawBufferPointer(text),
                                    metadata: UnsafeRawBufferPointer(metadata),
                                    vector: nil
                                )
                            }
                        }
                    }
                }
            }
            try engine.checkpoint()
        }
        let hash = try engine.version().wholeHash()
        let blocks = try engine.version().segments.reduce(0) {
            $0 + $1.segment.files.documents.blockCount
        }
        try engine.compact(all: true)
        let copied = engine.withWriter { $0.compactions.copiedBlockCount }
        #expect(Int(copied) >= blocks - 2)
        #expect(try engine.version().wholeHash() == hash)
        try engine.close()
        try expectSound()
    }

    @Test func mergesWaitWhileALoadGoesOn() throws {
        let engine = try make()
        func load(_ id: String) throws {
            try engine.commit(logged: false) { batch throws(StoreError) in
                let shape = try batch.collection("words")
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
        for number in 0..<8 {
            try load("w\(number)")
            try engine.checkpoint()
        }
        // What is not durable yet is a load that goes on.
        try load("last")
        #expect(engine.chooseCompaction(busy: []) == nil)
        try engine.checkpoint()
        #expect(engine.chooseCompaction(busy: [])?.inputs.count == 9)
        // Too many segments are merged all the same.
        for number in 0..<30 {
            try load("x\(number)")
            try engine.checkpoint()
        }
        try load("end")
        #expect(engine.chooseCompaction(busy: []) != nil)
        try engine.close()
        try expectSound()
    }

    @Test func whatWasCachedBeforeAMergeIsCachedBehindIt() throws {
        let engine = try make()
        let expected = try fill(engine)
        let ids = expected.map { String($0.prefix { $0 != "=" }) }
        func readAll() throws {
            let version = try engine.version()
            let shape = try #require(version.collection("notes"))
            for id in ids {
                try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                    _ = try version.withDocument(
                        shape,
                        id: UnsafeRawBufferPointer(id),
                        wantsVector: false
                    ) { $0.text.count }
                }
            }
        }
        func missCount() -> UInt64 { engine.statistics().blockCacheMisses }
        // Cold stays cold: a merge fills no cache by itself.
        try engine.compact(all: true)
        #expect(engine.statistics().blockCacheByteCount == 0)
        try readAll()
        #expect(missCount() > 0)
        try engine.put("notes", "id-new", text: "new", vector: nil)
        try engine.checkpoint()
        try readAll()
        try engine.compact(all: true)
        #expect(try engine.version().segments.count == 1)
        let before = missCount()
        try readAll()
        #expect(missCount() == before)
        try engine.close()
        try expectSound()
    }

    @Test func anOutputThatWasNotTakenInIsRemovedByTheNextWriter() throws {
        let engine = try make()
        let expected = try fill(engine)
        let before = Set(try files())
        let pending = try #require(try engine.buildCompaction(all: true))
        #expect(Set(try files()).count == before.count + 3)
        disk.crash(seed: 5)
        withExtendedLifetime(pending) {}
        let again = try open()
        try again.put("words", "later", text: "x")
        #expect(Set(try files()) == before)
        #expect(try again.contents("notes") == expected)
        try again.close()
    }

    @Test func inputsThatWereNotRemovedAreRemovedByTheNextWriter() throws {
        let engine = try make()
        _ = try fill(engine)
        let pin = try engine.pin()
        let version = try pin.version()
        try engine.compact(all: true)
        try engine.put("words", "x", text: "x")
        try engine.compact(all: true)
        #expect(try files().count > 3)
        disk.crash(seed: 5)
        let again = try open()
        try again.put("words", "later", text: "x")
        #expect(try files().count == 3)
        try again.close()
        withExtendedLifetime(version) {}
    }

    @Test func cancellingLeavesTheStoreAsItWas() throws {
        let engine = try make()
        let expected = try fill(engine)
        let before = try files()
        #expect(
            storeCode { () throws(StoreError) in try engine.compact(all: true) { _ in false } }
                == .cancelled
        )
        #expect(try files() == before)
        #expect(try engine.contents("notes") == expected)
        try engine.close()
    }

    @Test func withoutSpaceNothingIsBegun() throws {
        let engine = try make()
        let expected = try fill(engine)
        try engine.checkpoint()
        let before = try files()
        disk.setQuota(byteCount: 0)
        #expect(
            storeCode { () throws(StoreError) in try engine.compact(all: true) } == .noSpace
        )
        disk.setQuota(byteCount: nil)
        #expect(try files() == before)
        #expect(try engine.contents("notes") == expected)
        try engine.compact(all: true)
        try engine.close()
    }

    @Test func createdTimesSurviveAReplayOverAMerge() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        let engine = try open { $0.clock = clock }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        try engine.put("notes", "a", text: "first", vector: [1, 1])
        try engine.checkpoint()
        clock.advance(milliseconds: 5_000)
        try engine.put("notes", "a", text: "second", vector: [1, 1])
        // The first document is dead, but only the log says so.
        let pending = try #require(try engine.buildCompaction(all: true))
        try engine.install(pending)
        disk.crash(seed: 5)
        let again = try open { $0.clock = clock }
        let version = try again.version()
        let shape = try #require(version.collection("notes"))
        let created = try Array("a".utf8).withUnsafeBufferPointer { id in
            try version.withDocument(shape, id: UnsafeRawBufferPointer(id), wantsVector: false) {
                $0.created
            }
        }
        #expect(created == 1_700_000_000_000)
        try again.close()
    }
}

extension CompactionTests {
    @Test func fewTombstonesGoWithWhatTheyHideOnceTheyAreADayOld() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        let engine = try open { $0.clock = clock }
        defer { try? engine.close() }
        try engine.create("notes", dimensions: 2)
        for number in 0..<100 { try engine.put("notes", "id-\(number)", text: "text") }
        try engine.checkpoint()
        try engine.delete("notes", "id-7")
        for number in 100..<150 { try engine.put("notes", "id-\(number)", text: "text") }
        try engine.checkpoint()
        func tombstones() throws -> [UInt64] {
            try engine.version().segments.map(\.segment.entry.tombstoneCount)
        }
        clock.advance(milliseconds: 86_399_000)
        #expect(try engine.compact().mergeCount == 0)
        #expect(try tombstones() == [0, 1])
        clock.advance(milliseconds: 2_000)
        #expect(try engine.compact().mergeCount == 1)
        #expect(try tombstones() == [0])
        #expect(try engine.version().segments[0].segment.rowCount == 149)
        #expect(try engine.compact().mergeCount == 0)
    }
}

struct CompactionPolicyTests {
    private func candidate(
        _ id: UInt64,
        rows: Int,
        dead: Int = 0,
        tombstones: Int = 0,
        lsns: ClosedRange<UInt64> = 1...1,
        since time: UInt64? = nil
    ) -> CompactionPolicy.Candidate {
        CompactionPolicy.Candidate(
            id: id,
            rowCount: rows,
            deadRowCount: dead,
            tombstoneCount: tombstones,
            minLSN: lsns.lowerBound,
            maxLSN: lsns.upperBound,
            tombstoneTime: time
        )
    }

    private static let now: UInt64 = 1_700_000_000_000
    private let policy = CompactionPolicy(rowLimit: 1_000_000, now: now)

    private func choose(
        _ candidates: [CompactionPolicy.Candidate],
        settled: Set<UInt64> = []
    ) -> [UInt64]? {
        policy.choose(candidates, all: candidates, settled: settled)
    }

    @Test func aTierIsMergedWhenItIsFull() {
        let seven = (1...7).map { candidate(UInt64($0), rows: 5_000) }
        #expect(choose(seven) == nil)
        #expect(choose(seven + [candidate(8, rows: 20_000)])?.count == 8)
        #expect(choose(seven + [candidate(8, rows: 40_000)]) == nil)
    }

    @Test func aSegmentIsRewrittenAboveAFifthOfDeadRows() {
        #expect(choose([candidate(1, rows: 100, dead: 20)]) == nil)
        #expect(choose([candidate(1, rows: 100, dead: 21)]) == [1])
        let smaller = candidate(2, rows: 10)
        let larger = candidate(3, rows: 1_000)
        #expect(choose([candidate(1, rows: 100, dead: 21), smaller, larger]) == [1, 2])
    }

    @Test func tombstonesThatNothingOlderNeedsAreDroppedOnce() {
        let old = candidate(1, rows: 100, tombstones: 50, lsns: 1...9)
        let newer = candidate(2, rows: 100, lsns: 10...20)
        #expect(choose([old, newer]) == [1])
        #expect(choose([old, newer], settled: [1]) == nil)
        let needed = candidate(3, rows: 100, tombstones: 50, lsns: 21...30)
        #expect(choose([newer, needed]) == nil)
    }

    @Test func oldTombstonesAreMergedWithWhatTheyHide() {
        let day = CompactionPolicy.tombstoneMilliseconds
        let base = candidate(1, rows: 900_000, lsns: 1...9)
        let newer = candidate(9, rows: 10, lsns: 30...40)
        func deletes(_ id: UInt64, _ time: UInt64, _ lsns: ClosedRange<UInt64>)
            -> CompactionPolicy.Candidate
        {
            candidate(id, rows: 100, tombstones: 1, lsns: lsns, since: time)
        }
        let young = deletes(2, Self.now - day + 1, 10...20)
        #expect(choose([base, young, newer]) == nil)
        let old = deletes(2, Self.now - day, 10...20)
        #expect(choose([base, old, newer]) == [2, 1])
        #expect(choose([base, old, newer], settled: [2]) == nil)
        #expect(choose([old]) == [2])
        // The newest takes the older ones along; what is too large for one segment stays.
        let newest = deletes(3, 1, 21...29)
        #expect(choose([base, old, newest, newer]) == [3, 1, 2])
        let small = CompactionPolicy(rowLimit: 900_000, now: Self.now)
        #expect(small.choose([base, old], all: [base, old], settled: []) == nil)
        // A segment that is being merged is not there to be merged with.
        #expect(policy.choose([old], all: [base, old], settled: []) == nil)
    }

    @Test func mergesStayBelowTheRowLimit() {
        let small = CompactionPolicy(rowLimit: 30_000, now: Self.now)
        let segments = (1...9).map { candidate(UInt64($0), rows: 5_000) }
        #expect(small.choose(segments, all: segments, settled: []) == nil)
        #expect(small.chooseAll(segments, done: [])?.count == 6)
    }

    @Test func tooManySegmentsAreMergedWhateverTheirTiers() {
        let segments = (0..<33).map { candidate(UInt64($0 + 1), rows: 1 << ($0 / 7 * 3 + 12)) }
        #expect(choose(segments)?.count == 8 || choose(segments) != nil)
        #expect(choose([]) == nil)
    }

    @Test func mergingAllEndsWhenEachWasRewritten() {
        #expect(policy.chooseAll([candidate(1, rows: 10)], done: []) == [1])
        #expect(policy.chooseAll([candidate(1, rows: 10)], done: [1]) == nil)
    }
}
