// moraine get: one document.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let get = Command(
        "get",
        "print one document",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "its collection"),
            Positional("ID", "its id"),
        ],
        options: [Option("--vectors", nil, "its embedding as well"), .json] + Option.reading,
        notes: ["Exit code 1 when there is no such document."],
        examples: [
            ("moraine get notes.moraine notes some-id", "the document for a person"),
            (
                "moraine get notes.moraine notes some-id --json | jq .metadata",
                "its metadata"
            ),
            ("moraine get notes.moraine notes -- -odd-id", "an id that begins with a dash"),
        ],
        run: { call throws(Failure) in
            try call.withCollection(call[0], call[1]) { version, collection throws(Failure) in
                let found: Void? = try engineCall { () throws(StoreError) in
                    try withUTF8(call[2]) { id throws(StoreError) in
                        try version.withDocument(
                            collection,
                            id: id,
                            wantsVector: call.arguments.has("--vectors")
                        ) { document throws(StoreError) in
                            try printDocument(document, of: collection, call)
                        }
                    }
                }
                guard found != nil else {
                    throw Failure(
                        .absent,
                        "there is no document \"\(call[2])\" in collection \"\(call[1])\""
                    )
                }
                return .fine
            }
        }
    )
}

private func printDocument(
    _ document: DocumentView,
    of collection: CollectionShape,
    _ call: Call
) throws(StoreError) {
    if call.isJSON {
        var printer = DocumentPrinter()
        try printer.writeLine(document, of: collection, times: .all, to: call.output)
        return
    }
    var table = Table(call.output, [("", .left), ("", .left)])
    table.add(["id", String(decoding: document.id, as: UTF8.self)])
    table.add(["version", String(document.version)])
    table.add(["created", Timestamp.text(milliseconds: document.created)])
    table.add(["updated", Timestamp.text(milliseconds: document.updated)])
    if document.expiry != 0 {
        table.add(["expires", Timestamp.text(milliseconds: document.expiry)])
    }
    table.add(["metadata", try metadataText(document.metadata)])
    if let vector = document.vector {
        var floats: [Float] = []
        copyFloats(vector, to: &floats)
        table.add(["embedding", "[" + floats.map(\.description).joined(separator: ", ") + "]"])
    }
    table.finish()
    call.output.write("\n")
    // The text as it is, but for what a terminal would act on.
    let lines = String(decoding: document.text, as: UTF8.self).split(
        separator: "\n",
        omittingEmptySubsequences: false
    )
    for line in lines {
        call.output.writeLine(call.output.columnCount == nil ? String(line) : visible(String(line)))
    }
}
