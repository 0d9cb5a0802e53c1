// What happens to stores in the field: strangers' files in the folder, maps that fail, clocks that
// jump, and a process that is killed again and again.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct HardshipTests {
    private let disk = SimulatedFileSystem()

    private func make() throws -> Engine {
        let engine = try Engine.open(at: "store", options: options(disk))
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        return engine
    }

    @Test func filesOfStrangersAreLeftAloneAndNamed() throws {
        let engine = try make()
        try engine.put("notes", "a", text: "a", vector: [1, 2])
        try engine.checkpoint()
        try engine.close()
        let strangers = [
            "notes.txt", ".DS_Store", "seg/0000000000000009.doc~", "seg/readme", "wal/x.mwal",
            "manifest/M-1.mman.bak", "lost+found/1",
        ]
        for name in strangers { disk.replace(path: "store/" + name, bytes: [1, 2, 3]) }
        let again = try Engine.open(at: "store", options: options(disk))
        try again.put("notes", "b", text: "b", vector: [1, 2])
        try again.checkpoint()
        try again.compact(all: true)
        try again.close()
        for name in strangers { #expect(disk.contents(of: "store/" + name) == [1, 2, 3]) }
        let report = try Engine.verify("store", options: options(disk))
        #expect(report.isOK)
        for name in strangers.dropLast() {
            #expect(report.unchecked.contains("\(name): not a file of the store"), "\(name)")
        }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func aMapThatFailsIsAnErrorAndNoMore(ordinal: UInt64) throws {
        let engine = try make()
        for number in 0..<20 { try engine.put("notes", "d\(number)", text: "x", vector: [1, 2]) }
        try engine.checkpoint()
        try engine.close()
        disk.setFaults([Fault(operation: .map, ordinal: ordinal, errorNumber: ENOMEM)])
        do throws(StoreError) {
            let reader = try Engine.open(at: "store", options: options(disk))
            defer { try? reader.close() }
            _ = try reader.contents("notes")
            Issue.record("no map failed")
        } catch {
            #expect(error.code == .tooManyFiles)
            #expect(error.path?.hasPrefix("store/seg/") ?? false)
        }
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes").count == 20)
        try again.close()
    }

    @Test func aClockThatJumpsLosesNothingAndOrdersNothing() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        var options = options(disk)
        options.clock = clock
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 0, metric: .l2)
        }
        let decade: Int64 = 10 * 365 * 86_400_000
        var times: [UInt64] = []
        for jump in [0, decade, -decade, -1_700_000_000_000, 0] {
            clock.setWall(milliseconds: 1_700_000_000_000 + jump)
            try engine.put("notes", "same", text: "\(jump)")
            try engine.checkpoint()
            times.append(try engine.version().time)
            #expect(try engine.contents("notes") == ["same=\(jump)"])
        }
        // The store's time never goes back, so that restoring to a time has a meaning.
        #expect(times == times.sorted())
        try engine.compact(all: true)
        try engine.close()
        let again = try Engine.open(at: "store", options: options)
        #expect(try again.contents("notes") == ["same=0"])
        try again.close()
    }

    @Test func aStoreThatIsKilledAgainAndAgainDoesNotGrow() throws {
        try make().close()
        var largest = 0
        for round in 0..<60 {
            let engine = try Engine.open(at: "store", options: options(disk))
            for number in 0..<5 { try engine.put("notes", "d\(number)", text: "\(round)") }
            if round % 3 == 0 { try engine.checkpoint() }
            if round % 7 == 0 { try engine.compact(all: true) }
            disk.crashAt(change: UInt64(1 + round % 11))
            try? engine.put("notes", "last", text: "\(round)")
            try? engine.checkpoint()
            try? engine.close()
            disk.killProcess()
            if round == 20 { largest = disk.filePaths.count }
            if round > 20 { #expect(disk.filePaths.count <= largest + 24) }
        }
        let engine = try Engine.open(at: "store", options: options(disk))
        #expect(
            try engine.contents("notes").filter { $0.hasPrefix("d") }.map { $0.suffix(2) }
                == [String](repeating: "59", count: 5).map { $0[...] }
        )
        try engine.close()
        let report = try Engine.verify("store", options: options(disk))
        #expect(report.isOK)
        #expect(report.unchecked.filter { $0.hasPrefix("seg/") } == [])
    }
}
