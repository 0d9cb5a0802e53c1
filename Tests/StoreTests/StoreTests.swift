// Opening, closing, collections, configuration, errors.

import Foundation
import Moraine
import Testing

@Suite struct StoreTests {
    @Test func aStoreKeepsWhatWasPut() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        #expect(store.path == folder.store)
        let notes = try store.collection("notes", dimensions: 4, metric: .l2)
        try notes.put(documents(0..<10))
        try store.close()

        let again = try Store.open(at: folder.store)
        #expect(try again.collections().map(\.name) == ["notes"])
        let read = try again.existingCollection("notes")
        #expect(read.dimensions == 4)
        #expect(read.metric == .l2)
        #expect(try read.get("d007")?.document == documents(7..<8).first)
        try again.close()
    }

    @Test func aStoreThatWasNotClosedKeepsItToo() throws {
        let folder = try TemporaryFolder()
        do {
            let store = try Store.open(at: folder.store)
            try store.collection("notes").put(Document(id: "a"))
        }
        // The thread that makes the next log file ready may hold it a moment longer.
        var opened: Store?
        while opened == nil {
            do throws(MoraineError) {
                opened = try Store.open(at: folder.store)
            } catch {
                guard error.code == .locked else { throw error }
                Thread.sleep(forTimeInterval: 0.001)
            }
        }
        let again = try #require(opened)
        #expect(try again.existingCollection("notes").count() == 1)
    }

    @Test func aStoreIsOpenForWritingOnce() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        #expect(code { () throws(MoraineError) in try Store.open(at: folder.store) } == .locked)
        try store.close()
        try Store.open(at: folder.store).close()
    }

    @Test func whatIsNotThereIsNotMadeUnasked() throws {
        let folder = try TemporaryFolder()
        var configuration = Store.Configuration()
        configuration.createsIfMissing = false
        #expect(
            code { () throws(MoraineError) in
                try Store.open(at: folder.store, configuration: configuration)
            } == .notAStore
        )
        configuration = Store.Configuration()
        configuration.isReadOnly = true
        #expect(
            code { () throws(MoraineError) in
                try Store.open(at: folder.store, configuration: configuration)
            } == .notAStore
        )
        #expect(!FileManager.default.fileExists(atPath: folder.store))
    }

    @Test func aReadOnlyStoreFollowsAndRefusesWrites() throws {
        let folder = try TemporaryFolder()
        let writer = try Store.open(at: folder.store)
        let notes = try writer.collection("notes", dimensions: 4)
        try notes.put(documents(0..<3))
        var configuration = Store.Configuration()
        configuration.isReadOnly = true
        try writer.sync()
        let reader = try Store.open(at: folder.store, configuration: configuration)
        let read = try reader.existingCollection("notes")
        #expect(code { () throws(MoraineError) in try read.put(Document(id: "x")) } == .readOnly)
        #expect(code { () throws(MoraineError) in try read.delete("d001") } == .readOnly)
        #expect(code { () throws(MoraineError) in try reader.collection("new") } == .readOnly)
        try notes.put(documents(3..<5))
        try writer.checkpoint()
        try reader.refresh()
        #expect(try read.count() == 5)
        #expect(try read.search(near: vector(4), limit: 1).first?.document.id == "d004")
        try reader.close()
        try writer.close()
    }

    @Test func afterCloseEveryCallThrows() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes", dimensions: 4)
        try notes.put(documents(0..<3))
        let snapshot = try store.snapshot()
        try store.close()
        try store.close()
        func expectClosed<R>(
            _ call: () throws(MoraineError) -> R,
            at location: SourceLocation = #_sourceLocation
        ) {
            #expect(code(call) == .closed, sourceLocation: location)
        }
        expectClosed { () throws(MoraineError) in try store.version() }
        expectClosed { () throws(MoraineError) in try store.collections() }
        expectClosed { () throws(MoraineError) in try store.existingCollection("notes") }
        expectClosed { () throws(MoraineError) in try store.collection("notes", dimensions: 4) }
        expectClosed { () throws(MoraineError) in try store.collection("new") }
        expectClosed { () throws(MoraineError) in try store.snapshot() }
        expectClosed { () throws(MoraineError) in try store.write(WriteBatch()) }
        expectClosed { () throws(MoraineError) in try store.sync() }
        expectClosed { () throws(MoraineError) in try store.checkpoint() }
        expectClosed { () throws(MoraineError) in try store.refresh() }
        expectClosed { () throws(MoraineError) in try store.statistics() }
        expectClosed { () throws(MoraineError) in try notes.put(Document(id: "x")) }
        expectClosed { () throws(MoraineError) in try notes.put([Document(id: "x")]) }
        expectClosed { () throws(MoraineError) in try notes.put([]) }
        expectClosed { () throws(MoraineError) in try notes.delete("x") }
        expectClosed { () throws(MoraineError) in try notes.load([Document(id: "x")]) }
        expectClosed { () throws(MoraineError) in try notes.get("d001") }
        expectClosed { () throws(MoraineError) in try notes.get(["d001"]) }
        expectClosed { () throws(MoraineError) in try notes.count() }
        expectClosed { () throws(MoraineError) in try notes.scan { _ in true } }
        expectClosed { () throws(MoraineError) in try notes.search(near: vector(1)) }
        expectClosed { () throws(MoraineError) in try notes.search(like: "d001") }
        expectClosed { () throws(MoraineError) in try snapshot.get("d001", in: "notes") }
        expectClosed { () throws(MoraineError) in try snapshot.count(in: "notes") }
        expectClosed { () throws(MoraineError) in try snapshot.scan(in: "notes") { _ in true } }
        expectClosed { () throws(MoraineError) in try snapshot.search(like: "d001", in: "notes") }
    }

    @Test func aCollectionHasOneShape() throws {
        let store = try Store.inMemory()
        let notes = try store.collection("notes", dimensions: 4)
        let version = try store.version()
        #expect(try store.collection("notes", dimensions: 4).name == notes.name)
        #expect(try store.version() == version)
        let attempts: [(Int, Metric)] = [(5, .cosine), (4, .dot), (0, .cosine)]
        for (dimensions, metric) in attempts {
            #expect(
                code { () throws(MoraineError) in
                    try store.collection("notes", dimensions: dimensions, metric: metric)
                } == .collectionMismatch
            )
        }
        #expect(
            code { () throws(MoraineError) in try store.existingCollection("none") }
                == .unknownCollection
        )
        for dimensions in [-1, 16_385] {
            #expect(
                code { () throws(MoraineError) in
                    try store.collection("x", dimensions: dimensions)
                } == .invalidArgument
            )
        }
        for name in ["", "a\nb", "\u{7F}", String(repeating: "x", count: 256)] {
            #expect(code { () throws(MoraineError) in try store.collection(name) } == .invalidName)
        }
    }

    @Test func collectionsAreNamedByBytes() throws {
        let store = try Store.inMemory()
        try store.collection(composed).put(Document(id: "a"))
        try store.collection(decomposed, dimensions: 3)
        try store.collection("\u{1F9C0}")
        try store.collection("\u{FFFD}")
        #expect(try store.existingCollection(composed).dimensions == 0)
        #expect(try store.existingCollection(decomposed).dimensions == 3)
        let names = try store.collections().map { Array($0.name.utf8) }
        #expect(
            names
                == [decomposed, composed, "\u{FFFD}", "\u{1F9C0}"].map { Array($0.utf8) }
        )
    }

    @Test func aBatchKnowsOnlyCollectionsThatAreThere() throws {
        let store = try Store.inMemory()
        var batch = WriteBatch()
        batch.put(Document(id: "a"), in: "none")
        #expect(
            code { () throws(MoraineError) in try store.write(batch) } == .unknownCollection
        )
        #expect(try store.collections().isEmpty)
    }

    @Test func settingsOutOfRangeAreRefused() {
        let changes: [@Sendable (inout Store.Configuration) -> Void] = [
            { $0.memoryByteCount = 0 }, { $0.memtableByteCount = 1 }, { $0.logFileByteCount = -1 },
            { $0.searchThreadCount = 0 }, { $0.durability = .relaxed(.zero) },
            { $0.durability = .relaxed(.seconds(7_200)) },
        ]
        for (number, change) in changes.enumerated() {
            var configuration = Store.Configuration()
            change(&configuration)
            let refused = code { () throws(MoraineError) in
                try Store.inMemory(configuration: configuration)
            }
            #expect(refused == .invalidArgument, "change \(number)")
        }
    }

    @Test func aMemtableAboveTheMemoryIsRefusedAndBothAreNamed() throws {
        var configuration = Store.Configuration()
        configuration.memoryByteCount = 2 << 20
        configuration.memtableByteCount = 2 << 20
        try Store.inMemory(configuration: configuration).close()
        configuration.memtableByteCount = (2 << 20) + 1
        let error = #expect(throws: MoraineError.self) {
            try Store.inMemory(configuration: configuration)
        }
        #expect(error?.code == .invalidArgument)
        for name in ["memtableByteCount", "memoryByteCount"] {
            #expect(error?.message.contains(name) == true)
        }
    }

    @Test(arguments: [
        Store.Durability.full, .relaxed(.milliseconds(5)), .bulk,
    ])
    func everyDurabilityKeepsWhatWasClosed(durability: Store.Durability) throws {
        let folder = try TemporaryFolder()
        var configuration = Store.Configuration()
        configuration.durability = durability
        configuration.compression = .deflate
        let store = try Store.open(at: folder.store, configuration: configuration)
        try store.collection("notes", dimensions: 4).put(documents(0..<50))
        try store.sync()
        try store.close()
        let again = try Store.open(at: folder.store)
        #expect(try again.existingCollection("notes").count() == 50)
    }

    @Test func aSoundStoreVerifies() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        try store.collection("notes", dimensions: 4).put(documents(0..<50))
        try store.checkpoint()
        try store.close()
        let report = try Store.verify(at: folder.store)
        #expect(report.isOK)
        #expect(report.findings.isEmpty)
        #expect(report.fileCount > 0)
        #expect(report.byteCount > 0)
        #expect(code { () throws(MoraineError) in try Store.verify(at: folder.path) } == .notAStore)
    }

    @Test func aFlippedByteIsFoundAndNamed() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(at: folder.store)
        try store.collection("notes").put(documents(0..<50).map { Document(id: $0.id) })
        try store.checkpoint()
        try store.close()
        let segments = folder.store + "/seg"
        let names = try FileManager.default.contentsOfDirectory(atPath: segments)
        let name = try #require(names.first { $0.hasSuffix(".doc") })
        let path = segments + "/" + name
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        let report = try Store.verify(at: folder.store)
        #expect(!report.isOK)
        #expect(report.findings.contains { $0.file.hasSuffix(name) })
    }

    @Test func statisticsCount() throws {
        let store = try Store.inMemory()
        try store.collection("notes", dimensions: 4).put(documents(0..<50))
        try store.checkpoint()
        let statistics = try store.statistics()
        #expect(statistics.version == (try store.version()))
        #expect(statistics.segmentCount == 1)
        #expect(statistics.rowCount == 50)
    }
}
