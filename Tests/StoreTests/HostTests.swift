// What a program that embeds the library may ask for, at the edges: times beyond reason, settings
// that contradict each other, handles of collections that have moved, paths that move.

import Foundation
import Moraine
import Testing

struct HostTests {
    private static let times: [Duration] = [
        .zero, .seconds(-1), .seconds(Int64.min), .seconds(Int64.max),
        // Beyond 64 bits of seconds, where the parts of a duration trap.
        .seconds(Int64.max) * 10, .seconds(Int64.min) * 10,
    ]

    @Test(arguments: times)
    func noTimeIsTooLongOrTooShort(time: Duration) async throws {
        let isLong = time > .seconds(1)
        let notes = try makeNotes()
        try await notes.put(documents(0..<20))

        var timed = notes
        timed.readTimeout = time
        let late = isLong ? nil : MoraineError.Code.deadlineExceeded
        #expect(code { () throws(MoraineError) in try timed.count() } == late)
        #expect(
            await asyncCode { () async throws(MoraineError) in
                for try await _ in try timed.scan() {}
            } == late
        )

        #expect(try await notes.purge(ids: ["d001"], timeout: time).documentCount == 1)

        var configuration = Store.Configuration()
        configuration.maxSnapshotAge = time
        let refused = isLong ? nil : MoraineError.Code.invalidArgument
        #expect(
            code { () throws(MoraineError) in
                try Store.inMemory(configuration: configuration)
            } == refused
        )
        configuration = Store.Configuration()
        configuration.durability = .relaxed(time)
        #expect(
            code { () throws(MoraineError) in
                try Store.inMemory(configuration: configuration)
            } == .invalidArgument
        )

        var sizes = ReaderPool.Configuration()
        sizes.waitTimeout = time
        sizes.maxAge = time
        let isNegative = time < .zero
        #expect(
            code { () throws(MoraineError) in
                try ReaderPool(store: notes.store, configuration: sizes)
            } == (isNegative ? .invalidArgument : nil)
        )
        if !isNegative {
            let pool = try ReaderPool(store: notes.store, configuration: sizes)
            let count = try await pool.withReader { try await $0.count(in: "notes") }
            #expect(count == 19)
        }

        let folder = try TemporaryFolder()
        try await Store.open(at: folder.store).close()
        #expect(
            code { () throws(MoraineError) in
                try Store.verify(at: folder.store, timeout: time)
            } == late
        )
    }

    @Test func noSizeOfTheMemtableIsTooLarge() throws {
        for count in [Int.max, Int.max - 1, Int.max / 3, Int.max / 4 + 1] {
            var configuration = Store.Configuration()
            configuration.memtableByteCount = count
            configuration.memoryByteCount = .max
            let store = try Store.inMemory(configuration: configuration)
            try store.collection("notes").put(Document(id: "a"))
            try store.checkpoint()
            try store.close()
        }
    }

    @Test func aStoreInMemoryIsAlwaysMadeAndWritable() throws {
        var configuration = Store.Configuration()
        configuration.createsIfMissing = false
        #expect(
            code { () throws(MoraineError) in try Store.inMemory(configuration: configuration) }
                == nil
        )
        configuration.isReadOnly = true
        #expect(
            code { () throws(MoraineError) in try Store.inMemory(configuration: configuration) }
                == .invalidArgument
        )
    }

    @Test func aHandlePurgesItsOwnCollectionWhateverHasItsName() throws {
        let store = try Store.inMemory()
        let old = try store.collection("notes")
        try old.put(Document(id: "a", text: "old"))
        try store.renameCollection("notes", to: "archive")
        let new = try store.collection("notes")
        try new.put(Document(id: "a", text: "new"))

        #expect(try old.purge(ids: ["a"]).documentCount == 1)
        #expect(try old.get("a") == nil)
        #expect(try new.get("a")?.text == "new")

        try store.dropCollection("archive")
        #expect(
            code { () throws(MoraineError) in try old.purge(ids: ["a"]) } == .unknownCollection
        )
        #expect(try new.get("a")?.text == "new")
    }

    @Test func aScanOfACollectionThatIsGoneSaysSo() async throws {
        let notes = try makeNotes()
        try await notes.put(documents(0..<3))
        let begun = try notes.scan()
        try await notes.store.dropCollection("notes")

        #expect(
            code { () throws(MoraineError) in try notes.scan() as DocumentSequence }
                == .unknownCollection
        )
        // What was asked for before goes on with its own state.
        var count = 0
        for try await _ in begun { count += 1 }
        #expect(count == 3)
    }

    @Test func anEmptyVectorWhereThereAreNoneIsOneTooMany() throws {
        let store = try Store.inMemory()
        let tags = try store.collection("tags")
        let error = #expect(throws: MoraineError.self) {
            try tags.put(Document(id: "a", embedding: []))
        }
        #expect(error?.code == .wrongDimension)
        #expect(error?.expected == "no vector")
        try tags.put(Document(id: "a"))
    }

    @Test func aRelativePathMeansWhatItMeantWhenTheStoreWasOpened() throws {
        let folder = try TemporaryFolder()
        // Up to the root and down again. The directory itself is not changed: other tests run.
        let current = FileManager.default.currentDirectoryPath
        let ups = current.split(separator: "/").map { _ in ".." }.joined(separator: "/")
        let store = try Store.open(at: ups + folder.store)
        #expect(store.path == "\(current)/\(ups)\(folder.store)")
        try store.close()
        #expect(try Store.verify(at: ups + folder.store).isOK)
    }

    @Test func aLinkToAStoreIsTheStore() throws {
        let folder = try TemporaryFolder()
        let link = folder.path + "/current"
        let store = try Store.open(at: folder.store)
        try FileManager.default.createSymbolicLink(
            atPath: link,
            withDestinationPath: folder.store
        )
        #expect(code { () throws(MoraineError) in try Store.open(at: link) } == .locked)
        try store.close()
        let again = try Store.open(at: link + "/")
        #expect(again.path == folder.store)
        try again.close()
        #expect(try Store.verify(at: link).isOK)
    }

    @Test func aReaderThatAsksForAnotherShapeIsToldOfTheShape() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        try store.collection("notes", dimensions: 4)
        var configuration = Store.Configuration()
        configuration.isReadOnly = true
        let reader = try Store.open(at: folder.store, configuration: configuration)
        #expect(
            code { () throws(MoraineError) in try reader.collection("notes", dimensions: 3) }
                == .collectionMismatch
        )
        try reader.close()
        try store.close()
    }

    @Test func workThatOutlivesItsStoreIsToldThatItIsClosed() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        let notes = try store.collection("notes", dimensions: 4)
        for start in stride(from: 0, to: 900, by: 300) {
            try notes.load(documents(start..<start + 300))
        }
        #expect(
            code { () throws(MoraineError) in
                try store.compact(all: true) { _ in
                    try? store.close()
                    return true
                }
            } == .closed
        )
    }

    @Test func whatIsWrongInMetadataIsNamed() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes")
        func message(_ metadata: Metadata) throws -> String? {
            #expect(throws: MoraineError.self) {
                try notes.put(Document(id: "a", metadata: metadata))
            }?.message
        }
        let wrong: Metadata = ["a": 1, "b": ["c": [0.5, .double(.nan)]]]
        #expect(try message(wrong)?.contains(#""b"."c"[1]"#) == true)
        #expect(wrong.description.contains(#""b"."c"[1]"#))

        var deep: MetadataValue = 1
        for _ in 0..<200 { deep = .array([deep]) }
        #expect(try message(["a": 1, "deep": deep])?.contains(#""deep""#) == true)

        try notes.put(Document(id: "a"))
        let error = #expect(throws: MoraineError.self) {
            try notes.patch("a", set: ["score": .double(.infinity)])
        }
        #expect(error?.message.contains(#""score""#) == true)
    }

    @Test func anImpossibleIDIsToldWhatIsWrongWithIt() throws {
        let notes = try makeNotes()
        func found(_ id: String) throws -> String? {
            try #require(throws: MoraineError.self) { try notes.put(Document(id: id)) }.found
        }
        #expect(try found("") == "0 bytes")
        #expect(try found(String(repeating: "x", count: 1_025)) == "1025 bytes")
        #expect(try found("a\u{0}b") == "a NUL at byte 1")
    }

    @Test func errorsOfAPatchNameTheDocumentOnce() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes")
        try notes.put(Document(id: "some-id"))
        func message(_ patch: () throws(MoraineError) -> LSN) throws -> String {
            let error = try #require(throws: MoraineError.self) { try patch() }
            return error.description
        }
        func batch(_ id: String, _ version: LSN?) throws(MoraineError) -> LSN {
            var batch = WriteBatch()
            batch.patch(id, in: "notes", set: ["a": 1], ifVersion: version)
            return try store.write(batch)
        }
        let messages = [
            try message { () throws(MoraineError) in try notes.patch("no-id", set: ["a": 1]) },
            try message { () throws(MoraineError) in try batch("no-id", nil) },
            try message { () throws(MoraineError) in
                try notes.patch("some-id", set: ["a": 1], ifVersion: 999)
            },
            try message { () throws(MoraineError) in try batch("some-id", 999) },
            try message { () throws(MoraineError) in
                try notes.patch("some-id", set: ["key": 1], remove: ["key"])
            },
            try message { () throws(MoraineError) in
                try notes.patch("some-id", set: ["key": .double(.nan)])
            },
        ]
        for message in messages {
            for name in ["-id\"", "document", "\"key\"", "patch"] {
                #expect(message.components(separatedBy: name).count <= 2, "\(name) in \(message)")
            }
            #expect(message.contains("-id\""), "\(message)")
        }
    }

    @Test func chainsOfFiltersThatGrowFromTheirEndAreNotNested() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<20))
        var any: Filter = .field("number") == 3
        var all: Filter = .field("number") < 7
        for number in 0..<1_000 {
            any = .field("number") == .int(Int64(number % 2 * 1_000)) || any
            all = .field("number") != .int(Int64(number % 5 * 2)) && all
        }
        #expect(try notes.count(where: any) == 2)
        #expect(try notes.count(where: all) == 3)
        // The text of what is nested so deep could not be read.
        #expect(try notes.count(where: Filter(text: any.description)) == 2)
        #expect(try notes.count(where: Filter(text: all.description)) == 3)
        // What is written by hand stays as it was written.
        let written: Filter = .field("a") == 1 || .field("b") == 2 && !(.field("c") == 3)
        #expect(written.description == "a == 1 or b == 2 and not c == 3")
    }

    @Test func chainsOfFiltersSayWhatTheyAreMadeOf() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<20))
        let few: Filter = .field("number") < 5
        var all = few
        var any = few
        for number in 0..<5 {
            all = all && .field("number") != .int(Int64(number))
            any = any || .field("number") == .int(Int64(10 + number))
        }
        // What they were made of stays as it was.
        #expect(try notes.count(where: few) == 5)
        #expect(try notes.count(where: all) == 0)
        #expect(try notes.count(where: any) == 10)
        let wrong = few && .field("number") == .double(.nan)
        #expect(
            code { () throws(MoraineError) in try notes.count(where: wrong && few || few) }
                == .invalidFilter
        )
    }
}
