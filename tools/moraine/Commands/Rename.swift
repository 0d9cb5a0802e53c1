// moraine rename and moraine drop: a collection's name, and its end.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let rename = Command(
        "rename",
        "give a collection another name",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("OLD", "the collection"),
            Positional("NEW", "a name that no collection has"),
        ],
        options: [.json] + Option.writing,
        notes: ["With --json: {\"collection\":\"NEW\",\"lsn\":7}."],
        examples: [("moraine rename notes.moraine notes archive", "notes is archive from now on")],
        run: { call throws(Failure) in
            let lsn = try change(call) { batch throws(StoreError) in
                try batch.renameCollection(call[1], to: call[2])
            }
            return answer(lsn, call[2], "\(visible(call[1])) is \(visible(call[2])) now", call)
        }
    )

    static let drop = Command(
        "drop",
        "remove a collection and its documents",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "the collection"),
        ],
        options: [.json] + Option.writing,
        notes: [
            "Nothing is asked. The space is given back by compaction. With --json: "
                + "{\"collection\":\"notes\",\"lsn\":7}."
        ],
        examples: [("moraine drop notes.moraine notes", "notes and all its documents are gone")],
        run: { call throws(Failure) in
            let lsn = try change(call) { batch throws(StoreError) in
                try batch.dropCollection(call[1])
            }
            return answer(lsn, call[1], "dropped \(visible(call[1]))", call)
        }
    )
}

/// Commits a change of the collection that the call names second.
private func change(
    _ call: Call,
    _ build: (inout BatchBuilder) throws(StoreError) -> Void
) throws(Failure) -> UInt64 {
    try call.withStore(call[0], .write(creates: false, durability: .full)) {
        engine throws(Failure) in
        let version = try engineCall { () throws(StoreError) in try engine.version() }
        guard version.collection(call[1]) != nil else {
            throw call.unknownCollection(call[1], version)
        }
        return try engineCall { () throws(StoreError) in try engine.commit(build) }
    }
}

private func answer(_ lsn: UInt64, _ collection: String, _ sentence: String, _ call: Call)
    -> ExitCode
{
    if call.isJSON {
        var json = JSONWriter()
        json.writeRaw("{\"collection\":")
        json.writeString(collection)
        json.writeRaw(",\"lsn\":")
        json.writeUInt(lsn)
        json.writeRaw("}")
        call.output.writeLine(&json)
    } else {
        call.output.writeLine(sentence)
    }
    return .fine
}
