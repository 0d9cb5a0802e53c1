// Loads beside the log, with the engine's own threads.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct BulkLoadTests {
    private func opened(_ disk: SimulatedFileSystem) throws -> Engine {
        var options = options(disk, memtable: 64 << 20)
        options.runsInBackground = true
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .cosine)
        }
        return engine
    }

    private func load(_ range: Range<Int>, into engine: Engine) throws {
        let text = String(repeating: "moraine ", count: 1 << 18)
        for number in range {
            try engine.put(
                "notes",
                "k\(number)",
                text: "\(number) " + text,
                vector: [Float(number), 1],
                isLogged: false
            )
        }
    }

    private func vectors(_ engine: Engine) throws -> [[Float]] {
        let version = try engine.version()
        let shape = try #require(version.collection("notes"))
        var found: [[Float]] = []
        try version.scan(shape, wantsVectors: true) { document in
            guard let bytes = document.vector else { return true }
            found.append(
                (0..<2).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
            )
            return true
        }
        return found
    }

    @Test func aLoadIsFlushedLongBeforeTheMemtableIsFull() throws {
        let disk = SimulatedFileSystem()
        let engine = try opened(disk)
        try load(0..<10, into: engine)
        try engine.checkpoint()
        #expect(engine.statistics().segmentCount >= 2)
        #expect(try vectors(engine) == (0..<10).map { [Float($0), 1] })
        try engine.close()
        disk.crash(.unsyncedLost, seed: 1)
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes").map { $0.prefix(4) } == (0..<10).map { "k\($0)=\($0)" })
        #expect(try vectors(again) == (0..<10).map { [Float($0), 1] })
        try again.close()
        #expect(try Engine.verify("store", options: options(disk), progress: nil).isOK)
    }

    /// The three writes are those of `.doc`, `.key` and `.vec`, in any order.
    @Test(arguments: UInt64(1)...3)
    func aCheckpointThatFindsNoSpaceCanBeTriedAgain(ordinal: UInt64) throws {
        let disk = SimulatedFileSystem()
        let engine = try opened(disk)
        try load(0..<2, into: engine)
        disk.setFault(Fault(operation: .write, ordinal: ordinal, errorNumber: noSpaceNumber))
        #expect(throws: StoreError.self) { try engine.checkpoint() }
        disk.setFault(nil)
        try engine.checkpoint()
        #expect(try vectors(engine) == (0..<2).map { [Float($0), 1] })
        try engine.close()
        #expect(try Engine.verify("store", options: options(disk), progress: nil).isOK)
        #expect(try disk.list("store/seg").count == 3)
    }
}

/// ENOSPC, the same on all systems.
private let noSpaceNumber: Int32 = 28
