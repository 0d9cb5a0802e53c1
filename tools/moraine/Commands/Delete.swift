// moraine delete: removes documents.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let delete = Command(
        "delete",
        "remove documents",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "their collection"),
            Positional("ID", "their ids", count: .any),
        ],
        options: [
            Option("--prefix", "P", "all documents whose ids begin with these bytes, at least one"),
            Option("--expected-version", "LSN", "only if the document has this version"),
            .json,
        ] + Option.writing,
        notes: [
            "All ids are removed in one commit. Exit code 1 when one of them was not there; the "
                + "others are\nremoved all the same. With --json one object an id: "
                + "{\"id\":\"a\",\"deleted\":true,\"lsn\":7};\nlsn is null when nothing was there.",
            "With --prefix nothing is asked, and the number of documents is printed; with --json "
                + "one object:\n{\"prefix\":\"2024-\",\"deleted\":3,\"lsn\":8}. Exit code 0 also "
                + "when there was none.",
        ],
        examples: [
            ("moraine delete notes.moraine notes some-id", "one document"),
            (
                "moraine delete notes.moraine notes some-id --expected-version 12",
                "only if nobody changed it since commit 12"
            ),
            ("moraine delete notes.moraine notes --prefix 2024-", "all ids that begin so"),
        ],
        run: { call throws(Failure) in
            let ids = Array(call.arguments.positionals.dropFirst(2))
            let expected = try call.arguments.number("--expected-version", in: 0...UInt64.max)
            guard expected == nil || ids.count == 1 else {
                throw call.command.misuse("--expected-version is for one id")
            }
            let prefix = call.arguments["--prefix"]
            guard ids.isEmpty == (prefix != nil) else {
                throw call.command.misuse("give ids, or --prefix")
            }
            return try call.withStore(call[0], .write(creates: false, durability: .full)) {
                engine throws(Failure) in
                if let prefix { return try removePrefix(prefix, engine, call) }
                return try removeDocuments(ids, expected: expected, engine, call)
            }
        }
    )
}

private func removePrefix(_ prefix: String, _ engine: Engine, _ call: Call) throws(Failure)
    -> ExitCode
{
    let version = try engineCall { () throws(StoreError) in try engine.version() }
    guard let collection = version.collection(call[1]) else {
        throw call.unknownCollection(call[1], version)
    }
    let result = try engineCall { () throws(StoreError) in
        try engine.commitCounting { batch throws(StoreError) in
            try withUTF8(prefix) { bytes throws(StoreError) in
                try batch.delete(collection, prefix: bytes)
            }
        }
    }
    if call.isJSON {
        var json = JSONWriter()
        json.writeRaw("{\"prefix\":")
        json.writeString(prefix)
        json.writeRaw(",\"deleted\":")
        json.writeUInt(UInt64(result.removedCount))
        json.writeRaw(",\"lsn\":")
        json.writeUInt(result.lsn)
        json.writeRaw("}")
        call.output.writeLine(&json)
    } else {
        call.output.writeLine(String(result.removedCount))
    }
    return .fine
}

private func removeDocuments(_ ids: [String], expected: UInt64?, _ engine: Engine, _ call: Call)
    throws(Failure) -> ExitCode
{
    let version = try engineCall { () throws(StoreError) in try engine.version() }
    guard let collection = version.collection(call[1]) else {
        throw call.unknownCollection(call[1], version)
    }
    // Nobody else can write while the store is open, so what is there now is what is removed.
    var there: Set<[UInt8]> = []
    for id in ids {
        let found: Void? = try engineCall { () throws(StoreError) in
            try withUTF8(id) { bytes throws(StoreError) in
                try version.withDocument(collection, id: bytes, wantsVector: false) { _ in }
            }
        }
        if found != nil { there.insert(Array(id.utf8)) }
    }
    var lsn: UInt64?
    if !there.isEmpty || expected != nil {
        lsn = try engineCall { () throws(StoreError) in
            try engine.commit { batch throws(StoreError) in
                for id in ids {
                    try withUTF8(id) { bytes throws(StoreError) in
                        try batch.delete(collection, id: bytes, expectedVersion: expected)
                    }
                }
            }
        }
    }
    var json = JSONWriter()
    for id in ids {
        let isDeleted = there.contains(Array(id.utf8))
        if call.isJSON {
            json.writeRaw("{\"id\":")
            json.writeString(id)
            json.writeRaw(",\"deleted\":")
            json.writeBool(isDeleted)
            json.writeRaw(",\"lsn\":")
            if isDeleted, let lsn { json.writeUInt(lsn) } else { json.writeNull() }
            json.writeRaw("}")
            call.output.writeLine(&json)
        } else if isDeleted {
            call.output.writeLine("deleted \(visible(id))")
        }
        if !isDeleted { call.console.note("there is no document \"\(id)\"") }
    }
    return there.count == Set(ids.map { Array($0.utf8) }).count ? .fine : .absent
}
