// soak: minutes of everything at once on one store, with faults, its content held against a model
// and what the process and the folder hold watched.

import Foundation
import Moraine
import MoraineFiles
import Synchronization

extension Command {
    static let soak = Command(
        "soak",
        "minutes of everything at once: content, memory, descriptors and disk stay as they should",
        about: """
            Two threads put, replace, delete and get documents in collections of their own and hold
            every answer against a model; a third searches and scans. Checkpoints, merges, index
            files and log files come and go in the background. Meanwhile one call to the disk in
            10,000 fails, the process is as good as killed every 17 s (no call reaches the disk any
            more), and the time of day jumps by up to a day every 5 s; after a write that failed
            the store is opened again, which must tell all of it or nothing. Each round ends with
            all of the content compared, then merges that are due are made, and the index files
            that are lacking: how far those are when a round ends is chance, and they can be as
            large as all else. Then the store is closed, opened, verified and copied; what the
            process and the folder hold is measured after that, when threads without work have
            ended. The number of documents stays about the same from the second round on, so
            nothing may grow but dead rows: those are a fifth of a segment at most before they are
            due, so bytes are held against rows, and rows against documents.
            """,
        options: [
            Option("--minutes", "N", "how long; 10 by default"),
            Option("--round-seconds", "N", "seconds of a round; 30 by default"),
            Option("--ids", "N", "ids of each writing thread; 20000 by default"),
        ],
        takesData: false,
        examples: [
            ("soak", "ten minutes"), ("soak --minutes 480 --round-seconds 300", "a night"),
        ],
        run: runSoak
    )
}

private func runSoak(_ arguments: Arguments) throws {
    let minutes = try arguments.number("--minutes", in: 1...100_000) ?? 10
    let length =
        try arguments.number("--round-seconds", in: 1...3600) ?? (arguments.isQuick ? 1 : 30)
    let count =
        try arguments.number("--ids", in: 10...10_000_000) ?? (arguments.isQuick ? 500 : 20_000)
    let rounds =
        arguments.isQuick ? try arguments.rounds() : max(3, minutes * 60 / length)
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("soak", arguments, machine: try Machine.description(of: folder.path))
        report.setting("rounds", "\(rounds) of \(length) s")
        report.setting("ids", "2 x \(count)")
        let seed = try arguments.seed()
        let soak = Soak(
            path: folder.path("store"),
            writers: (0..<2).map { SoakWriter($0, idCount: count, seed: seed) },
            faults: SoakFaults(seed: seed),
            seconds: length
        )
        var rows: [SoakRound] = []
        for number in 0..<rounds {
            let counts = try soak.run(number)
            try soak.compareCopy(in: folder)
            // Threads end after a time without work; in a quick run figures mean nothing.
            let idle = arguments.isQuick ? 0 : Double(WorkerThread.idleMilliseconds) / 1e3
            Thread.sleep(forTimeInterval: idle + 0.2)
            rows.append(try SoakRound(soak, counts, folder))
        }
        show(rows, soak.faults, report)
        try report.finish()
    }
}

/// What the process and the folder hold at the end of a round, with the store closed.
private struct SoakRound {
    let counts: SoakCounts
    let documentCount: Double
    let rowCount: Double
    let anonymousByteCount: Double
    let descriptorCount = entryCount("/proc/self/fd")
    let threadCount = entryCount("/proc/self/task")
    let mapCount = lineCount("/proc/self/maps")
    let fileCount: Double
    let storedByteCount: Double

    init(_ soak: Soak, _ counts: SoakCounts, _ folder: WorkFolder) throws {
        self.counts = counts
        documentCount = Double(soak.writers.reduce(0) { $0 + $1.documentCount })
        rowCount = Double(counts.rows.load(ordering: .relaxed))
        var memory = ResidentMemory()
        anonymousByteCount = Double(memory.byteCounts().anonymous)
        fileCount = Double(folder.files("store").count)
        storedByteCount = Double(try folder.byteCount("store"))
    }
}

/// What was done in a round, and how many rows it left.
private final class SoakCounts: Sendable {
    let operations = Atomic(0)
    let searches = Atomic(0)
    let failures = Atomic(0)
    let lives = Atomic(0)
    /// Dead ones included.
    let rows = Atomic(0)
}

/// A store and all that happens to it.
private struct Soak {
    let path: String
    let writers: [SoakWriter]
    let faults: SoakFaults
    /// Of a round.
    let seconds: Int

    /// One round; the store is gone when this returns.
    func run(_ number: Int) throws -> SoakCounts {
        let counts = SoakCounts()
        let end = faults.steadyNanoseconds() + UInt64(seconds) * 1_000_000_000
        repeat { try live(until: end, counts, number) } while faults.steadyNanoseconds() < end
        try use { store in
            for writer in writers { try writer.compare(with: store) }
            try store.compact()
            try store.buildIndexes()
        }
        try use { store in
            for writer in writers { try writer.compare(with: store) }
            counts.rows.store(try store.statistics().rowCount, ordering: .relaxed)
        }
        let report = try Store.verify(at: path)
        guard report.isOK else { throw Failure.failed("verify found \(report.findings)") }
        return counts
    }

    /// Holds a copy of the folder against the model.
    func compareCopy(in folder: WorkFolder) throws {
        try folder.copy("store", to: "copy")
        let store = try Store.open(at: folder.path("copy"))
        for writer in writers { try writer.compare(with: store) }
        try store.close()
        try folder.remove("copy")
    }

    private func open() throws(MoraineError) -> Store {
        try Store.open(
            at: path,
            configuration: Store.Configuration(),
            fileSystem: faults.files,
            clock: faults
        )
    }

