// The scrubber, driven by hand on the simulated file system.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct ScrubberTests {
    private let disk = SimulatedFileSystem()
    private let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)

    /// A store with two segments, vectors and deletions.
    private func engine(_ change: (inout EngineOptions) -> Void = { _ in }) throws -> Engine {
        var options = options(disk)
        options.clock = clock
        change(&options)
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .cosine)
        }
        let text = String(repeating: "moraine ", count: 2_000)
        for number in 0..<40 {
            try engine.put("notes", "k\(number)", text: "\(number) \(text)", vector: [1, 2])
        }
        try engine.checkpoint()
        for number in 0..<10 { try engine.delete("notes", "k\(number)") }
        try engine.put("notes", "new", text: text, vector: [3, 4])
        try engine.checkpoint()
        return engine
    }

    private func pass(_ engine: Engine, byteCount: Int = 1 << 16) throws {
        while try !engine.scrubStep(byteCount: byteCount) {}
    }

    private var sealedFiles: [String] { disk.filePaths.filter { $0.hasPrefix("/store/seg/") } }

    @Test(arguments: [1, 4_096, 1 << 30])
    func aPassOverSoundFilesReadsThemAllAndFindsNothing(byteCount: Int) throws {
        let engine = try engine()
        try pass(engine, byteCount: byteCount)
        let scrub = engine.statistics().scrub
        #expect(scrub.findings == [])
        #expect(scrub.passCount == 1)
        #expect(scrub.lastPassMilliseconds == 1_700_000_000_000)
        // Every byte but the alignment between sections of documents is read once or twice.
        let total = sealedFiles.reduce(0) { $0 + (disk.contents(of: $1)?.count ?? 0) }
        #expect(scrub.passByteCount >= UInt64(total) * 9 / 10)
        #expect(scrub.passTotalByteCount > 0)
        #expect(engine.health().reasons.isEmpty)
    }

    @Test func aStepReadsAboutWhatItWasAllowed() throws {
        let engine = try engine()
        var last: UInt64 = 0
        while try !engine.scrubStep(byteCount: 4_096) {
            let now = engine.statistics().scrub.byteCount
            #expect(now - last < 4_096 + 2 * 65_536)
            last = now
        }
    }

    @Test func damageInEveryKindOfFileIsNamedOnce() throws {
        let engine = try engine()
        let kinds = Set(sealedFiles.map { $0.suffix(4) })
        #expect(kinds == [".doc", ".key", ".vec", ".del"])
        var damaged: Set<String> = []
        for path in sealedFiles {
            let size = try #require(disk.contents(of: path)).count
            disk.corrupt(path: path, offset: size / 2, xor: 4)
            damaged.insert(String(path.dropFirst("/store/".count)))
        }
        let before = disk.filePaths.map { disk.contents(of: $0) }
        try pass(engine)
        let findings = engine.statistics().scrub.findings
        #expect(Set(findings.map(\.file)) == damaged)
        #expect(findings.allSatisfy { !$0.expected.isEmpty && !$0.found.isEmpty })
        // Again and again the same is no news, and nothing was repaired or moved.
        try pass(engine)
        try pass(engine)
        #expect(engine.statistics().scrub.findings == findings)
        #expect(disk.filePaths.map { disk.contents(of: $0) } == before)
        let health = engine.health()
        #expect(!health.hasFailed)
        #expect(health.reasons.count == findings.count)
    }

    @Test func everyFlippedByteOfABlockOrChunkIsFound() throws {
        let engine = try engine()
        let path = try #require(sealedFiles.first { $0.hasSuffix(".doc") })
        let size = try #require(disk.contents(of: path)).count
        let random = SeededRandom(seed: 11)
        let version = try engine.version()
        let storeID = engine.withWriter { $0.root.storeID }
        for _ in 0..<20 {
            let offset = 4_096 + Int(random.next() % UInt64(size - 4_096))
            disk.corrupt(path: path, offset: offset, xor: 1)
            let scrubber = Scrubber(options: options(disk), folder: "store", storeID: storeID)
            _ = scrubber.step(byteCount: .max, version: version) { _ in nil }
            #expect(scrubber.statistics.findings.count == 1, "offset \(offset)")
            disk.corrupt(path: path, offset: offset, xor: 1)
        }
    }

    @Test func damageAnywhereInAFileIsFound() throws {
        let engine = try engine()
        let version = try engine.version()
        let storeID = engine.withWriter { $0.root.storeID }
        // A stride of its own for each file, so that every kind of place has its turn.
        for path in sealedFiles.suffix(3) {
            let size = try #require(disk.contents(of: path)).count
            for offset in stride(from: size % 29, to: size, by: 29) {
                disk.corrupt(path: path, offset: offset, xor: 1)
                let scrubber = Scrubber(options: options(disk), folder: "store", storeID: storeID)
                _ = scrubber.step(byteCount: .max, version: version) { _ in nil }
                #expect(scrubber.statistics.findings.count == 1, "\(path) \(offset)")
                disk.corrupt(path: path, offset: offset, xor: 1)
            }
        }
    }

    @Test func aDeletionFileThatWasReplacedMeanwhileIsNoDamage() throws {
        let engine = try engine()
        let version = try engine.version()
        let storeID = engine.withWriter { $0.root.storeID }
        let segment = try #require(version.segments.first).segment
        let stale = try #require(engine.deletions(of: segment.id))
        try engine.delete("notes", "k20")
        try engine.checkpoint()
        for isReplaced in [true, false] {
            let scrubber = Scrubber(options: options(disk), folder: "store", storeID: storeID)
            var isFirst = true
            _ = scrubber.step(byteCount: .max, version: version) { id in
                guard id == segment.id else { return nil }
                defer { isFirst = false }
                return isFirst || !isReplaced ? stale : engine.deletions(of: id)
            }
            #expect(scrubber.statistics.findings.isEmpty == isReplaced)
        }
    }

    @Test func aReadThatFailsIsAFinding() throws {
        let engine = try engine()
        disk.setFaults([Fault(operation: .read, ordinal: 1, errorNumber: 5, once: false)])
        try pass(engine)
        disk.setFaults([])
        let findings = engine.statistics().scrub.findings
        #expect(!findings.isEmpty)
        #expect(findings.allSatisfy { $0.kind == .unreadable })
    }

    @Test func theBackgroundKeepsItsPace() throws {
        let engine = try engine { $0.scrubBytesPerSecond = 80_000 }
        #expect(engine.scrubber.tick(engine) == Scrubber.firstPauseMilliseconds + 1)
        clock.advance(milliseconds: UInt32(Scrubber.firstPauseMilliseconds))
        var elapsed: UInt64 = 0
        while engine.statistics().scrub.passCount == 0 {
            let pause = try #require(engine.scrubber.tick(engine))
            if engine.statistics().scrub.passCount > 0 {
                #expect(pause == Scrubber.restMilliseconds)
                break
            }
            // Called too early it does nothing.
            let before = engine.statistics().scrub.byteCount
            _ = engine.scrubber.tick(engine)
            #expect(engine.statistics().scrub.byteCount == before)
            clock.advance(milliseconds: UInt32(pause))
            elapsed += pause
            let byteCount = engine.statistics().scrub.byteCount
            #expect(byteCount <= 80_000 * elapsed / 1_000 + 1_000)
        }
        #expect(elapsed > 0)
    }

    @Test func aPausedScrubberDoesNothingUntilItGoesOn() throws {
        let engine = try engine { $0.scrubBytesPerSecond = 80_000 }
        clock.advance(milliseconds: UInt32(Scrubber.firstPauseMilliseconds))
        engine.setScrubPaused(true)
        #expect(engine.scrubber.tick(engine) == nil)
        #expect(engine.statistics().scrub.byteCount == 0)
        #expect(engine.statistics().scrub.isPaused)
        engine.setScrubPaused(false)
        #expect(engine.scrubber.tick(engine) != nil)
        #expect(engine.statistics().scrub.byteCount > 0)
    }

    @Test func offMeansOff() throws {
        let engine = try engine()
        clock.advance(milliseconds: .max)
        #expect(engine.scrubber.tick(engine) == nil)
        #expect(engine.statistics().scrub.byteCount == 0)
    }

    @Test func aWriterBesideChangesNothingForThePass() throws {
        let engine = try engine()
        var steps = 0
        while try !engine.scrubStep(byteCount: 8_192) {
            // New segments and new deletion files come up under its feet.
            try engine.put("notes", "s\(steps)", text: "x", vector: [1, 1])
            try engine.delete("notes", "k\(10 + steps % 20)")
            try engine.checkpoint()
            steps += 1
            #expect(steps < 200)
        }
        #expect(steps > 2)
        #expect(engine.statistics().scrub.findings == [])
    }

    @Test func poisonIsAFailureAndAFailedCheckpointIsNot() throws {
        let engine = try engine()
        try engine.put("notes", "z", text: "z")
        disk.setFaults([Fault(operation: .write, ordinal: 1, errorNumber: 28, once: false)])
        #expect(storeCode { () throws(StoreError) in try engine.checkpoint() } == .noSpace)
        #expect(!engine.health().hasFailed)
        #expect(engine.health().reasons.count == 1)
        #expect(
            storeCode { () throws(StoreError) in try engine.put("notes", "y", text: "y") } != nil
        )
        #expect(engine.health().hasFailed)
        disk.setFaults([])
    }

    @Test func anOldSnapshotIsToldWhereItDoesNotExpire() throws {
        let engine = try engine {
            $0.snapshotAgeMilliseconds = 1_000
            $0.expiresSnapshots = false
        }
        let pin = try engine.pin(label: "slow")
        #expect(engine.health().reasons.isEmpty)
        clock.advance(milliseconds: 1_000)
        guard case .snapshotTooOld(let told)? = engine.health().reasons.first else {
            Issue.record("nothing is told")
            return
        }
        #expect(told.id == pin.id)
    }
}
