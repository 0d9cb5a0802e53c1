// Crashes while derived files are made and taken in: nothing else changes, and nothing is left.

import MoraineFiles
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import Testing

@testable import MoraineEngine

struct IndexCrashTests {
    /// Crashes at every change of `play`, under one model after the other.
    ///
    /// - Parameter isDamaged: files are damaged before; else nothing is ever found wrong.
    /// - Returns: how many changes it has.
    private func crashEverywhere(
        isDamaged: Bool = false,
        _ prepare: (IndexFixture) throws -> Void,
        _ play: (Engine) throws -> Void
    ) throws -> Int {
        let before = IndexFixture()
        try prepare(before)
        for change in 1..<2_000 {
            let model = CrashModel.allCases[change % CrashModel.allCases.count]
            let place = IndexFixture(disk: before.disk.copy(keepingUnsynced: true))
            let engine = try place.open()
            let contents = try engine.contents("notes")
            place.disk.crashAt(change: UInt64(change))
            try? play(engine)
            if !place.disk.isShutDown {
                try? engine.close()
                return change - 1
            }
            try? engine.close()
            place.disk.crash(model, seed: UInt64(change))
            let again = try place.open()
            #expect(try again.contents("notes") == contents)
            // The writer has started: what the crash left is gone.
            try again.put("notes", "later", text: "x")
            if isDamaged { try place.expectNoOrphans() } else { try place.expectSound() }
            try again.buildIndexes()
            try again.close()
            try place.expectSound()
            let last = try place.open()
            #expect(try place.kinds(last).allSatisfy { $0.contains(.columns) })
            #expect(try last.contents("notes") == ["later=x"] + contents)
            try last.close()
        }
        Issue.record("the scene has no end")
        return 0
    }

    @Test func anywhereInTheMakingOfFiles() throws {
        let count = try crashEverywhere(
            { try $0.make().close() },
            { engine in try engine.buildIndexes() }
        )
        #expect(count > 30)
    }

    @Test func anywhereInTheReplacingOfFiles() throws {
        let count = try crashEverywhere(
            isDamaged: true,
            { place in
                let engine = try place.make()
                try engine.buildIndexes()
                try engine.close()
                for name in try place.files() { try place.damage(name) }
            },
            { engine in try engine.buildIndexes() }
        )
        #expect(count > 30)
    }

    @Test func anywhereInAMergeOfIndexedSegments() throws {
        let count = try crashEverywhere(
            { place in
                let engine = try place.make()
                try engine.buildIndexes()
                try engine.close()
            },
            { engine in
                try engine.compact(all: true)
                try engine.buildIndexes()
            }
        )
        #expect(count > 30)
    }

    @Test func faultsOfTheDiskPoisonNothingButTheManifest() throws {
        for ordinal in 1..<60 {
            let place = IndexFixture()
            let engine = try place.make()
            let contents = try engine.contents("notes")
            place.disk.leave(ordinal * 1_000)
            let code = storeCode { () throws(StoreError) in try engine.buildIndexes() }
            #expect(code == nil || code == .noSpace)
            place.disk.setQuota(byteCount: nil)
            #expect(engine.statistics().poison == nil)
            #expect(try engine.contents("notes") == contents)
            #expect(engine.health().reasons.isEmpty == (code == nil))
            try engine.buildIndexes()
            #expect(engine.health().reasons.isEmpty)
            try engine.close()
            try place.expectSound()
            if code == nil { return }
        }
        Issue.record("the quota never suffices")
    }
}
