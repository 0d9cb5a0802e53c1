// What puts, deletes and batches do, and what they refuse.

import Moraine
import Testing

@Suite struct WriteTests {
    @Test func aDocumentComesBackAsItWasPut() throws {
        let notes = try makeNotes()
        let document = Document(
            id: "a",
            text: "Bläckfisk\u{0}\r\n\u{1F419}",
            metadata: ["lang": "sv"],
            embedding: [0.1, -0.0, .leastNonzeroMagnitude, 1e10]
        )
        let version = try notes.put(document)
        let read = try #require(try notes.get("a"))
        #expect(read.document == document)
        #expect(read.version == version)
        #expect(read.created == read.updated)
        #expect(read.embedding?.map(\.bitPattern) == document.embedding?.map(\.bitPattern))
        #expect(try notes.get("a", withEmbedding: false)?.embedding == nil)
    }

    @Test func aPutReplacesAndKeepsTheTimeOfCreation() throws {
        let notes = try makeNotes()
        let first = try notes.put(Document(id: "a", text: "1", embedding: vector(1)))
        let created = try notes.get("a")?.created
        let second = try notes.put(Document(id: "a", text: "2"))
        let read = try #require(try notes.get("a"))
        #expect(second > first)
        #expect(read.text == "2")
        #expect(read.embedding == nil)
        #expect(read.version == second)
        #expect(read.created == created)
        #expect(read.updated >= read.created)
        #expect(try notes.count() == 1)
    }

    @Test func aWriteMayExpectAVersion() throws {
        let notes = try makeNotes()
        let first = try notes.put(Document(id: "a", text: "1"), ifVersion: 0)
        #expect(
            code { () throws(MoraineError) in try notes.put(Document(id: "a"), ifVersion: 0) }
                == .versionConflict
        )
        let second = try notes.put(Document(id: "a", text: "2"), ifVersion: first)
        #expect(
            code { () throws(MoraineError) in try notes.put(Document(id: "a"), ifVersion: first) }
                == .versionConflict
        )
        #expect(
            code { () throws(MoraineError) in try notes.delete("a", ifVersion: first) }
                == .versionConflict
        )
        #expect(try notes.get("a")?.text == "2")
        try notes.delete("a", ifVersion: second)
        #expect(try notes.get("a") == nil)
        try notes.put(Document(id: "a", text: "3"), ifVersion: 0)
    }

    @Test func deletingWhatIsNotThereIsFine() throws {
        let notes = try makeNotes()
        try notes.put(Document(id: "a"))
        try notes.delete("b")
        try notes.delete("a")
        try notes.delete("a")
        #expect(try notes.count() == 0)
    }

    @Test func composedAndDecomposedAreTwoIds() throws {
        let notes = try makeNotes()
        try notes.put([Document(id: composed, text: "one"), Document(id: decomposed, text: "two")])
        #expect(try notes.count() == 2)
        #expect(try notes.get(composed)?.text == "one")
        #expect(try notes.get(decomposed)?.text == "two")
        try notes.delete(composed)
        #expect(try notes.get(composed) == nil)
        #expect(try notes.get(decomposed)?.text == "two")
        #expect(Document(id: composed) != Document(id: decomposed))
    }

    @Test func documentsArePutTogetherOrNotAtAll() throws {
        let notes = try makeNotes()
        let version = try notes.put(documents(0..<10))
        #expect(try notes.get("d009")?.version == version)
        let bad = documents(10..<20) + [Document(id: "")]
        #expect(code { () throws(MoraineError) in try notes.put(bad) } == .invalidID)
        #expect(try notes.count() == 10)
        #expect(try notes.put([]) == version)
        try notes.put([Document(id: "x", text: "1"), Document(id: "x", text: "2")])
        #expect(try notes.get("x")?.text == "2")
    }

    @Test func writingNoDocumentsIsRefusedWhereOneWouldBe() async throws {
        let folder = try TemporaryFolder()
        let store = try await Store.open(at: folder.store)
        func refusals(_ notes: Store.Collection) async -> [MoraineError.Code?] {
            let blocking = [
                code { () throws(MoraineError) in try notes.put([Document(id: "a")]) },
                code { () throws(MoraineError) in try notes.put([]) },
                code { () throws(MoraineError) in try notes.load([]) },
            ]
            return blocking + [
                await asyncCode { () async throws(MoraineError) in try await notes.put([]) },
                await asyncCode { () async throws(MoraineError) in try await notes.load([]) },
            ]
        }
        let gone = try await store.collection("gone")
        let notes = try await store.collection("notes")
        try await store.dropCollection("gone")
        #expect(await refusals(gone) == Array(repeating: .unknownCollection, count: 5))
        #expect(await refusals(notes) == Array(repeating: nil, count: 5))
        try await store.close()
        #expect(await refusals(notes) == Array(repeating: .closed, count: 5))

        var configuration = Store.Configuration()
        configuration.isReadOnly = true
        let reader = try await Store.open(at: folder.store, configuration: configuration)
        let read = try reader.existingCollection("notes")
        #expect(await refusals(read) == Array(repeating: .readOnly, count: 5))
        try await reader.close()
    }

    @Test func aBatchSpansCollectionsAndIsAllOrNothing() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes", dimensions: 4)
        try notes.put(Document(id: "old"))
        var batch = WriteBatch()
        batch.createCollection("tags")
        batch.put(Document(id: "swift"), in: "tags")
        batch.put(Document(id: "a"), in: "notes", ifVersion: 0)
        batch.delete("old", in: "notes")
        let version = try store.write(batch)
        #expect(try store.existingCollection("tags").get("swift")?.version == version)
        #expect(try notes.get("a")?.version == version)
        #expect(try notes.get("old") == nil)

        var conflicting = WriteBatch()
        conflicting.put(Document(id: "go"), in: "tags")
        conflicting.createCollection("more")
        conflicting.put(Document(id: "a", text: "new"), in: "notes", ifVersion: 0)
        #expect(
            code { () throws(MoraineError) in try store.write(conflicting) } == .versionConflict
        )
        #expect(try store.existingCollection("tags").count() == 1)
        #expect(try store.collections().map(\.name) == ["notes", "tags"])
        #expect(try store.version() == version)
        #expect(try store.write(WriteBatch()) == version)
    }

    @Test func aBatchsOwnWritesCountForItsConditions() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes")
        let version = try notes.put(Document(id: "a", text: "1"))
        var renewal = WriteBatch()
        renewal.delete("a", in: "notes", ifVersion: version)
        renewal.put(Document(id: "a", text: "2"), in: "notes", ifVersion: 0)
        try store.write(renewal)
        #expect(try notes.get("a")?.text == "2")
        var twice = WriteBatch()
        twice.put(Document(id: "b"), in: "notes", ifVersion: 0)
        twice.put(Document(id: "b"), in: "notes", ifVersion: 0)
        #expect(code { () throws(MoraineError) in try store.write(twice) } == .versionConflict)
        #expect(try notes.get("b") == nil)
    }

    @Test func loadedDocumentsAreThereAndStay() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        let notes = try store.collection("notes", dimensions: 4)
        let version = try notes.load(documents(0..<3_000))
        #expect(try notes.count() == 3_000)
        #expect(try store.version() == version)
        try notes.put(Document(id: "d007", text: "after"))
        try store.close()
        let again = try Store.open(at: folder.store).existingCollection("notes")
        #expect(try again.count() == 3_000)
        #expect(try again.get("d007")?.text == "after")
        #expect(try again.get("d2999")?.document == documents(2_999..<3_000).first)
    }
}

