// What a salvage makes of log files that were made and never used, and of one that is missing.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineSalvage
import MoraineStorage
import Testing

struct SalvageLogTests {
    private let disk = SimulatedFileSystem()

    private func options(_ durability: Durability = .full) -> EngineOptions {
        var options = EngineOptions()
        options.durability = durability
        options.fileSystem = disk
        options.random = SeededRandom(seed: 7)
        options.runsInBackground = false
        options.scanThreadCount = 1
        options.logFileByteCount = 1 << 16
        return options
    }

    /// Leaves a store as a killed process does: commit 1 makes a collection, each later one puts
    /// a document of `byteCount` bytes.
    ///
    /// - Parameter isPromised: false: no commit was synced, and no record says that one was.
    private func fill(_ count: Int, byteCount: Int, isPromised: Bool = true) throws {
        let options = options(isPromised ? .full : .relaxed(milliseconds: 3_600_000))
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("c", dimensions: 0, metric: .cosine)
        }
        for number in 0..<count {
            try engine.commit { batch throws(StoreError) in
                let shape = try batch.collection("c")
                let id = Array("d\(number)".utf8)
                let text = [UInt8](repeating: 65, count: byteCount)
                try id.withUnsafeBufferPointer { id throws(StoreError) in
                    try text.withUnsafeBufferPointer { text throws(StoreError) in
                        try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                            try batch.put(
                                shape,
                                id: UnsafeRawBufferPointer(id),
                                text: UnsafeRawBufferPointer(text),
                                metadata: UnsafeRawBufferPointer(metadata),
                                vector: nil
                            )
                        }
                    }
                }
            }
        }
        disk.crashAt(operation: 1)
        try? engine.close()
        disk.killProcess()
    }

    private var logs: [String] { disk.filePaths.filter { $0.hasSuffix(".mwal") }.sorted() }

    private func header(of path: String) throws -> LogHeader {
        let bytes = try #require(disk.contents(of: path))
        return try bytes.withUnsafeBytes { bytes in
            let common = try FileHeader(
                decoding: UnsafeRawBufferPointer(rebasing: bytes[..<FileHeader.byteCount])
            )
            return try LogHeader.decode(
                bytes,
                kind: .log,
                storeID: common.storeID,
                fileID: common.fileID
            )
        }
    }

    private func salvage() throws -> (items: [SalvagedItem], report: SalvageReport) {
        var items: [SalvagedItem] = []
        let report = try Salvager.salvage("store", into: "new", options: options()) {
            items.append($0)
        }
        return (items, report)
    }

    private func removeRootAndManifest() {
        for path in disk.filePaths where path.hasSuffix("/ROOT") || path.hasSuffix(".mman") {
            #expect(disk.removeForTest(path))
        }
    }

    enum Unused: CaseIterable {
        /// A start that was interrupted before it had carried anything over.
        case interruptedStart
        /// A start that goes on behind a file that it keeps.
        case interruptedStartBehind
        /// A successor that the manifest never named, so that its maker went on in the old file.
        case refusedSuccessor
    }

    @Test(arguments: Unused.allCases, [true, false])
    func aLogFileThatWasNeverUsedEndsNothing(unused: Unused, isPromised: Bool) throws {
        try fill(6, byteCount: 10, isPromised: isPromised)
        let old = try header(of: #require(logs.last))
        let isStart = unused != .refusedSuccessor
        let header = LogHeader(
            kind: .log,
            storeID: old.storeID,
            fileID: 99,
            createdLSN: isStart ? 7 : 3,
            epoch: old.epoch + (isStart ? 1 : 0),
            incarnation: old.incarnation &+ (isStart ? 1 : 0),
            predecessor: unused == .interruptedStart ? 0 : old.fileID,
            predecessorEnd: unused == .interruptedStart ? 0 : 4200,
            firstNumber: unused == .interruptedStart ? 1 : 4,
            carriedEnd: isStart ? 5000 : 4096
        )
        let path = FileNames.path("store", FileNames.log(epoch: header.epoch, sequence: 99))
        disk.replace(path: path, bytes: header.encode() + [UInt8](repeating: 0, count: 8192))
        removeRootAndManifest()
        let (items, report) = try salvage()
        #expect(items.count == 6)
        #expect(items.allSatisfy { $0.outcome == .recovered })
        #expect(report.lastLSN == 7)
    }

    @Test func whereTheNewestLogFileIsMissingEverythingIsInDoubt() throws {
        try fill(6, byteCount: 40_000)
        #expect(logs.count >= 3)
        #expect(disk.removeForTest(try #require(logs.last)))
        #expect(disk.removeForTest("store/ROOT"))
        // The manifest's first record: that it is not whole is known, that a file is missing too.
        let manifest = try #require(disk.filePaths.first { $0.hasSuffix(".mman") })
        #expect(disk.corrupt(path: manifest, offset: LogHeader.byteCount + 12, xor: 1))
        let (items, report) = try salvage()
        #expect(report.guide == .files)
        #expect(!items.isEmpty)
        #expect(items.allSatisfy { $0.reasons == [.lostCommit] })
        #expect(report.lostCommits.last?.upperBound == .max)
        #expect(report.findings.contains { $0.kind == .missing && $0.file.hasPrefix("wal/") })
    }

    @Test func anEmptySuccessorTellsThatCommitsAreMissing() throws {
        try fill(6, byteCount: 10)
        let old = try header(of: #require(logs.last))
        let header = LogHeader(
            kind: .log,
            storeID: old.storeID,
            fileID: 99,
            createdLSN: 20,
            epoch: old.epoch,
            incarnation: old.incarnation,
            firstNumber: 21
        )
        let path = FileNames.path("store", FileNames.log(epoch: header.epoch, sequence: 99))
        disk.replace(path: path, bytes: header.encode() + [UInt8](repeating: 0, count: 8192))
        removeRootAndManifest()
        let (items, report) = try salvage()
        #expect(report.lostCommits == [8...20])
        #expect(items.allSatisfy { $0.doubtUpTo == 20 })
    }
}
