// compact: merging segments, beside a plain copy of the same bytes, and what readers feel of it.

import Foundation
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let compact = Command(
        "compact",
        "merging segments on one thread and on two, and gets meanwhile",
        about: """
            Ten segments whose keys interleave and a tenth of whose rows are dead are merged into
            one, their files being cached: with vectors on one thread and on two, and documents
            alone on two. The limit of the documents is a plain copy of the files that come out,
            and its fsync. Documents in order of arrival, whose blocks are copied whole, are
            merged and compared as well. Then gets and searches are timed one by one: with nothing else going on,
            beside a merge in the background, and behind it, while the index files of its output
            are made.
            """,
        options: [
            Option("--documents", "N", "documents in each store; 100,000 by default"),
            Option("--dimensions", "D", "numbers in a vector; 384 by default"),
            Option("--text-bytes", "N", "bytes of a text, about; 1,000 by default"),
            Option("--only", "PART", "merges, or reads; both by default"),
        ],
        takesData: false,
        examples: [
            ("compact", "all of it"), ("compact --only reads", "what readers feel"),
            ("compact --quick", "shows that it runs"),
        ],
        run: runCompact
    )

    static let churn = Command(
        "churn",
        "overwrites and deletes of ten times the data: space and write amplification",
        about: """
            Loads documents with vectors, then replaces and deletes random ones until ten times as
            many bytes were given, merging in the background as a store does, and then merges what
            is still due. Space: the segments' bytes to those of a store that holds the same and
            nothing else. Write amplification: bytes written to the log and to documents, vectors
            and deletions, to the bytes given.
            """,
        options: [
            Option("--documents", "N", "live documents; 20,000 by default"),
            Option("--dimensions", "D", "numbers in a vector; 384 by default"),
            Option("--text-bytes", "N", "bytes of a text, about; 1,000 by default"),
            Option("--times", "N", "how many times the data is given again; 10 by default"),
        ],
        takesData: false,
        examples: [("churn", "all of it"), ("churn --quick", "shows that it runs")],
        run: runChurn
    )
}

/// Documents under ids that say nothing of their order.
struct Documents {
    let count: Int
    let dimensions: Int
    let textByteCount: Int
    /// Ids ascend with their numbers, as those do that tell the time.
    var isOrdered = false
    private(set) var dice: Dice

    init(_ arguments: Arguments, documentCount: Int, quickCount: Int) throws {
        count =
            try arguments.number("--documents", in: 100...100_000_000)
            ?? (arguments.isQuick ? quickCount : documentCount)
        dimensions = try arguments.number("--dimensions", in: 0...16_384) ?? 384
        textByteCount = try arguments.number("--text-bytes", in: 0...1_000_000) ?? 1_000
        dice = Dice(try arguments.seed())
    }

    static func id(_ number: Int) -> [UInt8] {
        var mixed = Dice(UInt64(number))
        return Array("\(String(mixed.next(), radix: 36))-\(number)".utf8)
    }

    private static func orderedID(_ number: Int) -> [UInt8] {
        Array("\(1_000_000_000 + number)".utf8)
    }

    /// Commits new documents under these numbers, some hundred at a time.
    mutating func put(
        _ numbers: some Collection<Int>,
        into engine: Engine,
        dimensions: Int,
        logged: Bool
    ) throws {
        var rest = numbers[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(200))
            rest = rest.dropFirst(200)
            var texts: [[UInt8]] = []
            var floats: [Float] = []
            for _ in part {
                texts.append(GeneratedData.text(textByteCount, &dice))
                for _ in 0..<dimensions { floats.append(Float(dice.below(2_001) - 1_000) + 0.5) }
            }
            try engine.commit(logged: logged) { batch throws(StoreError) in
                let shape = try batch.collection("docs")
                for (index, number) in part.enumerated() {
                    let id = isOrdered ? Self.orderedID(number) : Self.id(number)
                    try Self.withBytes(id, texts[index]) {
                        id,
                        text,
                        metadata throws(StoreError) in
                        try floats.withUnsafeBufferPointer { all throws(StoreError) in
                            let start = index * dimensions
                            try batch.put(
                                shape,
                                id: id,
                                text: text,
                                metadata: metadata,
                                vector: dimensions == 0
                                    ? nil
                                    : UnsafeBufferPointer(
                                        rebasing: all[start..<start + dimensions]
                                    )
                            )
                        }
                    }
                }
            }
        }
    }

    static func delete(_ numbers: some Collection<Int>, from engine: Engine) throws {
        try engine.commit { batch throws(StoreError) in
            let shape = try batch.collection("docs")
            for number in numbers {
                try id(number).withUnsafeBufferPointer { id throws(StoreError) in
                    try batch.delete(shape, id: UnsafeRawBufferPointer(id))
                }
            }
        }
    }

    private static func withBytes(
        _ id: [UInt8],
        _ text: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer)
            throws(StoreError) -> Void
    ) throws(StoreError) {
        try id.withUnsafeBufferPointer { id throws(StoreError) in
            try text.withUnsafeBufferPointer { text throws(StoreError) in
                try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                    try body(
                        UnsafeRawBufferPointer(id),
                        UnsafeRawBufferPointer(text),
                        UnsafeRawBufferPointer(metadata)
                    )
                }
            }
        }
    }
}

