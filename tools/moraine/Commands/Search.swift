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
            Option("--exact", nil, "compare with every vector: nothing nearer is ever missed"),
            .json,
        ] + Option.reading,
        notes: [
            "The score is the similarity for cosine and dot (higher is nearer), the squared "
                + "distance for l2\n(lower is nearer). Equal scores are ordered by id."
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
                "moraine search notes.moraine notes --vector-file queries.f32 -k 10 --json",
                "one line of JSON for each vector of a file"
            ),
        ],
        run: { call throws(Failure) in
            let limit = try call.arguments.number("-k", in: 1...UInt64(Int32.max)) ?? 10
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
                    limit: Int(limit)
                )
                try search.run()
                return .fine
            }
        }
    )
}

/// A search in one version.
private struct Search: ~Copyable {
    let call: Call
    let version: Version
    let collection: CollectionShape
    let limit: Int
    private var printer = DocumentPrinter()
    private var queryCount = 0

    init(call: Call, version: Version, collection: CollectionShape, limit: Int) {
        self.call = call
        self.version = version
        self.collection = collection
        self.limit = limit
    }

    mutating func run() throws(Failure) {
        if let path = call.arguments["--vector-file"] {
            try runFile(path)
        } else if let text = call.arguments["--embedding"] {
            try answer(try parse(text), excluding: nil)
        } else if let id = call.arguments["--like"] {
            try answer(try vector(of: id), excluding: id)
        }
    }

    /// Each vector of a file, read one after the other.
    private mutating func runFile(_ path: String) throws(Failure) {
        var vectors = try VectorInput(
            path,
            try call.console.open(path),
            dimensions: collection.dimensions
        )
        var query: [Float] = []
        while !call.output.isClosed, try vectors.next(1, into: &query) == 1 {
            try answer(query, excluding: nil)
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

    private mutating func answer(_ query: [Float], excluding id: String?) throws(Failure) {
        let hits = try engineCall { () throws(StoreError) in
            var request = SearchRequest(limit: limit)
            request.isExact = call.arguments.has("--exact")
            request.excludedID = id.map { Array($0.utf8) }
            return try query.withUnsafeBufferPointer { query throws(StoreError) in
                try version.search(collection, query: query, request).hits
            }
        }
        if call.isJSON {
            try engineCall { () throws(StoreError) in
                try printer.writeLine(
                    hits,
                    query: queryCount,
                    in: version,
                    of: collection,
                    to: call.output
                )
            }
        } else {
            try printTable(hits)
        }
        queryCount += 1
    }

    private func printTable(_ hits: [SearchHit]) throws(Failure) {
        if queryCount > 0 { call.output.write("\n") }
        var table = Table(call.output, [("score", .right), ("id", .left), ("text", .left)])
        defer { table.finish() }
        for hit in hits {
            try engineCall { () throws(StoreError) in
                try version.withHit(hit, of: collection) { document throws(StoreError) in
                    table.add([
                        decimal(Double(hit.score), digits: 4),
                        String(decoding: hit.id, as: UTF8.self), firstLine(document.text),
                    ])
                }
            }
        }
    }
}
