// ingest: a whole data set into a new store, beside what reading it and writing it cost alone.

import Foundation
import MoraineEngine
import MoraineFiles

extension Command {
    static let ingest = Command(
        "ingest",
        "a data set into a new store, and the memory that it takes",
        about: """
            Reads docs.jsonl and base.f32, commits past the log, writes a checkpoint and closes.
            The limit is the slower of two things that must be done: reading the JSON alone, and
            writing the stored bytes to a new file in the same folder and syncing it. Memory that no
            file backs is watched meanwhile; its bound is 1.25 times the budget and 64 MiB.
            """,
        options: [
            Option(
                "--memory-budget",
                "SIZE",
                "the engine's budget; without data or --documents, data is 10 times as large"
            )
        ],
        takesData: true,
        examples: [
            ("ingest DATA", "a data set with the default budget"),
            ("ingest --memory-budget 32MiB", "generated data of 320 MiB under 32 MiB"),
            ("ingest --documents 100000 --dimensions 768 --json", "generated data, as JSON"),
        ],
        run: runIngest
    )
}

private func runIngest(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: true) { folder in
        let report = Report("ingest", arguments, machine: try Machine.description(of: folder.path))
        var options = EngineOptions()
        let budget = try arguments.byteCount("--memory-budget", in: (4 << 20)...(1 << 40))
        if let budget { options.memoryByteCount = budget }
        let data = try ingestData(arguments, budget: budget, folder)
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        report.setting("memory budget", "\(options.memoryByteCount >> 20) MiB")

        var ingest: [Double] = []
        var reading: [Double] = []
        var writing: [Double] = []
        var phases: [IngestPhases] = []
        var memory: [(anonymous: Int, file: Int)] = []
        var storedByteCount = 0
        for round in 0...(try arguments.rounds()) {
            let watch = try MemoryWatch()
            let phase = try IngestPhases(data, folder.path("store"), options)
            let peak = watch.stop()
            storedByteCount = try folder.byteCount("store")
            let bare = try copyIntoOneFile(folder)
            try folder.remove("store")
            let json = try seconds {
                var count = 0
                try data.withoutVectors.forEachBatch {
                    count += $0.documentCount
                    $0.removeAll()
                    return $0
                }
            }
            guard round > 0 else { continue }  // the first one warms up
            phases.append(phase)
            ingest.append(phase.whole)
            writing.append(bare)
            reading.append(json)
            memory.append(peak)
        }
        let megabytes = Double(data.byteCount) / 1e6
        report.setting("read", "\(short(megabytes)) MB")
        report.setting("stored", "\(short(Double(storedByteCount) / 1e6)) MB")
        report.figure(
            "ingest",
            "documents/s",
            ingest.map { Double(data.documentCount) / $0 }
        )
        report.figure("ingest", "MB/s of what is read", ingest.map { megabytes / $0 })
        report.figure("ingest", "s", ingest)
        report.figure("  until all is committed", "s", phases.map(\.committed))
        report.figure("  the checkpoint at the end", "s", phases.map(\.checkpoint))
        report.figure("  closing", "s", phases.map(\.closing))
        report.figure("reading the JSON alone", "s", reading)
        report.figure("writing and syncing the bytes alone", "s", writing)
        report.ratio(
            "ingest / the slower of the two",
            quotients(zip(reading, writing).map { max($0, $1) }, ingest),
            target: .atLeast(0.5)
        )
        showMemory(memory, budget: options.memoryByteCount, data, report)
        try report.finish()
    }
}

/// How long the parts of an import take.
private struct IngestPhases {
    let committed: Double
    let checkpoint: Double
    let closing: Double

    var whole: Double { committed + checkpoint + closing }

    /// Makes a store of the data.
    init(_ data: FolderData, _ folder: String, _ options: EngineOptions) throws {
        let start = SystemClock().steadyNanoseconds()
        let engine = try Engine.open(at: folder, options: options)
        let collection = try engine.makeCollection("docs", data.dimensions, data.metric)
        try data.load(into: engine, collection)
        committed = Double(SystemClock().steadyNanoseconds() - start) / 1e9
        checkpoint = try seconds { try engine.checkpoint() }
        closing = try seconds { try engine.close() }
    }
}

private func ingestData(_ arguments: Arguments, budget: Int?, _ folder: WorkFolder) throws
    -> FolderData
{
    if let data = arguments.data { return try FolderData(data) }
    var data = try arguments.generated(documentCount: arguments.isQuick ? 1000 : 20_000)
    if let budget, !arguments.has("--documents") {
        let each = data.dimensions * 4 + data.textByteCount + 100
        data = GeneratedData(
            documentCount: 10 * budget / each,
            dimensions: data.dimensions,
            textByteCount: data.textByteCount,
            seed: data.seed
        )
    }
    try data.write(to: folder.path("data"), queryCount: 0)
    return try FolderData(folder.path("data"))
}

/// How long it takes to write the bytes of all files of the store to a new file and sync it.
private func copyIntoOneFile(_ folder: WorkFolder) throws -> Double {
    let sources = try folder.files("store").compactMap { path -> Mapping? in
        guard try PosixFileSystem().info(path)?.byteCount ?? 0 > 0 else { return nil }
        return try map(path, byteCount: nil)
    }
    let time = try seconds {
        let file = try PosixFileSystem().open(folder.path("bare"), .createNew)
        var position = 0
        for source in sources {
            for start in stride(from: 0, to: source.bytes.count, by: 1 << 20) {
                let end = min(start + 1 << 20, source.bytes.count)
                try file.writeAll(
                    UnsafeRawBufferPointer(rebasing: source.bytes[start..<end]),
                    at: UInt64(position)
                )
                position += end - start
            }
        }
        try file.sync()
        file.close()
    }
    try folder.remove("bare")
    return time
}

private func showMemory(
    _ peaks: [(anonymous: Int, file: Int)],
    budget: Int,
    _ data: FolderData,
    _ report: Report
) {
    let bound = 1.25 * Double(budget) + Double(64 << 20)
    let anonymous = peaks.map { Double($0.anonymous) }
    report.figure("peak memory that no file backs", "MiB", anonymous.map { $0 / 0x1p20 })
    report.figure(
        "peak mapped pages, clean",
        "MiB",
        peaks.map { Double($0.file) / 0x1p20 }
    )
    report.ratio("data / budget", [Double(data.byteCount) / Double(budget)])
    report.ratio(
        "peak memory / (1.25 x budget + 64 MiB)",
        anonymous.map { $0 / bound },
        target: .atMost(1)
    )
}
