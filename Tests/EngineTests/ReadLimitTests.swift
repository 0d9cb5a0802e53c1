// Reads that end early: at a deadline of a clock in the test's hands, or when nobody wants them.

import MoraineFilters
import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors
import Synchronization
import Testing

@testable import MoraineEngine

/// Says yes from the so many-th question on, and counts the questions.
private final class Impatience: Sendable {
    private let asked = Atomic(0)
    private let patience: Int

    init(_ patience: Int) { self.patience = patience }

    var count: Int { asked.load(ordering: .relaxed) }
    var limit: ReadLimit {
        ReadLimit(deadline: .max, clock: ManualClock()) {
            self.asked.add(1, ordering: .relaxed).newValue > self.patience
        }
    }
}

private func failure<R>(_ body: () throws(StoreError) -> R) -> StoreError.Code? {
    do throws(StoreError) {
        _ = try body()
        return nil
    } catch {
        return error.code
    }
}

struct ReadLimitTests {
    private static let rowCount = 1_000

    /// A collection with codes and a graph in a segment, and as many documents in memory.
    private func filled(_ clock: ManualClock) throws -> Engine {
        var options = options(SimulatedFileSystem(), memtable: 16 << 20)
        options.clock = clock
        options.indexFormats = [
            .codes, .graph(GraphParameters(leastVectorCount: Self.rowCount)), .columns,
        ]
        let engine = try Engine.open(at: "store", options: options)
        try engine.create("notes", dimensions: 64)
        for half in ["segment", "memory"] {
            try engine.commit { batch throws(StoreError) in
                for row in 0..<Self.rowCount {
                    let vector = (0..<64).map { Float(row * ($0 + 1) % 251) }
                    try batch.put("notes", "\(half)-\(row)", text: "\(row)", vector: vector)
                }
            }
            if half == "segment" {
                try engine.checkpoint()
                _ = try engine.buildIndexes { _ in true }
            }
        }
        return engine
    }

    /// Every kind of read, by name.
    private func reads(_ version: Version) throws -> [(String, () throws(StoreError) -> Void)] {
        let notes = try #require(version.collection("notes"))
        let query = [Float](repeating: 100, count: 64)
        func search(_ change: @escaping (inout SearchRequest) -> Void) -> () throws(StoreError) ->
            Void
        {
            { () throws(StoreError) in
                var request = SearchRequest(limit: 5)
                change(&request)
                _ = try query.withUnsafeBufferPointer { query throws(StoreError) in
                    try version.search(notes, query: query, request)
                }
            }
        }
        let filter = try Filter(text: "size > 3")
        return [
            (
                "scan",
                { () throws(StoreError) in
                    try version.scan(notes, wantsVectors: true) { _ in true }
                }
            ),
            ("count", { () throws(StoreError) in _ = try version.count(notes) }),
            (
                "filtered count",
                { () throws(StoreError) in
                    _ = try version.count(notes, where: filter)
                }
            ),
            (
                "hash",
                { () throws(StoreError) in
                    _ = try version.contentHash(of: notes) { _ in }
                }
            ),
            ("exact", search { $0.isExact = true }),
            ("graph", search { $0.width = 8 }),
            ("filtered", search { $0.filter = filter }),
            (
                "batch",
                { () throws(StoreError) in
                    let queries = Array([[Float]](repeating: query, count: 40).joined())
                    _ = try queries.withUnsafeBufferPointer { queries throws(StoreError) in
                        try version.search(notes, queries: queries, SearchRequest(limit: 5))
                    }
                }
            ),
        ]
    }

