// A process that may map no more files: a typed error, and a store that goes on.

import Foundation
import MoraineFiles
import MoraineStorage
import Testing

@testable import MoraineEngine

struct MapBudgetTests {
    @Test func withoutAMapLeftTheStoreRefusesAndGoesOn() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/maps-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let maps = MapBudget(limit: 3)
        var options = options(SimulatedFileSystem())
        options.fileSystem = PosixFileSystem(maps: maps)
        try fill(folder, options, maps)
        #expect(maps.count == 0)

        var roomy = options
        roomy.fileSystem = PosixFileSystem(maps: MapBudget(limit: 4))
        let again = try Engine.open(at: folder, options: roomy)
        #expect(try again.contents("notes") == ["a=1", "b=2", "c=3"])
        try again.checkpoint()
        try again.close()
        // Four maps are needed now.
        do throws(StoreError) {
            _ = try Engine.open(at: folder, options: options)
            Issue.record("the store needs more than three maps")
        } catch {
            #expect(error.code == .tooManyFiles)
        }
        #expect(maps.count == 0)
    }

    /// Fills a store until it has no map left, and one document more.
    private func fill(_ folder: String, _ options: EngineOptions, _ maps: MapBudget) throws {
        let engine = try Engine.open(at: folder, options: options)
        try engine.create("notes", dimensions: 2)
        try engine.put("notes", "a", text: "1", vector: [1, 2])
        try engine.checkpoint()
        #expect(maps.count == 2)
        #expect(engine.statistics().mappedFileCount == 2)
        try engine.put("notes", "b", text: "2", vector: [1, 2])
        #expect(throws: StoreError.self) { try engine.checkpoint() }
        #expect(engine.statistics().lastBackgroundError?.code == .tooManyFiles)
        #expect(maps.count == 2)
        #expect(try engine.contents("notes") == ["a=1", "b=2"])
        try engine.put("notes", "c", text: "3")
        #expect(throws: StoreError.self) { try engine.close() }
    }
}
