// What can be made to fail, and what copies and damage do.

import MoraineFiles
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

private let some = [UInt8](repeating: 5, count: 2000)

/// A file "/a" of 2,000 durable bytes.
private func start() throws -> (SimulatedFileSystem, any File) {
    let system = SimulatedFileSystem()
    let file = try system.open("/a", .createNew)
    try file.put(some, at: 0)
    try file.sync()
    try system.syncDirectory("/")
    return (system, file)
}

@Suite struct SimulatedFaultTests {
    @Test func theNthOperationOfAKindFails() throws {
        let (system, file) = try start()
        system.setFault(Fault(operation: .write, ordinal: 2, errorNumber: EIO))
        try file.put([1], at: 0)
        #expect(errorNumber { try file.put([2], at: 0) } == EIO)
        #expect(try file.readBytes(at: 0, count: 1) == [1])
        try file.put([3], at: 0)
        system.setFaults([
            Fault(operation: .open, ordinal: 1, errorNumber: EMFILE, once: false),
            Fault(operation: .rename, ordinal: 1, errorNumber: EIO),
        ])
        for _ in 0..<3 { #expect(errorNumber { _ = try system.open("/a", .read) } == EMFILE) }
        #expect(errorNumber { try system.rename("/a", to: "/b") } == EIO)
        try system.rename("/a", to: "/b")
        system.setFault(nil)
        _ = try system.open("/b", .read)
    }

    @Test func shortTransfersAreCarriedOn() throws {
        for effect in [Fault.Effect.oneByte, .half] {
            let (system, file) = try start()
            system.setFaults(
                [.read, .write].map {
                    Fault(operation: $0, ordinal: 1, effect: effect, once: false)
                }
            )
            let bytes = (0..<100).map { UInt8($0) }
            let count = try bytes.withUnsafeBytes { try file.write($0, at: 0) }
            #expect(count == (effect == .half ? 50 : 1))
            try file.put(bytes, at: 0)
            #expect(try file.readBytes(at: 0, count: 100) == bytes)
        }
    }

    @Test func noiseIsHarmless() throws {
        let (system, file) = try start()
        system.setNoise(Noise(seed: 9, interruption: 0.3, shortRead: 0.5, shortWrite: 0.5))
        let before = system.operationCount
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        try file.put(bytes, at: 1)
        #expect(try file.readBytes(at: 1, count: 10_000) == bytes)
        try file.sync()
        #expect(system.operationCount > before + 3)
    }

    @Test func aFailedSyncIsNeverMadeUpFor() throws {
        for model in CrashModel.allCases {
            let (system, file) = try start()
            try file.put([UInt8](repeating: 6, count: 600), at: 0)
            try file.put([UInt8](repeating: 6, count: 600), at: 1900)
            system.setFault(.failOnceSync(ordinal: 1))
            #expect(errorNumber { try file.sync() } == EIO)
            #expect(try file.readBytes(at: 0, count: 1) == [6])
            try file.sync()
            #expect(try file.byteCount() == 2500)
            let twin = system.copy(keepingUnsynced: true)
            system.crash(model, seed: 1)
            #expect(system.contents(of: "/a") == some)

            // Later writes are covered by a later sync, and only they.
            let second = try twin.open("/a", .readWrite)
            try second.put([7], at: 512)
            try second.put([8], at: 4000)
            try second.sync()
            twin.crash(model, seed: 1)
            let bytes = twin.contents(of: "/a") ?? []
            #expect(bytes.count == 4001)
            #expect(bytes[..<512].allSatisfy { $0 == 5 })
            #expect(bytes[512] == 7 && bytes[513] == 6 && bytes[4000] == 8)
            #expect(bytes[2000..<3584].allSatisfy { $0 == 0 })
        }
    }

    @Test func aLyingSyncKeepsNothing() throws {
        let (system, file) = try start()
        system.setFaults([
            Fault(operation: .sync, ordinal: 1, effect: .lyingSync),
            Fault(operation: .syncDirectory, ordinal: 1, effect: .lyingSync),
        ])
        try file.put([6], at: 0)
        try file.sync()
        try system.rename("/a", to: "/b")
        try system.syncDirectory("/")
        let twin = system.copy(keepingUnsynced: true)
        system.crash(.unsyncedLost, seed: 0)
        #expect(system.contents(of: "/a") == some)
        // An honest sync later covers it.
        try twin.open("/b", .read).sync()
        try twin.syncDirectory("/")
        twin.crash(.unsyncedLost, seed: 0)
        #expect(twin.contents(of: "/b")?.first == 6)
    }

    @Test func theQuotaBitesAtItsByte() throws {
        let (system, file) = try start()
        system.setQuota(byteCount: 2010)
        #expect(try system.volume("/").freeByteCount == 10)
        try file.put([UInt8](repeating: 1, count: 2000), at: 0)
        let count = try some.withUnsafeBytes { try file.write($0, at: 1990) }
        #expect(count == 20)
        #expect(errorNumber { try file.put([1], at: 2010) } == ENOSPC)
        #expect(errorNumber { try file.truncate(to: 2011) } == ENOSPC)
        #expect(errorNumber { try file.put(some, at: 5000) } == ENOSPC)
        let other = try system.open("/b", .createNew)
        #expect(errorNumber { try other.put([1], at: 0) } == ENOSPC)
        try system.remove("/a")
        try other.put(some, at: 0)
        system.setQuota(byteCount: nil)
        try other.put(some, at: 5000)
        try system.open("/c", .createNew).put([1], at: 0)
        try system.rename("/b", to: "/c")
        system.setQuota(byteCount: 7001)
        #expect(try system.volume("/").freeByteCount == 1)
        system.crash(.unsyncedLost, seed: 0)
        system.setQuota(byteCount: 2001)
        #expect(try system.volume("/").freeByteCount == 1)
    }

    @Test func theStopIsCountedAndNamed() throws {
        let (system, file) = try start()
        let before = (system.operationCount, system.changeCount)
        system.crashAt(operation: 3)
        _ = try file.byteCount()
        try file.put([6], at: 0)
        #expect(system.crashSite == nil && !system.isShutDown)
        let stop = SimulatedFileSystem.shutDownErrorNumber
        #expect(errorNumber { try file.sync() } == stop)
        #expect(system.crashSite == "sync a")
        #expect(system.isShutDown)
        #expect(errorNumber { _ = try file.byteCount() } == stop)
        #expect(errorNumber { _ = try system.lock("/LOCK") } == stop)
        #expect(system.operationCount == before.0 + 3 && system.changeCount == before.1 + 2)
        system.crash(.unsyncedLost, seed: 0)
        #expect(system.contents(of: "/a") == some)
        #expect(system.crashSite == "sync a" && !system.isShutDown)

        try system.createDirectory("/store")
        try system.createDirectory("/store/wal")
        system.crashAt(change: 2)
        _ = try system.info("/a")
        let log = try system.open("/store/wal/W-12-0fe3.mwal", .createNew)
        _ = try log.byteCount()
        #expect(errorNumber { try log.put([1], at: 0) } == stop)
        #expect(system.crashSite == "write wal/W-#-#.mwal")
        system.killProcess()
        #expect(system.filePaths.count == 2)
        #expect(system.operationCounts[.createDirectory] == 2)
    }

    @Test func aStoppedWriteMayBePartlyThere() throws {
        var counts: Set<Int> = []
        for round in 0..<40 {
            let (system, file) = try start()
            for _ in 0..<round { _ = try file.byteCount() }
            system.crashAt(change: 1)
            #expect(throws: FileError.self) {
                try file.put([UInt8](repeating: 6, count: 10), at: 0)
            }
            system.killProcess()
            let bytes = system.contents(of: "/a") ?? []
            let count = bytes.prefix { $0 == 6 }.count
            #expect(count <= 10 && bytes.count == 2000 && bytes[count...].allSatisfy { $0 == 5 })
            counts.insert(count)
        }
        #expect(counts.count > 5)
    }

