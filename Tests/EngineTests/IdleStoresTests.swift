// Many stores in one process: what each holds of the system once nobody uses it.

import Foundation
import MoraineFiles
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

#if os(Linux)
struct IdleStoresTests {
    /// Descriptors of files below a folder.
    private func descriptors(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name in
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
        }.filter { $0.hasPrefix(folder + "/") }
    }

    private func descriptorCount(_ folder: String) throws -> Int { try descriptors(folder).count }

    /// A store is made, written to, merged and opened again, whatever fails.
    private func use(_ path: String, _ options: EngineOptions) throws(StoreError) {
        let engine = try Engine.open(at: path, options: options)
        try? engine.create("notes", dimensions: 2)
        for round in 0..<2 {
            try? engine.put("notes", "\(round)", text: "text", vector: [1, 2])
            try? engine.checkpoint()
        }
        _ = try? engine.compact(all: true)
        try? engine.close()
        let again = try Engine.open(at: path, options: options)
        _ = try? again.contents("notes")
        try? again.close()
    }

    @Test func noCallThatFailsLeavesADescriptor() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/left-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false
        )
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var ordinal = 1
        var isHit = true
        while isHit {
            let calls = Atomic(0)
            let failing = ordinal
            var options = options(SimulatedFileSystem())
            options.fileSystem = WatchedFileSystem(
                PosixFileSystem(),
                before: { operation, path throws(FileError) in
                    let number = calls.add(1, ordering: .relaxed).newValue
                    guard number == failing else { return }
                    throw FileError(operation, path: path, errorNumber: EIO)
                }
            )
            options.durability = .bulk
            let path = "\(folder)/\(failing)"
            try? use(path, options)
            #expect(try descriptors(path) == [], "call \(failing)")
            isHit = calls.load(ordering: .relaxed) >= failing
            // Each file that is opened is read several times.
            ordinal += 7
        }
        #expect(ordinal > 150)
    }

    /// Makes stores of two segments in a folder; what they hold at rest is what `look` sees.
    private func withIdleStores(
        _ look: (String, [Engine], EngineOptions, ManualClock) throws -> Void
    )
        throws
    {
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
        try look(folder, engines, options, clock)
        for engine in engines { try engine.close() }
        #expect(try descriptorCount(folder) == 0)
    }

    /// One period to see that nobody reads, one at whose end files are closed.
    private func rest(_ engines: [Engine], _ clock: ManualClock) {
        for _ in 0..<2 {
            clock.advance(milliseconds: UInt32(Engine.descriptorMilliseconds))
            for engine in engines { #expect(engine.maintain() != 0) }
        }
    }

    @Test func thirtyIdleStoresHoldThreeDescriptorsEach() throws {
        try withIdleStores { folder, engines, _, clock throws in
            #expect(try descriptorCount(folder) > 3 * engines.count)
            rest(engines, clock)
            #expect(try descriptorCount(folder) <= 3 * engines.count)
            for engine in engines {
                #expect(engine.statistics().openFileCount == 0)
                #expect(engine.statistics().mappedFileCount == 4)
                #expect(try engine.contents("notes").count == 2)
            }
        }
    }

    @Test func thirtyIdleReadersHoldNoDescriptor() throws {
        try withIdleStores { folder, engines, options, clock throws in
            rest(engines, clock)
            let before = try descriptorCount(folder)
            var options = options
            options.isReadOnly = true
            let readers = try (0..<engines.count).map {
                try Engine.open(at: "\(folder)/\($0)", options: options)
            }
            for reader in readers { #expect(try reader.contents("notes").count == 2) }
            #expect(try descriptorCount(folder) > before)
            rest(readers, clock)
            #expect(try descriptorCount(folder) == before)
            for reader in readers {
                #expect(try reader.contents("notes").count == 2)
                try reader.close()
            }
        }
    }
}
#endif
