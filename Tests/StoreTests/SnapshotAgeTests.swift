// Snapshots as a host keeps and forgets them.

import Foundation
import Moraine
import MoraineFiles
import Testing

struct SnapshotAgeTests {
    private let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)

    private func store(_ configuration: Store.Configuration = .init()) throws -> Store {
        let store = try Store.open(
            at: "/store",
            configuration: configuration,
            fileSystem: SimulatedFileSystem(),
            clock: clock
        )
        try store.collection("notes", dimensions: 4).put(documents(0..<100))
        return store
    }

    @Test func statisticsNameForgottenSnapshots() throws {
        let store = try store()
        let snapshot = try store.snapshot(label: "nightly report")
        clock.advance(milliseconds: 90_000)
        let entry = try #require(try store.statistics().snapshots.first)
        #expect(entry.id == snapshot.id)
        #expect(entry.label == "nightly report")
        #expect(entry.version == snapshot.version)
        #expect(entry.age == .seconds(90))
        #expect(entry.taken.timeIntervalSince1970 == 1_700_000_000)
        snapshot.close()
        #expect(try store.statistics().snapshots.isEmpty)
        #expect(code { () throws(MoraineError) in try snapshot.count(in: "notes") } == .closed)
    }

    @Test func aSnapshotExpiresAfterAnHour() throws {
        let store = try store()
        let snapshot = try store.snapshot()
        clock.advance(milliseconds: 3_599_999)
        #expect(try snapshot.count(in: "notes") == 100)
        clock.advance(milliseconds: 1)
        let expired = code { () throws(MoraineError) in try snapshot.count(in: "notes") }
        #expect(expired == .snapshotExpired)
        #expect(snapshot.collectionNames == ["notes"])
        #expect(try store.snapshot().count(in: "notes") == 100)
        #expect(try store.statistics().expiredSnapshotCount == 1)
    }

    @Test func aForgottenSequenceExpiresToo() async throws {
        let store = try store()
        let notes = try store.existingCollection("notes")
        let sequence = try notes.scan()
        #expect(try store.statistics().snapshots.map(\.label) == ["scan"])
        var iterator = sequence.makeAsyncIterator()
        #expect(try await iterator.next()?.id == "d000")
        clock.advance(milliseconds: 3_600_000)
        // The portion that was read is delivered, the next one is not read.
        var count = 1
        let ended = await asyncCode { () async throws(MoraineError) in
            while try await iterator.next() != nil { count += 1 }
        }
        #expect(ended == .snapshotExpired)
        #expect(count == 64)
    }

    @Test func anAgeOfZeroIsRefused() throws {
        var configuration = Store.Configuration()
        configuration.maxSnapshotAge = .zero
        #expect(
            code { () throws(MoraineError) in try store(configuration: configuration) }
                == .invalidArgument
        )
    }

    private func store(configuration: Store.Configuration) throws(MoraineError) -> Store {
        try Store.inMemory(configuration: configuration)
    }
}

struct HealthTests {
    @Test func aSoundStoreIsWellAndSaysSo() throws {
        let store = try Store.inMemory()
        try store.collection("notes").put(Document(id: "a"))
        let health = try store.health()
        #expect(health.level == .ok)
        #expect(health.reasons.isEmpty)
        #expect(try store.statistics().scrub.passCount == 0)
        try store.pauseScrub()
        #expect(try store.statistics().scrub.isPaused)
        try store.resumeScrub()
        #expect(try !store.statistics().scrub.isPaused)
        try store.close()
        #expect(code { () throws(MoraineError) in try store.health() } == .closed)
    }

    @Test func anOldSnapshotDegradesAndIsNamed() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        var configuration = Store.Configuration()
        configuration.expiresSnapshots = false
        let store = try Store.open(
            at: "/store",
            configuration: configuration,
            fileSystem: SimulatedFileSystem(),
            clock: clock
        )
        let snapshot = try store.snapshot(label: "forgotten")
        clock.advance(milliseconds: 3_600_000)
        let health = try store.health()
        #expect(health.level == .degraded)
        #expect(health.reasons.map(\.kind) == ["snapshot-too-old"])
        #expect(health.reasons[0].message.contains("\"forgotten\""))
        snapshot.close()
        #expect(try store.health().level == .ok)
    }
}
