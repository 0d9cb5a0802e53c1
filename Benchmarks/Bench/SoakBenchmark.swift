// soak: minutes of everything at once on one store, its content held against a model and what the
// process and the folder hold watched.

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
            files and log files come and go in the background. Each round ends with all of the
            content compared, then the store is merged, closed, opened and verified; what the
            process and the folder hold is measured after that. The number of documents stays about
            the same from the second round on, so nothing may grow.
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
        let writers = (0..<2).map { SoakWriter($0, idCount: count, seed: seed) }
        var rows: [SoakRound] = []
        for number in 0..<rounds {
            rows.append(try soak(writers, folder, seconds: length, number: number))
        }
        show(rows, report)
        try report.finish()
    }
}

/// What the process and the folder hold at the end of a round, with the store closed.
private struct SoakRound {
    let operationCount: Double
    let searchCount: Double
    let documentCount: Double
    let anonymousByteCount: Double
    let descriptorCount: Double
    let threadCount: Double
    let fileCount: Double
    let storedByteCount: Double
}

private func soak(
    _ writers: [SoakWriter],
    _ folder: WorkFolder,
    seconds length: Int,
    number: Int
) throws -> SoakRound {
    let path = folder.path("store")
    let counts = try useStore(at: path, writers, seconds: length, number: number)
    try compareStore(at: path, writers)
    let report = try Store.verify(at: path)
    guard report.isOK else { throw Failure.failed("verify found \(report.findings)") }
    // Threads of the store end a little after it.
    Thread.sleep(forTimeInterval: 0.2)
    var memory = ResidentMemory()
    return SoakRound(
        operationCount: Double(counts.operations),
        searchCount: Double(counts.searches),
        documentCount: Double(writers.reduce(0) { $0 + $1.documentCount }),
        anonymousByteCount: Double(memory.byteCounts().anonymous),
        descriptorCount: entryCount("/proc/self/fd"),
        threadCount: entryCount("/proc/self/task"),
        fileCount: Double(folder.files("store").count),
        storedByteCount: Double(try folder.byteCount("store"))
    )
}

/// One round; the store is gone when this returns.
private func useStore(
    at path: String,
    _ writers: [SoakWriter],
    seconds length: Int,
    number: Int
) throws -> (operations: Int, searches: Int) {
    let store = try Store.open(at: path)
    let clock = SystemClock()
    let end = clock.steadyNanoseconds() + UInt64(length) * 1_000_000_000
    let operations = Atomic(0)
    let searches = Atomic(0)
    _ = try secondsOnThreads(writers.count + 1) { thread in
        var done = 0
        if thread < writers.count {
            while clock.steadyNanoseconds() < end {
                try writers[thread].step(in: store)
                done += 1
            }
            operations.add(done, ordering: .relaxed)
        } else {
            var dice = SoakDice(seed: UInt64(number))
            while clock.steadyNanoseconds() < end {
                try read(store, &dice)
                done += 1
            }
            searches.add(done, ordering: .relaxed)
        }
    }
    for writer in writers { try writer.compare(with: store) }
    try store.compact()
    try store.close()
    return (operations.load(ordering: .relaxed), searches.load(ordering: .relaxed))
}

private func compareStore(at path: String, _ writers: [SoakWriter]) throws {
    let store = try Store.open(at: path)
    for writer in writers { try writer.compare(with: store) }
    try store.close()
}

