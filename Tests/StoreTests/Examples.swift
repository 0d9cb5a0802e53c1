// The code that README shows, run as a test so that it stays true.

import Foundation
import Moraine
import Testing

@Suite struct Examples {
    @Test func theReadmesCodeRuns() async throws {
        let folder = try TemporaryFolder()
        let path = folder.store
        let vector = [Float](repeating: 0.1, count: 384)
        let query = [Float](repeating: 0.2, count: 384)

        // README: begin
        let store = try await Store.open(at: path)  // made when nothing is there
        let notes = try await store.collection("notes", dimensions: 384, metric: .cosine)

        // A write returns when it is on disk: the number is the document's version.
        let version = try await notes.put(
            Document(
                id: "a",
                text: "Moraines are what glaciers leave behind.",
                metadata: ["lang": "en", "year": 2024],
                embedding: vector
            )
        )

        // The nearest documents, nearest first.
        for hit in try await notes.search(near: query, limit: 10) {
            print(hit.score, hit.document.id, hit.document.text)
        }

        // Only if nobody changed it since.
        do {
            try await notes.put(
                Document(id: "a", text: "New text", embedding: vector),
                ifVersion: version
            )
        } catch {
            guard error.code == .versionConflict else { throw error }
            // Read it again and decide.
        }

        // Metadata alone, without sending text and embedding again.
        try await notes.patch("a", set: ["read": true], remove: ["year"])

        // Several writes that happen together or not at all.
        var batch = WriteBatch()
        batch.createCollection("tags")  // without vectors
        batch.put(Document(id: "glacier"), in: "tags")
        batch.delete("a", in: "notes")
        try await store.write(batch)

        // One state of everything, for as long as you like; writers do not wait for it.
        let snapshot = try store.snapshot()
        print(try await snapshot.count(in: "notes"), try await snapshot.count(in: "tags"))

        // Whole collections, and all ids with a prefix.
        try await notes.delete(prefix: "2024-")
        try await store.renameCollection("tags", to: "labels")
        try await store.dropCollection("labels")

        try await store.close()
        // README: end

        #expect(code { () throws(MoraineError) in try store.version() } == .closed)
    }

    @Test func theReadmeShowsTheCodeThatRuns() throws {
        let file = URL(fileURLWithPath: #filePath)
        let root = file.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let readme = try String(
            contentsOf: root.appendingPathComponent("README.md"),
            encoding: .utf8
        )
        let source = try String(contentsOf: file, encoding: .utf8)
        let shown = try shownCode(of: readme, from: "import Moraine\n", to: "```")
        let run = try shownCode(of: source, from: "// README: begin\n", to: "// README: end")
        #expect(shown.contains("Store.open(at:"))
        #expect(shown == run.replacingOccurrences(of: "at:path", with: "at:\"library.moraine\""))
        let search = try shownCode(of: readme, from: "## Searching\n\n```swift\n", to: "```")
        let searched = try shownCode(
            of: source,
            from: "// README: searching\n",
            to: "// README: end"
        )
        #expect(search.contains("explain(") && search == searched)
    }

    @Test func theReadmesSearchesRun() async throws {
        let store = try Store.inMemory()
        let notes = try await store.collection("notes", dimensions: 2, metric: .cosine)
        try await notes.put(
            (0..<30).map {
                Document(
                    id: "\($0)",
                    metadata: ["lang": "en", "year": .int(2000 + $0)],
                    embedding: [1, Float($0)]
                )
            }
        )
        let query: [Float] = [1, 3]
        let vector: [Float] = [1, 20]

        // README: searching
        // The short form, with a condition on the metadata.
        let recent = try await notes.search(near: query, limit: 10, where: .field("year") >= 2020)

        // Everything else is in the options.
        var options = SearchOptions()
        options.filter = try Filter(text: #"lang == "en" and not tags contains "draft""#)
        options.offset = 10  // the second page
        options.scoreBound = 0.3  // nothing less similar; with .l2 nothing farther
        options.parts = []  // ids and scores, no document is read
        let page = try await notes.search(near: query, options: options)

        // Many queries at once, on all cores.
        let lists = try await notes.search(near: [query, vector], options: options)

        // What was searched how: by graph or in full, how many documents the filter lets pass.
        let (hits, plan) = try await notes.explain(near: query, options: options)
        // README: end
        #expect(recent.count == 10 && recent.allSatisfy { $0.id >= "20" })
        #expect(page.count == 10 && lists.count == 2 && plan.steps.count == 1)
        #expect(lists.first?.map(\.id) == page.map(\.id))
        #expect(hits.map(\.id) == page.map(\.id))
    }

    /// What stands between two marks, without comments and white space.
    private func shownCode(of text: String, from start: String, to end: String) throws -> String {
        let first = try #require(text.range(of: start))
        let last = try #require(text.range(of: end, range: first.upperBound..<text.endIndex))
        return text[first.upperBound..<last.lowerBound].split(separator: "\n")
            .map { line in line.range(of: "//").map { line[..<$0.lowerBound] } ?? line }
            .joined().filter { !$0.isWhitespace }
    }

    @Test func readingOneStateInPortions() async throws {
        let store = try Store.inMemory()
        let notes = try await store.collection("notes")
        try await notes.put(["sv/a", "sv/b", "en/a"].map { Document(id: $0, text: "...") })
        let snapshot = try store.snapshot()
        var characters = 0
        for try await document in try snapshot.scan(in: "notes", prefix: "sv/") {
            characters += document.text.count
        }
        #expect(characters == 6)
    }
}
