// A store with all its index files, searched with a number of threads, and what its hits are worth.

import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFilters
import MoraineFormat
import MoraineStorage
import MoraineVectors

/// The hits that recall is told by.
let nearestCount = 10

/// Loads everything into one segment and makes its index files, timed.
func makeIndexedStore(_ data: any DataSet, at path: String, _ report: Report) throws {
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
    report.figure(
        "load, merge and make index files",
        "documents/s",
        [Double(data.documentCount) / (loading + merging + indexing)]
    )
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
struct IndexedSearcher {
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

    /// The nearest to each query.
    ///
    /// - Parameter width: nodes that the search of a graph keeps; `nil` for the default.
    func nearest(
        _ queries: [Float],
        limit: Int = nearestCount,
        width: Int? = nil,
        isExact: Bool = false,
        filter: Filter? = nil
    ) throws -> [[SearchHit]] {
        var request = SearchRequest(limit: limit)
        request.width = width
        request.isExact = isExact
        request.filter = filter
        return try queries.withUnsafeBufferPointer { queries throws(StoreError) in
            try version.search(collection, queries: queries, request)
        }
    }

    /// How the first of the queries is searched with a filter.
    func plan(_ queries: [Float], width: Int, filter: Filter) throws -> SearchPlan {
        var request = SearchRequest(limit: nearestCount)
        request.width = width
        request.filter = filter
        return try queries[..<collection.dimensions].withUnsafeBufferPointer {
            query throws(StoreError) in
            try version.search(collection, query: query, request).plan
        }
    }
}

/// For each query the score that a hit must reach.
struct ScoreBars {
    private let bars: [Float]
    private let metric: Metric
    /// Documents that count, over all queries.
    private let countedCount: Int

    /// Of the exact nearest, found here.
    init(_ hits: [[SearchHit]], _ metric: Metric) {
        self.init(hits.map { $0.map(\.score) }, metric)
    }

    /// Of the exact nearest, read from a data set.
    ///
    /// - Parameter width: scores of each query.
    init(scores: [Float], width: Int, queryCount: Int, _ metric: Metric) {
        let count = min(width, nearestCount)
        self.init(
            (0..<queryCount).map { Array(scores[($0 * width)..<($0 * width + count)]) },
            metric
        )
    }

    private init(_ scores: [[Float]], _ metric: Metric) {
        let slack: Float = metric == .l2 ? -1e-5 : 1e-5
        bars = scores.map { ($0.last ?? 0) - slack }
        self.metric = metric
        countedCount = scores.reduce(0) { $0 + $1.count }
    }

    /// The share of the nearest that hits are as near as.
    func recall(_ hits: [[SearchHit]]) -> Double {
        var found = 0
        for (hits, bar) in zip(hits, bars) {
            found += hits.count { metric == .l2 ? $0.score <= bar : $0.score >= bar }
        }
        return Double(found) / Double(max(1, countedCount))
    }
}

extension Arguments {
    /// The widths of search that are asked for.
    func widths(or standard: [Int]) throws -> [Int] {
        guard let text = word("--widths") else { return standard }
        return try text.split(separator: ",").map {
            guard let width = Int($0), width > 0 else {
                throw Failure.usage("--widths takes numbers with commas between them")
            }
            return width
        }
    }
}
