// Documents that expire: gone for every read at once, the same for one version for ever.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct ExpiryTests {
    private let disk = SimulatedFileSystem()
    private let clock = ManualClock(wallMilliseconds: 1_000)

    private func open() throws -> Engine {
        var options = options(disk)
        options.clock = clock
        return try Engine.open(at: "store", options: options)
    }

    private func put(
        _ engine: Engine,
        _ id: String,
        expiry: UInt64,
        ifVersion: UInt64? = nil
    ) throws {
        try engine.commit { batch throws(StoreError) in
            let shape = try batch.collection("notes")
            try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                    try [Float(1), 2].withUnsafeBufferPointer { vector throws(StoreError) in
                        try batch.put(
                            shape,
                            id: UnsafeRawBufferPointer(id),
                            text: UnsafeRawBufferPointer(id),
                            metadata: UnsafeRawBufferPointer(metadata),
                            vector: vector,
                            expectedVersion: ifVersion,
                            expiry: expiry
                        )
                    }
                }
            }
        }
    }

    /// The ids that scan, get, count and search agree on.
    private func ids(_ version: Version) throws -> [String] {
        let shape = try #require(version.collection("notes"))
        var ids: [String] = []
        try version.scan(shape, wantsVectors: false) { document in
            ids.append(String(decoding: document.id, as: UTF8.self))
            return true
        }
        #expect(try version.count(shape) == ids.count)
        let hits = try [Float(1), 2].withUnsafeBufferPointer {
            try version.search(shape, query: $0, SearchRequest(limit: 100)).hits
        }
        #expect(hits.map { String(decoding: $0.id, as: UTF8.self) } == ids)
        for id in (0..<20).map({ "d\($0 + 10)" }) {
            let found = try Array(id.utf8).withUnsafeBytes { bytes in
                try version.withDocument(shape, id: bytes, wantsVector: false) { _ in true }
            }
            #expect((found ?? false) == ids.contains(id))
        }
        return ids
    }

    @Test(arguments: [false, true])
    func whatHasExpiredIsGoneForReadersOfALaterTime(flushes: Bool) throws {
        let engine = try open()
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        for index in 0..<20 {
            try put(engine, "d\(index + 10)", expiry: index % 2 == 0 ? 2_000 + UInt64(index) : 0)
            if flushes, index % 8 == 7 { try engine.checkpoint() }
        }
        if flushes { try engine.checkpoint() }
        let early = try engine.version()
        #expect(try ids(early).count == 20)
        clock.setWall(milliseconds: 2_004)
        // 2,000, 2,002 and 2,004 are over.
        #expect(try ids(engine.version()).count == 17)
        #expect(try ids(early).count == 20)
        clock.setWall(milliseconds: 5_000)
        let late = try engine.version()
        #expect(try ids(late) == (0..<10).map { "d\($0 * 2 + 11)" })
        // For a write it is not there either: it is made anew.
        try put(engine, "d10", expiry: 0, ifVersion: 0)
        #expect(try engine.delete("notes", prefix: "d1") == 6)
        #expect(try ids(engine.version()).count == 5)
        #expect(try ids(late).count == 10)
        try engine.checkpoint()
        try engine.compact(all: true)
        #expect(try ids(engine.version()).count == 5)
        #expect(try engine.version().segments.reduce(0) { $0 + $1.segment.rowCount } == 5)
        try engine.close()
        #expect(try Engine.verify("store", options: options(disk)).findings.isEmpty)
        let again = try open()
        #expect(try ids(again.version()).count == 5)
        try again.close()
    }

    @Test func aMergeTakesWhatHasExpiredFromTheDisk() throws {
        let engine = try open()
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        for number in 10..<14 { try put(engine, "d\(number)", expiry: 5_000) }
        for number in 14..<30 { try put(engine, "d\(number)", expiry: 0) }
        try engine.checkpoint()
        // Not one in five: no reason by itself, but all of them are rewritten when asked to.
        clock.advance(milliseconds: 10_000)
        #expect(try engine.compact().mergeCount == 0)
        #expect(engine.statistics().rowCount == 20)
        try engine.compact(all: true)
        #expect(engine.statistics().rowCount == 16)
        #expect(try ids(try engine.version()).count == 16)
        for number in 30..<40 { try put(engine, "d\(number)", expiry: 20_000) }
        try engine.checkpoint()
        clock.advance(milliseconds: 10_000)
        #expect(try engine.compact().mergeCount == 1)
        #expect(engine.statistics().rowCount == 16)
        try engine.close()
        #expect(try Engine.verify("store", options: options(disk), progress: nil).isOK)
    }
}
