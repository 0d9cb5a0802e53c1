// Searches with filters, exact ones, and scans with filters, against every document looked at
// alone.

import MoraineFiles
import MoraineFilters
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import Testing

@testable import MoraineEngine

@Suite struct FilteredSearchTests {
    /// {"n": row % 64}.
    private func metadata(_ row: Int) -> [UInt8] {
        [1, 1, UInt8(ascii: "n"), Metadata.Tag.integer.rawValue, UInt8(row % 64 * 2)]
    }

    /// Whole numbers, so that scores are exact and many are equal; one row in seven has none.
    private func vector(_ row: Int) -> [Float]? {
        guard row % 7 != 3 else { return nil }
        return [Float(row * 37 % 199), Float(row * 53 % 151)]
    }

    private func id(_ row: Int) -> String { "d" + String(row + 10_000) }

    private func put(_ rows: Range<Int>, _ engine: Engine) throws {
        try engine.commit { batch throws(StoreError) in
            let shape = try batch.collection("notes")
            for row in rows {
                try Array(id(row).utf8).withUnsafeBufferPointer { id throws(StoreError) in
                    try metadata(row).withUnsafeBufferPointer { metadata throws(StoreError) in
                        let vector = vector(row)
                        try (vector ?? []).withUnsafeBufferPointer { floats throws(StoreError) in
                            try batch.put(
                                shape,
                                id: UnsafeRawBufferPointer(id),
                                text: UnsafeRawBufferPointer(start: nil, count: 0),
                                metadata: UnsafeRawBufferPointer(metadata),
                                vector: vector == nil ? nil : floats
                            )
                        }
                    }
                }
            }
        }
    }

    /// The ids that a scan visits, in its order.
    private func scan(_ version: Version, _ range: ScanRange, _ filter: String) throws -> [String] {
        let shape = try #require(version.collection("notes"))
        let filter = try Filter(text: filter)
        var ids: [String] = []
        try version.scan(shape, range: range, where: filter, wantsVectors: true) { document in
            ids.append(String(decoding: document.id, as: UTF8.self))
            return true
        }
        return ids
    }

