// Collections renamed and dropped, deletes by prefix, patches.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage
import Testing

@testable import MoraineEngine

extension Engine {
    func create(_ name: String, dimensions: Int = 0) throws(StoreError) {
        try commit { batch throws(StoreError) in
            try batch.createCollection(name, dimensions: dimensions, metric: .l2)
        }
    }

    @discardableResult
    func delete(_ collection: String, prefix: String) throws(StoreError) -> Int {
        try commitCounting { batch throws(StoreError) in
            try batch.delete(collection, prefix: prefix)
        }.removedCount
    }

    func names() throws(StoreError) -> [String] { try version().collections.map(\.name) }
}

extension BatchBuilder {
    mutating func delete(_ collection: String, prefix: String) throws(StoreError) {
        let shape = try self.collection(collection)
        try withBytes(Array(prefix.utf8)) { bytes throws(StoreError) in
            try delete(shape, prefix: bytes)
        }
    }

    mutating func put(
        _ collection: String,
        _ id: String,
        text: String,
        vector: [Float]? = nil,
        expiry: UInt64 = 0
    ) throws(StoreError) {
        let shape = try self.collection(collection)
        try withBytes(Array(id.utf8)) { id throws(StoreError) in
            try withBytes(Array(text.utf8)) { text throws(StoreError) in
                try withBytes(Metadata.empty) { metadata throws(StoreError) in
                    try (vector ?? []).withUnsafeBufferPointer { floats throws(StoreError) in
                        try put(
                            shape,
                            id: id,
                            text: text,
                            metadata: metadata,
                            vector: vector == nil ? nil : floats,
                            expiry: expiry
                        )
                    }
                }
            }
        }
    }

    /// Sets one key to a small number and removes others.
    mutating func patch(
        _ collection: String,
        _ id: String,
        set key: String? = nil,
        to number: UInt8 = 0,
        remove: [String] = [],
        ifVersion: UInt64? = nil
    ) throws(StoreError) {
        let shape = try self.collection(collection)
        var changes = Metadata.empty
        if let key { changes = [1, UInt8(key.utf8.count)] + Array(key.utf8) + [4, number] }
        try withBytes(Array(id.utf8)) { id throws(StoreError) in
            try withBytes(changes) { changes throws(StoreError) in
                try patch(
                    shape,
                    id: id,
                    setting: changes,
                    removing: remove.map { Array($0.utf8) },
                    expectedVersion: ifVersion
                )
            }
        }
    }

    private func withBytes<R>(
        _ bytes: [UInt8],
        _ body: (UnsafeRawBufferPointer) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        try bytes.withUnsafeBufferPointer { buffer throws(StoreError) in
            try body(UnsafeRawBufferPointer(buffer))
        }
    }
}

struct CollectionTests {
    private let disk = SimulatedFileSystem()

    private func open() throws -> Engine { try Engine.open(at: "store", options: options(disk)) }

    private func expectSound() throws {
        let report = try Engine.verify("store", options: options(disk))
        #expect(report.findings.isEmpty, "\(report.findings)")
    }

    private func code(_ body: () throws -> Void) -> StoreError.Code? {
        do { try body() } catch { return (error as? StoreError)?.code }
        return nil
    }

    /// How many documents of three a search finds.
    private func nearest(_ version: Version, _ shape: CollectionShape, _ query: [Float]) throws
        -> Int
    {
        try query.withUnsafeBufferPointer {
            try version.search(shape, query: $0, SearchRequest(limit: 3)).hits.count
        }
    }

    /// The removals that segments hold.
    private func removals(_ engine: Engine) throws -> [Removal] {
        try engine.version().segments.flatMap { $0.segment.files.removals }
    }

