// commit: how many durable commits a second, alone and from 64 writers at once.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let commit = Command(
        "commit",
        "durable commits a second: one writer, 64 tasks, 64 threads",
        about: """
            One writer is limited by the disk's sync: a loop that overwrites as many bytes as a
            commit takes in the log, in a preallocated file of zeros beside it, and calls fdatasync.
            Both run in alternating slices. Many writers share syncs: their limit is the same store
            without syncs, or 15 times one writer where that is less.
            """,
        options: [
            Option("--document-bytes", "N", "bytes of a document's text; 1024 by default"),
            Option("--commits", "N", "commits of one writer in a round; 200 by default"),
        ],
        takesData: false,
        examples: [
            ("commit", "the usual figures"),
            ("commit --folder DISK --rounds 15 --json", "another disk, more rounds, as JSON"),
        ],
        run: runCommit
    )
}

/// A store that documents of one size are committed to.
private struct CommitTarget: Sendable {
    let engine: Engine
    let collection: CollectionShape
    let text: [UInt8]

    init(_ folder: String, _ durability: Durability, text: [UInt8]) throws {
        var options = EngineOptions()
        options.durability = durability
        engine = try Engine.open(at: folder, options: options)
        collection = try engine.makeCollection("docs", 0, .cosine)
        self.text = text
    }

    /// The id of one of a writer's thousand documents.
    private func id(_ writer: Int, _ number: Int) -> [UInt8] {
        GeneratedData.id(writer * 1000 + number % 1000)
    }

    func commit(_ writer: Int, _ number: Int) throws(StoreError) {
        let id = id(writer, number)
        _ = try engine.commit { batch throws(StoreError) in try put(id, &batch) }
    }

    func commitAsync(_ writer: Int, _ number: Int) async throws(StoreError) {
        let id = id(writer, number)
        _ = try await engine.commitAsync { batch throws(StoreError) in try put(id, &batch) }
    }

    private func put(_ id: [UInt8], _ batch: inout BatchBuilder) throws(StoreError) {
        try id.withUnsafeBufferPointer { id throws(StoreError) in
            try text.withUnsafeBufferPointer { text throws(StoreError) in
                try Metadata.empty.withUnsafeBufferPointer { metadata throws(StoreError) in
                    try batch.put(
                        collection,
                        id: UnsafeRawBufferPointer(id),
                        text: UnsafeRawBufferPointer(text),
                        metadata: UnsafeRawBufferPointer(metadata),
                        vector: nil
                    )
                }
            }
        }
    }

    /// Log bytes of one commit.
    func frameByteCount() throws -> Int {
        let before = engine.statistics().logByteCount
        for number in 0..<8 { try commit(0, number) }
        return Int(engine.statistics().logByteCount - before) / 8
    }
}

/// A preallocated file of zeros that is overwritten piece by piece.
private final class BareLoop {
    private static let byteCount = 64 << 20
    private let file: any File
    private let piece: [UInt8]
    private var position = 0

    init(_ path: String, pieceByteCount: Int) throws {
        piece = [UInt8](repeating: 0x5A, count: pieceByteCount)
        file = try PosixFileSystem().open(path, .createNew)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for offset in stride(from: 0, to: Self.byteCount, by: zeros.count) {
            try zeros.withUnsafeBytes { try file.writeAll($0, at: UInt64(offset)) }
        }
        try file.sync()
    }

    func writeAndSync() throws {
        if position + piece.count > Self.byteCount { position = 0 }
        try piece.withUnsafeBytes { try file.writeAll($0, at: UInt64(position)) }
        position += piece.count
        try file.sync()
    }
}

/// The rates of one round, and the syncs of its commits.
private struct CommitRound {
    var alone = 0.0
    var bare = 0.0
    var tasks = 0.0
    var threads = 0.0
    var unsynced = 0.0
    var syncsInTasks = 0.0
    var syncsInThreads = 0.0
}

private let writerCount = 64

