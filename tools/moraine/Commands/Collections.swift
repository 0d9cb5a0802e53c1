// moraine collections: what collections a store has.

import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let collections = Command(
        "collections",
        "list the collections of a store",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [.json] + Option.reading,
        notes: [
            "With --json one object a line, with the keys collection, dimensions (null: no "
                + "vectors),\nmetric, documents."
        ],
        examples: [
            ("moraine collections notes.moraine", "a table"),
            ("moraine collections notes.moraine --json", "one JSON object a line"),
        ],
        run: { call throws(Failure) in
            try call.withVersion(call[0]) { version throws(Failure) in
                var table = Table(
                    call.output,
                    [
                        ("collection", .left), ("dimensions", .right), ("metric", .left),
                        ("documents", .right),
                    ]
                )
                defer { table.finish() }
                var json = JSONWriter()
                for shape in version.collections {
                    let count = try engineCall { () throws(StoreError) in
                        try version.count(shape)
                    }
                    guard call.isJSON else {
                        table.add([
                            shape.name, shape.dimensions == 0 ? "none" : String(shape.dimensions),
                            shape.metric.name, grouped(count),
                        ])
                        continue
                    }
                    json.writeRaw("{\"collection\":")
                    json.writeString(shape.name)
                    json.writeRaw(",\"dimensions\":")
                    if shape.dimensions == 0 {
                        json.writeNull()
                    } else {
                        json.writeUInt(UInt64(shape.dimensions))
                    }
                    json.writeRaw(",\"metric\":")
                    json.writeString(shape.metric.name)
                    json.writeRaw(",\"documents\":")
                    json.writeUInt(UInt64(count))
                    json.writeRaw("}")
                    call.output.writeLine(&json)
                }
                return .fine
            }
        }
    )
}
