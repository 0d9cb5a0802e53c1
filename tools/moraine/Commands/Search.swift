// moraine search: the documents nearest to one or more vectors.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let search = Command(
        "search",
        "find the documents nearest to a vector",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "the collection"),
        ],
        options: [
            Option("--vector-file", "Q.f32", "one or more vectors: little-endian Float32"),
            Option("--embedding", "JSON", "one vector: a JSON array of numbers"),
            Option("--like", "ID", "the vector of a document, which itself is left out"),
            Option("-k", "N", "hits for each vector (10)"),
            Option("--offset", "N", "leave out the nearest N: what earlier pages had (0)"),
            Option(
                "--min-score",
                "S",
                "only hits as near as this; for l2 the greatest squared distance"
            ),
        ] + Option.filtering + [
            Option("--exact", nil, "compare with every vector: nothing nearer is ever missed"),
            Option("--ef", "N", "nodes that a search of a graph keeps: more find more, slower"),
            Option(
                "--recall",
                "R",
                "the share to find by graphs, as their trials say; .95 without --ef"
            ),
            Option("--ids-only", nil, "ids and scores; reads no document"),
            Option("--explain", nil, "how each segment was searched, on standard error"),
            .json,
        ] + Option.reading,
        notes: [
            "The score is the similarity for cosine and dot (higher is nearer), the squared "
                + "distance for l2\n(lower is nearer). Equal scores are ordered by id.",
            Option.filterNote,
            """
            With --explain and --json a line {"plan":{...}} follows the hits of each vector, which
            are then searched for one by one.
            """,
        ],
        examples: [
            (
                "moraine search notes.moraine notes --like some-id -k 5",
                "five documents like a document"
            ),
            (
                "moraine search notes.moraine notes --embedding '[0.1, 0.2, 0.3]'",
                "the ten nearest to a vector"
            ),
            (
                "moraine search notes.moraine notes --like some-id --filter 'year >= 2020'",
                "only among documents of these years"
            ),
            (
                "moraine search notes.moraine notes --vector-file queries.f32 -k 10 --json",
                "one line of JSON for each vector of a file"
            ),
        ],
        run: { call throws(Failure) in
            let request = try call.searchRequest()
            let given = ["--vector-file", "--embedding", "--like"].filter(call.arguments.has)
            guard given.count == 1 else {
                throw call.command.misuse(
                    "give one of --vector-file, --embedding and --like"
                        + (given.isEmpty ? "" : ", not \(given.joined(separator: " and "))")
                )
            }
            return try call.withCollection(call[0], call[1]) {
                version,
                collection throws(Failure) in
                guard collection.dimensions > 0 else {
                    throw Failure(
                        .usage,
                        "collection \"\(collection.name)\" holds no vectors"
                    )
                }
                var search = Search(
                    call: call,
                    version: version,
                    collection: collection,
                    request: request
                )
                try search.run()
                return .fine
            }
        }
    )
}

extension Call {
    /// What the options ask for.
    fileprivate func searchRequest() throws(Failure) -> SearchRequest {
        let counts: ClosedRange<UInt64> = 1...UInt64(Int32.max)
        var request = SearchRequest(
            limit: Int(try arguments.number("-k", in: counts) ?? 10)
        )
        request.offset = Int(try arguments.number("--offset", in: 0...UInt64(Int32.max)) ?? 0)
        request.width = try arguments.number("--ef", in: counts).map { Int($0) }
        request.recall = try decimalNumber("--recall")
        request.scoreBound = try decimalNumber("--min-score")
        request.isExact = arguments.has("--exact")
        request.filter = try filter()
        if request.isExact, request.width != nil || request.recall != nil {
            throw command.misuse("--exact uses no graph: --ef and --recall mean nothing to it")
        }
        if request.width != nil, request.recall != nil {
            throw command.misuse("give --ef or --recall, not both")
        }
        return request
    }

    private func decimalNumber(_ name: String) throws(Failure) -> Float? {
        guard let text = arguments[name] else { return nil }
        guard let value = Float(text), value.isFinite else {
            throw Failure(.usage, "\(name) must be a number, not \"\(visible(text))\"")
        }
        return value
    }
}

/// A search in one version.
private struct Search: ~Copyable {
    let call: Call
    let version: Version
    let collection: CollectionShape
    let request: SearchRequest
    private var printer = DocumentPrinter()
    private var queryCount = 0

    /// Vectors of a file that are searched for together.
    private static let batchCount = 256

    init(
        call: Call,
        version: Version,
        collection: CollectionShape,
        request: SearchRequest
    ) {
        self.call = call
        self.version = version
        self.collection = collection
        self.request = request
    }

