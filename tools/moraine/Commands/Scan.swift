// moraine scan: the documents of a collection, in the order of their ids.

import MoraineBytes
import MoraineEngine
import MoraineFilters
import MoraineFormat
import MoraineStorage

extension Command {
    static let scan = Command(
        "scan",
        "print the documents of a collection, by id",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "the collection"),
        ],
        options: [
            Option("--prefix", "P", "only ids that begin with these bytes"),
            Option("--limit", "N", "at most so many documents"),
            Option("--vectors", nil, "embeddings as well (with --json)"),
        ] + Option.filtering + [.json] + Option.reading,
        notes: [
            "With --json each line is an operation that \"moraine apply\" takes: --json --vectors "
                + "of one\nstore given to another copies the collection, once it was created there.",
            Option.filterNote,
        ],
        examples: [
            ("moraine scan notes.moraine notes --limit 20", "the first 20 documents"),
            (
                "moraine scan notes.moraine notes --prefix 2024- --json | wc -l",
                "how many ids begin with 2024-"
            ),
            (
                "moraine scan notes.moraine notes --filter 'tags contains \"draft\"'",
                "the drafts"
            ),
            (
                "moraine scan a.moraine notes --json --vectors | moraine apply b.moraine",
                "copy a collection"
            ),
        ],
        run: { call throws(Failure) in
            let limit = try call.arguments.number("--limit", in: 0...UInt64(Int64.max)) ?? .max
            let wantsVectors = call.arguments.has("--vectors")
            guard call.isJSON || !wantsVectors else {
                throw call.command.misuse("--vectors needs --json")
            }
            let passing = Passing(try call.filter())
            return try call.withCollection(call[0], call[1]) {
                version,
                collection throws(Failure) in
                guard limit > 0 else { return .fine }
                let range = ScanRange(prefix: Array((call.arguments["--prefix"] ?? "").utf8))
                if call.isJSON {
                    try scanJSON(
                        version,
                        collection,
                        range,
                        limit,
                        wantsVectors,
                        passing,
                        call.output
                    )
                } else {
                    try scanTable(version, collection, range, limit, passing, call.output)
                }
                return .fine
            }
        }
    )
}

/// Lets documents pass or not.
private struct Passing {
    private var evaluator: FilterEvaluator?

    init(_ filter: Filter?) { evaluator = filter.map { FilterEvaluator($0) } }

    mutating func admits(_ document: DocumentView) throws(StoreError) -> Bool {
        guard evaluator != nil else { return true }
        do throws(FormatError) {
            return try evaluator?.matches(document.metadata) ?? true
        } catch {
            throw StoreError(
                .corrupted,
                "metadata of a document: \(error.field)",
                expected: error.expected,
                found: error.found
            )
        }
    }
}

private func scanJSON(
    _ version: Version,
    _ collection: CollectionShape,
    _ range: ScanRange,
    _ limit: UInt64,
    _ wantsVectors: Bool,
    _ passing: Passing,
    _ output: Output
) throws(Failure) {
    var printer = DocumentPrinter()
    var passing = passing
    var left = limit
    try engineCall { () throws(StoreError) in
        try version.scan(collection, range: range, wantsVectors: wantsVectors) {
            document throws(StoreError) in
            guard try passing.admits(document) else { return !output.isClosed }
            try printer.writeLine(document, of: collection, withTimes: false, to: output)
            left -= 1
            return left > 0 && !output.isClosed
        }
    }
}

private func scanTable(
    _ version: Version,
    _ collection: CollectionShape,
    _ range: ScanRange,
    _ limit: UInt64,
    _ passing: Passing,
    _ output: Output
) throws(Failure) {
    var table = Table(output, [("id", .left), ("text", .left)])
    var passing = passing
    var left = limit
    // What was seen before damage is met is printed too.
    defer { table.finish() }
    try engineCall { () throws(StoreError) in
        try version.scan(collection, range: range, wantsVectors: false) {
            document throws(StoreError) in
            guard try passing.admits(document) else { return !output.isClosed }
            table.add([String(decoding: document.id, as: UTF8.self), firstLine(document.text)])
            left -= 1
            return left > 0 && !output.isClosed
        }
    }
}
