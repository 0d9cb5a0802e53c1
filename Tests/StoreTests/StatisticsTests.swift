// What an open store counts, and what a reader beside it can know.

import Moraine
import Testing

@Suite struct StatisticsTests {
    @Test func writesAreCountedOnceForEachPlaceTheyGo() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes", dimensions: 4)
        for index in 0..<100 {
            try notes.put(
                Document(
                    id: "\(index)",
                    text: String(repeating: "text \(index) ", count: 30),
                    embedding: [1, 2, 3, Float(index)]
                )
            )
        }
        let before = try store.statistics()
        #expect(before.givenByteCount > 100 * 250)
        // The log holds what was given, framed.
        #expect(before.writtenByteCount > before.givenByteCount)
        #expect(before.writtenByteCount < before.givenByteCount * 2)
        #expect(before.derivedWrittenByteCount == 0)
        try store.checkpoint()
        let after = try store.statistics()
        #expect(after.givenByteCount == before.givenByteCount)
        #expect(after.writtenByteCount > before.writtenByteCount)
        #expect(after.derivedWrittenByteCount > 0)
        #expect(try #require(after.writeAmplification) > 1)
    }

    @Test func aReaderKnowsFloorAndLogToo() throws {
        let folder = try TemporaryFolder()
        let writer = try Store.open(at: folder.store)
        let notes = try writer.collection("notes", dimensions: 4)
        for document in documents(0..<20) { try notes.put(document) }
        try writer.checkpoint()
        let floor = try writer.statistics().floor
        try notes.put(Document(id: "later"))
        var configuration = Store.Configuration()
        configuration.isReadOnly = true
        let reader = try Store.open(at: folder.store, configuration: configuration)
        let first = try reader.statistics()
        #expect(floor > 0 && first.floor == floor)
        #expect(first.version == floor + 1)
        #expect(first.logByteCount > 0)
        try writer.checkpoint()
        try reader.refresh()
        #expect(try reader.statistics().floor == floor + 1)
        try reader.close()
        try writer.close()
    }
}
