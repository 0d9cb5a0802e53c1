// The check of a store whose writer goes on meanwhile.

import MoraineFiles
import MoraineStorage
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@testable import MoraineEngine

struct VerifyTests {
    private let fixture = IndexFixture()

    /// Does `change` once the first segment was checked.
    private func verify(_ change: @escaping () -> Void) throws -> VerifyReport {
        var isDone = false
        return try Engine.verify("store", options: fixture.defaults) { _, _ in
            if !isDone { change() }
            isDone = true
        }
    }

    @Test func whatAMergeTakesAwayMeanwhileIsNoDamage() throws {
        let engine = try fixture.make(segments: 4)
        try engine.buildIndexes()
        let report = try verify { _ = try? engine.compact(all: true) }
        #expect(report.findings == [])
        #expect(report.notes.contains { $0.contains("left the store while they were checked") })
        #expect(report.unchecked == [])
        try engine.close()
        try fixture.expectSound()
    }

    @Test func whatAPurgeTakesAwayMeanwhileIsNoDamage() throws {
        let engine = try fixture.make(segments: 4)
        try engine.buildIndexes()
        let report = try verify {
            let ids = (0..<4).map { Array("n\($0)-1".utf8) }
            _ = try? engine.purge("notes", ids: ids, waitMilliseconds: 0)
        }
        #expect(report.findings == [])
        try engine.close()
    }

    @Test func damageIsFoundBesideAWriterToo() throws {
        let engine = try fixture.make(segments: 4)
        let paths = fixture.disk.filePaths.filter { $0.hasSuffix(".doc") }
        let last = try #require(paths.last)
        let first = try #require(paths.first)
        #expect(fixture.disk.corrupt(path: last, offset: 70, xor: 1))
        let report = try verify { try? engine.put("notes", "more", text: "x", vector: [1, 2]) }
        #expect(report.findings.contains { last.hasSuffix($0.file) })
        #expect(fixture.disk.removeForTest(first))
        let missing = try verify { try? engine.put("notes", "again", text: "x", vector: [1, 2]) }
        #expect(missing.findings.contains { first.hasSuffix($0.file) })
        try? engine.close()
    }

    @Test(arguments: [EMFILE, EACCES], ["ROOT", ".mman", ".doc", ".key", ".vec", ".del"])
    func whatIsRefusedToTheProcessIsNoDamage(errorNumber: Int32, suffix: String) throws {
        let engine = try fixture.make(segments: 2)
        try engine.delete("notes", "n0-1")
        try engine.checkpoint()
        try engine.close()
        try #require(fixture.disk.filePaths.contains { $0.hasSuffix(suffix) })
        var options = fixture.defaults
        options.fileSystem = WatchedFileSystem(
            fixture.disk,
            before: { operation, path throws(FileError) in
                guard operation == .open, path.hasSuffix(suffix) else { return }
                throw FileError(operation, path: path, errorNumber: errorNumber)
            }
        )
        #expect(
            storeCode { () throws(StoreError) in try Engine.verify("store", options: options) }
                == (errorNumber == EMFILE ? .tooManyFiles : .permissionDenied)
        )
    }

    @Test func aReaderOpensWhileFilesGo() throws {
        // Every attempt to read meets another state, and none of them is damage.
        let engine = try fixture.make(segments: 3)
        let counter = Atomic(0)
        let files = WatchedFileSystem(
            fixture.disk,
            before: { operation, path throws(FileError) in
                guard operation == .open, path.hasSuffix(".doc") else { return }
                let count = counter.add(1, ordering: .relaxed).newValue
                guard count < 40 else { return }
                _ = try? engine.put("notes", "m\(count)", text: "x", vector: [1, 2])
                _ = try? engine.compact(all: true)
            }
        )
        var options = fixture.defaults
        options.fileSystem = files
        options.isReadOnly = true
        let reader = try Engine.open(at: "store", options: options)
        let shape = try #require(try reader.version().collection("notes"))
        #expect(try reader.version().count(shape) > 33)
        try reader.close()
        try engine.close()
    }
}