    @Test(arguments: [false, true])
    func aDroppedCollectionIsGoneButForOlderVersions(flushes: Bool) throws {
        let engine = try open()
        try engine.create("notes", dimensions: 2)
        try engine.create("other")
        for index in 0..<20 {
            try engine.put("notes", "n\(index)", text: "t", vector: [Float(index), 1])
            try engine.put("other", "o\(index)", text: "t")
            if flushes, index == 11 { try engine.checkpoint() }
        }
        try engine.delete("notes", "n3")
        let before = try engine.version()
        let shape = try #require(before.collection("notes"))
        try engine.commit { batch throws(StoreError) in try batch.dropCollection("notes") }
        if flushes { try engine.checkpoint() }
        let after = try engine.version()
        #expect(after.collections.map(\.name) == ["other"])
        #expect(try after.count(shape) == 0 && before.count(shape) == 19)
        #expect(try nearest(before, shape, [5, 1]) == 3)
        #expect(try nearest(after, shape, [5, 1]) == 0)
        #expect(try engine.contents("other").count == 20)
        if flushes {
            #expect(try removals(engine).contains { $0.collectionID == shape.id })
            // Every row of it is dead: compaction has nothing more to know.
            for view in after.segments {
                let rows = view.segment.files.rows(of: shape.id)
                #expect(view.dead.count(in: rows) == rows.count)
            }
        }
        try engine.close()
        try expectSound()
        let again = try open()
        #expect(try again.names() == ["other"])
        try again.close()
    }

    @Test func aNameIsFreeAtOnceInTheSameCommitToo() throws {
        let engine = try open()
        try engine.create("notes")
        try engine.put("notes", "a", text: "old")
        let old = try #require(try engine.version().collection("notes"))
        try engine.checkpoint()
        try engine.commit { batch throws(StoreError) in
            try batch.put("notes", "b", text: "never seen")
            try batch.dropCollection("notes")
            try batch.createCollection("notes", dimensions: 2, metric: .dot)
            try batch.put("notes", "a", text: "new", vector: [1, 2])
        }
        let new = try #require(try engine.version().collection("notes"))
        #expect(new.id > old.id && new.dimensions == 2)
        for _ in 0..<2 {
            #expect(try engine.contents("notes") == ["a=new"])
            try engine.checkpoint()
        }
        try engine.close()
        try expectSound()
        let again = try open()
        #expect(try again.contents("notes") == ["a=new"])
        #expect(try again.version().collection("notes") == new)
        // A handle on the dropped collection is refused, not taken for the new one.
        let refused = code {
            try again.commit { batch throws(StoreError) in
                try Metadata.empty.withUnsafeBufferPointer { bytes throws(StoreError) in
                    try batch.delete(old, id: UnsafeRawBufferPointer(bytes))
                }
            }
        }
        #expect(refused == .unknownCollection)
        try again.close()
    }

    @Test func compactionReclaimsWhatWasTakenAwayAndThenForgetsIt() throws {
        let engine = try open()
        for name in ["a", "b"] { try engine.create(name) }
        for index in 0..<200 {
            try engine.put(index % 2 == 0 ? "a" : "b", "\(index)", text: "t\(index)")
            if index % 50 == 49 { try engine.checkpoint() }
        }
        try engine.commit { batch throws(StoreError) in
            try batch.dropCollection("a")
            try batch.renameCollection("b", to: "a")
        }
        try engine.delete("a", prefix: "1")
        try engine.checkpoint()
        #expect(try removals(engine).count == 2)
        let left = try engine.contents("a")
        try engine.compact(all: true)
        #expect(try engine.contents("a") == left)
        let segments = try engine.version().segments
        #expect(segments.reduce(0) { $0 + $1.segment.rowCount } == left.count)
        #expect(try removals(engine).isEmpty)
        try engine.close()
        try expectSound()
        let again = try open()
        #expect(try again.contents("a") == left)
        try again.close()
    }

    @Test func aDropOfTheLogIsReplayed() throws {
        let engine = try open()
        try engine.create("notes")
        try engine.put("notes", "a", text: "in a segment")
        try engine.checkpoint()
        try engine.put("notes", "b", text: "in the log")
        try engine.commit { batch throws(StoreError) in try batch.dropCollection("notes") }
        try engine.create("notes")
        try engine.put("notes", "c", text: "new")
        disk.crashAt(operation: 1)
        try? engine.close()
        disk.killProcess()
        let again = try open()
        #expect(try again.contents("notes") == ["c=new"])
        try again.checkpoint()
        #expect(try again.contents("notes") == ["c=new"])
        #expect(try removals(again).count == 1)
        try again.close()
        try expectSound()
    }

