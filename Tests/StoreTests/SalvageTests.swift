// Store.salvage: a new store from a damaged one.

import Foundation
import Moraine
import Testing

struct SalvageTests {
    @Test func whatIsLeftOfAStoreWithoutRootComesBack() throws {
        let folder = try TemporaryFolder()
        let damaged = folder.store
        let store = try Store.open(at: damaged)
        let notes = try store.collection("notes", dimensions: 2, metric: .dot)
        try notes.put(Document(id: "a", text: "one", embedding: [1, 2]))
        try notes.put(Document(id: "b", text: "two"))
        let before = try notes.get("a")
        try store.close()
        try FileManager.default.removeItem(atPath: damaged + "/ROOT")

        var items: [Store.Salvage.Item] = []
        let result = try Store.salvage(damaged, into: damaged + ".new") { items.append($0) }
        #expect(!result.isComplete)
        #expect(items.map(\.id) == ["a", "b"])
        #expect(items.allSatisfy { $0.outcome == .recovered && $0.reasons.isEmpty })
        #expect(result.collections.map(\.recovered) == [2])
        #expect(result.findings.contains { $0.file == "ROOT" })
        let new = try Store.open(at: damaged + ".new")
        let after = try new.existingCollection("notes").get("a")
        #expect(after?.document == before?.document)
        #expect(after?.version == before?.version)
        #expect(after?.created == before?.created)
        try new.close()
    }

    @Test func aWholeStoreComesBackComplete() async throws {
        let folder = try TemporaryFolder()
        let store = try await Store.open(at: folder.store)
        try await store.collection("notes").put(Document(id: "a", text: "one"))
        try await store.close()
        let result = try await Store.salvage(folder.store, into: folder.store + ".new")
        #expect(result.isComplete)
        #expect(result.lostCommits.isEmpty && result.findings.isEmpty)
        #expect(result.collections.map(\.recovered) == [1])
    }

    @Test func aLinkToAStoreIsTheStore() async throws {
        let folder = try TemporaryFolder()
        let store = try await Store.open(at: folder.store)
        try await store.collection("notes").put(Document(id: "a", text: "one"))
        try await store.close()
        let link = folder.path + "/current"
        try FileManager.default.createSymbolicLink(
            atPath: link,
            withDestinationPath: folder.store
        )
        #expect(try Store.salvage(link, into: folder.store + ".new") { _ in }.isComplete)
        #expect(try await Store.salvage(link, into: folder.store + ".again").isComplete)
    }
}
