// vectors: the ten nearest by comparing every float, beside reading the same bytes.

import CKernels
import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors
import Synchronization

extension Command {
    static let vectors = Command(
        "vectors",
        "the ten nearest of all floats, beside the memory's read bandwidth",
        about: """
            Every vector is compared, in a store without codes and graphs. The limit is reading the same files' bytes from memory, in the
            same run, with as many threads. Generated vectors take four times the last-level cache
            unless --documents says otherwise. Scores are checked: against gt.f32 of a data set,
            against double precision for generated vectors.
            """,
        options: [Option("--queries", "N", "queries in a round; 20 by default")],
        takesData: true,
        examples: [
            ("vectors DATA", "a data set and its queries"),
            ("vectors", "generated vectors, four times as large as the cache"),
            ("vectors --documents 100000 --dimensions 768 --json", "other shapes"),
        ],
        run: runVectors
    )
}

extension IndexedSearcher {
    /// The nearest to a query, by comparing every vector.
    fileprivate func nearest(_ query: ArraySlice<Float>) throws -> [SearchHit] {
        try query.withUnsafeBufferPointer { query throws(StoreError) in
            var request = SearchRequest(limit: nearestCount)
            request.isExact = true
            return try version.search(collection, query: query, request).hits
        }
    }
}

private func runVectors(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report(
            "vectors",
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
        var options = EngineOptions()
        options.indexesInBackground = false
        try data.makeStore(at: folder.path("store"), options: options)
        let names = folder.files("store").filter { $0.hasSuffix(".vec") }
        report.setting("vector files", "\(names.count)")
        let one = try Contest(folder.path("store"), files: names, threads: 1)
        let two = try Contest(folder.path("store"), files: names, threads: 2)
        try check(one.searcher, two.searcher, data, queries, report)
        try measure(one, two, queries, data, rounds: try arguments.rounds(), report)
        try one.searcher.engine.close()
        try two.searcher.engine.close()
        try report.finish()
    }
}

/// Searches, and reads of the same bytes, by a number of threads.
private struct Contest: Sendable {
    let searcher: IndexedSearcher
    /// As the searcher's threads: the caller's and, for two, one that is there already.
    let pool: ScanPool
    /// Each contest's own: what was read through the same mapping a moment ago is read faster.
    let mappings: [Mapping]
    let byteCount: Int

    init(_ folder: String, files: [String], threads: Int) throws {
        searcher = try IndexedSearcher(folder, threads: threads)
        pool = ScanPool(width: threads)
        mappings = try files.map { try map($0, byteCount: nil) }
        byteCount = mappings.reduce(0) { $0 + $1.bytes.count }
    }

    /// Reads every file once, each by all threads of the pool.
    func read() throws {
        let sum = Atomic<UInt64>(0)
        let count = pool.width
        pool.run(jobs: count) { part in
            for mapping in mappings {
                let size = mapping.bytes.count
                let range = (size * part / count)..<(size * (part + 1) / count)
                let bytes = UnsafeRawBufferPointer(rebasing: mapping.bytes[range])
                sum.wrappingAdd(mk_read_sum(bytes.baseAddress, bytes.count), ordering: .relaxed)
            }
        }
        guard sum.load(ordering: .relaxed) != 0 else { throw Failure.failed("only zeros") }
    }
}

private func measure(
    _ one: Contest,
    _ two: Contest,
    _ queries: [Float],
    _ data: any DataSet,
    rounds: Int,
    _ report: Report
) throws {
    let dimensions = data.dimensions
    let count = queries.count / dimensions
    let scanned = Double(data.documentCount * dimensions * 4 * count) / 1e9
    let whole = Double(one.byteCount * count) / 1e9
    var times: [String: [Double]] = [:]
    for round in 0...rounds {
        var sums = ["one": 0.0, "two": 0.0, "read one": 0.0, "read two": 0.0]
        // Query by query and in changing order, so that a change of the machine's speed, and what
        // came just before, meet search and read alike.
        for number in 0..<count {
            let query = queries[(number * dimensions)..<((number + 1) * dimensions)]
            for (name, contest) in [("one", one), ("two", two)] {
                for isRead in [(round + number) % 2 == 1, (round + number) % 2 == 0] {
                    sums[isRead ? "read " + name : name, default: 0] += try seconds {
                        if isRead {
                            try contest.read()
                        } else {
                            _ = try contest.searcher.nearest(query)
                        }
                    }
                }
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
    _ one: IndexedSearcher,
    _ two: IndexedSearcher,
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
            try compare(number, try two.nearest(query), row.prefix(nearestCount).map(Double.init))
        }
        report.setting("scores checked", "\(folder.queryCount) queries against gt.f32")
    } else if let generated = data as? GeneratedData {
        try compare(
            0,
            try two.nearest(query(0)),
            generated.nearestScores(to: query(0), limit: nearestCount)
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
