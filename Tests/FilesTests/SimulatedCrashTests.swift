// What a simulated loss of power leaves.

import MoraineFiles
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Files that are made, written and perhaps synced, in one root folder.
private func make(_ system: SimulatedFileSystem, _ name: String, _ bytes: [UInt8], sync: Bool)
    throws -> any File
{
    let file = try system.open(name, .createNew)
    try file.put(bytes, at: 0)
    if sync {
        try file.sync()
        try system.syncDirectory("/")
    }
    return file
}

private let old = [UInt8](repeating: 1, count: 3000)
private let new = [UInt8](repeating: 2, count: 5000)

@Suite struct SimulatedCrashTests {
    @Test(arguments: CrashModel.allCases) func whatIsSyncedSurvives(_ model: CrashModel) throws {
        for seed in 0..<50 as Range<UInt64> {
            let system = SimulatedFileSystem()
            let file = try make(system, "/a", old, sync: true)
            try file.put([7], at: 2999)
            try file.truncate(to: 6000)
            try file.sync()
            system.crash(model, seed: seed)
            let expected = old.dropLast() + [7] + [UInt8](repeating: 0, count: 3000)
            #expect(system.contents(of: "/a") == Array(expected))
        }
    }

    @Test func withoutSyncNothingNeedSurvive() throws {
        let system = SimulatedFileSystem()
        let file = try make(system, "/a", old, sync: true)
        try file.put(new, at: 0)
        try file.put([3], at: 9000)
        try file.truncate(to: 10)
        try file.put([4], at: 20)
        try system.createDirectory("/d")
        try system.rename("/a", to: "/d/b")
        _ = try make(system, "/c", old, sync: false)
        system.crash(.unsyncedLost, seed: 0)
        #expect(system.filePaths == ["/a"])
        #expect(system.contents(of: "/a") == old)
        #expect(try system.info("/d") == nil)
    }

    @Test func aSyncedFileWithoutSyncedNameMayBeGone() throws {
        var outcomes: Set<Bool> = []
        for seed in 0..<40 as Range<UInt64> {
            let system = SimulatedFileSystem()
            let file = try system.open("/a", .createNew)
            try file.put(old, at: 0)
            try file.sync()
            system.crash(.directories, seed: seed)
            let bytes = system.contents(of: "/a")
            #expect(bytes == nil || bytes == old)
            outcomes.insert(bytes == nil)
        }
        #expect(outcomes.count == 2)
    }

