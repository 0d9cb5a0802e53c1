// A disk that fills up: puts stop at the reserve, deletes go on to the last byte and make room.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct FullDiskTests {
    private let disk = SimulatedFileSystem()
    private let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
    private static let documentCount = 60

    private func engine(reserve: Int) throws -> Engine {
        var options = options(disk)
        options.clock = clock
        options.diskReserveByteCount = reserve
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .cosine)
        }
        var random = SeededRandom(seed: 5)
        for number in 0..<Self.documentCount {
            let text = (0..<500).map { _ in String(random.next(), radix: 36) }.joined()
            try engine.put("notes", "k\(number)", text: text, vector: [1, 2])
        }
        try engine.checkpoint()
        withExtendedLifetime(random) { random = SeededRandom(seed: 0) }
        return engine
    }

    /// Lets so many bytes be free from now on.
    private func leave(_ byteCount: Int) throws {
        disk.setQuota(byteCount: nil)
        let free = try disk.volume("/").freeByteCount
        let used = (1 << 50) - Int(free)
        disk.setQuota(byteCount: used + byteCount)
        clock.advance(milliseconds: 1_000)
    }

    @Test func putsStopAtTheReserveBeforeAnythingIsWritten() throws {
        let engine = try engine(reserve: 1 << 20)
        try leave(3 << 20)
        try engine.put("notes", "a", text: "a")
        try leave((1 << 20) - 1)
        let before = disk.filePaths.map { disk.contents(of: $0) }
        #expect(
            storeCode { () throws(StoreError) in try engine.put("notes", "b", text: "b") }
                == .noSpace
        )
        #expect(disk.filePaths.map { disk.contents(of: $0) } == before)
        guard case .reserveReached? = engine.health().reasons.first else {
            Issue.record("health does not tell")
            return
        }
        #expect(!engine.health().hasFailed)
        try engine.delete("notes", "k1")
        try engine.checkpoint()
        try leave(4 << 20)
        try engine.put("notes", "b", text: "b")
        #expect(engine.health().reasons.isEmpty)
        #expect(try engine.contents("notes").count == Self.documentCount + 1)
    }

    @Test func ofASmallDiskAnEighthIsKept() throws {
        disk.setQuota(byteCount: 16 << 20)
        let engine = try engine(reserve: 32 << 20)
        try leave((2 << 20) - 1)
        #expect(
            storeCode { () throws(StoreError) in try engine.put("notes", "a", text: "a") }
                == .noSpace
        )
        try leave((2 << 20) + 4096)
        try engine.put("notes", "a", text: "a")
    }

    @Test func withoutAReserveTheDiskIsUsedUp() throws {
        let engine = try engine(reserve: 0)
        try leave(100)
        try engine.put("notes", "a", text: "a")
        #expect(engine.health().reasons.isEmpty)
    }

    @Test(arguments: [0, 1, 100, 5_000])
    func everythingCanBeDeletedFromAFullDisk(free: Int) throws {
        let engine = try engine(reserve: 1 << 20)
        try leave(free)
        #expect(
            storeCode { () throws(StoreError) in try engine.put("notes", "b", text: "b") }
                == .noSpace
        )
        // More records than a log file of the smallest size holds.
        for round in 0..<20 {
            for number in 0..<Self.documentCount {
                try engine.delete("notes", "k\(number)", round)
            }
        }
        #expect(engine.statistics().poison == nil)
        #expect(try engine.contents("notes").isEmpty)
        try engine.checkpoint()
        try engine.compact()
        // What was deleted made room for new documents, and for the ballast.
        try leave(3 << 20)
        try engine.put("notes", "new", text: "new", vector: [1, 1])
        try engine.checkpoint()
        try engine.close()
        disk.setQuota(byteCount: nil)
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes") == ["new=new"])
        let report = try Engine.verify("store", options: options(disk))
        #expect(report.isOK, "\(report.findings)")
    }

    @Test func aMixedGroupLosesOnlyWhatAddsData() throws {
        let engine = try engine(reserve: 1 << 20)
        try leave(0)
        var requests: [CommitRequest] = []
        for isPut in [true, false, true, false] {
            let version = try engine.version()
            var builder = BatchBuilder(base: version, reserveID: { 0 })
            let shape = try builder.collection("notes")
            let id = Array("k\(requests.count)".utf8)
            let metadata = Metadata.empty.withUnsafeBytes { bytes in
                let copy = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: bytes.count,
                    alignment: 1
                )
                copy.copyMemory(from: bytes)
                return copy
            }
            defer { metadata.deallocate() }
            try id.withUnsafeBytes { id in
                if isPut {
                    try builder.put(
                        shape,
                        id: id,
                        text: UnsafeRawBufferPointer(start: nil, count: 0),
                        metadata: UnsafeRawBufferPointer(metadata),
                        vector: nil
                    )
                } else {
                    try builder.delete(shape, id: id)
                }
            }
            requests.append(CommitRequest(builder, isLogged: true))
        }
        engine.withWriter { $0.commit(requests) }
        let refused = requests.map { request in
            if case .refused(let error)? = request.answer { return error.code == .noSpace }
            return false
        }
        #expect(refused == [true, false, true, false])
    }

    /// Every open of a file fails once, and for good: no commit is half done, nothing is poisoned.
    @Test(arguments: [24, 23] as [Int32], [true, false])
    func wantOfDescriptorsIsAnErrorAndNoMore(errorNumber: Int32, once: Bool) throws {
        var ordinal: UInt64 = 1
        var isReached = true
        while isReached, ordinal < 200 {
            let disk = SimulatedFileSystem()
            var options = options(disk)
            options.openFileCount = 1
            let engine = try Engine.open(at: "store", options: options)
            try engine.commit { batch throws(StoreError) in
                try batch.createCollection("notes", dimensions: 0, metric: .cosine)
            }
            try engine.put("notes", "a", text: "a")
            try engine.checkpoint()
            let opens = disk.operationCounts[.open] ?? 0
            disk.setFault(
                Fault(operation: .open, ordinal: ordinal, errorNumber: errorNumber, once: once)
            )
            var expected: [String] = ["a=a"]
            for number in 0..<3 {
                let text = String(repeating: "x", count: 30_000)
                let code = storeCode { () throws(StoreError) in
                    try engine.put("notes", "b\(number)", text: text)
                }
                if code == nil { expected.append("b\(number)=\(text)") }
                #expect(
                    code == nil || code == .tooManyFiles,
                    "\(ordinal): \(String(describing: code))"
                )
                let written = storeCode { () throws(StoreError) in try engine.checkpoint() }
                #expect(written == nil || written == .tooManyFiles, "\(ordinal)")
                let read = storeCode { () throws(StoreError) in try engine.contents("notes") }
                #expect(read == nil || read == .tooManyFiles, "\(ordinal)")
            }
            isReached = (disk.operationCounts[.open] ?? 0) - opens >= ordinal
            disk.setFault(nil)
            #expect(!engine.health().hasFailed, "\(ordinal)")
            try engine.put("notes", "c", text: "c")
            try engine.checkpoint()
            #expect(try engine.contents("notes") == expected + ["c=c"], "\(ordinal)")
            try engine.close()
            ordinal += 1
        }
        #expect(ordinal > 5)
    }
}

extension Engine {
    /// Deletes a document, present or not, with a record of its own for each round.
    fileprivate func delete(_ collection: String, _ id: String, _ round: Int) throws(StoreError) {
        try delete(collection, round == 0 ? id : "\(id)-\(round)")
    }
}
