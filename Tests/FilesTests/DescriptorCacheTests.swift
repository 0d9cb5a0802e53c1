// Files that lose their descriptors and get them again.

import MoraineFiles
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct DescriptorCacheTests {
    private let disk = SimulatedFileSystem()

    private func makeFiles(_ count: Int) {
        for number in 0..<count {
            disk.replace(
                path: "/f\(number).doc",
                bytes: [UInt8](repeating: UInt8(number), count: 64)
            )
        }
    }

    private func cache(limit: Int) -> DescriptorCache {
        DescriptorCache(disk, limit: limit) { $0.hasSuffix(".doc") }
    }

    @Test func filesAreOpenedAgainAtTheNextRead() throws {
        makeFiles(5)
        let cache = cache(limit: 2)
        let files = try (0..<5).map { number throws(FileError) in
            try cache.open("/f\(number).doc", .read)
        }
        for round in 0..<3 {
            for (number, file) in files.enumerated() {
                #expect(try file.readBytes(at: 3, count: 2) == [UInt8(number), UInt8(number)])
                #expect(try file.byteCount() == 64, "round \(round)")
                #expect(cache.openCount <= 2)
            }
        }
    }

    @Test func onlyChosenFilesAreKeptAndOnlyForReading() throws {
        makeFiles(1)
        disk.replace(path: "/log", bytes: [1])
        let cache = cache(limit: 4)
        let log = try cache.open("/log", .read)
        let written = try cache.open("/f0.doc", .readWrite)
        #expect(cache.openCount == 0)
        let kept = try cache.open("/f0.doc", .read)
        #expect(cache.openCount == 1)
        #expect(throws: FileError.self) { try kept.truncate(to: 0) }
        #expect(throws: FileError.self) { try kept.sync() }
        withExtendedLifetime((log, written)) {}
    }

    @Test func aClosedFileStaysClosed() throws {
        makeFiles(1)
        let cache = cache(limit: 4)
        let file = try cache.open("/f0.doc", .read)
        file.close()
        file.close()
        #expect(cache.openCount == 0)
        #expect(throws: FileError(.read, path: "/f0.doc", errorNumber: EBADF)) {
            _ = try file.readBytes(at: 0, count: 1)
        }
    }

    @Test func unusedFilesAreClosedAndUsedOnesAreNot() throws {
        makeFiles(2)
        let cache = cache(limit: 4)
        let files = try [cache.open("/f0.doc", .read), cache.open("/f1.doc", .read)]
        #expect(cache.closeUnused())
        _ = try files[1].readBytes(at: 0, count: 1)
        #expect(cache.closeUnused())
        #expect(cache.openCount == 1)
        #expect(!cache.closeUnused())
        #expect(cache.openCount == 0)
    }

    @Test func theFirstDescriptorIsTold() throws {
        makeFiles(2)
        let cache = cache(limit: 4)
        let sink = Told()
        cache.setOnOpen { sink.count.add(1, ordering: .relaxed) }
        let files = try [cache.open("/f0.doc", .read), cache.open("/f1.doc", .read)]
        #expect(sink.count.load(ordering: .relaxed) == 1)
        while cache.closeUnused() {}
        _ = try files[0].readBytes(at: 0, count: 1)
        #expect(sink.count.load(ordering: .relaxed) == 2)
    }

    private final class Told: Sendable {
        let count = Atomic(0)
    }

    @Test(arguments: [EMFILE, ENFILE])
    func wantOfDescriptorsClosesTheseAndTriesAgain(errorNumber: Int32) throws {
        makeFiles(2)
        disk.replace(path: "/log", bytes: [1])
        let cache = cache(limit: 4)
        let files = try [cache.open("/f0.doc", .read), cache.open("/f1.doc", .read)]
        disk.setFault(Fault(operation: .open, ordinal: 1, errorNumber: errorNumber))
        _ = try cache.open("/log", .read)
        #expect(cache.openCount == 0)
        #expect(try files[0].readBytes(at: 0, count: 1) == [0])
        // With nothing left to close it is the caller's problem.
        while cache.closeUnused() {}
        disk.setFault(Fault(operation: .open, ordinal: 1, errorNumber: errorNumber, once: false))
        #expect(throws: FileError(.open, path: "/log", errorNumber: errorNumber)) {
            _ = try cache.open("/log", .read)
        }
        #expect(throws: FileError(.open, path: "/f1.doc", errorNumber: errorNumber)) {
            _ = try files[1].readBytes(at: 0, count: 1)
        }
        disk.setFault(nil)
        #expect(try files[1].readBytes(at: 0, count: 1) == [1])
    }

    @Test(arguments: [FileError.Operation.list, .lock, .lockHolder, .syncDirectory])
    func whatElseWantsADescriptorIsTriedAgainToo(operation: FileError.Operation) throws {
        makeFiles(1)
        disk.replace(path: "/LOCK", bytes: [])
        let cache = cache(limit: 4)
        let file = try cache.open("/f0.doc", .read)
        disk.setFault(Fault(operation: operation, ordinal: 1, errorNumber: EMFILE))
        switch operation {
        case .list: _ = try cache.list("/")
        case .lock: _ = try cache.lock("/LOCK")
        case .lockHolder: _ = try cache.lockHolder("/LOCK")
        default: try cache.syncDirectory("/")
        }
        #expect(cache.openCount == 0)
        #expect(try file.readBytes(at: 0, count: 1) == [0])
    }

    @Test func threadsThatReadWhileOthersCloseGetTheirBytes() throws {
        makeFiles(8)
        let cache = cache(limit: 2)
        let files = try (0..<8).map { number throws(FileError) in
            try cache.open("/f\(number).doc", .read)
        }
        let wrong = Told()
        let threads = (0..<4).compactMap { thread in
            WorkerThread {
                let random = SeededRandom(seed: UInt64(thread))
                for _ in 0..<2_000 {
                    let number = Int(random.next() % 8)
                    let bytes = try? files[number].readBytes(at: 5, count: 1)
                    if bytes != [UInt8(number)] { wrong.count.add(1, ordering: .relaxed) }
                    if random.next() % 16 == 0 { _ = cache.closeUnused() }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wrong.count.load(ordering: .relaxed) == 0)
        #expect(cache.openCount <= 2)
    }
}