// MARK: compact

private func runCompact(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: true) { folder in
        let report = Report("compact", arguments, machine: try Machine.description(of: folder.path))
        var documents = try Documents(arguments, documentCount: 100_000, quickCount: 3_000)
        report.setting("documents", "\(documents.count) in each store")
        let part = arguments.word("--only")
        guard part == nil || part == "merges" || part == "reads" else {
            throw Failure.usage("--only takes merges or reads")
        }
        try makeSegments("whole", documents.dimensions, &documents, folder)
        if part != "reads" {
            try makeSegments("texts", 0, &documents, folder)
            documents.isOrdered = true
            try makeSegments("ordered", 0, &documents, folder)
            documents.isOrdered = false
            try measureMerges(arguments, folder, report)
        }
        if part != "merges" { try measureReads(arguments, folder, documents, report) }
        try report.finish()
    }
}

private func measureMerges(_ arguments: Arguments, _ folder: WorkFolder, _ report: Report) throws {
    var one: [Double] = []
    var two: [Double] = []
    var texts: [Double] = []
    var copies: [Double] = []
    var ordered: [Double] = []
    var orderedCopies: [Double] = []
    var byteCount = 0.0
    for round in 0...(try arguments.rounds()) {
        let first = try merge("whole", width: 1, folder).seconds
        let second = try merge("whole", width: 2, folder)
        let third = try merge("texts", width: 2, folder)
        let fourth = try merge("ordered", width: 2, folder)
        guard round > 0 else { continue }  // the first one warms up
        one.append(first)
        two.append(second.seconds)
        texts.append(third.seconds)
        copies.append(third.copySeconds)
        ordered.append(fourth.seconds)
        orderedCopies.append(fourth.copySeconds)
        byteCount = Double(second.summary.writtenByteCount)
    }
    report.setting("written", "\(short(byteCount / 1e6)) MB with vectors")
    report.figure("merge, one thread", "MB/s", one.map { byteCount / 1e6 / $0 })
    report.figure("merge, two threads", "MB/s", two.map { byteCount / 1e6 / $0 })
    report.figure("merge of documents, two threads", "s", texts)
    report.figure("copy and fsync of the same bytes", "s", copies)
    report.figure("merge of documents in order of arrival", "s", ordered)
    report.figure("copy and fsync of those", "s", orderedCopies)
    report.ratio("two threads / one", quotients(one, two), target: .atLeast(1.6))
    report.ratio(
        "merge of documents / copy and fsync",
        quotients(copies, texts),
        target: .atLeast(0.4)
    )
    report.ratio(
        "merge in order of arrival / copy and fsync",
        quotients(orderedCopies, ordered),
        target: .atLeast(0.4)
    )
}

/// A store of ten segments whose keys interleave and a tenth of whose rows are dead; documents in
/// order of their ids lie one segment behind the other, and all of them live.
private func makeSegments(
    _ name: String,
    _ dimensions: Int,
    _ documents: inout Documents,
    _ folder: WorkFolder
) throws {
    var options = EngineOptions()
    // Without threads a load is not written early: one segment for each checkpoint here.
    options.runsInBackground = false
    options.memtableByteCount = 1 << 30
    let engine = try Engine.open(at: folder.path(name), options: options)
    _ = try engine.makeCollection("docs", dimensions, .l2)
    for part in 0..<10 {
        let numbers =
            documents.isOrdered
            ? Array(part * documents.count / 10..<(part + 1) * documents.count / 10)
            : Array(stride(from: part, to: documents.count, by: 10))
        try documents.put(numbers, into: engine, dimensions: dimensions, logged: false)
        try engine.checkpoint()
    }
    if documents.isOrdered { return try engine.close() }
    for start in stride(from: 0, to: documents.count, by: 5_000) {
        let numbers = stride(from: start, to: min(start + 5_000, documents.count), by: 10)
        try Documents.delete(Array(numbers), from: engine)
    }
    try engine.checkpoint()
    try engine.close()
}

private func merge(_ name: String, width: Int, _ folder: WorkFolder) throws -> (
    seconds: Double, copySeconds: Double, summary: CompactionSummary
) {
    try folder.copy(name, to: "work")
    defer { try? folder.remove("work") }
    var options = EngineOptions()
    options.compactsInBackground = false
    // Truth files alone: what is derived is made behind a merge, beside the next ones.
    options.indexesInBackground = false
    options.indexFormats = []
    let engine = try Engine.open(at: folder.path("work"), options: options)
    // The first write starts the writer: syncs that have nothing to do with a merge.
    _ = try engine.makeCollection("started", 0, .l2)
    try engine.checkpoint()
    // Read once: cached, and checked chunk by chunk as by any reader.
    for file in folder.files("work") { try readWhole(file) }
    var summary: CompactionSummary?
    let time = try seconds { summary = try engine.compact(all: true, width: width) }
    try engine.close()
    guard let summary, summary.mergeCount == 1 else {
        throw Failure.failed("the segments were not merged into one")
    }
    return (time, try copySegments(folder), summary)
}