    @Test func everyReadEndsAtItsDeadline() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        let engine = try filled(clock)
        let deadline = ReadLimit.deadline(after: .milliseconds(5), clock)
        let version = try engine.version().limited(
            by: ReadLimit(deadline: deadline, clock: clock)
        )
        for (name, read) in try reads(version) { #expect(failure(read) == nil, "\(name)") }
        clock.advance(milliseconds: 4)
        for (name, read) in try reads(version) { #expect(failure(read) == nil, "\(name)") }
        clock.advance(milliseconds: 1)
        for (name, read) in try reads(version) {
            #expect(failure(read) == .deadlineExceeded, "\(name)")
        }
        for (name, read) in try reads(try engine.version()) {
            #expect(failure(read) == nil, "\(name)")
        }
        try engine.close()
    }

    @Test func everyReadAsksOnItsWay() throws {
        let engine = try filled(ManualClock(wallMilliseconds: 1_700_000_000_000))
        // With one that expires the rows of memory are counted one by one.
        try engine.commit { batch throws(StoreError) in
            try batch.put("notes", "expires", text: "", expiry: 2_000_000_000_000)
        }
        for index in 0..<8 {
            let patient = Impatience(.max)
            let (name, read) = try reads(try engine.version().limited(by: patient.limit))[index]
            #expect(failure(read) == nil, "\(name)")
            #expect(patient.count > 1, "\(name) asked \(patient.count) times")
            // Refused at any question it ends with that.
            for patience in Set([0, 1, patient.count / 2, patient.count - 1]) {
                let limit = Impatience(patience).limit
                let (_, read) = try reads(try engine.version().limited(by: limit))[index]
                #expect(failure(read) == .cancelled, "\(name) after \(patience)")
            }
        }
        try engine.close()
    }

    @Test func aCountGoesOverNoRowsOfMemoryWhereNoneExpires() throws {
        let engine = try filled(ManualClock(wallMilliseconds: 1_700_000_000_000))
        let patient = Impatience(.max)
        let version = try engine.version().limited(by: patient.limit)
        let notes = try #require(version.collection("notes"))
        #expect(try version.count(notes) == 2 * Self.rowCount)
        #expect(patient.count == 1)
        try engine.close()
    }

    @Test func aScanStopsSoonAfterItsDeadline() throws {
        let clock = ManualClock(wallMilliseconds: 1_700_000_000_000)
        let engine = try filled(clock)
        let limit = ReadLimit(
            deadline: ReadLimit.deadline(after: .milliseconds(300), clock),
            clock: clock
        )
        let version = try engine.version().limited(by: limit)
        let notes = try #require(version.collection("notes"))
        var count = 0
        let code = failure { () throws(StoreError) in
            try version.scan(notes, wantsVectors: false) { _ in
                count += 1
                clock.advance(milliseconds: 1)
                return true
            }
        }
        #expect(code == .deadlineExceeded)
        #expect((300..<400).contains(count))
        try engine.close()
    }

    @Test func deadlinesNeverOverflow() {
        let clock = ManualClock(steadyNanoseconds: 1_000)
        #expect(ReadLimit.deadline(after: nil, clock) == .max)
        #expect(ReadLimit.deadline(after: .seconds(Int64.max), clock) == .max)
        #expect(ReadLimit.deadline(after: .seconds(-5), clock) == 0)
        #expect(ReadLimit.deadline(after: .zero, clock) == 1_000)
        #expect(ReadLimit.deadline(after: .milliseconds(2), clock) == 2_001_000)
    }

    @Test func aCheckOfTheStoreEndsWhereverItIs() throws {
        let engine = try filled(ManualClock())
        // A second segment, so that keys are compared over segments.
        try engine.checkpoint()
        let options = engine.options
        try engine.close()
        let whole = Impatience(.max)
        let report = try Engine.verify("store", options: options, within: whole.limit)
        // ROOT, manifest, and three files of each segment at least.
        #expect(report.isOK && report.fileCount >= 8)
        #expect(whole.count > 100)
        for patience in stride(from: 0, to: whole.count, by: whole.count / 12) {
            let end = Impatience(patience)
            #expect(
                failure { () throws(StoreError) in
                    try Engine.verify("store", options: options, within: end.limit)
                } == .cancelled
            )
            // It asks a few times more on its way out, and reads nothing meanwhile.
            #expect(end.count <= patience + 20, "\(patience)")
        }
    }
}