    mutating func run() throws(Failure) {
        if let path = call.arguments["--vector-file"] {
            try runFile(path)
        } else if let text = call.arguments["--embedding"] {
            try answer(try parse(text), request)
        } else if let id = call.arguments["--like"] {
            var request = request
            request.excludedID = Array(id.utf8)
            try answer(try vector(of: id), request)
        }
    }

    /// Each vector of a file, many at once.
    private mutating func runFile(_ path: String) throws(Failure) {
        var vectors = try VectorInput(
            path,
            try call.console.open(path),
            dimensions: collection.dimensions
        )
        var queries: [Float] = []
        while !call.output.isClosed, try vectors.next(Self.batchCount, into: &queries) > 0 {
            try answer(all: queries)
        }
        guard !vectors.endsInside else {
            throw Failure(.usage, "\(path) ends in the middle of a vector")
        }
        guard queryCount > 0 || call.output.isClosed else {
            throw Failure(.usage, "\(path) holds no vector")
        }
    }

    private func parse(_ text: String) throws(Failure) -> [Float] {
        var floats: [Float] = []
        do throws(JSONError) {
            try withUTF8(text) { bytes throws(JSONError) in
                var reader = JSONReader(bytes)
                try reader.readFloatArray(into: &floats)
                try reader.expectEnd()
            }
        } catch {
            throw Failure(.usage, "--embedding: byte \(error.offset): \(error.message)")
        }
        return floats
    }

    private func vector(of id: String) throws(Failure) -> [Float] {
        var floats: [Float] = []
        let hasVector = try engineCall { () throws(StoreError) in
            try withUTF8(id) { bytes throws(StoreError) in
                try version.withDocument(collection, id: bytes, wantsVector: true) {
                    document throws(StoreError) in
                    guard let vector = document.vector else { return false }
                    copyFloats(vector, to: &floats)
                    return true
                }
            }
        }
        guard let hasVector else {
            throw Failure(
                .absent,
                "there is no document \"\(id)\" in collection \"\(collection.name)\""
            )
        }
        guard hasVector else { throw Failure(.absent, "document \"\(id)\" has no vector") }
        return floats
    }

    /// Answers vectors that stand one after the other.
    private mutating func answer(all queries: [Float]) throws(Failure) {
        if !call.arguments.has("--explain"),
            let lists = try? queries.withUnsafeBufferPointer({ queries throws(StoreError) in
                try version.search(collection, queries: queries, request)
            })
        {
            for hits in lists where !call.output.isClosed { try print(hits) }
            return
        }
        // One by one also where one of them cannot be answered: those before it are.
        for start in stride(from: 0, to: queries.count, by: collection.dimensions) {
            if call.output.isClosed { return }
            try answer(Array(queries[start..<(start + collection.dimensions)]), request)
        }
    }

    private mutating func answer(_ query: [Float], _ request: SearchRequest) throws(Failure) {
        let answer = try engineCall { () throws(StoreError) in
            try query.withUnsafeBufferPointer { query throws(StoreError) in
                try version.search(collection, query: query, request)
            }
        }
        try print(answer.hits)
        if call.arguments.has("--explain") {
            call.print(answer.plan)
        } else if answer.hits.isEmpty {
            call.noteUnknownFields(answer.plan)
        }
    }

    private mutating func print(_ hits: [SearchHit]) throws(Failure) {
        let withContent = !call.arguments.has("--ids-only")
        if call.isJSON {
            try engineCall { () throws(StoreError) in
                try printer.writeLine(
                    hits,
                    query: queryCount,
                    withContent: withContent,
                    in: version,
                    of: collection,
                    to: call.output
                )
            }
        } else {
            try printTable(hits, withContent: withContent)
        }
        queryCount += 1
    }

    private func printTable(_ hits: [SearchHit], withContent: Bool) throws(Failure) {
        if queryCount > 0 { call.output.write("\n") }
        let columns: [(String, Table.Alignment)] = [("score", .right), ("id", .left)]
        var table = Table(call.output, columns + (withContent ? [("text", .left)] : []))
        defer { table.finish() }
        for hit in hits {
            let cells = [
                decimal(Double(hit.score), digits: 4), String(decoding: hit.id, as: UTF8.self),
            ]
            guard withContent else {
                table.add(cells)
                continue
            }
            try engineCall { () throws(StoreError) in
                try version.withDocument(of: hit, in: collection, wantsVector: false) {
                    document throws(StoreError) in
                    table.add(cells + [firstLine(document.text)])
                }
            }
        }
    }
}