    @Test func aRenameKeepsEverythingAndStandsInTheNextSegment() throws {
        let engine = try open()
        try engine.create("a")
        try engine.create("b")
        try engine.put("a", "x", text: "1")
        try engine.checkpoint()
        try engine.commit { batch throws(StoreError) in
            // Names change places.
            try batch.renameCollection("a", to: "c")
            try batch.renameCollection("b", to: "a")
            try batch.renameCollection("c", to: "b")
            try batch.put("b", "y", text: "2")
        }
        #expect(try engine.names() == ["a", "b"])
        #expect(try engine.contents("b") == ["x=1", "y=2"])
        #expect(try engine.contents("a") == [])
        try engine.commit { batch throws(StoreError) in try batch.renameCollection("b", to: "z") }
        try engine.checkpoint()
        let newest = try #require(try engine.version().segments.last)
        #expect(newest.segment.files.collections.map(\.shape.name) == ["z", "a"])
        #expect(code { try rename(engine, "z", "a") } == .collectionExists)
        #expect(code { try rename(engine, "none", "a") } == .unknownCollection)
        #expect(code { try rename(engine, "z", "") } == .invalidName)
        try rename(engine, "z", "z")
        try engine.close()
        try expectSound()
        let again = try open()
        #expect(try again.contents("z") == ["x=1", "y=2"])
        try again.close()
    }

    private func rename(_ engine: Engine, _ name: String, _ newName: String) throws {
        try engine.commit { batch throws(StoreError) in
            try batch.renameCollection(name, to: newName)
        }
    }

