// What readers feel of a merge: gets and searches timed one by one, part of `compact`.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// When reads are timed.
private enum Moment: Int, CaseIterable {
    case alone, beside, behind

    var name: String {
        switch self {
        case .alone: "alone"
        case .beside: "beside a merge"
        case .behind: "behind a merge"
        }
    }
}

/// Percentiles of the rounds' reads in microseconds, by moment.
private struct Latencies {
    private var median = [[Double]](repeating: [], count: Moment.allCases.count)
    private var p99 = [[Double]](repeating: [], count: Moment.allCases.count)

    mutating func add(_ nanoseconds: [UInt64], _ moment: Moment) {
        let sorted = nanoseconds.sorted()
        median[moment.rawValue].append(Double(sorted[sorted.count / 2]) / 1000)
        p99[moment.rawValue].append(Double(sorted[sorted.count * 99 / 100]) / 1000)
    }

    func show(_ name: String, _ report: Report) {
        for moment in Moment.allCases {
            report.figure("median of \(name) \(moment.name)", "us", median[moment.rawValue])
            report.figure("p99 of \(name) \(moment.name)", "us", p99[moment.rawValue])
        }
        for moment in [Moment.beside, .behind] {
            report.ratio(
                "p99 of \(name) \(moment.name) / alone",
                quotients(p99[moment.rawValue], p99[Moment.alone.rawValue]),
                target: .atMost(3)
            )
        }
    }
}

/// Times reads of the store `whole`, whose segments have their index files.
func measureReads(
    _ arguments: Arguments,
    _ folder: WorkFolder,
    _ documents: Documents,
    _ report: Report
) throws {
    try buildIndexes(folder)
    var gets = Latencies()
    var searches = Latencies()
    for round in 0..<(try arguments.rounds()) {
        let seed = try arguments.seed() &+ UInt64(round) * 1000
        try measure(folder, into: &gets, aloneCount: 100_000, behindCount: 20_000) { engine in
            try timedGets(engine, documents.count, seed: seed)
        }
        guard documents.dimensions > 0 else { continue }
        try measure(folder, into: &searches, aloneCount: 3_000, behindCount: 1_000) { engine in
            try timedSearches(engine, documents.dimensions, seed: seed)
        }
    }
    gets.show("a get", report)
    if documents.dimensions > 0 { searches.show("a search", report) }
}

private func buildIndexes(_ folder: WorkFolder) throws {
    var options = EngineOptions()
    options.compactsInBackground = false
    options.indexesInBackground = false
    let engine = try Engine.open(at: folder.path("whole"), options: options)
    _ = try engine.buildIndexes(width: 2)
    try engine.close()
}

/// Reads without a merge, then with one in the background until it has ended, then behind it.
///
/// - Parameter makeRead: answers with a read that tells how long it took.
private func measure(
    _ folder: WorkFolder,
    into latencies: inout Latencies,
    aloneCount: Int,
    behindCount: Int,
    _ makeRead: (Engine) throws -> () throws -> UInt64
) throws {
    try folder.copy("whole", to: "work")
    defer { try? folder.remove("work") }
    let engine = try Engine.open(at: folder.path("work"), options: EngineOptions())
    engine.compactions.pause()
    let read = try makeRead(engine)
    for _ in 0..<aloneCount { _ = try read() }  // warms up
    var times: [UInt64] = []
    for _ in 0..<aloneCount { times.append(try read()) }
    latencies.add(times, .alone)
    times.removeAll()
    engine.compactions.resume()
    // The segment of tombstones goes at once, the others when the merge has ended.
    while try engine.version().segments.count >= CompactionPolicy.fanIn {
        times.append(try read())
    }
    latencies.add(times, .beside)
    times.removeAll()
    for _ in 0..<behindCount { times.append(try read()) }
    latencies.add(times, .behind)
    try engine.close()
}

/// Gets of random documents.
private func timedGets(_ engine: Engine, _ count: Int, seed: UInt64) throws -> () throws -> UInt64 {
    let clock = SystemClock()
    let collection = try engine.collection("docs")
    var dice = Dice(seed)
    return {
        let id = Documents.id(dice.below(count))
        let start = clock.steadyNanoseconds()
        let version = try engine.version()
        _ = try id.withUnsafeBufferPointer { id throws(StoreError) in
            try version.withDocument(
                collection,
                id: UnsafeRawBufferPointer(id),
                wantsVector: false
            ) { $0.text.count }
        }
        return clock.steadyNanoseconds() - start
    }
}

/// Searches for the ten nearest to random vectors.
private func timedSearches(_ engine: Engine, _ dimensions: Int, seed: UInt64) throws
    -> () throws -> UInt64
{
    let clock = SystemClock()
    let collection = try engine.collection("docs")
    let request = SearchRequest(limit: 10)
    var dice = Dice(seed)
    return {
        let query = (0..<dimensions).map { _ in Float(dice.below(2_001) - 1_000) }
        let start = clock.steadyNanoseconds()
        _ = try query.withUnsafeBufferPointer { query throws(StoreError) in
            try engine.version().search(collection, query: query, request)
        }
        return clock.steadyNanoseconds() - start
    }
}
