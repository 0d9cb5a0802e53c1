// Index files as a host sees them.

import Moraine
import Testing

@Suite struct IndexTests {
    /// A store with a segment that is worth codes.
    private func make(_ change: (inout Store.Configuration) -> Void = { _ in }) throws -> Store {
        var configuration = Store.Configuration()
        configuration.indexesInBackground = false
        change(&configuration)
        let store = try Store.inMemory(configuration: configuration)
        let notes = try store.collection("notes", dimensions: 8, metric: .l2)
        var batch = WriteBatch()
        for number in 0..<1_500 {
            batch.put(
                Document(
                    id: "n\(number)",
                    embedding: (0..<8).map { Float((number * 7 + $0 * 13) % 101) }
                ),
                in: "notes"
            )
        }
        try store.write(batch)
        _ = notes
        try store.checkpoint()
        return store
    }

    @Test func buildingMakesFilesAndChangesNoAnswer() throws {
        let store = try make()
        let notes = try store.collection("notes", dimensions: 8, metric: .l2)
        let query: [Float] = (0..<8).map { Float($0 * 3) }
        let before = try notes.search(near: query, limit: 20)
        #expect(try store.statistics().unindexedDocumentCount == 1_500)
        #expect(try store.buildIndexes() > 0)
        let statistics = try store.statistics()
        #expect(statistics.unindexedDocumentCount == 0)
        #expect(statistics.indexCount > 0 && statistics.indexByteCount > 0)
        let after = try notes.search(near: query, limit: 20)
        #expect(before.map(\.document.id) == after.map(\.document.id))
        #expect(before.map(\.score) == after.map(\.score))
        #expect(try store.buildIndexes() == 0)
        try store.close()
    }

    @Test func aCancelledTaskEndsIt() async throws {
        let store = try make()
        let task = Task { () -> MoraineError.Code? in
            do throws(MoraineError) {
                _ = try await store.buildIndexes { _ in
                    withUnsafeCurrentTask { $0?.cancel() }
                    return false
                }
                return nil
            } catch {
                return error.code
            }
        }
        #expect(await task.value == .cancelled)
        #expect(try store.statistics().indexCount == 0)
        try await store.close()
    }

    @Test func aPauseIsToldAndEnds() throws {
        let store = try make { $0.indexesInBackground = true }
        store.pauseIndexing()
        #expect(try store.statistics().isIndexingPaused)
        store.resumeIndexing()
        #expect(try !store.statistics().isIndexingPaused)
        try store.close()
    }
}
