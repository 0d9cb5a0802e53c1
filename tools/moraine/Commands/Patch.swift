// moraine patch: changes a document's metadata.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let patch = Command(
        "patch",
        "change a document's metadata",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "its collection"),
            Positional("ID", "its id"),
        ],
        options: [
            Option("--set", "JSON", "an object of keys and their new values"),
            Option("--remove", "KEY", "a key that goes; may be given again", repeats: true),
            Option("--expected-version", "LSN", "only if the document has this version"),
            .json,
        ] + Option.writing,
        notes: [
            "Keys of the metadata itself: a value is replaced whole, and null is a value. Text, "
                + "embedding\nand all other keys stay. Exit code 1 when there is no such document or "
                + "it has another version.\nWith --json: {\"id\":\"a\",\"lsn\":7}."
        ],
        examples: [
            (
                "moraine patch notes.moraine notes some-id --set '{\"year\":2024}'",
                "one key gets another value"
            ),
            (
                "moraine patch notes.moraine notes some-id --remove draft --remove todo",
                "two keys go"
            ),
        ],
        run: { call throws(Failure) in
            let removed = call.arguments.all("--remove")
            guard call.arguments.has("--set") || !removed.isEmpty else {
                throw call.command.misuse("give --set, --remove, or both")
            }
            let changes = try parse(call.arguments["--set"] ?? "{}")
            let expected = try call.arguments.number("--expected-version", in: 0...UInt64.max)
            let lsn = try call.withStore(call[0], .write(creates: false, durability: .full)) {
                engine throws(Failure) in
                try patchDocument(changes, removed, expected, engine, call)
            }
            if call.isJSON {
                var json = JSONWriter()
                json.writeRaw("{\"id\":")
                json.writeString(call[2])
                json.writeRaw(",\"lsn\":")
                json.writeUInt(lsn)
                json.writeRaw("}")
                call.output.writeLine(&json)
            } else {
                call.output.writeLine("\(visible(call[2])) has version \(lsn)")
            }
            return .fine
        }
    )
}

private func parse(_ text: String) throws(Failure) -> [UInt8] {
    var metadata = ByteWriter()
    do throws(JSONError) {
        try withUTF8(text) { bytes throws(JSONError) in
            var reader = JSONReader(bytes)
            var transcoder = MetadataTranscoder()
            try transcoder.transcodeObject(&reader, into: &metadata)
            try reader.expectEnd()
        }
    } catch {
        throw Failure(.usage, "--set: byte \(error.offset): \(error.message)")
    }
    return metadata.finish()
}

private func patchDocument(
    _ changes: [UInt8],
    _ removed: [String],
    _ expected: UInt64?,
    _ engine: Engine,
    _ call: Call
) throws(Failure) -> UInt64 {
    let version = try engineCall { () throws(StoreError) in try engine.version() }
    guard let collection = version.collection(call[1]) else {
        throw call.unknownCollection(call[1], version)
    }
    return try engineCall { () throws(StoreError) in
        try engine.commit { batch throws(StoreError) in
            try withUTF8(call[2]) { id throws(StoreError) in
                try changes.withUnsafeBufferPointer { changes throws(StoreError) in
                    try batch.patch(
                        collection,
                        id: id,
                        setting: UnsafeRawBufferPointer(changes),
                        removing: removed.map { Array($0.utf8) },
                        expectedVersion: expected
                    )
                }
            }
        }
    }
}
