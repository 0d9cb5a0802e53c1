// moraine recall: how much of the nearest a search finds, tried with vectors of the store.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let recall = Command(
        "recall",
        "try how much of the nearest a search finds",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "the collection"),
        ],
        options: [
            Option("--sample", "N", "documents whose vectors are the queries (100)"),
            Option("-k", "N", "hits for each vector (10)"),
            Option("--ef", "N", "nodes that a search of a graph keeps; else as search does"),
            .json,
        ] + Option.reading,
        notes: [
            """
            Takes documents evenly from all ids, searches for the nearest to each but itself, once
            as search does and once with --exact, all queries at once on all cores. A hit counts
            when its score reaches that of the last of the exact search less 0.00001, whichever
            document it is: of equally near ones any will do. Queries that are not in the store
            are often harder. With --json: {"collection","sample","k","ef","recall",
            "queriesPerSecond","exactQueriesPerSecond","graphs"}.
            """
        ],
        examples: [
            ("moraine recall notes.moraine notes", "recall@10 of 100 documents"),
            (
                "moraine recall notes.moraine notes --sample 1000 --ef 128",
                "of a wider search, tried with more"
            ),
        ],
        run: { call throws(Failure) in
            let counts: ClosedRange<UInt64> = 1...1_000_000
            let sampleCount = Int(try call.arguments.number("--sample", in: counts) ?? 100)
            let limit = Int(try call.arguments.number("-k", in: counts) ?? 10)
            let width = try call.arguments.number("--ef", in: counts).map { Int($0) }
            return try call.withCollection(call[0], call[1]) {
                version,
                collection throws(Failure) in
                guard collection.dimensions > 0 else {
                    throw Failure(
                        .usage,
                        "collection \"\(collection.name)\" holds no vectors"
                    )
                }
                let trial = try engineCall { () throws(StoreError) in
                    try Trial(version, collection, sampleCount, limit, width)
                }
                guard let trial else {
                    throw Failure(
                        .absent,
                        "collection \"\(collection.name)\" has not two vectors to compare"
                    )
                }
                trial.print(call)
                return .fine
            }
        }
    )
}

/// Own vectors as queries, and how two ways to search for them compare.
private struct Trial {
    private let collection: CollectionShape
    private let limit: Int
    private let width: Int?
    private var ids: [[UInt8]] = []
    private var queries: [Float] = []
    private var recall = 0.0
    private var rate = 0.0
    private var exactRate = 0.0
    /// Segments that are searched by a graph.
    private var graphCount = 0

    /// Scores that differ by no more are equally near.
    private static let slack: Float = 1e-5

    /// - Returns: `nil` when there are not two vectors.
    init?(
        _ version: Version,
        _ collection: CollectionShape,
        _ sampleCount: Int,
        _ limit: Int,
        _ width: Int?
    ) throws(StoreError) {
        self.collection = collection
        self.limit = limit
        self.width = width
        try takeSample(version, sampleCount)
        // One more, as each query finds itself.
        var request = SearchRequest(limit: limit + 1)
        request.isExact = true
        let exact = try nearest(version, request)
        exactRate = exact.rate
        request.isExact = false
        request.width = width
        let found = try nearest(version, request)
        rate = found.rate
        guard let share = share(of: found.hits, exact.hits) else { return nil }
        recall = share
        let plan = try queries.prefix(collection.dimensions).withUnsafeBufferPointer {
            query throws(StoreError) in
            try version.search(collection, query: query, request).plan
        }
        graphCount = plan.steps.count { $0.method == .graph }
    }

    private mutating func takeSample(_ version: Version, _ sampleCount: Int) throws(StoreError) {
        let step = Double(try version.count(collection)) / Double(sampleCount)
        var place = 0
        try version.scan(collection, wantsVectors: true) { document throws(StoreError) in
            defer { place += 1 }
            guard Double(place) >= Double(ids.count) * step, let vector = document.vector else {
                return true
            }
            var floats: [Float] = []
            copyFloats(vector, to: &floats)
            queries += floats
            ids.append(Array(document.id))
            return ids.count < sampleCount
        }
    }

    /// The hits of every query but itself, and queries a second.
    private func nearest(_ version: Version, _ request: SearchRequest) throws(StoreError)
        -> (hits: [ArraySlice<SearchHit>], rate: Double)
    {
        let clock = SystemClock()
        let start = clock.steadyNanoseconds()
        let lists = try queries.withUnsafeBufferPointer { queries throws(StoreError) in
            try version.search(collection, queries: queries, request)
        }
        let seconds = Double(clock.steadyNanoseconds() - start) / 1e9
        let hits = zip(ids, lists).map { id, hits in
            hits.filter { !$0.id.elementsEqual(id) }.prefix(limit)
        }
        return (hits, seconds > 0 ? Double(lists.count) / seconds : 0)
    }

    /// The share of the exact hits that was found, or others that are as near; `nil` without any.
    private func share(
        of found: [ArraySlice<SearchHit>],
        _ exact: [ArraySlice<SearchHit>]
    ) -> Double? {
        var count = 0
        var all = 0
        for (found, exact) in zip(found, exact) {
            guard let bar = exact.last?.score else { continue }
            all += exact.count
            count += found.count { hit in
                collection.metric == .l2
                    ? hit.score <= bar + Self.slack : hit.score >= bar - Self.slack
            }
        }
        return all == 0 ? nil : Double(count) / Double(all)
    }

    func print(_ call: Call) {
        let fields: Description.Fields = [
            ("collection", .text(collection.name)), ("sample", .number(ids.count)),
            ("k", .number(limit)), ("ef", width.map { .number($0) } ?? .null),
            ("recall", .json(decimal(recall, digits: 4))),
            ("queriesPerSecond", .json(decimal(rate, digits: 1))),
            ("exactQueriesPerSecond", .json(decimal(exactRate, digits: 1))),
            ("graphs", .number(graphCount)),
        ]
        call.print(.object(fields))
        if graphCount == 0 {
            call.console.note("no segment was searched by a graph: both searches are exact")
        }
    }
}
