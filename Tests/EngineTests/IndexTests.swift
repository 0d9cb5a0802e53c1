// Derived files: made, held by versions, replaced and let go, and never needed.

import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineSimulation
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

struct IndexTests {
    let place = IndexFixture()
    var disk: SimulatedFileSystem { place.disk }

    @Test func everySegmentGetsWhatItIsWorth() throws {
        let engine = try place.make()
        #expect(engine.statistics().unindexedRowCount == 10)
        #expect(try engine.buildIndexes() == 4)
        #expect(try place.kinds(engine) == [[.codes, .graph, .columns], [.columns]])
        let statistics = engine.statistics()
        #expect(statistics.indexes.count == 4)
        #expect(statistics.unindexedRowCount == 0)
        #expect(statistics.derivedByteCount == statistics.indexes.writtenByteCount)
        #expect(statistics.volume.derivedByteCount > statistics.derivedByteCount)
        #expect(try engine.buildIndexes() == 0)
        try place.expectSound()
        let files = try place.files()
        #expect(files.count == 4)
        try engine.close()
        try place.expectSound()

        let again = try place.open()
        #expect(again.openingNotes.isEmpty)
        #expect(try place.kinds(again) == [[.codes, .graph, .columns], [.columns]])
        #expect(try again.buildIndex() == false)
        try again.put("notes", "later", text: "x")
        #expect(try place.files() == files)
        try again.close()
    }

    @Test func aVersionKeepsWhatItHad() throws {
        let engine = try place.make()
        let bare = try engine.version()
        try engine.buildIndexes()
        let indexed = try engine.version()
        #expect(bare.segments.allSatisfy { $0.indexes.all.isEmpty })
        #expect(bare.lsn == indexed.lsn)
        let codes = try #require(indexed.segments[0].indexes[.codes])
        // Deaths and further commits copy the view; the files stay with it.
        try engine.delete("notes", "n0-1")
        let later = try engine.version()
        #expect(later.segments[0].dead.count == 1)
        #expect(later.segments[0].indexes[.codes] === codes)
        #expect(indexed.segments[0].indexes[.codes] === codes)
        try engine.close()
    }

    @Test func mergedSegmentsTakeTheirFilesWithThem() throws {
        let engine = try place.make(segments: 3)
        try engine.buildIndexes()
        let before = try place.files()
        let pin = try engine.pin()
        try engine.compact(all: true)
        #expect(try place.kinds(engine) == [DerivedKind.allCases])
        let during = try place.files()
        #expect(during.count == before.count + 3 && Set(during).isSuperset(of: before))
        let derived = try pin.version().segments.reduce(0) { $0 + $1.indexes.byteCount }
        let pinned = engine.statistics().pinnedByteCount
        #expect(derived > 0 && pinned > derived)
        pin.release()
        #expect(try engine.buildIndexes() == 0)
        #expect(try place.files().count == 3)
        try place.expectSound()
        try engine.close()
    }

    @Test func aFileWhoseSegmentWasMergedMeanwhileIsRemoved() throws {
        let engine = try place.make { $0.indexesInBackground = false }
        let task = try #require(engine.chooseIndex(busy: [], blocked: []))
        let built = try engine.build(task, width: 1) {}
        #expect(try place.files().count == 1)
        try engine.compact(all: true)
        #expect(storeCode { () throws(StoreError) in try engine.install(built) } == .cancelled)
        #expect(engine.health().reasons.isEmpty)
        withExtendedLifetime(task) {}
        try engine.close()
        let again = try place.open()
        #expect(try place.files().isEmpty)
        try again.close()
        try place.expectSound()
    }

    @Test func aBuildOfASegmentThatIsMergedEndsAtItsNextStep() throws {
        let engine = try place.make { $0.indexesInBackground = false }
        let task = try #require(engine.chooseIndex(busy: [], blocked: []))
        let hasMerged = Mutex(false)
        let code = storeCode { () throws(StoreError) in
            try engine.run(task, width: 1) { () throws(StoreError) in
                let isFirst = hasMerged.withLock { merged -> Bool in
                    defer { merged = true }
                    return !merged
                }
                if isFirst { try engine.compact(all: true) }
            }
        }
        #expect(code == .cancelled)
        #expect(try place.files().isEmpty)
        try engine.close()
    }

    @Test func cancellingLeavesNoFile() throws {
        let engine = try place.make()
        let calls = Mutex(0)
        let code = storeCode { () throws(StoreError) in
            try engine.buildIndexes { _ in
                calls.withLock { calls in
                    calls += 1
                    return calls < 4
                }
            }
        }
        #expect(code == .cancelled)
        #expect(try place.files().count == 1)
        try place.expectSound()
        #expect(try engine.buildIndexes() == 3)
        try engine.close()
    }

    // MARK: Damage

    @Test(arguments: DerivedKind.allCases)
    func aDamagedFileIsNotUsedAndMadeAnew(kind: DerivedKind) throws {
        let engine = try place.make()
        try engine.buildIndexes()
        let contents = try engine.contents("notes")
        try engine.close()
        let name = try #require(try place.files([kind]).first)
        try place.damage(name)
        let report = try place.verify()
        #expect(report.findings.contains { $0.file == name })
        #expect(report.findings.allSatisfy { $0.file == name })
        #expect(
            report.unchecked.contains { $0.hasSuffix("its codes cannot be read") }
                == (kind == .codes)
        )