@Suite struct RefusalTests {
    @Test(arguments: ["", String(repeating: "x", count: 1_025), "a\u{0}b"])
    func anImpossibleIDIsRefused(id: String) throws {
        let notes = try makeNotes()
        #expect(code { () throws(MoraineError) in try notes.put(Document(id: id)) } == .invalidID)
        #expect(code { () throws(MoraineError) in try notes.delete(id) } == .invalidID)
        #expect(try notes.get(id) == nil)
    }

    @Test func anIDOf1024BytesIsFine() throws {
        let notes = try makeNotes()
        let id = String(repeating: "é", count: 512)
        try notes.put(Document(id: id))
        #expect(try notes.get(id)?.id == id)
    }

    @Test(
        arguments: [
            ([1, 2, 3], MoraineError.Code.wrongDimension), ([1, 2, 3, 4, 5], .wrongDimension),
            ([], .wrongDimension), ([1, .nan, 0, 0], .invalidVector),
            ([1, .infinity, 0, 0], .invalidVector), ([0, 0, -0.0, 0], .invalidVector),
        ] as [([Float], MoraineError.Code)]
    )
    func aVectorThatCannotBeComparedIsRefused(embedding: [Float], expected: MoraineError.Code)
        throws
    {
        let notes = try makeNotes()
        let document = Document(id: "a", embedding: embedding)
        #expect(code { () throws(MoraineError) in try notes.put(document) } == expected)
        #expect(try notes.get("a") == nil)
        try notes.put(Document(id: "b", embedding: [1, 0, 0, 0]))
        #expect(code { () throws(MoraineError) in try notes.search(near: embedding) } == expected)
    }

    @Test func aZeroVectorIsFineUnlessUnderCosine() throws {
        let notes = try makeNotes(metric: .l2)
        try notes.put(Document(id: "a", embedding: [0, 0, 0, 0]))
        #expect(try notes.search(near: [0, 0, 0, 0]).first?.score == 0)
    }

    @Test func aCollectionWithoutDimensionsTakesNoVectors() throws {
        let plain = try Store.inMemory().collection("plain")
        try plain.put(Document(id: "a"))
        let document = Document(id: "b", embedding: [1])
        #expect(code { () throws(MoraineError) in try plain.put(document) } == .wrongDimension)
        #expect(code { () throws(MoraineError) in try plain.search(near: [1]) } == .wrongDimension)
    }

    @Test func aTextAbove64MiBIsRefused() throws {
        let notes = try makeNotes()
        let document = Document(id: "a", text: String(repeating: "x", count: 65 << 20))
        #expect(code { () throws(MoraineError) in try notes.put(document) } == .tooLarge)
        #expect(try notes.count() == 0)
    }

    @Test func anErrorNamesTheDocument() throws {
        let notes = try makeNotes()
        do throws(MoraineError) {
            try notes.put(documents(0..<2) + [Document(id: "culprit", embedding: [1])])
        } catch {
            #expect(error.message.contains("culprit"))
            #expect(error.expected == "4")
            #expect(error.found == "1")
            #expect(error.description.hasPrefix("wrong-dimension: "))
            #expect(error == error)
        }
    }
}