    @Test func denialsDeny() throws {
        let (system, file) = try start()
        system.denyWrites()
        #expect(errorNumber { try file.put([1], at: 0) } == EROFS)
        #expect(errorNumber { _ = try system.open("/a", .readWrite) } == EROFS)
        #expect(errorNumber { _ = try system.open("/b", .createNew) } == EROFS)
        #expect(errorNumber { try system.remove("/a") } == EROFS)
        #expect(errorNumber { _ = try system.lock("/LOCK") } == EROFS)
        #expect(try system.open("/a", .read).readBytes(at: 0, count: 1) == [5])
        #expect(try system.lockHolder("/LOCK") == nil)
        system.denyWrites(false)
        try system.createDirectory("/d")
        system.denyAll("/d")
        #expect(errorNumber { _ = try system.list("/d") } == EACCES)
        #expect(errorNumber { _ = try system.open("/d/x", .createNew) } == EACCES)
        #expect(errorNumber { _ = try system.info("/d/x") } == EACCES)
        #expect(errorNumber { try system.rename("/a", to: "/d/a") } == EACCES)
        system.allowAll()
        try system.rename("/a", to: "/d/a")
    }

    @Test func copiesGoTheirOwnWays() throws {
        let (system, file) = try start()
        let large = [UInt8](repeating: 1, count: 200_000)
        try file.put(large, at: 0)
        let mapping = try file.map(byteCount: 200_000)
        let copy = system.copy()
        let twin = try copy.open("/a", .readWrite)
        try twin.put([9], at: 70_000)
        try file.put([8], at: 70_001)
        try file.truncate(to: 100_000)
        #expect(mapping.bytes.elementsEqual(large))
        #expect(try twin.readBytes(at: 69_999, count: 3) == [1, 9, 1])
        #expect(try file.readBytes(at: 69_999, count: 3) == [1, 1, 8])
        try system.remove("/a")
        copy.killProcess()
        copy.crash(.prefix, seed: 1)
        #expect(copy.filePaths == ["/a"])
        #expect(copy.contents(of: "/a")?.count == 200_000)
    }

