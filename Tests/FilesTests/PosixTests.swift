// What only the operating system's files can show: permissions, links, other processes.

import Testing

@testable import MoraineFiles

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct PosixTests {
    @Test func filesAndFoldersAreTheOwnersAlone() throws {
        let place = Place(.posix)
        try place.write("a", [1])
        try place.files.createDirectory(place.path("d"))
        _ = try place.files.lock(place.path("LOCK"))
        for (name, permissions) in [("a", 0o600), ("d", 0o700), ("LOCK", 0o600)] {
            var status = stat()
            #expect(lstat(place.path(name), &status) == 0)
            #expect(Int(status.st_mode) & 0o777 & ~permissions == 0, "\(name)")
        }
    }

    @Test func symbolicLinksAreNotFollowed() throws {
        let place = Place(.posix)
        try place.write("a", [1])
        #expect(symlink(place.path("a"), place.path("link")) == 0)
        #expect(symlink(place.path("new"), place.path("loose")) == 0)
        for mode in [OpenMode.read, .readWrite] {
            #expect(errorNumber { _ = try place.files.open(place.path("link"), mode) } == ELOOP)
        }
        #expect(errorNumber { _ = try place.files.open(place.path("loose"), .createNew) } == EEXIST)
        #expect(errorNumber { _ = try place.files.lock(place.path("link")) } == ELOOP)
        #expect(errorNumber { _ = try place.files.lock(place.path("loose")) } == ELOOP)
        #expect(errorNumber { _ = try place.files.lockHolder(place.path("link")) } == ELOOP)
        #expect(try place.files.info(place.path("new")) == nil)
        #expect(try place.files.info(place.path("link"))?.isDirectory == false)
    }

    @Test func pipesAreRefusedWithoutWaiting() throws {
        let place = Place(.posix)
        #expect(mkfifo(place.path("pipe"), 0o600) == 0)
        for mode in [OpenMode.read, .readWrite] {
            #expect(errorNumber { _ = try place.files.open(place.path("pipe"), mode) } == EINVAL)
        }
    }

    @Test func askingForTheHolderLeavesAReadOnlyFileAlone() throws {
        let place = Place(.posix)
        let path = place.path("LOCK")
        try place.write("LOCK", Array("77\n".utf8))
        chmod(path, 0o400)
        #expect(try place.files.lockHolder(path) == nil)
        #expect(try place.bytes("LOCK") == Array("77\n".utf8))
    }

    @Test func aLockKeepsOtherProcessesOut() async throws {
        let place = Place(.posix)
        let path = place.path("LOCK")
        let lock = try place.files.lock(path)
        await #expect(processExitsWith: .success) { [path = path as String] in
            let files = PosixFileSystem()
            guard try files.lockHolder(path) == getppid() else { exit(1) }
            do throws(FileError) {
                _ = try files.lock(path)
                exit(2)
            } catch {
                exit(error.errorNumber == EWOULDBLOCK && error.holder == getppid() ? 0 : 3)
            }
        }
        lock.release()
    }

    @Test func aLockDiesWithItsProcess() async throws {
        let place = Place(.posix)
        let path = place.path("LOCK")
        await #expect(processExitsWith: .exitCode(7)) { [path = path as String] in
            let lock = try PosixFileSystem().lock(path)
            withExtendedLifetime(lock) { _exit(7) }
        }
        let text = try place.bytes("LOCK")
        #expect(text.last == UInt8(ascii: "\n") && text != Array("\(getpid())\n".utf8))
        #expect(try place.files.lockHolder(path) == nil)
        let lock = try place.files.lock(path)
        #expect(try place.bytes("LOCK") == Array("\(getpid())\n".utf8))
        lock.release()
    }

    @Test func closingAmongReadsClosesOnceAndForAll() async throws {
        let place = Place(.posix)
        for round in 0..<20 {
            let file = try place.files.open(place.path("a\(round)"), .createNew)
            // Long reads, so that one is under way when the file is closed.
            try file.truncate(to: 1 << 22)
            await withTaskGroup(of: Int32?.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        while true {
                            let number = errorNumber {
                                _ = try file.readBytes(at: 0, count: 1 << 22)
                            }
                            if let number { return number }
                            await Task.yield()  // the closing task needs a thread too
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<20 { _ = try? file.byteCount() }
                    file.close()
                    return EBADF
                }
                for await number in group { #expect(number == EBADF) }
            }
        }
        #if os(Linux)
        for entry in try place.files.list("/proc/self/fd") {
            var target = [CChar](repeating: 0, count: 512)
            let count = max(readlink("/proc/self/fd/\(entry.name)", &target, target.count), 0)
            let bytes = target.prefix(count).map { UInt8(bitPattern: $0) }
            #expect(!bytes.starts(with: place.root.utf8))
        }
        #endif
    }

    @Test func networkFileSystemsAreKnown() {
        #expect(describe(magic: 0xEF53) == ("ext4", false))
        #expect(describe(magic: 0x6969) == ("nfs", true))
        #expect(describe(magic: 0xFF53_4D42) == ("cifs", true))
        #expect(describe(magic: 0x0102_1997) == ("9p", true))
        #expect(describe(magic: 0x6573_5546) == ("fuse", false))
        #expect(describe(magic: 0x1234_ABCD) == ("0x1234abcd", false))
    }

    @Test func clocksAndChanceComeFromTheSystem() {
        let clock = SystemClock()
        #expect(clock.wallMilliseconds() > 1_600_000_000_000)
        let before = clock.steadyNanoseconds()
        #expect(clock.steadyNanoseconds() >= before)
        let random = SystemRandom()
        #expect(Set((0..<8).map { _ in random.next() }).count == 8)
    }

    @Test func heldClocksAndSeedsRepeat() {
        let clock = ManualClock(wallMilliseconds: 5, steadyNanoseconds: 7)
        clock.advance(milliseconds: 3)
        #expect(clock.wallMilliseconds() == 8 && clock.steadyNanoseconds() == 3_000_007)
        clock.setWall(milliseconds: -1)
        #expect(clock.wallMilliseconds() == -1 && clock.steadyNanoseconds() == 3_000_007)
        let (first, second) = (SeededRandom(seed: 42), SeededRandom(seed: 42))
        #expect((0..<9).map { _ in first.next() } == (0..<9).map { _ in second.next() })
        #expect(SeededRandom(seed: 1).next() != SeededRandom(seed: 2).next())
        // The first output of splitmix64 for seed 0, as its author publishes it.
        #expect(SeededRandom(seed: 0).next() == 0xE220_A839_7B1D_CDAF)
    }
}