private func runCommit(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: true) { folder in
        let report = Report("commit", arguments, machine: try Machine.description(of: folder.path))
        let size = try arguments.number("--document-bytes", in: 0...1_000_000) ?? 1024
        let count =
            try arguments.number("--commits", in: 10...1_000_000)
            ?? (arguments.isQuick ? 20 : 200)
        var dice = Dice(try arguments.seed())
        let text = GeneratedData.text(size, &dice)
        let full = try CommitTarget(folder.path("full"), .full, text: text)
        let bulk = try CommitTarget(folder.path("bulk"), .bulk, text: text)
        let frame = try full.frameByteCount()
        let bare = try BareLoop(folder.path("bare"), pieceByteCount: frame)
        report.setting("log bytes of a commit", "\(frame)")
        // The first round warms up: log files exist, threads have run.
        let rounds = try (0...(try arguments.rounds())).map { _ in
            try round(full, bulk, bare, count: count)
        }.dropFirst()
        try full.engine.close()
        try bulk.engine.close()
        show(Array(rounds), report)
        try report.finish()
    }
}

private func round(
    _ full: CommitTarget,
    _ bulk: CommitTarget,
    _ bare: BareLoop,
    count: Int
) throws -> CommitRound {
    var round = CommitRound()
    let sliceCount = 10
    let perSlice = count / sliceCount
    var alone = 0.0
    var bareTime = 0.0
    // The disk's speed wanders: both sides get every other slice.
    for slice in 0..<sliceCount {
        alone += try seconds {
            for number in 0..<perSlice { try full.commit(0, slice * perSlice + number) }
        }
        bareTime += try seconds { for _ in 0..<perSlice { try bare.writeAndSync() } }
    }
    round.alone = Double(perSlice * sliceCount) / alone
    round.bare = Double(perSlice * sliceCount) / bareTime

    let perWriter = max(10, count / 4)
    let total = Double(perWriter * writerCount)
    (round.tasks, round.syncsInTasks) = try counted(full, total) {
        try secondsInTasks(writerCount) { writer in
            for number in 0..<perWriter { try await full.commitAsync(writer, number) }
        }
    }
    (round.threads, round.syncsInThreads) = try counted(full, total) {
        try secondsOnThreads(writerCount) { writer in
            for number in 0..<perWriter { try full.commit(writer, number) }
        }
    }
    round.unsynced =
        total
        / (try secondsInTasks(writerCount) { writer in
            for number in 0..<perWriter { try await bulk.commitAsync(writer, number) }
        })
    return round
}

/// Commits a second and syncs a commit of `total` commits.
private func counted(_ target: CommitTarget, _ total: Double, _ run: () throws -> Double) throws
    -> (rate: Double, syncs: Double)
{
    let before = target.engine.statistics()
    let time = try run()
    let after = target.engine.statistics()
    return (
        total / time,
        Double(after.syncCount - before.syncCount)
            / Double(after.commitCount - before.commitCount)
    )
}

private func show(_ rounds: [CommitRound], _ report: Report) {
    let alone = rounds.map(\.alone)
    let limits = rounds.map { min(15 * $0.alone, 0.5 * $0.unsynced) }
    report.figure("one writer", "commits/s", alone)
    report.figure("bare overwrite and fdatasync", "syncs/s", rounds.map(\.bare))
    report.ratio(
        "one writer / bare",
        quotients(alone, rounds.map(\.bare)),
        target: .atLeast(0.8)
    )
    report.figure("64 tasks", "commits/s", rounds.map(\.tasks))
    report.figure("64 threads", "commits/s", rounds.map(\.threads))
    report.figure("64 tasks, no sync (bulk)", "commits/s", rounds.map(\.unsynced))
    report.ratio("64 tasks / one writer", quotients(rounds.map(\.tasks), alone))
    report.ratio("64 tasks / no sync", quotients(rounds.map(\.tasks), rounds.map(\.unsynced)))
    report.ratio(
        "64 tasks / min(15 x one writer, 0.5 x no sync)",
        quotients(rounds.map(\.tasks), limits),
        target: .atLeast(1)
    )
    report.ratio(
        "64 threads / min(15 x one writer, 0.5 x no sync)",
        quotients(rounds.map(\.threads), limits),
        target: .atLeast(1)
    )
    report.ratio(
        "syncs per commit, 64 tasks",
        rounds.map(\.syncsInTasks),
        target: .atMost(1.0 / 30)
    )
    report.ratio(
        "syncs per commit, 64 threads",
        rounds.map(\.syncsInThreads),
        target: .atMost(1.0 / 30)
    )
}
