// get: documents by id, delivered as Swift values.

import Moraine
import MoraineEngine

extension Command {
    static let get = Command(
        "get",
        "documents by random ids: cached, on two threads, uncached",
        about: """
            A document is delivered as Swift values: its text as a String, its metadata as a tree.
            On two threads the limit is how a bare loop of random reads from memory scales in the
            same run. Uncached: the same with so small a block cache that nearly every get
            decompresses a block.
            """,
        options: [Option("--gets", "N", "gets of one thread in a round; 400,000 by default")],
        takesData: true,
        examples: [
            ("get DATA", "a data set"), ("get --documents 20000", "generated documents"),
        ],
        run: runGet
    )
}

/// Gets documents of one store in a random order, as a program that uses the library does.
private struct Getter: Sendable {
    let collection: Store.Collection
    let ids: [String]

    init(_ store: Store) throws {
        collection = try store.existingCollection("docs")
        var ids: [String] = []
        try collection.scan(withEmbeddings: false) { document in
            ids.append(document.id)
            return true
        }
        self.ids = ids
    }

    /// Bytes of the texts that were delivered.
    func run(_ count: Int, seed: UInt64) throws -> Int {
        var dice = Dice(seed)
        var byteCount = 0
        for _ in 0..<count {
            let id = ids[dice.below(ids.count)]
            guard let document = try collection.get(id, withEmbedding: false) else {
                throw Failure.failed("a document is missing")
            }
            byteCount += document.text.utf8.count + document.metadata.count
        }
        return byteCount
    }
}

/// Random reads from an area far larger than the caches.
private final class BareReads: Sendable {
    private let words: [UInt64]

    init() {
        let count = max(64 << 20, Machine.cacheByteCount * 2) / 8
        words = [UInt64](unsafeUninitializedCapacity: count) { buffer, filled in
            for index in 0..<count { buffer[index] = UInt64(index) }
            filled = count
        }
    }

    func run(_ count: Int, seed: UInt64) throws {
        var dice = Dice(seed)
        var sum: UInt64 = 0
        for _ in 0..<count { sum &+= words[dice.below(words.count)] ^ (sum & 1) }
        guard sum != 0 else { throw Failure.failed("memory reads as zeros") }
    }
}

private func runGet(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("get", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 2000 : 20_000)
        let count =
            try arguments.number("--gets", in: 1...1_000_000_000)
            ?? (arguments.isQuick ? 20_000 : 400_000)
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        try data.makeStore(at: folder.path("store"), options: EngineOptions())
        var configuration = Store.Configuration()
        configuration.isReadOnly = true
        let cached = try Store.open(at: folder.path("store"), configuration: configuration)
        configuration.memoryByteCount = 1 << 20
        let uncached = try Store.open(at: folder.path("store"), configuration: configuration)
        try measure(
            Getter(cached),
            Getter(uncached),
            count: count,
            rounds: try arguments.rounds(),
            seed: try arguments.seed(),
            report
        )
        let statistics = try cached.statistics()
        report.setting(
            "block cache",
            "\(statistics.blockCacheByteCount >> 20) MiB, \(statistics.blockCacheMissCount) misses"
        )
        try cached.close()
        try uncached.close()
        try report.finish()
    }
}

private func measure(
    _ cached: Getter,
    _ uncached: Getter,
    count: Int,
    rounds: Int,
    seed: UInt64,
    _ report: Report
) throws {
    let bare = BareReads()
    let sliceCount = 10
    let count = max(1, count / sliceCount)
    let bareCount = count * 20
    let uncachedCount = max(1, count / 10)
    var one: [Double] = []
    var two: [Double] = []
    var bareOne: [Double] = []
    var bareTwo: [Double] = []
    var missing: [Double] = []
    for round in 0...rounds {
        var times = [0.0, 0.0, 0.0, 0.0, 0.0]
        // Slice by slice, so that a change of the machine's speed meets all alike.
        for slice in 0..<sliceCount {
            let seed = seed &+ UInt64(round * sliceCount + slice) * 16
            times[0] += try secondsOnThreads(1) { _ in _ = try cached.run(count, seed: seed) }
            times[1] += try secondsOnThreads(2) { number in
                _ = try cached.run(count, seed: seed + UInt64(number))
            }
            times[2] += try secondsOnThreads(1) { _ in try bare.run(bareCount, seed: seed) }
            times[3] += try secondsOnThreads(2) { number in
                try bare.run(bareCount, seed: seed + UInt64(number))
            }
            times[4] += try secondsOnThreads(1) { _ in
                _ = try uncached.run(uncachedCount, seed: seed)
            }
        }
        guard round > 0 else { continue }  // the first one warms up
        one.append(Double(sliceCount * count) / times[0])
        two.append(Double(sliceCount * 2 * count) / times[1])
        bareOne.append(Double(sliceCount * bareCount) / times[2])
        bareTwo.append(Double(sliceCount * 2 * bareCount) / times[3])
        missing.append(Double(sliceCount * uncachedCount) / times[4])
    }
    report.figure("get, one thread", "documents/s", one)
    report.figure("get, two threads", "documents/s", two)
    report.figure("bare random reads, one thread", "reads/s", bareOne)
    report.figure("bare random reads, two threads", "reads/s", bareTwo)
    report.figure("get uncached, one thread", "documents/s", missing)
    report.ratio(
        "get, one thread / 400,000 a second",
        one.map { $0 / 400_000 },
        target: .atLeast(1)
    )
    report.ratio("get, two threads / one", quotients(two, one))
    report.ratio("bare reads, two threads / one", quotients(bareTwo, bareOne))
    report.ratio(
        "scaling of get / scaling of bare reads",
        quotients(quotients(two, one), quotients(bareTwo, bareOne)),
        target: .atLeast(0.85)
    )
    report.ratio("uncached / cached", quotients(missing, one))
}
