// Pins: what they list, what they keep, when they end.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

/// Runs `body` and gives the code that it throws, `nil` when it throws none.
func storeCode<R>(_ body: () throws(StoreError) -> R) -> StoreError.Code? {
    do throws(StoreError) {
        _ = try body()
        return nil
    } catch {
        return error.code
    }
}

struct SnapshotTests {
    private let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)

    private func engine(_ change: (inout EngineOptions) -> Void = { _ in }) throws -> Engine {
        var options = options(SimulatedFileSystem())
        options.clock = clock
        change(&options)
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        try engine.put("notes", "a", text: "one")
        return engine
    }

    @Test func pinsAreListedOldestFirstWithAgeAndLabel() throws {
        let engine = try engine()
        let first = try engine.pin(label: "report")
        clock.advance(milliseconds: 5_000)
        let second = try engine.pin()
        clock.advance(milliseconds: 1_000)
        let pins = engine.statistics().snapshots
        #expect(pins.map(\.id) == [first.id, second.id])
        #expect(pins.map(\.label) == ["report", nil])
        #expect(pins.map(\.ageMilliseconds) == [6_000, 1_000])
        #expect(pins.map(\.takenMilliseconds) == [1_700_000_000_000, 1_700_000_005_000])
        #expect(pins.map(\.lsn) == [2, 2])
    }

    @Test func aPinThatGoesIsNoLongerListedAndKeepsNothing() throws {
        let engine = try engine()
        weak var version: Version?
        do {
            let pin = try engine.pin()
            version = try pin.version()
            try engine.put("notes", "b", text: "two")
            #expect(version != nil)
            #expect(engine.statistics().snapshots.count == 1)
            withExtendedLifetime(pin) {}
        }
        #expect(version == nil)
        #expect(engine.statistics().snapshots.isEmpty)
    }

    @Test func releaseLetsGoAtOnceAndTwiceIsHarmless() throws {
        let engine = try engine()
        let pin = try engine.pin()
        weak let version = try pin.version()
        try engine.put("notes", "b", text: "two")
        pin.release()
        pin.release()
        #expect(version == nil)
        #expect(storeCode { () throws(StoreError) in try pin.version() } == .closed)
        #expect(engine.statistics().snapshots.isEmpty)
    }

    @Test func aPinExpiresAtItsAgeAndNotBefore() throws {
        let engine = try engine { $0.snapshotAgeMilliseconds = 1_000 }
        let pin = try engine.pin()
        clock.advance(milliseconds: 999)
        #expect(storeCode { () throws(StoreError) in try pin.version() } == nil)
        clock.advance(milliseconds: 1)
        #expect(storeCode { () throws(StoreError) in try pin.version() } == .snapshotExpired)
        #expect(pin.collections.map(\.name) == ["notes"])
        #expect(engine.statistics().snapshots.isEmpty)
        #expect(engine.statistics().expiredSnapshotCount == 1)
    }

    @Test(arguments: ["commit", "statistics", "maintenance"])
    func aForgottenPinLetsGoWithoutBeingRead(by way: String) throws {
        let engine = try engine { $0.snapshotAgeMilliseconds = 1_000 }
        let old = try engine.pin()
        weak let version = try old.version()
        clock.advance(milliseconds: 600)
        try engine.put("notes", "b", text: "two")
        let young = try engine.pin()
        clock.advance(milliseconds: 400)
        #expect(version != nil)
        switch way {
        case "commit": try engine.put("notes", "c", text: "three")
        case "statistics": _ = engine.statistics()
        default: #expect(engine.maintain() == 601)
        }
        #expect(version == nil)
        #expect(engine.statistics().snapshots.map(\.id) == [young.id])
        #expect(old.lsn == 2)
    }

    @Test func aReadInProgressEndsOnTheVersionThatItHolds() throws {
        let engine = try engine { $0.snapshotAgeMilliseconds = 1_000 }
        try engine.put("notes", "b", text: "two")
        let pin = try engine.pin()
        let version = try pin.version()
        let shape = try #require(version.collection("notes"))
        var ids: [String] = []
        try version.scan(shape, wantsVectors: false) { document in
            clock.advance(milliseconds: 2_000)
            _ = engine.statistics()
            ids.append(String(decoding: document.id, as: UTF8.self))
            return true
        }
        #expect(ids == ["a", "b"])
        #expect(storeCode { () throws(StoreError) in try pin.version() } == .snapshotExpired)
    }

    @Test func withoutExpiryAnOldPinIsToldAndStays() throws {
        let engine = try engine {
            $0.snapshotAgeMilliseconds = 1_000
            $0.expiresSnapshots = false
        }
        let pin = try engine.pin()
        #expect(engine.statistics().snapshots.map(\.isOverAge) == [false])
        clock.advance(milliseconds: 1_000)
        #expect(engine.statistics().snapshots.map(\.isOverAge) == [true])
        #expect(storeCode { () throws(StoreError) in try pin.version() } == nil)
    }

    @Test func withoutALimitNothingIsTooOld() throws {
        let engine = try engine { $0.snapshotAgeMilliseconds = nil }
        let pin = try engine.pin()
        clock.advance(milliseconds: .max)
        #expect(engine.statistics().snapshots.map(\.isOverAge) == [false])
        #expect(storeCode { () throws(StoreError) in try pin.version() } == nil)
    }

    @Test func pinnedBytesAreThoseOfSegmentsThatTheNewestVersionHasNot() throws {
        let engine = try engine()
        try engine.checkpoint()
        let one = try engine.version()
        try engine.put("notes", "b", text: "two")
        let memory = try engine.pin()
        try engine.checkpoint()
        let both = try engine.pin()
        let again = try engine.pin()
        let two = try engine.version()
        let bytes = try #require(two.segments.last).segment.byteCount
        #expect(bytes > 0)
        // Beside the newest version nothing but the memtable that was written is kept.
        var (pins, sum) = engine.snapshots.list(beside: two)
        #expect(pins.map(\.pinnedByteCount) == [0, 0, 0])
        #expect(pins.map { $0.memoryByteCount > 0 } == [true, false, false])
        #expect(sum == 0)
        // Beside a version without the second segment, it is; shared files count once in the sum.
        (pins, sum) = engine.snapshots.list(beside: one)
        #expect(pins.map(\.pinnedByteCount) == [0, bytes, bytes])
        #expect(sum == bytes)
        withExtendedLifetime((memory, both, again)) {}
    }

    @Test func aClosedEngineGivesNoPins() throws {
        let engine = try engine()
        try engine.close()
        #expect(storeCode { () throws(StoreError) in try engine.pin() } == .closed)
    }
}
