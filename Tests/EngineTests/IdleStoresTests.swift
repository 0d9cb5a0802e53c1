// Many stores in one process: what each holds of the system once nobody uses it.

import Foundation
import MoraineFiles
import Testing

@testable import MoraineEngine

#if os(Linux)
struct IdleStoresTests {
    /// Descriptors of files below a folder.
    private func descriptorCount(_ folder: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/self/fd/\(name)"
            )
            return target?.hasPrefix(folder + "/") ?? false
        }
    }

    @Test func thirtyIdleStoresHoldThreeDescriptorsEach() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/idle-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false
        )
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        var options = options(SimulatedFileSystem())
        options.fileSystem = PosixFileSystem()
        options.clock = clock
        options.durability = .bulk
        var engines: [Engine] = []
        for number in 0..<30 {
            let engine = try Engine.open(at: "\(folder)/\(number)", options: options)
            try engine.create("notes", dimensions: 2)
            for round in 0..<2 {
                try engine.put("notes", "\(round)", text: "text", vector: [1, 2])
                try engine.checkpoint()
            }
            #expect(try engine.contents("notes").count == 2)
            engines.append(engine)
        }
        #expect(try descriptorCount(folder) > 3 * engines.count)
        // One period to see that nobody reads, one at whose end files are closed.
        for _ in 0..<2 {
            clock.advance(milliseconds: UInt32(Engine.descriptorMilliseconds))
            for engine in engines { #expect(engine.maintain() != 0) }
        }
        #expect(try descriptorCount(folder) <= 3 * engines.count)
        for engine in engines {
            #expect(engine.statistics().openFileCount == 0)
            #expect(engine.statistics().mappedFileCount == 4)
            #expect(try engine.contents("notes").count == 2)
            try engine.close()
        }
        engines = []
        #expect(try descriptorCount(folder) == 0)
    }
}
#endif
