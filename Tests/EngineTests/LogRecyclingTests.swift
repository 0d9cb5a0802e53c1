// Log files are given up only after the edit that drops them is durable.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct LogRecyclingTests {
    /// A store whose commits fill several log files.
    private func filled(_ disk: SimulatedFileSystem) throws -> Engine {
        let engine = try Engine.open(at: "store", options: options(disk, memtable: 4 << 20))
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        let text = String(repeating: "moraine ", count: 1000)
        for number in 0..<40 { try engine.put("notes", "k\(number)", text: text) }
        #expect(engine.statistics().logFileCount > 2)
        return engine
    }

    @Test(arguments: [CrashModel.prefix, .directories, .mixed])
    func aCrashWhileLogFilesAreDroppedLosesNothing(model: CrashModel) throws {
        var isFinished = false
        var change: UInt64 = 1
        while !isFinished {
            for seed in UInt64(0)..<3 {
                let disk = SimulatedFileSystem()
                let engine = try filled(disk)
                disk.crashAt(change: change)
                do throws(StoreError) {
                    try engine.checkpoint()
                    isFinished = true
                } catch {
                    isFinished = false
                }
                disk.crash(model, seed: seed)
                let again = try Engine.open(at: "store", options: options(disk))
                let count = try again.contents("notes").count
                #expect(count == 40, "crash at change \(change), seed \(seed)")
                try again.close()
            }
            change += 1
        }
        #expect(change > 10)
    }

    @Test func theNextLogFileIsThereBeforeItIsNeeded() throws {
        let disk = SimulatedFileSystem()
        let engine = try filled(disk)
        let free = "store/" + FileNames.spareLogFolder
        #expect(try disk.list(free).isEmpty)
        engine.prepareLog()
        engine.prepareLog()
        let spare = try #require(try disk.list(free).first)
        #expect(try disk.list(free).count == 1)
        let size = engine.withWriter { $0.nextLogByteCount }
        #expect(try disk.info("\(free)/\(spare.name)")?.byteCount == size)

        let before = engine.statistics().logFileCount
        let text = String(repeating: "moraine ", count: 1000)
        var number = 40
        while engine.statistics().logFileCount == before {
            try engine.put("notes", "k\(number)", text: text)
            number += 1
        }
        #expect(try disk.list(free).isEmpty)
        try engine.close()
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes").count == number)
        try again.close()
    }
}