    @Test func aFilteredScanVisitsWhatTheFilterLetsPass() throws {
        var options = options(SimulatedFileSystem(), memtable: 4 << 20)
        options.indexFormats = [.columns]
        let engine = try Engine.open(at: "store", options: options)
        defer { try? engine.close() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("other", dimensions: 2, metric: .l2)
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        // One segment with columns, one that is too small for them, and memory, which hides rows
        // of both.
        try put(0..<2600, engine)
        try engine.checkpoint()
        #expect(try engine.buildIndexes() == 1)
        try put(2600..<2900, engine)
        try engine.checkpoint()
        try put(2550..<2650, engine)
        let version = try engine.version()
        #expect(version.segments.map { $0.indexes.columns != nil } == [true, false])
        let cases: [(String, (Int) -> Bool)] = [
            ("n == 7", { $0 == 7 }), ("n >= 5 and n < 60", { $0 >= 5 && $0 < 60 }),
            ("n == 99", { _ in false }), ("n exists", { _ in true }),
        ]
        let ranges = [
            (ScanRange(), 0..<2900), (ScanRange(prefix: Array("d111".utf8)), 1100..<1200),
            (ScanRange(from: Array(id(2540).utf8), to: Array(id(2660).utf8)), 2540..<2660),
            (ScanRange(prefix: Array("e".utf8)), 0..<0),
        ]
        for (text, passes) in cases {
            for (range, rows) in ranges {
                let expected = rows.filter { passes($0 % 64) }.map(id)
                #expect(try scan(version, range, text) == expected, "\(text) \(rows)")
            }
        }
    }

    @Test func aFilteredScanReadsOnlyBlocksWithRowsThatPass() throws {
        let disk = SimulatedFileSystem()
        var options = options(disk, memtable: 4 << 20)
        options.indexFormats = [.columns]
        let engine = try Engine.open(at: "store", options: options)
        defer { try? engine.close() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        try put(0..<2600, engine)
        try engine.checkpoint()
        let all = ScanRange()
        let broken = Fault(operation: .read, ordinal: 1, errorNumber: 5, once: false)
        #expect(try scan(engine.version(), all, "n == 99") == [])
        disk.setFaults([broken])
        #expect(throws: StoreError.self) { _ = try scan(engine.version(), all, "n == 99") }
        disk.setFaults([])
        #expect(try engine.buildIndexes() == 1)
        disk.setFaults([broken])
        #expect(try scan(engine.version(), all, "n == 99") == [])
        #expect(throws: StoreError.self) { _ = try scan(engine.version(), all, "n == 9") }
        disk.setFaults([])
    }

    @Test func aFilteredSearchIsASearchOfWhatTheFilterLetsPass() throws {
        var options = options(SimulatedFileSystem(), memtable: 4 << 20)
        options.indexFormats = [.codes, .columns]
        let engine = try Engine.open(at: "store", options: options)
        defer { try? engine.close() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        // Rows with vectors leave gaps; some of a segment are written anew in memory.
        try put(0..<3000, engine)
        try engine.checkpoint()
        #expect(try engine.buildIndexes() == 2)
        try put(2900..<3100, engine)
        let version = try engine.version()
        let shape = try #require(version.collection("notes"))
        let queries: [Float] = [50, 50, 190, 10, 0, 150]
        let cases: [(String, (Int) -> Bool)] = [
            ("n == 7", { $0 == 7 }), ("n < 20", { $0 < 20 }), ("n >= 5", { $0 >= 5 }),
            ("n == 99", { _ in false }), ("n exists", { _ in true }),
        ]
        for (text, passes) in cases {
            var request = SearchRequest(limit: 40)
            request.filter = try Filter(text: text)
            request.isExact = true
            let found = try queries.withUnsafeBufferPointer { queries throws(StoreError) in
                try version.search(shape, queries: queries, request)
            }
            for (number, hits) in found.enumerated() {
                let query = [queries[2 * number], queries[2 * number + 1]]
                #expect(
                    hits.map(Found.init) == expected(query, limit: 40, passes),
                    "\(text) \(number)"
                )
                let one = try query.withUnsafeBufferPointer { query throws(StoreError) in
                    try version.search(shape, query: query, request)
                }
                #expect(one.hits == hits)
            }
        }
    }

    @Test func aHitGivesItsOwnDocumentOrIsDamage() throws {
        let engine = try Engine.open(
            at: "store",
            options: options(SimulatedFileSystem(), memtable: 4 << 20)
        )
        defer { try? engine.close() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        // Two segments and memory.
        try put(0..<100, engine)
        try engine.checkpoint()
        try put(50..<150, engine)
        try engine.checkpoint()
        try put(120..<180, engine)
        let version = try engine.version()
        let shape = try #require(version.collection("notes"))
        let query: [Float] = [50, 50]
        let hits = try query.withUnsafeBufferPointer { query throws(StoreError) in
            try version.search(shape, query: query, SearchRequest(limit: 200)).hits
        }
        #expect(hits.count == (0..<180).count { vector($0) != nil })
        #expect(Set(hits.map(\.source)) == [0, 1, 2])
        for (hit, other) in zip(hits, hits.dropFirst() + hits.prefix(1)) {
            let (id, floats) = try version.withDocument(of: hit, in: shape, wantsVector: true) {
                ($0.id.elementsEqual(hit.id), $0.vector?.bindMemory(to: Float.self).map { $0 })
            }
            #expect(id)
            let row = try #require(Int(String(decoding: hit.id.dropFirst(), as: UTF8.self)))
            #expect(floats == vector(row - 10_000))
            guard hit.source > 0 else { continue }
            let moved = SearchHit(
                id: other.id,
                score: hit.score,
                source: hit.source,
                row: hit.row
            )
            let error = #expect(throws: StoreError.self) {
                try version.withDocument(of: moved, in: shape, wantsVector: false) { _ in }
            }
            #expect(error?.code == .corrupted)
            #expect(error?.path?.hasSuffix(".doc") == true)
        }
    }

    /// A hit without its place.
    private struct Found: Equatable {
        let id: ArraySlice<UInt8>
        let score: Float

        init(_ hit: SearchHit) { self.init(id: hit.id, score: hit.score) }

        init(id: ArraySlice<UInt8>, score: Float) {
            self.id = id
            self.score = score
        }
    }

    private func expected(_ query: [Float], limit: Int, _ passes: (Int) -> Bool) -> [Found] {
        var hits: [Found] = []
        for row in 0..<3100 where passes(row % 64) {
            guard let vector = vector(row) else { continue }
            let (x, y) = (query[0] - vector[0], query[1] - vector[1])
            hits.append(Found(id: ArraySlice(id(row).utf8), score: x * x + y * y))
        }
        hits.sort {
            $0.score != $1.score ? $0.score < $1.score : $0.id.lexicographicallyPrecedes($1.id)
        }
        return Array(hits.prefix(limit))
    }
}
