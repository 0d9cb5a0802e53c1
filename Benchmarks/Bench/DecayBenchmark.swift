// decay: recall after rounds of updates and deletes, beside that of a fresh store of the same.

import Foundation
import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Command {
    static let decay = Command(
        "decay",
        "recall after rounds of random updates and deletes, beside a fresh store",
        about: """
            Loads nine tenths of the vectors and makes index files. Then, in each of ten rounds, five
            of a hundred documents get another vector, two and a half are deleted and as many come
            new, all at random; the store merges everything and makes its index files, joining
            graphs where it may. In the end the same documents go into a fresh store. Recall is by
            distance, at fixed widths of search, against exact search.
            """,
        options: [
            Option("--queries", "N", "queries; all of a data set, else 1000"),
            Option("--widths", "LIST", "widths of search, with commas; 20,48 by default"),
            Option("--times", "N", "how many rounds of changes; 10 by default"),
        ],
        takesData: true,
        examples: [
            ("decay DATA", "a data set and its queries"),
            ("decay --documents 200000", "generated vectors around centres"),
        ],
        run: runDecay
    )
}

private func runDecay(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("decay", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 6000 : 200_000)
        guard data.dimensions > 0 else { throw Failure.usage("the data set has no vectors") }
        let widths = try arguments.widths(or: [20, 48])
        let count = try arguments.number("--queries", in: 1...1_000_000)
        let queries = try data.queries(count ?? (data as? FolderData)?.queryCount ?? 1000)
        var documents = try ChangingDocuments(data, seed: try arguments.seed())
        report.setting("documents", "\(documents.count) of \(data.dimensions) dimensions")

        let old = folder.path("old")
        try changeStore(at: old, data) { try documents.putAll(into: $0) }
        try show("before", try recalls(at: old, queries, data.metric, widths), widths, report)
        let times = try arguments.number("--times", in: 1...1000) ?? 10
        for time in 1...times {
            try changeStore(at: old, data) { try documents.change(in: $0) }
            guard time < times else { break }
            let found = try recalls(at: old, queries, data.metric, widths)
            try show("round \(time)", found, widths, report)
        }
        let fresh = folder.path("fresh")
        try changeStore(at: fresh, data) { try documents.putAll(into: $0) }
        let after = try recalls(at: old, queries, data.metric, widths)
        let expected = try recalls(at: fresh, queries, data.metric, widths)
        try show("round \(times)", after, widths, report)
        try show("fresh store", expected, widths, report)
        for (place, width) in widths.enumerated() {
            report.ratio(
                "recall at width \(width), round \(times) - fresh store",
                [after[place] - expected[place]],
                target: .atLeast(-0.01)
            )
        }
        try report.finish()
    }
}

/// Opens or makes a store, changes it, merges everything and makes its index files.
private func changeStore(
    at path: String,
    _ data: any DataSet,
    _ change: (Engine) throws -> Void
) throws {
    var options = EngineOptions()
    options.indexesInBackground = false
    let isNew = !FileManager.default.fileExists(atPath: path)
    let engine = try Engine.open(at: path, options: options)
    if isNew { _ = try engine.makeCollection("docs", data.dimensions, data.metric) }
    try change(engine)
    try engine.checkpoint()
    _ = try engine.compact(all: true)
    _ = try engine.buildIndexes(width: 2)
    try engine.close()
}

/// The recall at each width.
private func recalls(
    at path: String,
    _ queries: [Float],
    _ metric: Metric,
    _ widths: [Int]
) throws -> [Double] {
    let searcher = try IndexedSearcher(path, threads: 2)
    let bars = ScoreBars(try searcher.nearest(queries, isExact: true), metric)
    let recalls = try widths.map { bars.recall(try searcher.nearest(queries, width: $0)) }
    try searcher.engine.close()
    return recalls
}

private func show(_ when: String, _ recalls: [Double], _ widths: [Int], _ report: Report) throws {
    for (width, recall) in zip(widths, recalls) {
        report.figure("recall at width \(width), \(when)", "", [recall])
    }
}

/// Documents whose vectors change: each has one of a data set's, a tenth of which are spare.
private struct ChangingDocuments {
    private let dimensions: Int
    private let floats: [Float]
    private var dice: Dice
    /// For each living document its number and which vector it has.
    private var living: [(number: Int, vector: Int)] = []
    private var spare: [Int] = []
    private var nextNumber: Int

    var count: Int { living.count }

    init(_ data: any DataSet, seed: UInt64) throws {
        dimensions = data.dimensions
        var floats: [Float] = []
        floats.reserveCapacity(data.documentCount * dimensions)
        try data.forEachBatch {
            floats += $0.floats
            $0.removeAll()
            return $0
        }
        self.floats = floats
        dice = Dice(seed)
        var order = Array(0..<data.documentCount)
        for place in order.indices.dropFirst() { order.swapAt(place, dice.below(place + 1)) }
        let spareCount = max(1, order.count / 10)
        spare = Array(order.suffix(spareCount))
        living = order.dropLast(spareCount).enumerated().map { ($0.offset, $0.element) }
        nextNumber = living.count
    }

    func putAll(into engine: Engine) throws { try put(living.indices, into: engine) }

    /// One round.
    mutating func change(in engine: Engine) throws {
        let few = max(1, count / 40)
        var gone: [Int] = []
        for _ in 0..<few {
            let one = living.remove(at: dice.below(living.count))
            gone.append(one.number)
            spare.append(one.vector)
        }
        try Documents.delete(gone, from: engine)
        var changed: Set<Int> = []
        while changed.count < 2 * few { changed.insert(dice.below(living.count)) }
        for place in changed.sorted() {
            let other = dice.below(spare.count)
            swap(&living[place].vector, &spare[other])
        }
        try put(changed.sorted(), into: engine)
        let firstNew = living.count
        for _ in 0..<few {
            living.append((nextNumber, spare.remove(at: dice.below(spare.count))))
            nextNumber += 1
        }
        try put(firstNew..<living.count, into: engine)
    }

    private func put(_ places: some Collection<Int>, into engine: Engine) throws {
        var rest = places[...]
        while !rest.isEmpty {
            let part = rest.prefix(500)
            rest = rest.dropFirst(500)
            let batch = Batch()
            for place in part {
                let (number, vector) = living[place]
                Documents.id(number).withUnsafeBytes { id in
                    batch.add(id: id, text: id, metadata: Metadata.empty)
                }
                batch.floats += floats[(vector * dimensions)..<((vector + 1) * dimensions)]
            }
            let collection = try engine.collection("docs")
            _ = try engine.commit(logged: false) { builder throws(StoreError) in
                try batch.put(into: &builder, collection)
            }
        }
    }
}
