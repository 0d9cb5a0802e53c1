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
            tenth nearest is read from gt.f32 of a data set, or found by exact search. On two
            threads the limit is how a bare loop scales that compares as many codes in no order.
            The memory that searching takes is told right only for a store that is already there
            (--store).
            """,
        options: [
            Option("--queries", "N", "queries; all of a data set, else 1000"),
            Option(
                "--widths",
                "LIST",
                "widths of search, with commas; from 10 to where .995 are found by default"
            ),
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

private let defaultWidths = [10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
/// Wider searches than the first that finds more are of no interest.
private let highestRecall = 0.995

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
        let count = try arguments.number("--queries", in: 1...1_000_000)
        let queries = try data.queries(count ?? (data as? FolderData)?.queryCount ?? 1000)
        let one = try searcherWithMemory(path, queries, report)
        let searchers = [one, try IndexedSearcher(path, threads: 2)]
        let bars = try bars(data, queries, searchers[1])
        var widths = try arguments.widths(or: defaultWidths)
        var recalls = [Double](repeating: 0, count: widths.count)
        var rates = widths.map { _ in [[Double]](repeating: [], count: searchers.count) }
        let bare = BareCodes(count: data.documentCount, dimensions: data.dimensions)
        var bareRates = [[Double]](repeating: [], count: searchers.count)
        // All widths in each round: a moment in which the machine is slow then falls on a round of
        // each, not on all rounds of one.
        for round in 0...(try arguments.rounds()) {
            for number in searchers.indices {
                // As many lists as a search of some twenty steps compares.
                let count = 20 * queries.count / data.dimensions
                let time = try secondsOnThreads(number + 1) { thread in
                    try bare.run(count, seed: UInt64(2 * round + thread))
                }
                if round > 0 {
                    let codeCount = (number + 1) * count * BareCodes.listCount
                    bareRates[number].append(Double(codeCount) / time)
                }
            }
            for (place, width) in widths.enumerated() {
                for (number, searcher) in searchers.enumerated() {
                    var hits: [[SearchHit]] = []
                    let time = try seconds { hits = try searcher.nearest(queries, width: width) }
                    recalls[place] = bars.recall(hits)
                    if round > 0 { rates[place][number].append(Double(hits.count) / time) }
                }
            }
            // The first round warms up, and shows how far to go.
            if round == 0, !arguments.has("--widths"),
                let last = recalls.firstIndex(where: { $0 > highestRecall })
            {
                widths.removeLast(widths.count - last - 1)
                recalls.removeLast(recalls.count - last - 1)
            }
        }
        for (place, width) in widths.enumerated() {
            let name = "width \(width), recall \(String(format: "%.4f", recalls[place]))"
            report.figure("\(name), one thread", "queries/s", rates[place][0])
            report.figure("\(name), two threads", "queries/s", rates[place][1])
        }
        let curve = zip(recalls, rates).map { ($0, Series($1[0]).median) }
        for target in [0.95, 0.99] {
            guard let rate = interpolated(curve, at: target) else { continue }
            report.figure("recall \(target), one thread", "queries/s", [rate])
        }
        report.figure("bare comparisons, one thread", "codes/s", bareRates[0])
        report.figure("bare comparisons, two threads", "codes/s", bareRates[1])
        let bareScaling = quotients(bareRates[1], bareRates[0])
        report.ratio("bare comparisons, two threads / one", bareScaling)
        for target in [0.95, 0.99] {
            guard let place = recalls.firstIndex(where: { $0 >= target }) else { continue }
            report.ratio(
                "scaling of search at width \(widths[place]) / scaling of bare comparisons",
                quotients(quotients(rates[place][1], rates[place][0]), bareScaling),
                target: .atLeast(0.9)
            )
        }
        for searcher in searchers { try searcher.engine.close() }
        try report.finish()
    }
}

/// Opens a store for one thread, searches it, and shows what memory that took.
private func searcherWithMemory(_ path: String, _ queries: [Float], _ report: Report) throws
    -> IndexedSearcher
{
    var memory = ResidentMemory()
    let before = memory.byteCounts()
    let searcher = try IndexedSearcher(path, threads: 1)
    _ = try searcher.nearest(queries)
    let after = memory.byteCounts()
    report.figure(
        "memory that no file backs, all queries searched",
        "MiB",
        [Double(max(0, after.anonymous - before.anonymous)) / 0x1p20]
    )
    report.figure(
        "mapped pages, all queries searched",
        "MiB",
        [Double(max(0, after.file - before.file)) / 0x1p20]
    )
    return searcher
}

/// For each query what a hit must reach.
private func bars(_ data: any DataSet, _ queries: [Float], _ searcher: IndexedSearcher) throws
    -> ScoreBars
{
    if let expected = try (data as? FolderData)?.expectedScores() {
        return ScoreBars(
            scores: expected.scores,
            width: expected.width,
            queryCount: queries.count / data.dimensions,
            data.metric
        )
    }
    return ScoreBars(try searcher.nearest(queries, isExact: true), data.metric)
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
