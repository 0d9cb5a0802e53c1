// Gets, scans, counts, searches and snapshots.

import Moraine
import Testing

@Suite struct ReadTests {
    @Test func manyGetsComeInTheOrderOfTheIds() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<5))
        let found = try notes.get(["d003", "none", "d001", "d003", ""])
        #expect(found.map { $0?.text } == ["text 3", nil, "text 1", "text 3", nil])
        #expect(found[0]?.embedding == vector(3))
        #expect(try notes.get(["d003"], withEmbeddings: false)[0]?.embedding == nil)
    }

    @Test func aScanGoesByBytesWithinItsRange() throws {
        let notes = try makeNotes()
        let ids = ["a", "aa", "ab", "b", composed, decomposed, "\u{FFFD}", "\u{1F9C0}", "B"]
        try notes.put(ids.map { Document(id: $0) })
        let sorted = ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        func same(_ a: [String], _ b: [String]) -> Bool {
            a.map { Array($0.utf8) } == b.map { Array($0.utf8) }
        }
        #expect(same(try scannedIDs(notes), sorted))
        #expect(same(try scannedIDs(notes, prefix: "a"), ["a", "aa", "ab"]))
        #expect(same(try scannedIDs(notes, prefix: "e"), [decomposed]))
        #expect(same(try scannedIDs(notes, from: "aa", to: "b"), ["aa", "ab"]))
        #expect(same(try scannedIDs(notes, prefix: "a", from: "ab", to: "z"), ["ab"]))
        #expect(same(try scannedIDs(notes, prefix: "a", from: "b"), []))
        #expect(same(try scannedIDs(notes, from: "z", to: "a"), []))
    }

    @Test func aVisitorEndsItsScan() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<10))
        var seen = 0
        try notes.scan { _ in
            seen += 1
            return seen < 3
        }
        #expect(seen == 3)
        let refused = code { () throws(MoraineError) in
            try notes.scan { document throws(MoraineError) in
                try notes.put(Document(id: ""))
                return true
            }
        }
        #expect(refused == .invalidID)
    }

    @Test func aScanSeesFilesAndMemoryAlike() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<100))
        try notes.store.checkpoint()
        try notes.put(documents(50..<150))
        try notes.delete("d010")
        try notes.delete("d120")
        let ids = try scannedIDs(notes)
        #expect(ids.count == 148)
        #expect(ids == ids.sorted())
        #expect(try notes.count() == 148)
    }

    @Test func aSearchFindsTheNearestFirst() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<100))
        try notes.put(Document(id: "without"))
        let hits = try notes.search(near: vector(42), limit: 3)
        #expect(hits.first?.document.id == "d042")
        #expect(hits.map(\.document.id).sorted() == ["d041", "d042", "d043"])
        #expect(hits.first?.document.text == "text 42")
        #expect(hits.first?.document.metadata["number"] == 42)
        #expect(hits.first?.document.embedding == nil)
        #expect(hits.map(\.score) == hits.map(\.score).sorted(by: >))
        #expect(abs((hits.first?.score ?? 0) - 1) < 1e-5)
        let full = try notes.search(near: vector(42), limit: 1, withEmbeddings: true)
        #expect(full.first?.document.embedding == vector(42))
        #expect(try notes.search(near: vector(42), limit: 1_000).count == 100)
        #expect(
            code { () throws(MoraineError) in try notes.search(near: vector(1), limit: 0) }
                == .invalidArgument
        )
    }

    @Test func metricsScoreAsTheySay() throws {
        let query: [Float] = [1, 2, 0, 0]
        let document = Document(id: "a", embedding: [2, 1, 0, 0])
        for (metric, expected) in [(Metric.cosine, Float(0.8)), (.dot, 4), (.l2, 2)] {
            let notes = try makeNotes(metric: metric)
            try notes.put(document)
            let score = try notes.search(near: query).first?.score ?? .nan
            #expect(abs(score - expected) < 1e-5, "\(metric)")
        }
    }

    @Test func equalScoresComeById() throws {
        let notes = try makeNotes()
        try notes.put(["c", "a", "b"].map { Document(id: $0, embedding: [0, 1, 0, 0]) })
        #expect(try notes.search(near: [0, 1, 0, 0]).map(\.document.id) == ["a", "b", "c"])
    }

    @Test func aSearchLikeADocumentLeavesItOut() throws {
        let notes = try makeNotes()
        try notes.put(documents(0..<10))
        try notes.put(Document(id: "without"))
        let hits = try notes.search(like: "d005", limit: 2)
        #expect(hits.map(\.document.id).sorted() == ["d004", "d006"])
        #expect(try notes.search(like: "d005", limit: 100).count == 9)
        #expect(
            code { () throws(MoraineError) in try notes.search(like: "none") } == .notFound
        )
        #expect(
            code { () throws(MoraineError) in try notes.search(like: "without") }
                == .invalidVector
        )
    }
}

