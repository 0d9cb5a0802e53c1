// After a merge a segment's graph goes on from that of its largest input.

import MoraineFiles
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import MoraineVectors
import Synchronization
import Testing

@testable import MoraineEngine

@Suite struct GraphJoinTests {
    private func open(_ disk: SimulatedFileSystem) throws -> Engine {
        var options = options(disk, memtable: 4 << 20)
        options.indexFormats = [.codes, .graph(GraphParameters(width: 40, leastVectorCount: 2))]
        return try Engine.open(at: "store", options: options)
    }

    private func put(_ rows: Range<Int>, _ engine: Engine) throws {
        try engine.commit { batch throws(StoreError) in
            let shape = try batch.collection("notes")
            for row in rows {
                let id = Array("n\(row * 7919 % 10_007)".utf8)
                let vector = [Float(row * 37 % 499), Float(row * 53 % 311), Float(row * 71 % 401)]
                try id.withUnsafeBufferPointer { id throws(StoreError) in
                    try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                        try vector.withUnsafeBufferPointer { floats throws(StoreError) in
                            try batch.put(
                                shape,
                                id: UnsafeRawBufferPointer(id),
                                text: UnsafeRawBufferPointer(start: nil, count: 0),
                                metadata: UnsafeRawBufferPointer(metadata),
                                vector: floats
                            )
                        }
                    }
                }
            }
        }
        try engine.checkpoint()
    }

    /// The graph of the one segment.
    private func graph(_ engine: Engine) throws -> GraphSpaceEntry {
        let views = try engine.version().segments
        #expect(views.count == 1)
        return try #require(views.first?.indexes.graph?.spaces.first).entry
    }

    /// A merged segment, with its graph where the disk has room for it.
    private func make(_ disk: SimulatedFileSystem, hasRoom: Bool = true) throws -> Engine {
        let engine = try open(disk)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 3, metric: .l2)
        }
        try put(0..<1100, engine)
        try engine.buildIndexes()
        #expect(try graph(engine).joinCount == 0)
        // Fifty of them take the place of older ones.
        try put(1050..<1400, engine)
        if !hasRoom {
            let task = engine.withWriter { $0.compactionTask($0.segments.map(\.segment.id)) }
            disk.leave(Int(task.neededByteCount) + 1000)
        }
        _ = try engine.compact(all: true)
        disk.setQuota(byteCount: nil)
        return engine
    }

    @Test func aMergedSegmentsGraphGoesOnFromTheOldOne() throws {
        let disk = SimulatedFileSystem()
        let engine = try make(disk)
        defer { try? engine.close() }
        let ids = try engine.version().segments.map(\.segment.id)
        let graphs = disk.filePaths.filter { $0.hasSuffix(".gr") }
        #expect(ids.count == 1 && graphs.count == 1)
        let entry = try graph(engine)
        #expect(entry.joinCount == 1 && entry.vectorCount == 1400)
        #expect(entry.recalls.last ?? 0 > 0.95)
        #expect(try Engine.verify("store", options: engine.options).findings.isEmpty)
        #expect(
            engine.indexing.memory.origins(of: IndexKey(segmentID: ids[0], kind: .graph)).isEmpty
        )
    }

    @Test func aMergeTellsHowFarItsGraphIs() throws {
        let engine = try open(SimulatedFileSystem())
        defer { try? engine.close() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 3, metric: .l2)
        }
        try put(0..<900, engine)
        try put(900..<1800, engine)
        let told = Mutex<[Int]>([])
        try engine.compact(all: true) { made in
            #expect(made.vectorCount == 0 || made.vectorCount == 1800)
            told.withLock { $0.append(made.linkedVectorCount) }
            return true
        }
        let linked = told.withLock { $0 }
        #expect(linked == linked.sorted())
        #expect(Set(linked).count > 10)
        #expect(linked.last == 1800)
    }

    @Test func aPurgeTellsHowFarItIs() throws {
        let engine = try open(SimulatedFileSystem())
        defer { try? engine.close() }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 3, metric: .l2)
        }
        try put(0..<1100, engine)
        try put(1100..<2200, engine)
        try engine.buildIndexes()
        let told = Mutex<[CompactionProgress]>([])
        let ids = ["n0", "n\(1100 * 7919 % 10_007)"].map { Array($0.utf8) }
        let report = try engine.purge("notes", ids: ids, waitMilliseconds: 0) { made in
            told.withLock { $0.append(made) }
            return true
        }
        #expect(report.documentCount == 2)
        let made = told.withLock { $0 }
        let done = made.map(\.doneByteCount)
        #expect(done == done.sorted())
        #expect(Set(made.map(\.linkedVectorCount)).count > 10)
        #expect(made.last?.doneByteCount == made.last?.totalByteCount)
        #expect(made.last?.linkedVectorCount == 2198 && made.last?.vectorCount == 2198)
    }

    @Test func whereItIsMadeAfterTheMergeItStillGoesOn() throws {
        let disk = SimulatedFileSystem()
        let engine = try make(disk, hasRoom: false)
        defer { try? engine.close() }
        // The old files are gone before the new graph is made.
        #expect(disk.filePaths.filter { $0.hasSuffix(".gr") }.isEmpty)
        try engine.buildIndexes()
        #expect(try graph(engine).joinCount == 1)
    }

    @Test func afterARestartItIsBuiltFromNothing() throws {
        let disk = SimulatedFileSystem()
        try make(disk, hasRoom: false).close()
        let engine = try open(disk)
        defer { try? engine.close() }
        try engine.buildIndexes()
        #expect(try graph(engine).joinCount == 0)
    }
}
