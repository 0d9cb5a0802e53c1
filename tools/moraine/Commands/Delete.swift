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
            Positional("ID", "their ids", count: .oneOrMore),
        ],
        options: [
            Option("--expected-version", "LSN", "only if the document has this version"),
            .json,
        ] + Option.writing,
        notes: [
            "All ids are removed in one commit. Exit code 1 when one of them was not there; the "
                + "others are\nremoved all the same. With --json one object an id: "
                + "{\"id\":\"a\",\"deleted\":true,\"lsn\":7};\nlsn is null when nothing was there."
        ],
        examples: [
            ("moraine delete notes.moraine notes some-id", "one document"),
            (
                "moraine delete notes.moraine notes some-id --expected-version 12",
                "only if nobody changed it since commit 12"
            ),
        ],
        run: { call throws(Failure) in
            let ids = Array(call.arguments.positionals.dropFirst(2))
            let expected = try call.arguments.number("--expected-version", in: 0...UInt64.max)
            guard expected == nil || ids.count == 1 else {
                throw call.command.misuse("--expected-version is for one id")
            }
            return try call.withStore(call[0], .write(creates: false, durability: .full)) {
                engine throws(Failure) in
                try removeDocuments(ids, expected: expected, engine, call)
            }
        }
    )
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
