// Safeguards that only a crash in the right place shows, or a second one: each of these tests is
// the one that goes red when its safeguard is taken away.

import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct SafeguardTests {
    private let disk = SimulatedFileSystem()

    private func open(_ disk: SimulatedFileSystem, _ durability: Durability = .full) throws
        -> Engine
    {
        var options = options(disk, memtable: 4 << 20)
        options.durability = durability
        return try Engine.open(at: "store", options: options)
    }

    private func make(_ disk: SimulatedFileSystem, _ durability: Durability = .full) throws
        -> Engine
    {
        let engine = try open(disk, durability)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        return engine
    }

    private func ids(_ engine: Engine) throws -> [String] {
        try engine.contents("notes").map { String($0.prefix { $0 != "=" }) }
    }

    // MARK: ROOT

    /// A process may die between the writes of ROOT's copies, and the power may go while the next
    /// one writes: one copy is on disk all the time.
    @Test func aCopyOfTheRootThatIsOnlyInThePageCacheStandsInForNothing() throws {
        try make(disk).close()
        let first = try RootFile.read(disk, folder: "store").chosen()
        var second = first
        second.sequence += 1
        var third = second
        third.sequence += 1
        for killedAt in 0..<2 {
            for change in 1..<8 {
                for (index, model) in CrashModel.allCases.enumerated() {
                    for seed in UInt64(0)..<3 {
                        let disk = disk.copy()
                        let file = try disk.open("store/ROOT", .readWrite)
                        try RootFile.writeCopy(second, at: 0, to: file)
                        if killedAt == 1 {
                            try file.sync()
                            try RootFile.writeCopy(second, at: 4096, to: file)
                        }
                        disk.killProcess()
                        let again = try disk.open("store/ROOT", .readWrite)
                        disk.crashAt(change: UInt64(change))
                        try? RootFile.write(third, over: second, to: again)
                        disk.crash(model, seed: seed * 8 + UInt64(index))
                        let chosen = try RootFile.read(disk, folder: "store").chosen()
                        #expect([first, second, third].contains(chosen))
                    }
                }
            }
        }
    }

    // MARK: Manifest

    /// So many edits that a new manifest is begun.
    private func rotateManifest(_ engine: Engine) throws {
        let before = engine.withWriter { $0.manifest?.id }
        try engine.withWriter { writer throws(StoreError) in
            let edit = ManifestEdit.floor(lsn: writer.state.floor, commitTime: writer.lastTime)
            try writer.commitEdits(Array(repeating: edit, count: 160_000))
        }
        #expect(engine.withWriter { $0.manifest?.id } != before)
    }

    @Test func aNewManifestTakesThePlaceOfTheOldOneAtOnce() throws {
        let engine = try make(disk)
        for number in 0..<3 { try engine.put("notes", "k\(number)", text: "x") }
        try engine.checkpoint()
        try engine.put("notes", "k3", text: "x")
        for change in 1..<40 {
            let model = CrashModel.allCases[change % CrashModel.allCases.count]
            let disk = disk.copy(keepingUnsynced: true)
            disk.killProcess()
            let engine = try open(disk)
            try engine.put("notes", "k4", text: "x")
            disk.crashAt(change: UInt64(change))
            try? rotateManifest(engine)
            let isOver = !disk.isShutDown
            // All names and bytes as a crash may leave them, several times where one may be lost.
            for seed in UInt64(0)..<4 {
                let copy = disk.copy(keepingUnsynced: true)
                copy.crash(seed < 2 ? .directories : model, seed: seed)
                let again = try open(copy)
                #expect(try ids(again) == ["k0", "k1", "k2", "k3", "k4"])
                try again.close()
            }
            if isOver {
                #expect(change > 8)
                return
            }
        }
        Issue.record("a rotation has no end")
    }

    /// Segments of which a merge leaves nothing are removed, and a crash may bring them back:
    /// somebody must know then that they were dropped.
    @Test func aDroppedSegmentThatComesBackIsRemovedAgain() throws {
        for seed in UInt64(0)..<6 {
            let disk = SimulatedFileSystem()
            let engine = try make(disk)
            for number in 0..<2 { try engine.put("notes", "k\(number)", text: "x") }
            try engine.checkpoint()
            for number in 0..<2 { try engine.delete("notes", "k\(number)") }
            try engine.checkpoint()
            try engine.compact(all: true)
            try engine.put("notes", "k2", text: "x")
            engine.reaper.reap(disk, folder: "store")
            #expect(try disk.list("store/seg").isEmpty)
            try rotateManifest(engine)
            disk.crash(.directories, seed: seed)
            let again = try open(disk)
            try again.put("notes", "k3", text: "x")
            #expect(try ids(again) == ["k2", "k3"])
            try again.close()
            let report = try Engine.verify("store", options: options(disk))
            #expect(report.findings.isEmpty)
            #expect(report.unchecked.filter { $0.hasPrefix("seg/") } == [], "seed \(seed)")
        }
    }

    // MARK: Log files

    private let text = String(repeating: "moraine ", count: 1000)

    private func spares(_ disk: SimulatedFileSystem) throws -> [String] {
        try disk.list("store/" + FileNames.spareLogFolder).map(\.name)
    }

    /// Fills log files until one that was recycled is the current one, and holds all there is.
    private func fillUpToRecycled(_ engine: Engine, _ disk: SimulatedFileSystem) throws -> Int {
        var number = 0
        func put() throws {
            try engine.put("notes", "k\(1000 + number)", text: text)
            number += 1
        }
        while engine.statistics().logFileCount < 3 { try put() }
        try engine.checkpoint()
        let before = try spares(disk)
        #expect(!before.isEmpty)
        while try spares(disk) == before { try put() }
        try engine.checkpoint()
        try put()
        return number
    }

    /// Of a rename a crash may leave the old name beside the new one, where folders are not
    /// journalled: then the next writer would take the log in use for a recycled file.
    @Test func aRecycledLogFileIsUsedOnceItsOldNameIsGone() throws {
        let disk = SimulatedFileSystem()
        var options = options(disk, memtable: 4 << 20)
        let trace = Mutex<[String]>([])
        options.fileSystem = WatchedFileSystem(
            disk,
            before: { operation, path throws(FileError) in
                guard [.open, .rename, .syncDirectory].contains(operation) else { return }
                trace.withLock { $0.append("\(operation) \(path)") }
            }
        )
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .cosine)
        }
        let count = try fillUpToRecycled(engine, disk)
        let steps = trace.withLock { $0 }
        var renameCount = 0
        for (index, step) in steps.enumerated() where step.hasPrefix("rename store/wal/free/") {
            renameCount += 1
            #expect(steps[index + 1] == "syncDirectory store/wal/free")
            #expect(steps[index + 2].hasPrefix("open store/wal/W-"))
        }
        #expect(renameCount > 0)
        disk.crash(.directories, seed: 1)
        let again = try open(disk)
        #expect(try ids(again).count == count)
        try again.close()
    }

    /// A log file has its size before it has records: no commit waits for more of the disk.
    @Test func aRecycledLogFileOfAnotherSizeIsNotTaken() throws {
        let engine = try make(disk)
        let name = FileNames.path("store", FileNames.spareLog(engine.ids.allocateFile()))
        for byteCount in [8_192, 1 << 20] {
            disk.replace(path: name, bytes: [UInt8](repeating: 0, count: byteCount))
            try engine.withWriter { writer throws(StoreError) in try writer.rotateLog(needed: 64) }
            #expect(disk.contents(of: name)?.count == byteCount)
            let (file, capacity) = engine.withWriter { ($0.log?.file, $0.logCapacity) }
            #expect(try file?.byteCount() == capacity)
        }
        try engine.close()
    }

    /// A file whose last commit is one behind the floor is needed, by that commit.
    @Test func aLogFileStaysUntilTheFloorHasPassedItsLastCommit() throws {
        for seed in UInt64(0)..<4 {
            let disk = SimulatedFileSystem()
            let engine = try make(disk)
            try engine.put("notes", "sealed", text: "x")
            engine.withWriter { $0.seal() }
            try engine.put("notes", "last of its file", text: "x")
            try engine.withWriter { writer throws(StoreError) in try writer.rotateLog(needed: 64) }
            try engine.put("notes", "next", text: "x")
            try engine.writeCheckpoint()
            #expect(engine.withWriter { $0.state.floor } == 2)
            disk.crash(seed % 2 == 0 ? .unsyncedLost : .mixed, seed: seed)
            let again = try open(disk)
            #expect(try ids(again) == ["last of its file", "next", "sealed"])
            try again.close()
        }
    }

    /// A new log file vouches for all that stands in its predecessor, also for what was never
    /// synced because a segment has it.
    @Test(arguments: [false, true])
    func aLogFileThatASuccessorVouchesForIsOnDisk(isFlooredByCheckpoint: Bool) throws {
        for seed in UInt64(0)..<3 {
            let disk = SimulatedFileSystem()
            var options = options(disk, memtable: 8 << 20)
            options.durability = .relaxed(milliseconds: 3_600_000)
            options.logFileByteCount = 8 << 20
            let engine = try Engine.open(at: "store", options: options)
            try engine.commit { batch throws(StoreError) in
                try batch.createCollection("notes", dimensions: 0, metric: .cosine)
            }
            // The file behind one for a large commit is large: what follows needs no other, and so
            // no sync.
            try engine.put("notes", "large", text: String(repeating: "moraine ", count: 400_000))
            for number in 0..<80 { try engine.put("notes", "a\(100 + number)", text: text) }
            let files = engine.statistics().logFileCount
            if isFlooredByCheckpoint { try engine.checkpoint() } else { try engine.sync() }
            for number in 0..<80 { try engine.put("notes", "b\(100 + number)", text: text) }
            #expect(engine.statistics().logFileCount <= files)
            // The process ends; all it wrote is in the page cache.
            disk.killProcess()
            let again = try open(disk)
            #expect(try ids(again).count == 161)
            try again.put("notes", "c", text: "x")
            disk.crash(seed == 0 ? .unsyncedLost : .sectors, seed: seed)
            let third = try open(disk)
            #expect(try ids(third).count == 162, "seed \(seed)")
            try third.close()
        }
    }

    // MARK: Failed syncs

    /// After a sync that failed nobody knows what the disk holds: no more is written.
    @Test func aFailedSyncOfACheckpointOrMergeEndsWriting() throws {
        for isMerge in [false, true] {
            for ordinal in UInt64(1)...2 {
                let disk = SimulatedFileSystem()
                let engine = try make(disk)
                for number in 0..<2 {
                    try engine.put("notes", "k\(number)", text: "x")
                    try engine.checkpoint()
                }
                try engine.put("notes", "k2", text: "x")
                disk.setFault(.failOnceSync(ordinal: ordinal))
                let failure = storeCode { () throws(StoreError) in
                    if isMerge {
                        try engine.compact(all: true)
                    } else {
                        try engine.checkpoint()
                    }
                }
                #expect(failure == .inputOutput)
                let code = storeCode { () throws(StoreError) in
                    try engine.put("notes", "k3", text: "x")
                }
                #expect(code == .poisoned)
                #expect(try ids(engine) == ["k0", "k1", "k2"])
                #expect(storeCode { () throws(StoreError) in try engine.close() } == .poisoned)
                let again = try open(disk)
                #expect(try ids(again) == ["k0", "k1", "k2"])
                try again.close()
            }
        }
    }

    /// Rows of a merge's output that died while it was written: their file and its name.
    @Test(arguments: [1, 2] as [UInt64])
    func aFailedSyncOfDeletionsThatAMergeCarriesOverEndsWriting(ordinal: UInt64) throws {
        let engine = try make(disk)
        for number in 0..<4 {
            try engine.put("notes", "k\(number)", text: "x")
            if number % 2 == 1 { try engine.checkpoint() }
        }
        let pending = try #require(try engine.buildCompaction(all: true))
        try engine.delete("notes", "k0")
        try engine.checkpoint()
        disk.setFault(.failOnceSync(ordinal: ordinal))
        #expect(storeCode { () throws(StoreError) in try engine.install(pending) } == .inputOutput)
        #expect(storeCode { () throws(StoreError) in try engine.checkpoint() } == .poisoned)
        let code = storeCode { () throws(StoreError) in
            try engine.put("notes", "k4", text: "x")
        }
        #expect(code == .poisoned)
        #expect(storeCode { () throws(StoreError) in try engine.close() } == .poisoned)
        let again = try open(disk)
        #expect(try ids(again) == ["k1", "k2", "k3"])
        try again.close()
    }
}
