// search: the exact ten nearest of all vectors, beside reading the same bytes.

import CKernels
import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let search = Command(
        "search",
        "the exact ten nearest, beside the memory's read bandwidth",
        about: """
            Every vector is compared. The limit is reading the same files' bytes from memory, in the
            same run, with as many threads. Generated vectors take four times the last-level cache
            unless --documents says otherwise. Scores are checked: against gt.f32 of a data set,
            against double precision for generated vectors.
            """,
        options: [Option("--queries", "N", "queries in a round; 20 by default")],
        takesData: true,
        examples: [
            ("search DATA", "a data set and its queries"),
            ("search", "generated vectors, four times as large as the cache"),
            ("search --documents 100000 --dimensions 768 --json", "other shapes"),
        ],
        run: runSearch
    )
}

private let limit = 10

/// A store opened with a number of scan threads.
private struct Searcher: Sendable {
    let engine: Engine
    let version: Version
    let collection: CollectionShape

    init(_ folder: String, threads: Int) throws {
        var options = EngineOptions()
        options.isReadOnly = true
        options.scanThreadCount = threads
        engine = try Engine.open(at: folder, options: options)
        version = try engine.version()
        collection = try engine.collection("docs")
    }

    func nearest(_ query: ArraySlice<Float>) throws -> [SearchHit] {
        try query.withUnsafeBufferPointer { query throws(StoreError) in
            try version.search(collection, query: query, limit: limit)
        }
    }
}

private func runSearch(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report(
            "search",
            arguments,
            machine: try Machine.description(of: folder.path)
        )
        let dimensions = try arguments.number("--dimensions", in: 1...16_384) ?? 384
        let enough = 4 * Machine.cacheByteCount / (4 * dimensions) + 1
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 2000 : enough)
        guard data.dimensions > 0 else { throw Failure.usage("the data set has no vectors") }
        let count = try arguments.number("--queries", in: 1...1_000_000) ?? 20
        let queries = try data.queries(count)
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        try data.makeStore(at: folder.path("store"), options: EngineOptions())
        let vectors = try folder.files("store").filter { $0.hasSuffix(".vec") }.map {
            try map($0, byteCount: nil)
        }
        let one = try Searcher(folder.path("store"), threads: 1)
        let two = try Searcher(folder.path("store"), threads: 2)
        report.setting("vector files", "\(vectors.count)")
        try check(one, two, data, queries, report)
        try measure(
            one,
            two,
            VectorBytes(vectors),
            queries,
            data,
            rounds: try arguments.rounds(),
            report
        )
        try one.engine.close()
        try two.engine.close()
        try report.finish()
    }
}

/// The bytes of all vector files, read from memory.
private struct VectorBytes: Sendable {
    let mappings: [Mapping]
    let byteCount: Int

    init(_ mappings: [Mapping]) {
        self.mappings = mappings
        byteCount = mappings.reduce(0) { $0 + $1.bytes.count }
    }

    /// Reads part `part` of `count` of every file.
    func read(_ part: Int, of count: Int) -> UInt64 {
        mappings.reduce(0) { sum, mapping in
            let size = mapping.bytes.count
            let range = (size * part / count)..<(size * (part + 1) / count)
            let bytes = UnsafeRawBufferPointer(rebasing: mapping.bytes[range])
            return sum &+ mk_read_sum(bytes.baseAddress, bytes.count)
        }
    }
}

private func measure(
    _ one: Searcher,
    _ two: Searcher,
    _ bytes: VectorBytes,
    _ queries: [Float],
    _ data: any DataSet,
    rounds: Int,
    _ report: Report
) throws {
    let dimensions = data.dimensions
    let count = queries.count / dimensions
    let scanned = Double(data.documentCount * dimensions * 4 * count) / 1e9
    let whole = Double(bytes.byteCount * count) / 1e9
    var times: [String: [Double]] = [:]
    for round in 0...rounds {
        // Query by query, so that a change of the machine's speed meets all alike.
        var sums = ["one": 0.0, "two": 0.0, "read one": 0.0, "read two": 0.0]
        for query in 0..<count {
            let query = queries[(query * dimensions)..<((query + 1) * dimensions)]
            sums["one", default: 0] += try seconds { _ = try one.nearest(query) }
            sums["read one", default: 0] += try secondsOnThreads(1) { _ in
                guard bytes.read(0, of: 1) != 0 else { throw Failure.failed("only zeros") }
            }
            sums["two", default: 0] += try seconds { _ = try two.nearest(query) }
            sums["read two", default: 0] += try secondsOnThreads(2) { part in
                guard bytes.read(part, of: 2) != 0 else { throw Failure.failed("only zeros") }
            }
        }
        guard round > 0 else { continue }  // the first one warms up
        for (name, time) in sums { times[name, default: []].append(time) }
    }
    for name in ["one", "two"] {
        let search = times[name, default: []]
        let read = times["read " + name, default: []]
        let threads = name == "one" ? "one thread" : "two threads"
        report.figure("search, \(threads)", "ms a query", search.map { $0 / Double(count) * 1e3 })
        report.figure("search, \(threads)", "GB/s of vectors", search.map { scanned / $0 })
        report.figure("read, \(threads)", "GB/s", read.map { whole / $0 })
        report.ratio(
            "search / read, \(threads)",
            zip(search, read).map { (scanned / $0) / (whole / $1) }
        )
    }
    report.ratio(
        "search, two threads / one",
        quotients(times["one", default: []], times["two", default: []])
    )
}

/// Compares scores with what is known about the data; throws when one is wrong.
private func check(
    _ one: Searcher,
    _ two: Searcher,
    _ data: any DataSet,
    _ queries: [Float],
    _ report: Report
) throws {
    let dimensions = data.dimensions
    func query(_ number: Int) -> ArraySlice<Float> {
        queries[(number * dimensions)..<((number + 1) * dimensions)]
    }
    for number in 0..<(queries.count / dimensions) {
        guard try one.nearest(query(number)) == two.nearest(query(number)) else {
            throw Failure.failed("query \(number): two threads find other documents than one")
        }
    }
    if let folder = data as? FolderData {
        guard let expected = try folder.expectedScores() else {
            report.setting("scores checked", "none: there is no gt.f32")
            return
        }
        let all = try folder.queries(folder.queryCount)
        for number in 0..<folder.queryCount {
            let query = all[(number * dimensions)..<((number + 1) * dimensions)]
            let row = expected.scores[(number * expected.width)...].prefix(expected.width)
            try compare(number, try two.nearest(query), row.prefix(limit).map(Double.init))
        }
        report.setting("scores checked", "\(folder.queryCount) queries against gt.f32")
    } else if let generated = data as? GeneratedData {
        try compare(
            0,
            try two.nearest(query(0)),
            generated.nearestScores(to: query(0), limit: limit)
        )
        report.setting("scores checked", "1 query against double precision")
    }
}

private func compare(_ query: Int, _ hits: [SearchHit], _ expected: [Double]) throws {
    guard hits.count == expected.count,
        zip(hits, expected).allSatisfy({ abs(Double($0.score) - $1) <= 1e-5 })
    else {
        throw Failure.failed(
            "query \(query): scores \(hits.map(\.score)) are not \(expected)"
        )
    }
}
