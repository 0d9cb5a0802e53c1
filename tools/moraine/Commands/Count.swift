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
        options: Option.filtering + [.json] + Option.reading,
        notes: ["With --json: {\"collection\":\"notes\",\"documents\":3}.", Option.filterNote],
        examples: [
            ("moraine count notes.moraine notes", "a number"),
            ("moraine count notes.moraine notes --filter 'year >= 2020'", "how many pass"),
        ],
        run: { call throws(Failure) in
            let filter = try call.filter()
            return try call.withCollection(call[0], call[1]) {
                version,
                collection throws(Failure) in
                let count = try engineCall { () throws(StoreError) in
                    guard let filter else { return try version.count(collection) }
                    return try version.count(collection, where: filter)
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
