// The edges of what a process and its counters can do: numbers near their end, locks that the file
// system does not have, thousands of openings, and a fork.

import Foundation
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

struct EdgeTests {
    @Test(arguments: [(1 << 31) - 3, (1 << 32) - 3, (1 << 53) - 3] as [UInt64])
    func commitsAreNumberedPastTheEdgesOfIntegers(start: UInt64) throws {
        let disk = SimulatedFileSystem()
        let engine = try Engine.open(at: "store", options: options(disk))
        engine.withWriter { writer in
            writer.lastLSN = start
            writer.state.floor = start
            writer.publish(writer)
        }
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        for number in 0..<6 {
            try engine.put("notes", "k\(number)", text: "\(number)", vector: [1, Float(number)])
            if number % 2 == 1 { try engine.checkpoint() }
        }
        try engine.put("notes", "k0", text: "again", vector: [1, 0])
        #expect(try engine.version().lsn == start + 8)
        disk.crash(.mixed, seed: start)
        let again = try Engine.open(at: "store", options: options(disk))
        let expected = ["k0=again"] + (1..<6).map { "k\($0)=\($0)" }
        #expect(try again.contents("notes") == expected)
        try again.checkpoint()
        try again.compact(all: true)
        try again.delete("notes", "k5")
        try again.close()
        #expect(try Engine.verify("store", options: options(disk), progress: nil).isOK)
        let third = try Engine.open(at: "store", options: options(disk))
        #expect(try third.version().lsn == start + 9)
        #expect(try third.contents("notes") == Array(expected.dropLast()))
        try third.close()
    }

    @Test func aFileSystemWithoutLocksIsRefused() throws {
        let disk = SimulatedFileSystem()
        try Engine.open(at: "store", options: options(disk)).close()
        let before = disk.filePaths.map { disk.contents(of: $0) }
        disk.setFaults([Fault(operation: .lock, ordinal: 1, errorNumber: ENOLCK, once: false)])
        let error = #expect(throws: StoreError.self) {
            _ = try Engine.open(at: "store", options: options(disk))
        }
        #expect(error?.code == .inputOutput)
        #expect(error?.errorNumber == ENOLCK)
        #expect(disk.filePaths.map { disk.contents(of: $0) } == before)
        disk.setFaults([])
        try Engine.open(at: "store", options: options(disk)).close()
    }

    #if os(Linux)
    @Test func thousandsOfOpeningsLeaveNothingBehind() async throws {
        let folder = NSTemporaryDirectory() + "moraine-openings-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // A process of its own: descriptors and memory are the whole process's.
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            var options = EngineOptions()
            options.memtableByteCount = 1 << 16
            options.memoryByteCount = 4 << 20
            options.logFileByteCount = 1 << 16
            let engine = try Engine.open(at: folder, options: options)
            try engine.commit { batch throws(StoreError) in
                try batch.createCollection("notes", dimensions: 2, metric: .l2)
            }
            try engine.put("notes", "a", text: "a", vector: [1, 2])
            try engine.checkpoint()
            try engine.close()
            var first: Usage?
            for round in 0..<2_500 {
                options.isReadOnly = round % 3 == 0
                let engine = try Engine.open(at: folder, options: options)
                if round % 200 == 1, !options.isReadOnly {
                    try engine.put("notes", "a", text: "\(round)", vector: [1, 2])
                }
                if round % 500 == 0, try engine.contents("notes").count != 1 { exit(6) }
                if round % 100 == 2, !options.isReadOnly,
                    (try? Engine.open(at: folder, options: options)) != nil
                {
                    exit(7)
                }
                try engine.close()
                if round == 500 { first = Usage.now }
            }
            let last = Usage.now
            guard let first else { exit(1) }
            // A thread of the last openings may still be at its end; a leak would be hundreds.
            guard last.descriptors <= first.descriptors + 8 else { exit(2) }
            guard last.maps <= first.maps + 64 else { exit(3) }
            // Of memory an allocator may keep a little more; a leak of 4 KiB an opening is 8 MiB.
            guard last.residentKiB <= first.residentKiB + 4096 else { exit(4) }
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
            exit(names.count < 30 ? 0 : 5)
        }
    }

    @Test func aForkedProcessMayNotWriteAndTakesNothingAway() async throws {
        let folder = NSTemporaryDirectory() + "moraine-fork-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            // Swift does not offer fork: it is found by name, and only this test calls it.
            guard let symbol = dlsym(nil, "fork") else { exit(1) }
            let fork = unsafeBitCast(symbol, to: (@convention(c) () -> Int32).self)
            var options = EngineOptions()
            options.runsInBackground = false
            let engine = try Engine.open(at: folder, options: options)
            try engine.commit { batch throws(StoreError) in
                try batch.createCollection("notes", dimensions: 0, metric: .l2)
            }
            let root = FileManager.default.contents(atPath: folder + "/ROOT")
            let child = fork()
            if child == 0 {
                do throws(StoreError) {
                    try engine.put("notes", "child", text: "")
                    _exit(1)
                } catch {
                    guard error.code == .readOnly else { _exit(2) }
                }
                do throws(StoreError) { try engine.close() } catch { _exit(0) }
                _exit(0)
            }
            var status: Int32 = 0
            guard waitpid(child, &status, 0) == child, status == 0 else { exit(3) }
            // Nor did it end the store that its parent goes on with.
            guard FileManager.default.contents(atPath: folder + "/ROOT") == root else { exit(7) }
            // The child's end took neither the lock nor anything of the store.
            guard (try? Engine.open(at: folder, options: options)) == nil else { exit(4) }
            try engine.put("notes", "parent", text: "")
            try engine.close()
            let again = try Engine.open(at: folder, options: options)
            guard try again.contents("notes") == ["parent="] else { exit(5) }
            try again.close()
            exit(try Engine.verify(folder, options: options).isOK ? 0 : 6)
        }
    }
    #endif
}

#if os(Linux)
/// What this process holds.
private struct Usage {
    let descriptors: Int
    let maps: Int
    let residentKiB: Int

    static var now: Usage {
        let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let resident = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return Usage(
            descriptors: (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?
                .count ?? 0,
            maps: maps.split(separator: "\n").count,
            residentKiB: Int(resident.filter(\.isNumber)) ?? 0
        )
    }
}
#endif
