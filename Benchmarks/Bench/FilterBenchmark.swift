// filter: the ten nearest of the documents that a filter lets pass.

import Foundation
import MoraineEngine
import MoraineFilters
import MoraineFormat

extension Command {
    static let filter = Command(
        "filter",
        "the ten nearest that a filter lets pass: recall and queries a second",
        about: """
            For each gt_KEY=VALUE.f32 of a data set: all queries as one batch, with one thread, among
            the documents whose metadata KEY is VALUE, for several widths of search, and by exact
            search over the same documents. Recall is by distance, as in search. Without DATA, one,
            twenty and fifty of a hundred made-up documents pass. --where asks with a filter of your
            own in their place; what it lets pass is then found by exact search.
            """,
        options: [
            Option("--queries", "N", "queries; all of a data set, else 1000"),
            Option("--widths", "LIST", "widths of search, with commas; 48,96,192 by default"),
            Option("--where", "FILTER", "one filter, as text"),
            Option("--store", "FOLDER", "keep the store here, or search the one that is there"),
        ],
        takesData: true,
        examples: [
            ("filter DATA", "a data set, its queries and its filters"),
            ("filter --documents 200000", "generated documents"),
            ("filter --documents 200000 --where 'number < 10000'", "the first of them"),
        ],
        run: runFilter
    )
}

private func runFilter(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("filter", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 5000 : 200_000)
        guard data.dimensions > 0 else { throw Failure.usage("the data set has no vectors") }
        let folderData = data as? FolderData
        let condition = arguments.word("--where")
        let names =
            condition.map { [$0] } ?? folderData?.filters
            ?? GeneratedData.shares.map { "share=\($0)" }
        guard !names.isEmpty else {
            throw Failure.usage("the data set has no gt_KEY=VALUE.f32; see moraine-bench dataset")
        }
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        let path = arguments.word("--store") ?? folder.path("store")
        if !FileManager.default.fileExists(atPath: path) {
            try makeIndexedStore(data, at: path, report)
        }
        let searcher = try IndexedSearcher(path, threads: 1)
        let count = try arguments.number("--queries", in: 1...1_000_000)
        let queries = try data.queries(count ?? folderData?.queryCount ?? 1000)
        for name in names {
            let filter = try condition.map(textFilter) ?? equalityFilter(name)
            var bars = ScoreBars(
                try searcher.nearest(queries, isExact: true, filter: filter),
                data.metric
            )
            if condition == nil, let expected = try folderData?.expectedScores(filter: name) {
                bars = ScoreBars(
                    scores: expected.scores,
                    width: expected.width,
                    queryCount: queries.count / data.dimensions,
                    data.metric
                )
            }
            try measure(searcher, queries, (name, filter), bars, arguments, report)
        }
        try searcher.engine.close()
        try report.finish()
    }
}

/// The filter of a name `KEY=VALUE`.
func equalityFilter(_ name: String) throws -> Filter {
    let parts = name.split(separator: "=", maxSplits: 1)
    guard parts.count == 2 else { throw Failure.usage("\"\(name)\" is not KEY=VALUE") }
    return try textFilter("`\(parts[0])` == \"\(parts[1])\"")
}

private func textFilter(_ text: String) throws -> Filter {
    do throws(FilterError) {
        return try Filter(text: text)
    } catch {
        throw Failure.usage("\(text) is no filter: \(error.message)")
    }
}

private func measure(
    _ searcher: IndexedSearcher,
    _ queries: [Float],
    _ filter: (name: String, filter: Filter),
    _ bars: ScoreBars,
    _ arguments: Arguments,
    _ report: Report
) throws {
    let widths = try arguments.widths(or: [48, 96, 192])
    var exact: [Double] = []
    var rates: [[Double]] = Array(repeating: [], count: widths.count)
    var recalls: [Double] = Array(repeating: 0, count: widths.count)
    for round in 0...(try arguments.rounds()) {
        var hits: [[SearchHit]] = []
        let time = try seconds {
            hits = try searcher.nearest(queries, isExact: true, filter: filter.filter)
        }
        if round > 0 { exact.append(Double(hits.count) / time) }
        for (place, width) in widths.enumerated() {
            let time = try seconds {
                hits = try searcher.nearest(queries, width: width, filter: filter.filter)
            }
            recalls[place] = bars.recall(hits)
            if round > 0 { rates[place].append(Double(hits.count) / time) }
        }
    }
    report.figure("\(filter.name), exact", "queries/s", exact)
    for (place, width) in widths.enumerated() {
        let plan = try searcher.plan(queries, width: width, filter: filter.filter)
        let matches = plan.steps.reduce(0) { $0 + ($1.matchCount ?? 0) }
        let methods = Set(plan.steps.map(\.method.rawValue)).sorted().joined(separator: " and ")
        let name = "\(filter.name), width \(width)"
        report.setting(name, "\(matches) documents pass, by \(methods)")
        report.figure(
            "\(name), recall \(String(format: "%.4f", recalls[place]))",
            "queries/s",
            rates[place]
        )
        report.ratio("\(name) / exact", quotients(rates[place], exact))
    }
}
