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
}
