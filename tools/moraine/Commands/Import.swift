// moraine import: many documents at once, beside the log.
//
// One thread reads and parses while another one commits; a checkpoint at the end, or at the first
// bad line, makes everything durable.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let importDocuments = Command(
        "import",
        "load documents and vectors from files",
        positionals: [
            Positional("STORE", "the folder of the store; made when nothing is there"),
            Positional("COLLECTION", "the collection; made when it is not there"),
        ],
        options: [
            Option("--docs", "FILE", "JSON Lines: {\"id\":\"a\",\"text\":\"...\",\"metadata\":{}}"),
            Option("--vectors", "FILE", "little-endian Float32; row i belongs to line i of --docs"),
            Option("--dimensions", "N", "numbers in a vector; needed for a new collection"),
            Option("--metric", "M", "cosine (default), dot or l2, for a new collection"),
            Option("--json", nil, "end with {\"documents\":N,\"seconds\":S,\"bytes\":B}"),
        ] + Option.writing,
        notes: [
            """
            A document whose id exists replaces it. The import stops at the first bad line, names
            it, and says how many documents are committed: those stay, and the exit code is 16.
            "bytes" counts what was read from both files. Nothing is durable before the end; a
            crash before it leaves the store as it was, or with a part of the documents.
            """
        ],
        examples: [
            ("moraine import notes.moraine notes --docs docs.jsonl", "documents without vectors"),
            (
                "moraine import notes.moraine notes --docs docs.jsonl --vectors base.f32 "
                    + "--dimensions 384",
                "documents with their vectors"
            ),
            (
                "zcat docs.jsonl.gz | moraine import notes.moraine notes --docs - --json",
                "documents from a pipe"
            ),
        ],
        run: { call throws(Failure) in
            guard let docs = call.arguments["--docs"] else {
                throw call.command.misuse("--docs is missing")
            }
            let dimensions = try call.dimensions()
            let metric = try call.metric()
            let path = call.arguments["--vectors"]
            guard docs != "-" || path != "-" else {
                throw call.command.misuse("only one of --docs and --vectors can be \"-\"")
            }
            // Opened before the store, so that a mistyped name makes none.
            let source = try call.console.open(docs).source
            let vectorFile = try path.map { path throws(Failure) in try call.console.open(path) }
            call.console.cancellation.hold()
            return try call.withStore(call[0], .write(creates: true, durability: .full)) {
                engine throws(Failure) in
                let collection = try collection(call[1], dimensions, metric, engine, call)
                var vectors: VectorInput?
                if let path, let vectorFile {
                    guard collection.dimensions > 0 else {
                        throw Failure(
                            .usage,
                            "collection \"\(collection.name)\" holds no vectors"
                        )
                    }
                    vectors = try VectorInput(
                        path,
                        vectorFile,
                        dimensions: collection.dimensions
                    )
                }
                let reader = ImportReader(docs: docs, source: source, vectors: vectors)
                return try load(reader, into: collection, engine, call)
            }
        }
    )
}

/// The collection to load into, which is made when it is not there.
private func collection(
    _ name: String,
    _ dimensions: Int?,
    _ metric: Metric?,
    _ engine: Engine,
    _ call: Call
) throws(Failure) -> CollectionShape {
    let old = try engineCall { () throws(StoreError) in try engine.version() }.collection(name)
    if old == nil, dimensions == nil, call.arguments.has("--vectors") {
        throw call.command.misuse("--dimensions is needed for a new collection with --vectors")
    }
    var shape: CollectionShape?
    try engineCall { () throws(StoreError) in
        _ = try engine.commit { batch throws(StoreError) in
            try batch.createCollection(
                name,
                dimensions: dimensions ?? old?.dimensions ?? 0,
                metric: metric ?? old?.metric ?? .cosine
            )
            shape = try batch.collection(name)
        }
    }
    guard let shape else { throw Failure(.operational, "the collection could not be made") }
    return shape
}

/// Commits what `reader` reads until it ends, and says how it went.
private func load(
    _ reader: ImportReader,
    into collection: CollectionShape,
    _ engine: Engine,
    _ call: Call
) throws(Failure) -> ExitCode {
    let load = BulkLoad(verb: "imported", noun: "document")
    let progress = Progress(call.console.error)
    var loader = ImportLoader(engine: engine, collection: collection)
    var failure: Failure?
    do throws(Failure) {
        try reader.start()
        defer { reader.stop() }
        while let batch = reader.next() {
            try loader.commit(batch)
            reader.reuse(batch)
            progress.show("imported \(grouped(loader.documentCount)) documents")
        }
        failure = reader.failure
    } catch {
        failure = error
    }
    progress.clear()
    return try load.finish(
        failure,
        count: loader.documentCount,
        byteCount: reader.byteCount,
        engine,
        call
    )
}

/// Commits batches, beside the log.
private struct ImportLoader {
    let engine: Engine
    let collection: CollectionShape
    /// Documents committed so far.
    private(set) var documentCount = 0

    init(engine: Engine, collection: CollectionShape) {
        self.engine = engine
        self.collection = collection
    }

    /// Commits a batch; when a document of it is refused, those before it.
    mutating func commit(_ batch: ImportBatch) throws(Failure) {
        guard let refused = try commit(batch, count: batch.documentCount) else { return }
        _ = try commit(batch, count: refused.index)
        throw Failure(
            .usage,
            "\(batch.path): line \(batch.firstLine + refused.index): \(Failure.text(refused.error))"
        )
    }

    /// Commits the first documents of a batch, or says which one is refused and commits none.
    private mutating func commit(_ batch: ImportBatch, count: Int) throws(Failure)
        -> (index: Int, error: StoreError)?
    {
        guard count > 0 else { return nil }
        var index = 0
        do throws(StoreError) {
            _ = try engine.commit(logged: false) { builder throws(StoreError) in
                try batch.put(count, into: &builder, collection, index: &index)
            }
        } catch {
            guard ExitCode(error.code) == .usage, index < count else { throw Failure(error) }
            return (index, error)
        }
        documentCount += count
        return nil
    }
}