    @Test func mappingsAreMadeOnceAndStay() throws {
        let (system, file) = try start()
        try file.put([UInt8](repeating: 1, count: 200_000), at: 0)
        let first = try file.map(byteCount: 200_000)
        let second = try file.map(byteCount: 10)
        let third = try system.copy().open("/a", .read).map(byteCount: 200_000)
        #expect(first.bytes.baseAddress == second.bytes.baseAddress)
        #expect(first.bytes.baseAddress == third.bytes.baseAddress)
        #expect(Int(bitPattern: first.bytes.baseAddress) % 4096 == 0)
    }

    @Test func damageIsDoneBehindTheBack() throws {
        let (system, _) = try start()
        let count = system.operationCount
        #expect(system.corrupt(path: "/a", offset: 1999, xor: 0x81))
        #expect(!system.corrupt(path: "/a", offset: 2000, xor: 1))
        #expect(!system.corrupt(path: "/b", offset: 0, xor: 1))
        system.replace(path: "/d/e/b", bytes: [1, 2])
        system.replace(path: "/c", bytes: [])
        system.crash(.unsyncedLost, seed: 0)
        #expect(system.filePaths == ["/a", "/c", "/d/e/b"])
        #expect(system.contents(of: "/a") == some.dropLast() + [5 ^ 0x81])
        #expect(system.contents(of: "/d/e/b") == [1, 2])
        #expect(system.contents(of: "/d") == nil)
        #expect(system.removeForTest("/d") && !system.removeForTest("/d"))
        system.crash(.unsyncedLost, seed: 0)
        #expect(system.filePaths == ["/a", "/c"])
        #expect(system.operationCount == count)
        system.setQuota(byteCount: 2001)
        #expect(try system.volume("/").freeByteCount == 1)
    }
}
