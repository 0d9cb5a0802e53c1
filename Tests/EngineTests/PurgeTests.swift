// Purge: no byte of a document is left in any file.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineEngine

struct PurgeTests {
    private let disk = SimulatedFileSystem()
    private static let secret = "the secret that must not stay anywhere"
    private static let secretID = "person-4711-secret-id"

    private func make() throws -> Engine {
        var options = options(disk)
        // What is written stands in the files as it is, so that a search finds it.
        options.codec = .none
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 4, metric: .l2)
        }
        return engine
    }

    private func fill(_ engine: Engine) throws {
        for round in 0..<3 {
            for number in 0..<20 {
                try engine.put("notes", "n\(number)", text: "r\(round)", vector: [1, 2, 3, 4])
            }
            let vector: [Float] = [4_711.25, 4_712.5, 4_713.75, Float(round)]
            try engine.put("notes", Self.secretID, text: Self.secret + "\(round)", vector: vector)
            try engine.checkpoint()
        }
        try engine.put("notes", Self.secretID, text: Self.secret + "log", vector: [9, 9, 9, 8])
    }

    /// Files that hold the bytes, and how many bytes all files have.
    private func holders(of text: String) -> [String] {
        let wanted = Array(text.utf8)
        return disk.filePaths.filter { path in
            guard let bytes = disk.contents(of: path), bytes.count >= wanted.count else {
                return false
            }
            return (0...(bytes.count - wanted.count)).contains { start in
                bytes[start] == wanted[0] && Array(bytes[start..<start + wanted.count]) == wanted
            }
        }
    }

    @Test func leavesNoTraceInAnyFile() throws {
        let engine = try make()
        try fill(engine)
        #expect(!holders(of: Self.secret).isEmpty)
        #expect(!holders(of: Self.secretID).isEmpty)
        let report = try engine.purge(
            "notes",
            ids: [Array(Self.secretID.utf8)],
            waitMilliseconds: 0,
            proves: true
        )
        #expect(report.documentCount == 1)
        #expect(report.segmentCount >= 3)
        #expect(holders(of: Self.secret) == [])
        #expect(holders(of: Self.secretID) == [])
        let proof = try #require(report.proof)
        #expect(proof.findings.isEmpty && proof.recordCount >= 40 && proof.sampleCount == 3)
        #expect(try engine.contents("notes").count == 20)
        try engine.put("notes", "later", text: "x", vector: [1, 1, 1, 1])
        try engine.close()
        #expect(holders(of: Self.secret) == [])
        #expect(try Engine.verify("store", options: options(disk), progress: nil).isOK)
    }

    @Test func whatWasDeletedBeforeIsPurgedAsWell() throws {
        let engine = try make()
        try fill(engine)
        try engine.delete("notes", Self.secretID)
        try engine.checkpoint()
        #expect(!holders(of: Self.secret).isEmpty)
        let report = try engine.purge(
            "notes",
            ids: [Array(Self.secretID.utf8)],
            waitMilliseconds: 0
        )
        #expect(report.documentCount == 0)
        #expect(holders(of: Self.secret) == [] && holders(of: Self.secretID) == [])
        try engine.close()
    }

    @Test func aSnapshotThatKeepsTheBytesIsNamed() throws {
        let engine = try make()
        try fill(engine)
        let pin = try engine.pin(label: "report of May")
        var found: StoreError?
        do throws(StoreError) {
            _ = try engine.purge(
                "notes",
                ids: [Array(Self.secretID.utf8)],
                waitMilliseconds: 0
            )
        } catch {
            found = error
        }
        #expect(found?.code == .pinned)
        #expect(found?.found?.contains("report of May") == true)
        pin.release()
        _ = try engine.purge("notes", ids: [Array(Self.secretID.utf8)], waitMilliseconds: 0)
        #expect(holders(of: Self.secret) == [] && holders(of: Self.secretID) == [])
        try engine.close()
    }

    /// The merge has taken the bytes out of the store, and the purge has only its output to rewrite.
    @Test func aSnapshotFromBeforeAMergeIsNamedToo() throws {
        let engine = try make()
        try fill(engine)
        try engine.checkpoint()
        let pin = try engine.pin(label: "report of June")
        try engine.compact(all: true)
        func purge() throws(StoreError) {
            _ = try engine.purge("notes", ids: [Array(Self.secretID.utf8)], waitMilliseconds: 0)
        }
        var found: StoreError?
        do throws(StoreError) { try purge() } catch { found = error }
        #expect(found?.code == .pinned)
        #expect(found?.found?.contains("report of June") == true)
        pin.release()
        try purge()
        #expect(holders(of: Self.secret) == [] && holders(of: Self.secretID) == [])
        try engine.close()
    }

    @Test func proofDoesNotTakeWhatOthersHaveTooForATrace() throws {
        let engine = try make()
        try fill(engine)
        let other = Self.secretID + "-of-another"
        try engine.put("notes", other, text: Self.secret + "log", vector: [9, 9, 9, 8])
        let report = try engine.purge(
            "notes",
            ids: [Array(Self.secretID.utf8)],
            waitMilliseconds: 0,
            proves: true
        )
        #expect(report.proof?.findings.isEmpty == true && report.proof?.sampleCount == 0)
        try engine.close()
    }

    @Test func proofFindsWhatIsThere() throws {
        let engine = try make()
        try fill(engine)
        let version = try engine.version()
        let shape = try #require(version.collection("notes"))
        let key = withUnsafeBytes(of: shape.id.bigEndian) { Array($0) } + Array(Self.secretID.utf8)
        let proof = try PurgeSearch(
            fileSystem: disk,
            folder: "store",
            keys: [key],
            samples: [Array(Self.secret.utf8.prefix(16))]
        ).run(version)
        #expect(proof.findings.contains { $0.file.hasSuffix(".key") })
        #expect(proof.findings.contains { $0.file.hasSuffix(".doc") && $0.offset > 0 })
        #expect(proof.findings.contains { $0.file.hasPrefix("wal/") })
        try engine.close()
    }
}
