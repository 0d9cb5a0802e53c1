// moraine count: how many documents a collection has.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let count = Command(
        "count",
        "print how many documents a collection has",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "the collection"),
        ],
        options: [.json] + Option.reading,
        notes: ["With --json: {\"collection\":\"notes\",\"documents\":3}."],
        examples: [("moraine count notes.moraine notes", "a number")],
        run: { call throws(Failure) in
            try call.withCollection(call[0], call[1]) { version, collection throws(Failure) in
                let count = try engineCall { () throws(StoreError) in
                    try version.count(collection)
                }
                if call.isJSON {
                    var json = JSONWriter()
                    json.writeRaw("{\"collection\":")
                    json.writeString(collection.name)
                    json.writeRaw(",\"documents\":")
                    json.writeUInt(UInt64(count))
                    json.writeRaw("}")
                    call.output.writeLine(&json)
                } else {
                    call.output.writeLine(String(count))
                }
                return .fine
            }
        }
    )
}
