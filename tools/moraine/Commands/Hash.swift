// moraine hash: one number for what a store holds. Recipe: format-spec/content-hash.md.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineStorage

extension Command {
    static let contentHash = Command(
        "hash",
        "print a hash of what a store holds",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "only this collection", count: .optional),
        ],
        options: [.json] + Option.reading,
        notes: [
            """
            A SHA-256 over collections by name and documents by id: text, metadata and the bits of
            the vectors. Versions and times do not count, nor how the store keeps its files:
            compaction, a checkpoint, dump and load leave the hash as it is. The recipe is in
            format-spec/content-hash.md. With --json also each collection's hash and documents.
            """
        ],
        examples: [
            ("moraine hash notes.moraine", "64 hexadecimal digits"),
            ("moraine hash notes.moraine notes", "the hash of one collection"),
            ("moraine hash notes.moraine --json | jq .collections", "a hash for each collection"),
        ],
        run: { call throws(Failure) in
            try call.withVersion(call[0]) { version throws(Failure) in
                var collections = version.collections
                if let name = call.optional(1) {
                    guard let collection = version.collection(name) else {
                        throw call.unknownCollection(name, version)
                    }
                    collections = [collection]
                }
                let hashes = try collectionHashes(collections, version, call)
                let whole =
                    call.optional(1) == nil
                    ? Version.contentHash(of: hashes) : hashes.first?.bytes ?? []
                if call.isJSON {
                    call.print(description(hashes, whole))
                } else {
                    call.output.writeLine(digits(whole))
                }
                return .fine
            }
        }
    )
}

private func collectionHashes(_ collections: [CollectionShape], _ version: Version, _ call: Call)
    throws(Failure) -> [CollectionHash]
{
    let progress = Progress(call.console.error)
    defer { progress.clear() }
    var hashes: [CollectionHash] = []
    for collection in collections {
        hashes.append(
            try engineCall { () throws(StoreError) in
                try version.contentHash(of: collection) { count in
                    if count % 256 == 0 {
                        progress.show("\(collection.name): hashed \(grouped(count)) documents")
                    }
                }
            }
        )
    }
    return hashes
}

private func description(_ hashes: [CollectionHash], _ whole: [UInt8]) -> Description {
    .object([
        ("hash", .text(digits(whole))),
        ("documents", .number(hashes.reduce(0) { $0 + $1.documentCount })),
        (
            "collections",
            .list(
                hashes.map { hash in
                    .object([
                        ("collection", .text(hash.collection.name)),
                        ("documents", .number(hash.documentCount)),
                        ("hash", .text(digits(hash.bytes))),
                    ])
                }
            )
        ),
    ])
}

/// Bytes as lower-case hexadecimal digits.
private func digits(_ bytes: [UInt8]) -> String {
    bytes.map { hexadecimal(UInt64($0), count: 2) }.joined()
}