func readWhole(_ path: String) throws {
    let mapping = try PosixFileSystem().info(path)?.byteCount == 0 ? nil : map(path, byteCount: nil)
    var sum: UInt8 = 0
    guard let bytes = mapping?.bytes else { return }
    for offset in stride(from: 0, to: bytes.count, by: 4096) { sum &+= bytes[offset] }
    withExtendedLifetime(sum) {}
}

/// How long it takes to copy each segment file to a new one and to sync that.
private func copySegments(_ folder: WorkFolder) throws -> Double {
    let files = folder.files("work").filter { $0.hasSuffix(".doc") || $0.hasSuffix(".key") }
    let sources = try files.map { try map($0, byteCount: nil) }
    for file in files { try readWhole(file) }
    defer { for number in files.indices { try? folder.remove("copy\(number)") } }
    return try seconds {
        for (number, source) in sources.enumerated() {
            let file = try PosixFileSystem().open(folder.path("copy\(number)"), .createNew)
            for start in stride(from: 0, to: source.bytes.count, by: 1 << 20) {
                let end = min(start + 1 << 20, source.bytes.count)
                try file.writeAll(
                    UnsafeRawBufferPointer(rebasing: source.bytes[start..<end]),
                    at: UInt64(start)
                )
            }
            try file.sync()
            file.close()
        }
    }
}

// MARK: churn

private func runChurn(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: true) { folder in
        let report = Report("churn", arguments, machine: try Machine.description(of: folder.path))
        var documents = try Documents(arguments, documentCount: 20_000, quickCount: 1_000)
        let times = try arguments.number("--times", in: 1...1000) ?? 10
        var options = EngineOptions()
        // Some dozen checkpoints for each time the data is given again.
        let each = documents.dimensions * 4 + documents.textByteCount
        options.memtableByteCount = max(65_536, documents.count * each / 16)
        let engine = try Engine.open(at: folder.path("store"), options: options)
        _ = try engine.makeCollection("docs", documents.dimensions, .l2)
        let all = Array(0..<documents.count)
        try documents.put(all, into: engine, dimensions: documents.dimensions, logged: true)
        var dice = Dice(try arguments.seed() &+ 77)
        let given = engine.statistics().volume.givenByteCount
        while engine.statistics().volume.givenByteCount < given * UInt64(1 + times) {
            var numbers: Set<Int> = []
            while numbers.count < 100 { numbers.insert(dice.below(documents.count)) }
            let chosen = Array(numbers)
            // One in ten is deleted first and comes back with a later round.
            try Documents.delete(chosen.prefix(10), from: engine)
            try documents.put(
                Array(chosen.dropFirst(10)),
                into: engine,
                dimensions: documents.dimensions,
                logged: true
            )
        }
        try engine.compact()
        let statistics = engine.statistics()
        try engine.close()
        let bytes = try segmentByteCount(folder, "store")
        // The same content and nothing else.
        try folder.copy("store", to: "whole")
        let whole = try Engine.open(at: folder.path("whole"), options: EngineOptions())
        try whole.compact(all: true)
        try whole.close()
        let live = try segmentByteCount(folder, "whole")
        report.setting("documents", "\(documents.count), given \(times) times again")
        report.setting("segments", "\(statistics.segmentCount)")
        report.setting("checkpoints", "\(statistics.checkpointCount)")
        report.setting(
            "merges",
            "\(statistics.compactions.count) of \(statistics.compactions.inputSegmentCount) segments"
        )
        report.figure("segments' bytes", "MB", [Double(bytes) / 1e6])
        report.figure("bytes of the live documents alone", "MB", [Double(live) / 1e6])
        report.figure(
            "bytes given",
            "MB",
            [Double(statistics.volume.givenByteCount) / 1e6]
        )
        report.figure("bytes of the log", "MB", [Double(statistics.volume.logByteCount) / 1e6])
        report.figure(
            "bytes that merges have written",
            "MB",
            [Double(statistics.compactions.writtenByteCount) / 1e6]
        )
        report.figure(
            "derived bytes for each byte given",
            "",
            [
                Double(statistics.volume.derivedByteCount)
                    / Double(statistics.volume.givenByteCount)
            ]
        )
        report.ratio("space: all / live", [Double(bytes) / Double(live)], target: .atMost(1.5))
        report.ratio(
            "write amplification",
            [statistics.volume.amplification ?? 0],
            target: .atMost(6)
        )
        try report.finish()
    }
}

private func segmentByteCount(_ folder: WorkFolder, _ name: String) throws -> UInt64 {
    try folder.files(name).filter { $0.contains("/seg/") }.reduce(0) {
        $0 + (try PosixFileSystem().info($1)?.byteCount ?? 0)
    }
}