        let again = try place.open()
        #expect(again.openingNotes.contains { $0.path?.hasSuffix(name) ?? false })
        #expect(try again.version().segments[0].indexes[kind] == nil)
        #expect(try again.contents("notes") == contents)
        try again.buildIndexes()
        #expect(try place.kinds(again) == [[.codes, .graph, .columns], [.columns]])
        #expect(try !place.files().contains(name))
        try place.expectSound()
        try again.close()
    }

    @Test func aMissingFileIsAFindingAndNoMore() throws {
        let engine = try place.make()
        try engine.buildIndexes()
        try engine.close()
        let name = try #require(try place.files([.columns]).first)
        #expect(disk.removeForTest("store/" + name))
        #expect(try place.verify().findings.map(\.file) == [name])
        let again = try place.open()
        #expect(again.openingNotes.count == 1)
        #expect(try again.buildIndexes() == 1)
        try again.close()
        try place.expectSound()
    }

    @Test func aFileOfOtherTruthIsNotUsed() throws {
        let engine = try place.make(segments: 3)
        try engine.buildIndexes()
        try engine.withWriter { writer throws(StoreError) in
            // The codes of one segment named as those of another.
            let (first, second) = (writer.state.segments[0].id, writer.state.segments[1].id)
            let file = writer.state.derived[second]?[1]
            guard let file else { return }
            try writer.commitEdits([
                .derived(DerivedEntry(segmentID: first, kindNumber: 1, file: file))
            ])
        }
        try engine.close()
        let again = try place.open()
        #expect(try again.version().segments[0].indexes[.codes] == nil)
        #expect(try again.version().segments[1].indexes[.codes] != nil)
        try again.close()
    }

    @Test func theScrubberFindsDamage() throws {
        let engine = try place.make()
        try engine.buildIndexes()
        while try !engine.scrubStep(byteCount: 1 << 12) {}
        #expect(engine.statistics().scrub.findings.isEmpty)
        for name in try place.files() { try place.damage(name) }
        while try !engine.scrubStep(byteCount: 1 << 12) {}
        let found = Set(engine.statistics().scrub.findings.map(\.file))
        #expect(found == Set(try place.files()))
        try engine.close()
    }

    // MARK: What is not made

    @Test func whatIsNotWorthAFileIsTriedOnce() throws {
        let tries = Mutex(0)
        let engine = try place.make {
            $0.indexFormats = SampleIndex.formats { kind, _ throws(StoreError) in
                if kind == .columns { tries.withLock { $0 += 1 } }
                return kind == .columns
            }
        }
        #expect(try engine.buildIndexes() == 2)
        #expect(try engine.buildIndexes() == 0)
        #expect(tries.withLock { $0 } == 2)
        try engine.close()
    }

    @Test func aNamedFileThatNothingTakesThePlaceOfIsDropped() throws {
        let engine = try place.make()
        try engine.buildIndexes()
        try engine.close()
        for name in try place.files() { try place.damage(name) }
        let again = try place.open { $0.indexFormats = SampleIndex.formats(leastRowCount: 100) }
        #expect(try again.buildIndexes() == 0)
        #expect(again.withWriter { $0.state.derived.values.allSatisfy(\.isEmpty) })
        #expect(try place.files().isEmpty)
        try again.close()
        try place.expectSound()
    }

    @Test func anUnknownKindIsKeptAndMeansNothing() throws {
        let engine = try place.make()
        let later = SealedFileReference(fileID: 3, byteCount: 9, footerChecksum: 1)
        let id = try engine.version().segments[0].segment.id
        try engine.withWriter { writer throws(StoreError) in
            try writer.commitEdits([
                .derived(DerivedEntry(segmentID: id, kindNumber: 77, file: later))
            ])
        }
        try engine.buildIndexes()
        try engine.close()
        try place.expectSound()
        // A start writes the whole state anew.
        let again = try place.open()
        try again.put("notes", "x", text: "x")
        #expect(again.withWriter { $0.state.derived[id]?[77] } == later)
        try again.compact(all: true)
        let kinds = again.withWriter { $0.state.derived.mapValues { $0.keys.sorted() } }
        #expect(kinds.count == 1 && kinds[id] == nil && kinds.values.first == [1, 2, 3])
        try again.close()
    }

    @Test func purgeLeavesNothingInDerivedFiles() throws {
        let engine = try place.make()
        let secret = "the secret that must not stay anywhere"
        try engine.put("notes", "secret-id-of-somebody", text: secret, vector: [1, 2])
        try engine.checkpoint()
        try engine.buildIndexes()
        #expect(
            try place.files([.columns]).contains { name in
                disk.contents(of: "store/" + name).map { bytes in
                    bytes.indices.contains { bytes[$0...].starts(with: secret.utf8) }
                } ?? false
            }
        )
        let report = try engine.purge(
            "notes",
            ids: [Array("secret-id-of-somebody".utf8)],
            waitMilliseconds: 0,
            proves: true
        )
        #expect(report.proof?.findings.isEmpty == true)
        try engine.close()
        try place.expectSound()
    }

    // MARK: Followers

    @Test func aFollowerSeesWhatTheManifestNames() throws {
        let engine = try place.make()
        let follower = try place.open { $0.isReadOnly = true }
        #expect(try place.kinds(follower) == [[], []])
        try engine.buildIndexes()
        try follower.refresh()
        #expect(try place.kinds(follower) == [[.codes, .graph, .columns], [.columns]])
        let file = try follower.version().segments[0].indexes[.codes]
        try engine.put("notes", "more", text: "x")
        try follower.refresh()
        #expect(try follower.version().segments[0].indexes[.codes] === file)
        // What vanished is ignored.
        let name = try #require(try place.files([.columns]).first)
        #expect(disk.removeForTest("store/" + name))
        let late = try place.open { $0.isReadOnly = true }
        #expect(late.openingNotes.isEmpty)
        #expect(try place.kinds(late)[0] == [.codes, .graph])
        for engine in [late, follower, engine] { try engine.close() }
    }
}
