// moraine dump: a whole store as operations, which load and apply take.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let dump = Command(
        "dump",
        "print a whole store as operations",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "only this collection", count: .optional),
        ],
        options: [
            Option("--out", "FILE", "write there, once all is well, in place of standard output"),
            Option("--arrays", nil, "embeddings as arrays of numbers in place of base64"),
            Option("--no-vectors", nil, "leave the embeddings out"),
        ] + Option.reading,
        notes: [
            """
            JSON Lines: for each collection, by name, a "create", then a "put" for each document,
            by id. "moraine load" and "moraine apply" make the same content of them, which
            "moraine hash" shows, and documents expire when they did; versions and times are those
            of the new store.
            """
        ],
        examples: [
            ("moraine dump notes.moraine --out notes.jsonl", "into a file"),
            ("moraine dump a.moraine | moraine load b.moraine", "a copy without old rows"),
            ("moraine dump notes.moraine notes | zstd > notes.zst", "one collection, compressed"),
        ],
        run: { call throws(Failure) in
            let form = try vectorForm(call)
            if call.arguments.has("--out") { call.console.cancellation.hold() }
            return try call.withVersion(call[0]) { version throws(Failure) in
                var collections = version.collections
                if let name = call.optional(1) {
                    guard let collection = version.collection(name) else {
                        throw call.unknownCollection(name, version)
                    }
                    collections = [collection]
                }
                try call.withOutput { output throws(Failure) in
                    var dump = Dump(version, form, output, call.console)
                    for collection in collections { try dump.write(collection) }
                }
                return .fine
            }
        }
    )
}

private func vectorForm(_ call: Call) throws(Failure) -> VectorForm? {
    switch (call.arguments.has("--arrays"), call.arguments.has("--no-vectors")) {
    case (true, true): throw call.command.misuse("--arrays and --no-vectors exclude each other")
    case (true, false): return .array
    case (false, true): return nil
    case (false, false): return .base64
    }
}

/// The lines of one call.
private struct Dump: ~Copyable {
    private let version: Version
    /// `nil` leaves vectors out.
    private let form: VectorForm?
    private let output: Output
    private let console: Console
    private let progress: Progress
    private var printer: DocumentPrinter

    init(_ version: Version, _ form: VectorForm?, _ output: Output, _ console: Console) {
        self.version = version
        self.form = form
        self.output = output
        self.console = console
        progress = Progress(console.error)
        printer = DocumentPrinter(vectors: form ?? .base64)
    }

    mutating func write(_ collection: CollectionShape) throws(Failure) {
        writeCreate(collection)
        var count = 0
        defer { progress.clear() }
        try engineCall { () throws(StoreError) in
            try version.scan(collection, range: ScanRange(), wantsVectors: form != nil) {
                document throws(StoreError) in
                try printer.writeLine(document, of: collection, times: .expiry, to: output)
                count += 1
                progress.show("\(collection.name): \(grouped(count)) documents")
                return !output.isClosed && !console.cancellation.isRequested
            }
        }
        if console.cancellation.isRequested {
            throw Failure(.cancelled, "stopped by a signal; nothing was written")
        }
    }

    private func writeCreate(_ collection: CollectionShape) {
        var json = JSONWriter()
        json.writeRaw("{\"op\":\"create\",\"collection\":")
        json.writeString(collection.name)
        if collection.dimensions > 0 {
            json.writeRaw(",\"dimensions\":")
            json.writeUInt(UInt64(collection.dimensions))
        }
        json.writeRaw(",\"metric\":")
        json.writeString(collection.metric.name)
        json.writeRaw("}")
        output.writeLine(&json)
    }
}
