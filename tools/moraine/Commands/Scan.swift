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
            Option("--expires", nil, "when documents expire as well (with --json)"),
        ] + Option.filtering + [.json] + Option.reading,
        notes: [
            """
            With --json each line is an operation that "moraine apply" takes: --json --vectors
            --expires of one store given to another copies the collection, once it was created
            there. --expires adds "expires" to documents that do, milliseconds since 1970.
            """,
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
                "moraine scan a.moraine notes --json --vectors --expires | moraine apply b.moraine",
                "copy a collection"
            ),
        ],
        run: { call throws(Failure) in
            let limit = try call.arguments.number("--limit", in: 0...UInt64(Int64.max)) ?? .max
            let wantsVectors = call.arguments.has("--vectors")
            for option in ["--vectors", "--expires"]
            where call.arguments.has(option) && !call.isJSON {
                throw call.command.misuse("\(option) needs --json")
            }
            let filter = try call.filter()
            return try call.withCollection(call[0], call[1]) {
                version,
                collection throws(Failure) in
                guard limit > 0 else { return .fine }
                let scan = Scan(
                    version: version,
                    collection: collection,
                    range: ScanRange(prefix: Array((call.arguments["--prefix"] ?? "").utf8)),
                    filter: filter,
                    limit: limit,
                    output: call.output
                )
                if call.isJSON {
                    try scan.printJSON(
                        wantsVectors: wantsVectors,
                        times: call.arguments.has("--expires") ? .expiry : .none
                    )
                } else {
                    try scan.printTable()
                }
                return .fine
            }
        }
    )
}

/// What one call visits.
private struct Scan {
    let version: Version
    let collection: CollectionShape
    let range: ScanRange
    let filter: Filter?
    /// At least 1.
    let limit: UInt64
    let output: Output

    func printJSON(wantsVectors: Bool, times: DocumentTimes) throws(Failure) {
        var printer = DocumentPrinter()
        try visit(wantsVectors: wantsVectors) { document throws(StoreError) in
            try printer.writeLine(document, of: collection, times: times, to: output)
        }
    }

    func printTable() throws(Failure) {
        var table = Table(output, [("id", .left), ("text", .left)])
        // What was seen before damage is met is printed too.
        defer { table.finish() }
        try visit(wantsVectors: false) { document in
            table.add([String(decoding: document.id, as: UTF8.self), firstLine(document.text)])
        }
    }

    private func visit(
        wantsVectors: Bool,
        _ body: (DocumentView) throws(StoreError) -> Void
    ) throws(Failure) {
        var left = limit
        try engineCall { () throws(StoreError) in
            try version.scan(
                collection,
                range: range,
                where: filter,
                wantsVectors: wantsVectors
            ) { document throws(StoreError) in
                try body(document)
                left -= 1
                return left > 0 && !output.isClosed
            }
        }
    }
}
