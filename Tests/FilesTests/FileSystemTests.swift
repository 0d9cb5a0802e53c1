// What every file system must do alike.

import MoraineFiles
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct FileSystemTests {
    @Test(arguments: Kind.allCases) func whatIsWrittenIsRead(_ kind: Kind) throws {
        let place = Place(kind)
        let file = try place.files.open(place.path("a"), .createNew)
        try file.put([1, 2, 3, 4], at: 0)
        try file.put([9, 9], at: 2)
        try file.put([7], at: 6)
        #expect(try file.byteCount() == 7)
        #expect(try file.readBytes(at: 0, count: 100) == [1, 2, 9, 9, 0, 0, 7])
        #expect(try file.readBytes(at: 7, count: 1) == [])
        #expect(try file.readBytes(at: 1 << 40, count: 1) == [])
        try file.sync()
        file.close()
        #expect(try place.bytes("a") == [1, 2, 9, 9, 0, 0, 7])
    }

    @Test(arguments: Kind.allCases) func largeFilesKeepEveryByte(_ kind: Kind) throws {
        let place = Place(kind)
        let file = try place.files.open(place.path("a"), .createNew)
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        try file.put(bytes, at: 70_001)
        #expect(try file.readBytes(at: 70_001, count: 300_000) == bytes)
        #expect(try file.readBytes(at: 0, count: 70_001).allSatisfy { $0 == 0 })
        let mapping = try file.map(byteCount: 370_001)
        #expect(mapping.bytes[70_001...].elementsEqual(bytes))
    }

    @Test(arguments: Kind.allCases) func truncationCutsAndExtendsWithZeros(_ kind: Kind) throws {
        let place = Place(kind)
        let file = try place.files.open(place.path("a"), .createNew)
        try file.put([UInt8](repeating: 5, count: 100_000), at: 0)
        try file.truncate(to: 3)
        #expect(try file.byteCount() == 3)
        try file.truncate(to: 90_000)
        #expect(
            try file.readBytes(at: 0, count: 100_000)
                == [5, 5, 5] + [UInt8](repeating: 0, count: 89_997)
        )
        #expect(errorNumber { try file.truncate(to: .max) } == EFBIG)
    }

    @Test(arguments: Kind.allCases) func openModesAreKept(_ kind: Kind) throws {
        let place = Place(kind)
        let files = place.files
        #expect(errorNumber { _ = try files.open(place.path("a"), .read) } == ENOENT)
        #expect(errorNumber { _ = try files.open(place.path("a"), .readWrite) } == ENOENT)
        #expect(errorNumber { _ = try files.open(place.path("x/a"), .createNew) } == ENOENT)
        try place.write("a", [1])
        #expect(errorNumber { _ = try files.open(place.path("a"), .createNew) } == EEXIST)
        #expect(errorNumber { _ = try files.open(place.path("a/b"), .read) } == ENOTDIR)
        #expect(errorNumber { _ = try files.open(place.root, .read) } == EISDIR)
        #expect(errorNumber { _ = try files.open(place.root, .readWrite) } == EISDIR)
        #expect(errorNumber { _ = try files.open("", .read) } == ENOENT)
        #expect(errorNumber { _ = try files.open(place.path("a\0b"), .read) } == EINVAL)
        let long = String(repeating: "n", count: 256)
        #expect(errorNumber { _ = try files.open(place.path(long), .createNew) } == ENAMETOOLONG)

        let reader = try files.open(place.path("a"), .read)
        #expect(errorNumber { try reader.put([2], at: 0) } == EBADF)
        #expect(errorNumber { try reader.truncate(to: 0) } == EINVAL)
        #expect(try reader.readBytes(at: 0, count: 9) == [1])
        #expect(throws: Never.self) { try reader.sync() }
    }

    @Test(arguments: Kind.allCases) func closedFilesRefuse(_ kind: Kind) throws {
        let place = Place(kind)
        let file = try place.files.open(place.path("a"), .createNew)
        try file.put([1, 2, 3], at: 0)
        let mapping = try file.map(byteCount: 3)
        file.close()
        file.close()
        #expect(errorNumber { _ = try file.readBytes(at: 0, count: 1) } == EBADF)
        #expect(errorNumber { try file.put([1], at: 0) } == EBADF)
        #expect(errorNumber { _ = try file.byteCount() } == EBADF)
        #expect(errorNumber { try file.truncate(to: 0) } == EBADF)
        #expect(errorNumber { try file.sync() } == EBADF)
        #expect(errorNumber { _ = try file.map(byteCount: 1) } == EBADF)
        #expect(mapping.bytes.elementsEqual([1, 2, 3]))
    }

    @Test(arguments: Kind.allCases) func mappingsOutliveTheNameAndRefuseTooMuch(_ kind: Kind) throws
    {
        let place = Place(kind)
        try place.write("a", [1, 2, 3, 4, 5])
        var file: (any File)? = try place.files.open(place.path("a"), .read)
        #expect(errorNumber { _ = try file?.map(byteCount: 6) } == EINVAL)
        #expect(errorNumber { _ = try file?.map(byteCount: .max) } == EINVAL)
        #expect(try file?.map(byteCount: 0).bytes.count == 0)
        let mapping = try file?.map(byteCount: 4)
        try place.files.remove(place.path("a"))
        #expect(try file?.readBytes(at: 4, count: 1) == [5])
        file = nil
        #expect(mapping?.bytes.elementsEqual([1, 2, 3, 4]) == true)
    }

    @Test(arguments: Kind.allCases) func foldersListTheirNamesInByteOrder(_ kind: Kind) throws {
        let place = Place(kind)
        let files = place.files
        try files.createDirectory(place.path("m"))
        // The two spellings of é are two names.
        for name in ["z", "a", "B", "\u{E9}", "e\u{301}"] { try place.write(name, []) }
        #expect(
            try files.list(place.root).map { Array($0.name.utf8) }
                == ["B", "a", "e\u{301}", "m", "z", "\u{E9}"].map { Array($0.utf8) }
        )
        #expect(try files.list(place.root).filter(\.isDirectory).map(\.name) == ["m"])
        #expect(try files.list(place.path("m")) == [])
        #expect(errorNumber { _ = try files.list(place.path("no")) } == ENOENT)
        #expect(errorNumber { _ = try files.list(place.path("a")) } == ENOTDIR)
        #expect(errorNumber { try files.createDirectory(place.path("m")) } == EEXIST)
        #expect(errorNumber { try files.createDirectory(place.path("a")) } == EEXIST)
        #expect(errorNumber { try files.createDirectory(place.path("no/m")) } == ENOENT)
        #expect(throws: Never.self) { try files.syncDirectory(place.root) }
        #expect(errorNumber { try files.syncDirectory(place.path("no")) } == ENOENT)
        #expect(errorNumber { try files.syncDirectory(place.path("a")) } == ENOTDIR)
    }

    @Test(arguments: Kind.allCases) func infoSaysWhatIsThere(_ kind: Kind) throws {
        let place = Place(kind)
        try place.write("a", [1, 2, 3])
        #expect(
            try place.files.info(place.path("a")) == FileInfo(byteCount: 3, isDirectory: false)
        )
        #expect(try place.files.info(place.root) == FileInfo(byteCount: 0, isDirectory: true))
        #expect(try place.files.info(place.path("b")) == nil)
        #expect(try place.files.info(place.path("b/c")) == nil)
        #expect(try place.files.info(place.path("a/c")) == nil)
    }

    @Test(arguments: Kind.allCases) func renamesReplaceFiles(_ kind: Kind) throws {
        let place = Place(kind)
        let files = place.files
        try place.write("a", [1])
        try place.write("b", [2])
        let old = try files.open(place.path("b"), .read)
        try files.rename(place.path("a"), to: place.path("b"))
        #expect(try place.bytes("b") == [1])
        #expect(try old.readBytes(at: 0, count: 1) == [2])
        #expect(try files.info(place.path("a")) == nil)
        #expect(errorNumber { try files.rename(place.path("a"), to: place.path("b")) } == ENOENT)
        try files.rename(place.path("b"), to: place.path("b"))
        #expect(try place.bytes("b") == [1])

        try files.createDirectory(place.path("d"))
        try files.createDirectory(place.path("e"))
        #expect(errorNumber { try files.rename(place.path("b"), to: place.path("d")) } == EISDIR)
        #expect(errorNumber { try files.rename(place.path("d"), to: place.path("b")) } == ENOTDIR)
        #expect(errorNumber { try files.rename(place.path("d"), to: place.path("d/x")) } == EINVAL)
        #expect(errorNumber { try files.rename(place.path("b"), to: place.path("x/b")) } == ENOENT)
        try files.rename(place.path("b"), to: place.path("d/b"))
        #expect(errorNumber { try files.rename(place.path("e"), to: place.path("d")) } == ENOTEMPTY)
        try files.rename(place.path("d"), to: place.path("e"))
        #expect(try place.bytes("e/b") == [1])
        #expect(try files.list(place.root).map(\.name) == ["e"])
    }

    @Test(arguments: Kind.allCases) func removeTakesFilesOnly(_ kind: Kind) throws {
        let place = Place(kind)
        try place.write("a", [1])
        try place.files.createDirectory(place.path("d"))
        try place.files.remove(place.path("a"))
        #expect(errorNumber { try place.files.remove(place.path("a")) } == ENOENT)
        #expect(try place.files.list(place.root).map(\.name) == ["d"])
        #if os(Linux)
        #expect(errorNumber { try place.files.remove(place.path("d")) } == EISDIR)
        #endif
    }

    @Test(arguments: Kind.allCases) func aLockHasOneHolder(_ kind: Kind) throws {
        let place = Place(kind)
        let files = place.files
        let path = place.path("LOCK")
        #expect(try files.lockHolder(path) == nil)
        let lock = try files.lock(path)
        #expect(try files.lockHolder(path) == getpid())
        #expect(try place.bytes("LOCK") == Array("\(getpid())\n".utf8))
        do throws(FileError) {
            _ = try files.lock(path)
            Issue.record("two holders")
        } catch {
            #expect(error.errorNumber == EWOULDBLOCK)
            #expect(error.holder == getpid())
            #expect(error.operation == .lock)
        }
        // The refused attempt and this handle have been closed: a record lock would be gone now.
        try files.open(path, .readWrite).close()
        #expect(errorNumber { _ = try files.lock(path) } == EWOULDBLOCK)

        lock.release()
        lock.release()
        #expect(try files.lockHolder(path) == nil)
        #expect(try place.bytes("LOCK") == [])
        var second: (any FileLock)? = try files.lock(path)
        lock.release()
        #expect(errorNumber { _ = try files.lock(path) } == EWOULDBLOCK)
        _ = second
        second = nil
        #expect(try files.lockHolder(path) == nil)
    }

    @Test(arguments: Kind.allCases) func aLockWithoutNumberHasAnUnknownHolder(_ kind: Kind) throws {
        let place = Place(kind)
        let path = place.path("LOCK")
        for text in ["", "12", "99999999999\n", "-4\n", "0\n", "1 2\n", "\u{E9}\n"] {
            let lock = try place.files.lock(path)
            let file = try place.files.open(path, .readWrite)
            try file.truncate(to: 0)
            try file.put(Array(text.utf8), at: 0)
            #expect(try place.files.lockHolder(path) == 0)
            do throws(FileError) {
                _ = try place.files.lock(path)
            } catch {
                #expect(error.errorNumber == EWOULDBLOCK && error.holder == nil)
            }
            lock.release()
        }
        #expect(errorNumber { _ = try place.files.lock(place.root) } == EISDIR)
        #expect(errorNumber { _ = try place.files.lock(place.path("no/LOCK")) } == ENOENT)
    }

    @Test(arguments: Kind.allCases) func volumesSayTheirKind(_ kind: Kind) throws {
        let place = Place(kind)
        let volume = try place.files.volume(place.root)
        #expect(!volume.kind.isEmpty)
        #expect(volume.freeByteCount > 0)
        #expect(errorNumber { _ = try place.files.volume(place.path("no")) } == ENOENT)
    }

    @Test(arguments: Kind.allCases) func threadsShareAFile(_ kind: Kind) async throws {
        let place = Place(kind)
        let file = try place.files.open(place.path("a"), .createNew)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for part in 0..<8 {
                group.addTask {
                    let bytes = [UInt8](repeating: UInt8(part + 1), count: 10_000)
                    for step in 0..<10 {
                        let offset = UInt64((step * 8 + part) * 10_000)
                        try file.put(bytes, at: offset)
                        guard try file.readBytes(at: offset, count: 10_000) == bytes else {
                            throw FileError(.read, path: file.path, errorNumber: EIO)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try file.byteCount() == 800_000)
    }
}
