// The engine as its callers see it, on the simulated file system.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

/// A small engine whose every step runs in the caller's thread.
func options(_ fileSystem: SimulatedFileSystem, memtable: Int = 1 << 20) -> EngineOptions {
    var options = EngineOptions()
    options.fileSystem = fileSystem
    options.clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
    options.random = SeededRandom(seed: 7)
    options.runsInBackground = false
    options.scanThreadCount = 1
    options.memtableByteCount = memtable
    options.logFileByteCount = 1 << 16
    return options
}

extension Engine {
    func put(
        _ collection: String,
        _ id: String,
        text: String,
        vector: [Float]? = nil,
        isLogged: Bool = true
    ) throws(StoreError) {
        try commit(logged: isLogged) { batch throws(StoreError) in
            let shape = try batch.collection(collection)
            try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                try Array(text.utf8).withUnsafeBufferPointer { text throws(StoreError) in
                    try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                        try (vector ?? []).withUnsafeBufferPointer { floats throws(StoreError) in
                            try batch.put(
                                shape,
                                id: UnsafeRawBufferPointer(id),
                                text: UnsafeRawBufferPointer(text),
                                metadata: UnsafeRawBufferPointer(metadata),
                                vector: vector == nil ? nil : floats
                            )
                        }
                    }
                }
            }
        }
    }

    func delete(_ collection: String, _ id: String) throws(StoreError) {
        try commit { batch throws(StoreError) in
            let shape = try batch.collection(collection)
            try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                try batch.delete(shape, id: UnsafeRawBufferPointer(id))
            }
        }
    }

    /// All documents of a collection as "id=text", in scan order.
    func contents(_ collection: String) throws(StoreError) -> [String] {
        let version = try version()
        var found: [String] = []
        guard let shape = version.collection(collection) else { return [] }
        try version.scan(shape, wantsVectors: true) { document in
            found.append(
                String(decoding: document.id, as: UTF8.self) + "="
                    + String(decoding: document.text, as: UTF8.self)
            )
            return true
        }
        return found
    }
}

struct EngineTests {
    @Test func whatIsPutIsThereAfterReopening() throws {
        let disk = SimulatedFileSystem()
        let engine = try Engine.open(at: "store", options: options(disk))
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .cosine)
        }
        try engine.put("notes", "b", text: "two", vector: [0, 1])
        try engine.put("notes", "a", text: "one", vector: [1, 0])
        try engine.put("notes", "c", text: "three")
        try engine.delete("notes", "c")
        #expect(try engine.contents("notes") == ["a=one", "b=two"])
        try engine.close()
        let report = try Engine.verify("store", options: options(disk), progress: nil)
        #expect(report.findings.isEmpty)
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes") == ["a=one", "b=two"])
        let version = try again.version()
        let shape = try #require(version.collection("notes"))
        #expect(try version.count(shape) == 2)
        let hits = try [Float(0.1), 1].withUnsafeBufferPointer {
            try version.search(shape, query: $0, SearchRequest(limit: 5)).hits
        }
        #expect(hits.map { String(decoding: $0.id, as: UTF8.self) } == ["b", "a"])
        try again.close()
    }

    @Test func segmentsAndMemtableReadAsOne() throws {
        let disk = SimulatedFileSystem()
        let engine = try Engine.open(at: "store", options: options(disk))
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        var expected: [String: String] = [:]
        let random = SeededRandom(seed: 3)
        for step in 0..<600 {
            let id = "k\(random.next() % 60)"
            if random.next() % 4 == 0 {
                try engine.delete("notes", id)
                expected[id] = nil
            } else {
                try engine.put("notes", id, text: "t\(step)")
                expected[id] = "t\(step)"
            }
            if step % 97 == 96 { try engine.checkpoint() }
        }
        let lines = expected.map { "\($0.key)=\($0.value)" }.sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        let sortedByID = expected.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { "\($0.key)=\($0.value)" }
        #expect(lines.count == sortedByID.count)
        #expect(try engine.contents("notes") == sortedByID)
        let version = try engine.version()
        let shape = try #require(version.collection("notes"))
        #expect(try version.count(shape) == expected.count)
        try engine.close()
        #expect(try Engine.verify("store", options: options(disk), progress: nil).findings.isEmpty)
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes") == sortedByID)
        try again.close()
    }

    @Test func acknowledgedCommitsSurviveAPowerCut() throws {
        for seed in UInt64(0)..<40 {
            let disk = SimulatedFileSystem()
            let engine = try Engine.open(at: "store", options: options(disk))
            try engine.commit { batch throws(StoreError) in
                try batch.createCollection("notes", dimensions: 0, metric: .cosine)
            }
            for step in 0..<10 { try engine.put("notes", "k\(step)", text: "\(seed)") }
            disk.crash(seed: seed)
            let again = try Engine.open(at: "store", options: options(disk))
            #expect(try again.contents("notes").count == 10, "seed \(seed)")
            try again.put("notes", "z", text: "after")
            disk.crash(seed: seed &+ 1000)
            let third = try Engine.open(at: "store", options: options(disk))
            #expect(try third.contents("notes").count == 11, "seed \(seed)")
            try third.close()
            let report = try Engine.verify("store", options: options(disk), progress: nil)
            #expect(report.findings.isEmpty, "seed \(seed)")
        }
    }

    @Test func aSecondWriterIsRefused() throws {
        let disk = SimulatedFileSystem()
        let engine = try Engine.open(at: "store", options: options(disk))
        do throws(StoreError) {
            _ = try Engine.open(at: "store", options: options(disk))
            Issue.record("a second writer was let in")
        } catch {
            #expect(error.code == .locked)
        }
        try engine.close()
        let next = try Engine.open(at: "store", options: options(disk))
        try next.close()
    }
}