    @Test func aPrefixTakesItsDocumentsAwayWhereverTheyAre() throws {
        let engine = try open()
        try engine.create("notes", dimensions: 1)
        try engine.create("twin")
        for index in 0..<30 {
            try engine.put("notes", "a/\(index)", text: "t", vector: [Float(index)])
            try engine.put("notes", "b/\(index)", text: "t")
            try engine.put("twin", "a/\(index)", text: "t")
            if index % 13 == 12 { try engine.checkpoint() }
        }
        try engine.delete("notes", "a/29")
        let before = try engine.version()
        #expect(try engine.delete("notes", prefix: "a/1") == 11)
        #expect(try engine.delete("notes", prefix: "a/1") == 0)
        #expect(try engine.delete("notes", prefix: "a/") == 18)
        #expect(try engine.contents("notes").count == 30)
        #expect(try engine.contents("twin").count == 30)
        let shape = try #require(before.collection("notes"))
        #expect(try before.count(shape) == 59 && engine.version().count(shape) == 30)
        #expect(try nearest(try engine.version(), shape, [3]) == 0)
        try engine.put("notes", "a/1", text: "again")
        try engine.checkpoint()
        // The delete that found nothing left no removal.
        #expect(
            try removals(engine).map { $0.prefix.map { String(decoding: $0, as: UTF8.self) } }
                == ["a/1", "a/"]
        )
        try engine.close()
        try expectSound()
        let again = try open()
        #expect(try again.contents("notes").first == "a/1=again")
        #expect(code { try again.delete("notes", prefix: "") } == .invalidID)
        #expect(code { try again.delete("none", prefix: "a") } == .unknownCollection)
        try again.close()
    }

    @Test func operationsOfOneCommitSeeItsDeletesByPrefix() throws {
        let engine = try open()
        try engine.create("notes")
        try engine.put("notes", "a/1", text: "old")
        try engine.checkpoint()
        let count = try engine.commitCounting { batch throws(StoreError) in
            try batch.put("notes", "a/2", text: "passing")
            try batch.delete("notes", prefix: "a/")
            try batch.put("notes", "a/1", text: "new")
        }.removedCount
        #expect(count == 2)
        #expect(try engine.contents("notes") == ["a/1=new"])
        // Deleted and put again: created anew.
        let created = try document(engine, "a/1")
        #expect(created.created == created.updated)
    }

    private func document(_ engine: Engine, _ id: String) throws -> (
        created: UInt64, updated: UInt64, version: UInt64, metadata: [UInt8], vector: Int?
    ) {
        let version = try engine.version()
        let shape = try #require(version.collection("notes"))
        return try #require(
            try Array(id.utf8).withUnsafeBytes { id in
                try version.withDocument(shape, id: id, wantsVector: true) { view in
                    (
                        view.created, view.updated, view.version, Array(view.metadata),
                        view.vector?.count
                    )
                }
            }
        )
    }

    @Test func aPatchChangesMetadataAlone() throws {
        let engine = try open()
        try engine.create("notes", dimensions: 2)
        try engine.put("notes", "a", text: "text", vector: [1, 2])
        try engine.checkpoint()
        let first = try document(engine, "a").version
        try engine.commit { batch throws(StoreError) in
            try batch.patch("notes", "a", set: "k", to: 4, ifVersion: first)
            try batch.patch("notes", "a", set: "b", to: 2)
            try batch.patch("notes", "a", set: "c", to: 6, remove: ["k", "none"])
        }
        #expect(try document(engine, "a").metadata == [2, 1, 0x62, 4, 2, 1, 0x63, 4, 6])
        #expect(try document(engine, "a").vector == 8)
        #expect(try engine.contents("notes") == ["a=text"])
        #expect(code { try patch(engine, "a", "x", first) } == .versionConflict)
        #expect(code { try patch(engine, "none", "x", nil) } == .notFound)
        let both = code {
            try engine.commit { batch throws(StoreError) in
                try batch.patch("notes", "a", set: "k", remove: ["k"])
            }
        }
        #expect(both == .invalidArgument)
        let gone = code {
            try engine.commit { batch throws(StoreError) in
                try batch.delete("notes", prefix: "a")
                try batch.patch("notes", "a", set: "k")
            }
        }
        #expect(gone == .notFound)
        try engine.close()
        try expectSound()
    }

    private func patch(_ engine: Engine, _ id: String, _ key: String, _ version: UInt64?) throws {
        try engine.commit { batch throws(StoreError) in
            try batch.patch("notes", id, set: key, to: 2, ifVersion: version)
        }
    }

    @Test func aPatchThatWasOvertakenIsMadeAgain() throws {
        let engine = try open()
        try engine.create("notes")
        try engine.put("notes", "a", text: "first")
        var isFirst = true
        try engine.commit { batch throws(StoreError) in
            try batch.patch("notes", "a", set: "k", to: 8)
            guard isFirst else { return }
            isFirst = false
            // Another commit gets in between building and committing.
            try engine.put("notes", "a", text: "second")
        }
        #expect(!isFirst)
        #expect(try engine.contents("notes") == ["a=second"])
        #expect(try document(engine, "a").metadata == [1, 1, 0x6B, 4, 8])
    }

    @Test func aCommitBuiltBeforeADropIsBuiltAgain() throws {
        let engine = try open()
        try engine.create("notes")
        var isFirst = true
        try engine.commit { batch throws(StoreError) in
            try batch.put("notes", "a", text: "into the new one")
            guard isFirst else { return }
            isFirst = false
            try engine.commit { inner throws(StoreError) in
                try inner.dropCollection("notes")
                try inner.createCollection("notes", dimensions: 0, metric: .dot)
            }
        }
        #expect(try engine.contents("notes") == ["a=into the new one"])
        #expect(try engine.version().collection("notes")?.metric == .dot)
    }

    @Test(arguments: 4...6 as ClosedRange<UInt8>)
    func aLogThatNamesNoCollectionIsDamage(operation: UInt8) throws {
        let engine = try open()
        let payload = [UInt8](repeating: 0, count: 8) + [operation, 9] + [1, 0x61]
        let writer = try #require(engine.writer)
        let count = operation == 5 ? payload.count - 2 : payload.count
        let error = #expect(throws: StoreError.self) {
            try Array(payload[..<count]).withUnsafeBytes {
                try writer.apply($0, count: 1, lsn: 1, path: "wal", base: 0)
            }
        }
        #expect(error?.code == .corrupted)
        try engine.close()
    }
}
