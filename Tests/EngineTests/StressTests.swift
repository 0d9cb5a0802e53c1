// Everything at once on real threads and a real disk: writers in groups, readers, a follower,
// checkpoints, merges, builds of derived files, purges, and closing in the midst of reads.

import Foundation
import MoraineFiles
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

struct StressTests {
    @Test(arguments: [1, 2] as [UInt64])
    func threadsSeeWholeCommitsInOrderAndLoseNone(seed: UInt64) throws {
        let folder = NSTemporaryDirectory() + "moraine-stress-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let stress = try Stress(folder, seed: seed)
        try stress.run()
        for failure in stress.failures.withLock({ $0 }).prefix(5) { Issue.record("\(failure)") }
        #expect(stress.readCount.load(ordering: .relaxed) > 20)
    }
}

/// A store under load.
///
/// Each writer puts the number of its commit into two documents at a time.
private final class Stress: Sendable {
    let failures = Mutex<[String]>([])
    let readCount = Atomic(0)
    private let folder: String
    private let seed: UInt64
    private let engine: Engine
    private let acknowledged: [AtomicNumber]
    private let isOver = Atomic(false)
    private let isClosing = Atomic(false)

    private static let writerCount = 4
    private static let commitCount = 25

    final class AtomicNumber: Sendable { let value = Atomic(0) }

    private static func options(seed: UInt64) -> EngineOptions {
        var options = EngineOptions()
        options.random = SeededRandom(seed: seed)
        options.memoryByteCount = 4 << 20
        options.memtableByteCount = 16_384
        options.logFileByteCount = 65_536
        options.compactionThreadCount = 2
        options.indexThreadCount = 2
        options.scanThreadCount = 2
        options.openFileCount = 8
        options.scrubBytesPerSecond = 1 << 20
        options.indexFormats = SampleIndex.formats(leastRowCount: 20)
        return options
    }

    init(_ folder: String, seed: UInt64) throws {
        self.folder = folder
        self.seed = seed
        engine = try Engine.open(at: folder, options: Self.options(seed: seed))
        acknowledged = (0..<Self.writerCount).map { _ in AtomicNumber() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
    }

    func run() throws {
        let writers = try (0..<Self.writerCount).map { number in
            try thread { try self.write(number) }
        }
        let others = [
            try thread { try self.readUntilClosed() }, try thread { try self.readUntilClosed() },
            try thread { try self.follow() }, try thread { try self.maintain() },
            try thread { try self.purge() },
        ]
        for writer in writers { writer.join() }
        isOver.store(true, ordering: .releasing)
        for other in others[2...] { other.join() }
        isClosing.store(true, ordering: .releasing)
        try engine.close()
        for reader in others[..<2] { reader.join() }
        try reopened()
    }

    private func thread(_ body: @escaping @Sendable () throws -> Void) throws -> WorkerThread {
        let started = WorkerThread {
            do {
                try body()
            } catch {
                self.failures.withLock { $0.append("\(error)") }
            }
        }
        return try #require(started)
    }

    private func expect(_ condition: Bool, _ text: @autoclosure () -> String) {
        if !condition { failures.withLock { $0.append(text()) } }
    }

    private func write(_ number: Int) throws {
        var random = SystemRandomNumberGenerator()
        for count in 1...Self.commitCount {
            try engine.commit { batch throws(StoreError) in
                let shape = try batch.collection("notes")
                for id in [
                    "w\(number)-a", "w\(number)-b", "x\(Int.random(in: 0..<60, using: &random))",
                ] {
                    let text = "\(count) " + String(repeating: "\(number)", count: 200)
                    try batch.put(shape, id, text, vector: [Float(count), Float(number)])
                }
            }
            acknowledged[number].value.store(count, ordering: .releasing)
        }
    }

    private func readUntilClosed() throws {
        do throws(StoreError) {
            while true {
                let least = acknowledged.map { $0.value.load(ordering: .acquiring) }
                check(try numbers(try engine.version()), least)
                readCount.add(1, ordering: .relaxed)
            }
        } catch {
            expect(
                error.code == .closed && isClosing.load(ordering: .acquiring),
                "a reader met \(error)"
            )
        }
    }

    /// The numbers of each writer's two documents.
    private func numbers(_ version: Version) throws(StoreError) -> [(a: Int, b: Int)] {
        guard let shape = version.collection("notes") else { return [] }
        var found: [String: Int] = [:]
        try version.scan(shape, wantsVectors: true) { document throws(StoreError) in
            let id = String(decoding: document.id, as: UTF8.self)
            found[id] = Self.number(document)
            return true
        }
        let query: [Float] = [1, 1]
        let hits = try query.withUnsafeBufferPointer { query throws(StoreError) in
            try version.search(shape, query: query, SearchRequest(limit: 5)).hits
        }
        expect(hits.count == min(5, found.count), "\(hits.count) hits of \(found.count)")
        for hit in hits {
            let id = String(decoding: hit.id, as: UTF8.self)
            let number = try version.withDocument(
                of: hit,
                in: shape,
                wantsVector: true,
                Self.number
            )
            expect(number == found[id], "the document of a hit has \(number), not \(id)'s")
        }
        for (id, number) in found {
            let got = try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                let id = UnsafeRawBufferPointer(id)
                return try version.withDocument(shape, id: id, wantsVector: true, Self.number)
            }
            expect(got == number, "\(id) has \(number) in a scan and \(got ?? -1) by its id")
        }
        return (0..<Self.writerCount).map { (found["w\($0)-a"] ?? 0, found["w\($0)-b"] ?? 0) }
    }

