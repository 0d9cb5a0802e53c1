// moraine create: makes a store, and a collection in it.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let create = Command(
        "create",
        "make a store, and a collection in it",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "the collection to make", count: .optional),
        ],
        options: [
            Option("--dimensions", "N", "numbers in a vector, 1 to 16384; without: no vectors"),
            Option("--metric", "M", "cosine (default), dot or l2"),
            .json,
        ] + Option.writing,
        notes: [
            "What exists already is left as it is; a collection of another shape is refused."
        ],
        examples: [
            ("moraine create notes.moraine", "an empty store"),
            (
                "moraine create notes.moraine notes --dimensions 384 --metric cosine",
                "a store with a collection for vectors of 384 numbers"
            ),
        ],
        run: { call throws(Failure) in
            let name = call.optional(1)
            let dimensions = try call.dimensions()
            let metric = try call.metric()
            guard name != nil || (dimensions == nil && metric == nil) else {
                throw call.command.misuse("--dimensions and --metric are of a collection")
            }
            try call.withStore(call[0], .write(creates: true, durability: .full)) {
                engine throws(Failure) in
                if let name {
                    _ = try engineCall { () throws(StoreError) in
                        try engine.commit { batch throws(StoreError) in
                            try batch.createCollection(
                                name,
                                dimensions: dimensions ?? 0,
                                metric: metric ?? .cosine
                            )
                        }
                    }
                }
            }
            if call.isJSON {
                var json = JSONWriter()
                json.writeRaw("{\"store\":")
                json.writeString(call[0])
                if let name {
                    json.writeRaw(",\"collection\":")
                    json.writeString(name)
                }
                json.writeRaw("}")
                call.output.writeLine(&json)
            } else {
                let what = name.map { "collection \"\(visible($0))\" of " } ?? ""
                call.output.writeLine("\(what)store \(visible(call[0])) is there")
            }
            return .fine
        }
    )
}