    @Test func aRenameIsUndoneOrDoneWhole() throws {
        var outcomes: Set<[String]> = []
        for seed in 0..<80 as Range<UInt64> {
            let system = SimulatedFileSystem()
            try system.createDirectory("/d")
            _ = try make(system, "/a", old, sync: true)
            _ = try make(system, "/d/b", new, sync: true)
            try system.syncDirectory("/d")
            try system.rename("/a", to: "/d/b")
            system.crash(.directories, seed: seed)
            outcomes.insert(system.filePaths)
            #expect(
                system.contents(of: "/d/b") == (system.filePaths.count == 1 ? old : new)
            )
        }
        #expect(outcomes == [["/a", "/d/b"], ["/d/b"]])
    }

    @Test func theTargetsFolderMakesARenameDurable() throws {
        for (synced, survives) in [("/", false), ("/d", true)] {
            let system = SimulatedFileSystem()
            try system.createDirectory("/d")
            _ = try make(system, "/a", old, sync: true)
            try system.rename("/a", to: "/d/b")
            try system.syncDirectory(synced)
            system.crash(.unsyncedLost, seed: 0)
            #expect(system.filePaths == [survives ? "/d/b" : "/a"])
        }
        // A new file at the old name can only be durable if the rename before it is.
        let system = SimulatedFileSystem()
        try system.createDirectory("/d")
        _ = try make(system, "/a", old, sync: true)
        try system.rename("/a", to: "/d/b")
        _ = try make(system, "/a", new, sync: true)
        system.crash(.unsyncedLost, seed: 0)
        #expect(system.filePaths == ["/a", "/d/b"])
        #expect(system.contents(of: "/d/b") == old && system.contents(of: "/a") == new)
    }

    @Test func laterChangesOfANameNeedTheEarlier() throws {
        var outcomes: Set<[String]> = []
        for seed in 0..<100 as Range<UInt64> {
            let system = SimulatedFileSystem()
            _ = try make(system, "/a", old, sync: false)
            try system.rename("/a", to: "/b")
            _ = try make(system, "/c", old, sync: false)
            try system.remove("/b")
            system.crash(.directories, seed: seed)
            outcomes.insert(system.filePaths)
        }
        #expect(outcomes == [[], ["/a"], ["/b"], ["/c"], ["/a", "/c"], ["/b", "/c"]])
    }

    @Test func aNameIsNotReusedBeforeItWasFreed() throws {
        var reused = 0
        for seed in 0..<100 as Range<UInt64> {
            let system = SimulatedFileSystem()
            try make(system, "/a", old, sync: true).close()
            try system.rename("/a", to: "/b")
            let file = try make(system, "/a", new, sync: false)
            try file.sync()
            system.crash(.directories, seed: seed)
            if system.contents(of: "/a") == new {
                reused += 1
                #expect(system.contents(of: "/b") == old)
            }
        }
        #expect(reused > 10)
    }

    @Test func sectorsAreKeptOrLostEachForItself() throws {
        var zeroTails = 0
        var oldLengths = 0
        var patterns: Set<[UInt8]> = []
        for seed in 0..<200 as Range<UInt64> {
            let system = SimulatedFileSystem()
            let file = try make(system, "/a", old, sync: true)
            try file.put(new, at: 0)
            system.crash(.sectors, seed: seed)
            let bytes = system.contents(of: "/a") ?? []
            #expect(bytes.count == 3000 || bytes.count == 5000)
            if bytes.count == 3000 { oldLengths += 1 }
            if bytes.count == 5000, bytes.last == 0 { zeroTails += 1 }
            var pattern: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: 512) where start != 2560 {
                let sector = bytes[start..<min(start + 512, bytes.count)]
                let before: UInt8 = start < 3000 ? 1 : 0
                #expect(sector.allSatisfy { $0 == 2 } || sector.allSatisfy { $0 == before })
                pattern.append(sector.first ?? 0)
            }
            patterns.insert(pattern)
        }
        #expect(zeroTails > 20)
        #expect(oldLengths > 10)
        #expect(patterns.count > 100)
    }

    @Test func cutBytesNeverReturnUnderANewLength() throws {
        var lengths: Set<Int> = []
        for seed in 0..<60 as Range<UInt64> {
            let system = SimulatedFileSystem()
            let file = try make(system, "/a", old, sync: true)
            try file.truncate(to: 0)
            try file.put([UInt8](repeating: 2, count: 512), at: 2560)
            system.crash(.sectors, seed: seed)
            let bytes = system.contents(of: "/a") ?? []
            let expected: UInt8 = bytes.count == 3000 ? 1 : 0
            #expect(bytes.prefix(2560).allSatisfy { $0 == expected })
            lengths.insert(bytes.count)
        }
        #expect(lengths == [0, 3000, 3072])
    }

    @Test func aPrefixMayEndInARemovedFile() throws {
        var lengths: Set<Int> = []
        for seed in 0..<100 as Range<UInt64> {
            let system = SimulatedFileSystem()
            let file = try make(system, "/a", [], sync: true)
            for step in 0..<5 as Range<UInt64> { try file.put([1], at: step) }
            try system.remove("/a")
            system.crash(.prefix, seed: seed)
            lengths.insert(system.contents(of: "/a")?.count ?? -1)
        }
        #expect(lengths == Set(-1...5))
    }

    @Test func aPrefixHasNoHoles() throws {
        var lengths: Set<Int> = []
        for seed in 0..<200 as Range<UInt64> {
            let system = SimulatedFileSystem()
            let first = try make(system, "/a", [], sync: true)
            let second = try make(system, "/b", [], sync: true)
            for step in 0..<10 as Range<UInt64> {
                try first.put([UInt8(step + 1)], at: 0)
                try second.put([UInt8(step + 1)], at: step)
                try system.createDirectory("/d\(step)")
            }
            system.crash(.prefix, seed: seed)
            let last = Int(system.contents(of: "/a")?.first ?? 0)
            let count = system.contents(of: "/b")?.count ?? 0
            #expect(count == last || count + 1 == last)
            let folders = try system.list("/").filter(\.isDirectory).count
            #expect(folders == count || folders + 1 == count)
            #expect(system.contents(of: "/b") == (0..<count).map { UInt8($0 + 1) })
            lengths.insert(count)
        }
        #expect(lengths == Set(0...10))
    }

    @Test(arguments: CrashModel.allCases) func theSameSeedLeavesTheSame(_ model: CrashModel) throws
    {
        func leftovers(_ seed: UInt64) throws -> [[UInt8]] {
            let system = SimulatedFileSystem()
            for name in ["/a", "/b", "/c"] {
                let file = try make(system, name, old, sync: name == "/a")
                for step in 0..<20 as Range<UInt64> { try file.put(new, at: step * 700) }
            }
            let twin = system.copy(keepingUnsynced: true)
            system.crash(model, seed: seed)
            twin.crash(model, seed: seed)
            let paths = system.filePaths
            #expect(paths == twin.filePaths)
            #expect(paths.allSatisfy { system.contents(of: $0) == twin.contents(of: $0) })
            return paths.map { system.contents(of: $0) ?? [] }
        }
        var results: Set<[[UInt8]]> = []
        for seed in 0..<20 as Range<UInt64> {
            let result = try leftovers(seed)
            #expect(try leftovers(seed) == result)
            results.insert(result)
        }
        #expect(model == .unsyncedLost ? results.count == 1 : results.count > 3)
    }

    @Test func afterACrashAllIsDurableAndHandlesAreDead() throws {
        let system = SimulatedFileSystem()
        let file = try make(system, "/a", old, sync: false)
        let lock = try system.lock("/LOCK")
        let mapping = try file.map(byteCount: 3000)
        system.crash(.directories, seed: 3)
        let paths = system.filePaths
        let bytes = paths.map { system.contents(of: $0) }
        #expect(errorNumber { try file.sync() } == EBADF)
        #expect(errorNumber { _ = try file.readBytes(at: 0, count: 1) } == EBADF)
        #expect(try system.lockHolder("/LOCK") == nil)
        #expect(mapping.bytes.elementsEqual(old))
        let second = try system.lock("/LOCK2")
        lock.release()
        system.crash(.unsyncedLost, seed: 4)
        second.release()
        #expect(system.filePaths == paths)
        #expect(paths.map { system.contents(of: $0) } == bytes)
    }

    @Test func theEndOfTheProcessLosesNothing() throws {
        let system = SimulatedFileSystem()
        let file = try make(system, "/a", old, sync: true)
        try file.put(new, at: 0)
        let lock = try system.lock("/LOCK")
        system.killProcess()
        #expect(errorNumber { _ = try file.byteCount() } == EBADF)
        #expect(try system.lockHolder("/LOCK") == nil)
        let second = try system.lock("/LOCK")
        lock.release()
        #expect(try system.lockHolder("/LOCK") == getpid())
        second.release()
        #expect(system.contents(of: "/a") == new)
        system.crash(.unsyncedLost, seed: 1)
        #expect(system.contents(of: "/a") == old)
    }

    @Test func removedFilesComeBackWhenTheFolderIsNotSynced() throws {
        let system = SimulatedFileSystem()
        let file = try make(system, "/a", old, sync: true)
        try system.remove("/a")
        try file.put(new, at: 0)
        let twin = system.copy(keepingUnsynced: true)
        system.crash(.unsyncedLost, seed: 1)
        #expect(system.contents(of: "/a") == old)
        try twin.syncDirectory("/")
        twin.crash(.unsyncedLost, seed: 1)
        #expect(twin.filePaths == [])
    }

    @Test func anAbandonedFileIsWrittenBackInTheEnd() throws {
        let system = SimulatedFileSystem()
        let file = try make(system, "/a", [0], sync: true)
        for step in 0..<70_000 as Range<UInt64> { try file.put([UInt8(step % 251)], at: step) }
        system.crash(.unsyncedLost, seed: 0)
        let bytes = system.contents(of: "/a") ?? []
        #expect(bytes.count > 30_000 && bytes.count < 70_000)
        #expect(bytes == (0..<bytes.count).map { UInt8($0 % 251) })
    }
}