    /// The number that its text begins with.
    private static func number(_ document: DocumentView) -> Int {
        Int(String(decoding: document.text.prefix { $0 != 32 }, as: UTF8.self)) ?? -1
    }

    private func check(_ numbers: [(a: Int, b: Int)], _ least: [Int]) {
        for (pair, least) in zip(numbers, least) {
            expect(pair.a == pair.b, "half a commit: \(pair)")
            expect(pair.a >= least, "\(least) was acknowledged, and \(pair.a) is there")
        }
    }

    private func follow() throws {
        var options = Self.options(seed: seed + 1)
        options.isReadOnly = true
        let follower = try Engine.open(at: folder, options: options)
        var least = [Int](repeating: 0, count: Self.writerCount)
        while !isOver.load(ordering: .acquiring) {
            try follower.refresh()
            let found = try numbers(try follower.version())
            guard !found.isEmpty else { continue }
            check(found, least)
            least = found.map(\.a)
        }
        try follower.close()
    }

    private func maintain() throws {
        var round = 0
        while !isOver.load(ordering: .acquiring) {
            round += 1
            try engine.checkpoint()
            if round % 3 == 0 { try engine.compact(all: round % 2 == 0) }
            if round % 5 == 0 { try engine.buildIndexes() }
            if round % 4 == 0 {
                let report = try Engine.verify(folder, options: Self.options(seed: seed))
                expect(report.isOK, "verify finds \(report.findings)")
            }
        }
    }

    private func purge() throws {
        var round = 0
        while !isOver.load(ordering: .acquiring) {
            round += 1
            let id = "p\(round)"
            try engine.commit { batch throws(StoreError) in
                try batch.put(try batch.collection("notes"), id, "secret", vector: [1, 2])
            }
            do throws(StoreError) {
                _ = try engine.purge("notes", ids: [Array(id.utf8)], waitMilliseconds: 0)
            } catch {
                // A reader may be in the midst of a version with the bytes.
                expect(error.code == .pinned, "a purge met \(error)")
            }
            let isThere = try engine.contents("notes").contains { $0.hasPrefix(id + "=") }
            expect(!isThere, "\(id) is there after its purge")
        }
    }

    private func reopened() throws {
        let report = try Engine.verify(folder, options: Self.options(seed: seed))
        expect(report.isOK, "verify finds \(report.findings)")
        let again = try Engine.open(at: folder, options: Self.options(seed: seed + 2))
        let found = try numbers(try again.version())
        for pair in found {
            expect(pair == (Self.commitCount, Self.commitCount), "\(pair) after reopening")
        }
        try again.close()
    }
}

extension BatchBuilder {
    fileprivate mutating func put(
        _ shape: CollectionShape,
        _ id: String,
        _ text: String,
        vector: [Float]
    ) throws(StoreError) {
        try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
            try Array(text.utf8).withUnsafeBufferPointer { text throws(StoreError) in
                try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                    try vector.withUnsafeBufferPointer { floats throws(StoreError) in
                        try put(
                            shape,
                            id: UnsafeRawBufferPointer(id),
                            text: UnsafeRawBufferPointer(text),
                            metadata: UnsafeRawBufferPointer(metadata),
                            vector: floats
                        )
                    }
                }
            }
        }
    }
}