private func entryCount(_ path: String) -> Double {
    Double((try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? 0)
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

private func show(_ rows: [SoakRound], _ report: Report) {
    func figure(_ name: String, _ unit: String, _ value: (SoakRound) -> Double) {
        report.figure(name, unit, rows.map(value))
    }
    figure("writes and gets", "a round") { $0.operationCount }
    figure("searches, scans and counts", "a round") { $0.searchCount }
    figure("documents", "") { $0.documentCount }
    figure("anonymous memory, closed", "B") { $0.anonymousByteCount }
    figure("descriptors, closed", "") { $0.descriptorCount }
    figure("threads, closed", "") { $0.threadCount }
    figure("files of the store", "") { $0.fileCount }
    figure("bytes of the store", "B") { $0.storedByteCount }
    // The first rounds fill the store and the allocator.
    let settled = rows.dropFirst(rows.count / 3)
    guard let first = settled.first, let last = settled.last else { return }
    func growth(_ name: String, _ bound: Double, _ value: (SoakRound) -> Double) {
        report.ratio(
            "\(name), last round / round \(rows.count / 3 + 1)",
            [value(last) / value(first)],
            target: .atMost(bound)
        )
    }
    growth("anonymous memory", 1.25) { $0.anonymousByteCount }
    growth("descriptors", 1) { $0.descriptorCount }
    growth("threads", 1) { $0.threadCount }
    growth("bytes for a document", 1.1) { $0.storedByteCount / $0.documentCount }
}

/// Numbers that a seed decides.
private struct SoakDice {
    private let source: SeededRandom

    init(seed: UInt64) { source = SeededRandom(seed: seed) }

    mutating func number(_ range: Range<Int>) -> Int {
        range.lowerBound + Int(source.next() % UInt64(range.count))
    }
}

/// A thread's documents: what it has put is what it must find.
///
/// One thread at a time.
private final class SoakWriter: @unchecked Sendable {
    static let dimensions = 16

    private let name: String
    // Only touched by the thread that runs the writer, and between rounds.
    private var dice: SoakDice
    /// The version of each id's content; 0 when there is no such document.
    private var contents: [UInt32]
    private var lastContent: UInt32 = 0

    init(_ number: Int, idCount: Int, seed: UInt64) {
        name = "soak-\(number)"
        dice = SoakDice(seed: seed &* 64 &+ UInt64(number))
        contents = Array(repeating: 0, count: idCount)
    }

    var documentCount: Int { contents.count { $0 != 0 } }

    private func id(_ number: Int) -> String { "\(number % 10)-\(number)" }

    private func document(_ number: Int, _ content: UInt32) -> Document {
        let word = "content \(content) of \(number) "
        return Document(
            id: id(number),
            text: String(repeating: word, count: 1 + Int(content % 40)),
            metadata: ["content": .int(Int64(content)), "even": .bool(content % 2 == 0)],
            embedding: content % 8 == 0
                ? nil
                : (0..<Self.dimensions).map { Float((Int(content) &* (31 + $0)) % 997 + 1) }
        )
    }

    private func collection(_ store: Store) throws -> Store.Collection {
        try store.collection(name, dimensions: Self.dimensions)
    }

    /// A put of one or several documents, a delete or a get.
    func step(in store: Store) throws {
        let notes = try collection(store)
        let number = dice.number(0..<contents.count)
        switch dice.number(0..<100) {
        case 0..<50:
            lastContent += 1
            try notes.put(document(number, lastContent))
            contents[number] = lastContent
        case 50..<60:
            let numbers = Set((0..<20).map { _ in dice.number(0..<contents.count) })
            lastContent += 1
            try notes.put(numbers.map { document($0, lastContent) })
            for number in numbers { contents[number] = lastContent }
        case 60..<80 where contents[number] != 0:
            try notes.delete(id(number))
            contents[number] = 0
        default:
            try expect(try notes.get(id(number)), number)
        }
    }

    private func expect(_ found: StoredDocument?, _ number: Int) throws {
        let content = contents[number]
        guard let found else {
            if content == 0 { return }
            throw Failure.failed("\(name): \(id(number)) is not there, but should be \(content)")
        }
        let expected = document(number, content)
        guard content != 0, found.text == expected.text, found.metadata == expected.metadata,
            found.embedding == expected.embedding
        else {
            throw Failure.failed("\(name): \(id(number)) is \(found.text), not \(content)")
        }
    }

    /// Holds all of a store's content against the model.
    func compare(with store: Store) throws {
        let numbers = Dictionary(
            uniqueKeysWithValues: contents.indices.filter { contents[$0] != 0 }.map { (id($0), $0) }
        )
        var foundCount = 0
        var failure: (any Error)?
        let notes = try collection(store)
        try notes.scan { document in
            foundCount += 1
            do {
                guard let number = numbers[document.id] else {
                    throw Failure.failed("\(name): \(document.id) should not be there")
                }
                try expect(document, number)
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw failure }
        let counted = try notes.count()
        guard foundCount == numbers.count, counted == numbers.count else {
            throw Failure.failed(
                "\(name): \(foundCount) scanned, \(counted) counted, should be \(numbers.count)"
            )
        }
    }
}
