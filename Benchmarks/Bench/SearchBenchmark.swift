// search: the ten nearest by graphs, their recall and their speed.

import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors

extension Command {
    static let search = Command(
        "search",
        "the ten nearest by graphs: recall and queries a second",
        about: """
            Loads the documents, makes all index files, closes the store and opens it again. Then
            all queries as one batch, with one thread and with two, for several widths of search
            (nodes that a search keeps, often called ef). Recall is by distance: a hit counts when
            its score reaches that of the tenth nearest less 0.00001, whichever document it is. The
            tenth nearest is read from gt.f32 of a data set, or found by exact search.
            """,
        options: [
            Option("--queries", "N", "queries; all of a data set, else 1000"),
            Option("--widths", "LIST", "widths of search, with commas"),
            Option("--store", "FOLDER", "keep the store here, or search the one that is there"),
        ],
        takesData: true,
        examples: [
            ("search DATA", "a data set and its queries"),
            ("search --documents 200000", "generated vectors around centres"),
        ],
        run: runSearch
    )
}

private let limit = 10
private let defaultWidths = [10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256]

private func runSearch(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("search", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 5000 : 200_000)
        guard data.dimensions > 0 else { throw Failure.usage("the data set has no vectors") }
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        let path = arguments.word("--store") ?? folder.path("store")
        if !FileManager.default.fileExists(atPath: path) {
            try makeIndexedStore(data, at: path, report)
        }
        let searchers = try [1, 2].map { try IndexedSearcher(path, threads: $0) }
        let widths = try arguments.word("--widths").map(parseWidths) ?? defaultWidths
        let count = try arguments.number("--queries", in: 1...1_000_000)
        let queries = try data.queries(count ?? (data as? FolderData)?.queryCount ?? 1000)
        let bars = try tenthScores(data, queries, searchers[1])
        var curve: [(width: Int, recall: Double, rates: [Double])] = []
        for width in widths {
            var recall = 0.0
            var rates: [[Double]] = [[], []]
            for round in 0...(try arguments.rounds()) {
                for (place, searcher) in searchers.enumerated() {
                    var hits: [[SearchHit]] = []
                    let time = try seconds { hits = try searcher.nearest(queries, width: width) }
                    recall = share(of: hits, bars, data.metric)
                    if round > 0 { rates[place].append(Double(hits.count) / time) }
                }
            }
            let name = "width \(width), recall \(String(format: "%.4f", recall))"
            report.figure("\(name), one thread", "queries/s", rates[0])
            report.figure("\(name), two threads", "queries/s", rates[1])
            curve.append((width, recall, rates.map { Series($0).median }))
        }
        for target in [0.95, 0.99] {
            guard let rate = interpolated(curve.map { ($0.recall, $0.rates[0]) }, at: target)
            else { continue }
            report.figure("recall \(target), one thread", "queries/s", [rate])
        }
        for searcher in searchers { try searcher.engine.close() }
        try report.finish()
    }
}

private func parseWidths(_ text: String) throws -> [Int] {
    try text.split(separator: ",").map {
        guard let width = Int($0), width > 0 else {
            throw Failure.usage("--widths takes numbers with commas between them")
        }
        return width
    }
}

private func makeIndexedStore(_ data: any DataSet, at path: String, _ report: Report) throws {
    var options = EngineOptions()
    options.indexesInBackground = false
    var engine = try Engine.open(at: path, options: options)
    let collection = try engine.makeCollection("docs", data.dimensions, data.metric)
    let loading = try seconds {
        try data.load(into: engine, collection)
        try engine.checkpoint()
    }
    report.figure("load", "documents/s", [Double(data.documentCount) / loading])
    let merging = try seconds { _ = try engine.compact(all: true) }
    report.figure("merge", "seconds", [merging])
    let indexing = try seconds { _ = try engine.buildIndexes(width: 2) }
    report.figure("make index files, two threads", "seconds", [indexing])
    try engine.close()
    engine = try Engine.open(at: path, options: options)
    let version = try engine.version()
    report.setting("segments", "\(version.segments.count)")
    var bytes: UInt64 = 0
    for view in version.segments {
        for file in [view.indexes[.codes], view.indexes[.graph]] { bytes += file?.byteCount ?? 0 }
    }
    report.figure(
        "codes and graph",
        "bytes a vector",
        [Double(bytes) / Double(max(1, data.documentCount))]
    )
    try engine.close()
}

/// A store opened with a number of scan threads.
private struct IndexedSearcher {
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

    func nearest(_ queries: [Float], width: Int?, isExact: Bool = false) throws -> [[SearchHit]] {
        var request = SearchRequest(limit: limit)
        request.width = width
        request.isExact = isExact
        return try queries.withUnsafeBufferPointer { queries throws(StoreError) in
            try version.search(collection, queries: queries, request)
        }
    }
}

/// For each query the score that a hit must reach.
private func tenthScores(
    _ data: any DataSet,
    _ queries: [Float],
    _ searcher: IndexedSearcher
) throws -> [Float] {
    let slack: Float = data.metric == .l2 ? -1e-5 : 1e-5
    let count = queries.count / data.dimensions
    if let expected = try (data as? FolderData)?.expectedScores() {
        return (0..<count).map { expected.scores[$0 * expected.width + limit - 1] - slack }
    }
    return try searcher.nearest(queries, width: nil, isExact: true).map {
        ($0.last?.score ?? 0) - slack
    }
}

private func share(of hits: [[SearchHit]], _ bars: [Float], _ metric: Metric) -> Double {
    var found = 0
    for (hits, bar) in zip(hits, bars) {
        found += hits.count { metric == .l2 ? $0.score <= bar : $0.score >= bar }
    }
    return Double(found) / Double(bars.count * limit)
}

/// The rate at a recall, on the line between the widths on both sides of it.
private func interpolated(_ curve: [(recall: Double, rate: Double)], at target: Double) -> Double? {
    for (low, high) in zip(curve, curve.dropFirst()) {
        guard low.recall <= target, high.recall >= target, high.recall > low.recall else {
            continue
        }
        let part = (target - low.recall) / (high.recall - low.recall)
        return low.rate + part * (high.rate - low.rate)
    }
    return nil
}