    /// Opens the store on a sound disk.
    private func use(_ body: (Store) throws -> Void) throws {
        let store = try open()
        for writer in writers { try writer.resolve(in: store) }
        try body(store)
        try store.close()
    }

    /// Opens the store on a disk that fails; an open that meets a fault is tried again.
    private func openOnFailingDisk(_ counts: SoakCounts) throws -> Store {
        for _ in 0..<100 {
            faults.start()
            do throws(MoraineError) {
                return try open()
            } catch {
                guard SoakFaults.explain(error) else { throw error }
                counts.failures.add(1, ordering: .relaxed)
            }
        }
        throw Failure.failed("the store does not open")
    }

    /// From an open to the first write that fails, a kill or the end.
    private func live(until end: UInt64, _ counts: SoakCounts, _ number: Int) throws {
        let store = try openOnFailingDisk(counts)
        faults.stop()
        for writer in writers { try writer.resolve(in: store) }
        faults.start()
        counts.lives.add(1, ordering: .relaxed)
        let isOver = Atomic(false)
        _ = try secondsOnThreads(writers.count + 2) { thread in
            defer { isOver.store(true, ordering: .relaxed) }
            var dice = SoakDice(seed: UInt64(number))
            while faults.steadyNanoseconds() < end, !isOver.load(ordering: .relaxed) {
                do {
                    switch thread - writers.count {
                    case 0:
                        try read(store, &dice)
                        counts.searches.add(1, ordering: .relaxed)
                    case 1:
                        Thread.sleep(forTimeInterval: 0.25)
                        guard faults.tick() else { return }
                    default:
                        try writers[thread].step(in: store)
                        counts.operations.add(1, ordering: .relaxed)
                    }
                } catch let error as MoraineError where SoakFaults.explain(error) {
                    counts.failures.add(1, ordering: .relaxed)
                    if thread < writers.count, writers[thread].isInDoubt { return }
                }
            }
        }
        // A store that was killed, or whose writing has ended, cannot be closed in order.
        do throws(MoraineError) {
            try store.close()
        } catch {
            guard SoakFaults.explain(error) else { throw error }
        }
        faults.stop()
    }
}

private func entryCount(_ path: String) -> Double {
    Double((try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? 0)
}

private func lineCount(_ path: String) -> Double {
    Double((try? String(contentsOfFile: path, encoding: .utf8).count { $0 == "\n" }) ?? 0)
}

/// A search, a short scan or a count; what is found belongs together.
private func read(_ store: Store, _ dice: inout SoakDice) throws {
    for collection in try store.collections() {
        switch dice.number(0..<10) {
        case 0: _ = try collection.count()
        case 1:
            var left = 200
            try collection.scan(prefix: "\(dice.number(0..<10))") { document in
                left -= 1
                return left > 0
            }
        default:
            let query = (0..<SoakWriter.dimensions).map { _ in Float(dice.number(1..<1000)) }
            let hits = try collection.search(near: query, limit: 10)
            let scores = hits.map(\.score)
            guard scores == scores.sorted(by: >) else {
                throw Failure.failed("a search is out of order: \(scores)")
            }
        }
    }
}

private func show(_ rows: [SoakRound], _ faults: SoakFaults, _ report: Report) {
    func figure(_ name: String, _ unit: String, _ value: (SoakRound) -> Double) {
        report.figure(name, unit, rows.map(value))
    }
    func count(_ name: String, _ unit: String, _ value: (SoakCounts) -> Int) {
        figure(name, unit) { Double(value($0.counts)) }
    }
    count("writes and gets", "a round") { $0.operations.load(ordering: .relaxed) }
    count("searches, scans and counts", "a round") { $0.searches.load(ordering: .relaxed) }
    count("opened", "a round") { $0.lives.load(ordering: .relaxed) }
    count("calls that failed", "a round") { $0.failures.load(ordering: .relaxed) }
    report.figure("failed calls to the disk", "", [Double(faults.faultCount)])
    report.figure("kills", "", [Double(faults.killCount)])
    report.figure("jumps of the clock", "", [Double(faults.jumpCount)])
    figure("documents", "") { $0.documentCount }
    figure("rows, dead ones included", "") { $0.rowCount }
    figure("anonymous memory, closed", "B") { $0.anonymousByteCount }
    figure("descriptors, closed", "") { $0.descriptorCount }
    figure("threads, closed", "") { $0.threadCount }
    figure("maps, closed", "") { $0.mapCount }
    figure("files of the store", "") { $0.fileCount }
    figure("bytes of the store", "B") { $0.storedByteCount }
    // The first third fills the store and the allocator.
    let third = rows.count / 3
    let middle = rows.dropFirst(third).dropLast(third)
    let last = rows.suffix(max(1, third))
    func growth(_ name: String, _ bound: Double, _ value: (SoakRound) -> Double) {
        func median(_ rows: ArraySlice<SoakRound>) -> Double { Series(rows.map(value)).median }
        report.ratio(
            "\(name), last third / middle third of rounds",
            [median(last) / median(middle)],
            target: .atMost(bound)
        )
    }
    growth("anonymous memory", 1.25) { $0.anonymousByteCount }
    growth("descriptors", 1) { $0.descriptorCount }
    growth("threads", 1) { $0.threadCount }
    growth("maps", 1.25) { $0.mapCount }
    growth("bytes for a row", 1.1) { $0.storedByteCount / $0.rowCount }
    report.ratio(
        "rows for a document, most of a round",
        [rows.map { $0.rowCount / $0.documentCount }.max() ?? 0],
        target: .atMost(1.25)
    )
}