@Suite struct SnapshotTests {
    /// 3,010 documents, in a segment with columns, one without, and memory.
    private func makeManyNotes() throws -> Store.Collection {
        let notes = try makeNotes()
        try notes.put(documents(0..<2_990))
        try notes.store.checkpoint()
        try notes.store.buildIndexes()
        try notes.put(documents(2_980..<3_000))
        try notes.store.checkpoint()
        try notes.put(documents(2_990..<3_010))
        return notes
    }

    @Test func aScanTakesAFilter() throws {
        let notes = try makeManyNotes()
        let snapshot = try notes.store.snapshot()
        try notes.delete("d020")
        let filter = try Filter(text: "number in [0, 17, 20, 900, 2995, 3005]")
        var ids: [String] = []
        try notes.scan(prefix: "d", from: "d001", where: filter) { document in
            ids.append(document.id)
            return true
        }
        #expect(ids == ["d017", "d2995", "d3005", "d900"])
        ids = []
        try snapshot.scan(in: "notes", to: "d3", where: filter) { document in
            ids.append(document.id)
            return true
        }
        #expect(ids == ["d000", "d017", "d020", "d2995"])
        #expect(
            code { () throws(MoraineError) in
                try notes.scan(where: .field("a..b") == 1) { _ in true }
            } == .invalidFilter
        )
    }

    @Test func aScanInPortionsTakesAFilter() async throws {
        let notes = try makeManyNotes()
        var ids: [String] = []
        for try await document in try notes.store.snapshot()
            .scan(in: "notes", where: .field("number") >= 10)
        {
            ids.append(document.id)
        }
        #expect(ids.count == 3_000 && ids == ids.sorted())
        ids = []
        for try await document in try notes.scan(where: .field("number") < 3) {
            ids.append(document.id)
        }
        #expect(ids == ["d000", "d001", "d002"])
        let wrong = try notes.scan(where: .field("a..b") == 1)
        await #expect(throws: MoraineError.self) { for try await _ in wrong {} }
    }

    @Test func aSnapshotSeesOneState() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes", dimensions: 4)
        let version = try notes.put(documents(0..<10))
        let snapshot = try store.snapshot()
        try notes.put(documents(10..<20))
        try notes.put(Document(id: "d003", text: "new", embedding: vector(900)))
        try notes.delete("d004")
        try store.collection("later")
        try store.checkpoint()
        #expect(snapshot.version == version)
        #expect(snapshot.collectionNames == ["notes"])
        #expect(try snapshot.count(in: "notes") == 10)
        #expect(try snapshot.get("d003", in: "notes")?.text == "text 3")
        #expect(try snapshot.get(["d004", "d015"], in: "notes").map { $0?.id } == ["d004", nil])
        #expect(
            try snapshot.search(near: vector(3), in: "notes", limit: 1).first?.document.id
                == "d003"
        )
        #expect(
            try snapshot.search(like: "d003", in: "notes", limit: 20).count == 9
        )
        var ids: [String] = []
        try snapshot.scan(in: "notes", prefix: "d00") { document in
            ids.append(document.id)
            return true
        }
        #expect(ids == documents(0..<10).map(\.id))
        #expect(
            code { () throws(MoraineError) in try snapshot.count(in: "later") }
                == .unknownCollection
        )
        #expect(try notes.count() == 19)
    }

    @Test func aSnapshotIsOneStateOverAllCollections() async throws {
        let store = try Store.inMemory()
        try await store.collection("a")
        try await store.collection("b")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for number in 0..<200 {
                    var batch = WriteBatch()
                    batch.put(Document(id: "n", text: "\(number)"), in: "a")
                    batch.put(Document(id: "n", text: "\(number)"), in: "b")
                    try await store.write(batch)
                }
            }
            for _ in 0..<2 {
                group.addTask {
                    for _ in 0..<200 {
                        let snapshot = try store.snapshot()
                        let a = try await snapshot.get("n", in: "a")
                        let b = try await snapshot.get("n", in: "b")
                        #expect(a?.text == b?.text)
                        #expect(a?.version == b?.version)
                        #expect(a.map { $0.version == snapshot.version } ?? true)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
