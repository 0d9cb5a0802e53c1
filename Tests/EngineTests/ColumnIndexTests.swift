// Columns as the engine makes and holds them.

import MoraineFiles
import MoraineFilters
import MoraineFormat
import MoraineSegments
import MoraineSimulation
import MoraineStorage
import Testing

@testable import MoraineEngine

@Suite struct ColumnIndexTests {
    /// Metadata with one field.
    private static func metadata(_ row: Int) -> [UInt8] {
        // {"n": row}, row below 64.
        [1, 1, UInt8(ascii: "n"), Metadata.Tag.integer.rawValue, UInt8(row * 2)]
    }

    private static func put(_ row: Int, _ shape: CollectionShape, _ batch: inout BatchBuilder)
        throws(StoreError)
    {
        let id = Array("n\(row)".utf8)
        try id.withUnsafeBufferPointer { id throws(StoreError) in
            try metadata(row % 64).withUnsafeBufferPointer { metadata throws(StoreError) in
                try batch.put(
                    shape,
                    id: UnsafeRawBufferPointer(id),
                    text: UnsafeRawBufferPointer(start: nil, count: 0),
                    metadata: UnsafeRawBufferPointer(metadata),
                    vector: nil
                )
            }
        }
    }

    private static func make(_ disk: SimulatedFileSystem, rowCount: Int) throws -> Engine {
        var options = options(disk)
        options.indexFormats = [.columns]
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
            let shape = try batch.collection("notes")
            for row in 0..<rowCount { try put(row, shape, &batch) }
        }
        try engine.checkpoint()
        return engine
    }

    @Test func aSegmentsColumnsAnswerAsItsDocumentsDo() throws {
        let disk = SimulatedFileSystem()
        let engine = try Self.make(disk, rowCount: ColumnFileWriter.leastRowCount)
        defer { try? engine.close() }
        #expect(try engine.buildIndexes() == 1)
        let view = try #require(try engine.version().segments.first)
        let columns = try #require(view.indexes.columns)
        let documents = view.segment.files.documents
        let all = 0..<documents.rowCount
        for text in ["n == 7", "n < 20 or n >= 60", "not n exists", "n in [1, 2.0, 63]"] {
            let filter = try Filter(text: text)
            var evaluator = FilterEvaluator(filter)
            var expected: [UInt32] = []
            try documents.forEachRecord(in: all) { row, record throws(StoreError) in
                if (try? evaluator.matches(record.metadata)) == true { expected.append(row) }
                return true
            }
            var found: [UInt32] = []
            let set = try #require(try columns.matches(filter, collection: 1, rows: all))
            set.forEach { found.append($0) }
            #expect(found == expected, "\(text)")
            let dead = DeadRows(rowCount: documents.rowCount).with(dead: [found.first ?? 0])
            let live = set.subtracting(chunkRowCount: DeadRows.chunkRowCount) {
                dead.words(ofChunk: $0)
            }
            #expect(live.count == max(0, found.count - 1))
        }
        #expect(try Engine.verify("store", options: engine.options).findings.isEmpty)
    }

    @Test func fewRowsGetNone() throws {
        let engine = try Self.make(
            SimulatedFileSystem(),
            rowCount: ColumnFileWriter.leastRowCount - 1
        )
        defer { try? engine.close() }
        #expect(try engine.buildIndexes() == 0)
    }

    @Test func thatNoRowHasMetadataIsRememberedOnDisk() throws {
        let disk = SimulatedFileSystem()
        var options = options(disk, memtable: 4 << 20)
        options.indexFormats = [.columns]
        let engine = try Engine.open(at: "store", options: options)
        try engine.create("notes", dimensions: 0)
        try engine.commit { batch throws(StoreError) in
            for row in 0..<ColumnFileWriter.leastRowCount {
                try batch.put("notes", "n\(row)", text: "text")
            }
        }
        try engine.checkpoint()
        #expect(try engine.buildIndexes() == 1)
        #expect(try engine.buildIndexes() == 0)
        let shape = try #require(try engine.version().collection("notes"))
        let filter = try Filter(text: "a exists")
        #expect(try engine.version().count(shape, where: filter) == 0)
        try engine.close()
        // Nothing is to make, so nothing is written, by the next one.
        let before = (disk.contents(of: "store/ROOT"), try disk.list("store/seg").map(\.name))
        let again = try Engine.open(at: "store", options: options)
        #expect(try again.buildIndex() == false)
        #expect(try again.version().segments.first?.indexes.columns != nil)
        try again.close()
        #expect(disk.contents(of: "store/ROOT") == before.0)
        #expect(try disk.list("store/seg").map(\.name) == before.1)
        #expect(try Engine.verify("store", options: options).findings.isEmpty)
    }
}
