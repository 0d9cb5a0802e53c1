// The hash of what a store holds, whatever its files. Recipe: format-spec/content-hash.md.

import MoraineBytes
package import MoraineFormat
package import MoraineStorage

/// The content hash of one collection.
package struct CollectionHash: Sendable, Equatable {
    package let collection: CollectionShape
    package let documentCount: UInt64
    /// 32 bytes.
    package let bytes: [UInt8]
}

extension Version {
    /// The hash of a collection's documents: ids, texts, metadata and the bits of their vectors.
    ///
    /// The same for every store that holds the same, however its files are laid out.
    ///
    /// - Parameter progress: hears of each document, with how many there were before; what it
    ///   throws ends the work.
    package func contentHash(
        of collection: CollectionShape,
        progress: (UInt64) throws(StoreError) -> Void
    ) throws(StoreError) -> CollectionHash {
        var hash = SHA256()
        var waiting = ByteWriter(capacity: Self.hashedAtOnce + 4_096)
        waiting.writeBytes(Array("moraine collection 1\n".utf8))
        waiting.writeVarint(UInt64(collection.dimensions))
        waiting.writeUInt8(collection.metric.rawValue)
        var count: UInt64 = 0
        try scan(collection, range: ScanRange(), wantsVectors: true) {
            document throws(StoreError) in
            try progress(count)
            waiting.writeUInt8(1)
            waiting.writePrefixed(document.id)
            waiting.writePrefixed(document.text)
            waiting.writePrefixed(document.metadata)
            waiting.writeUInt8(document.vector == nil ? 0 : 1)
            if let vector = document.vector { waiting.writeBytes(vector) }
            count += 1
            if waiting.count >= Self.hashedAtOnce {
                waiting.withBytes { hash.update($0) }
                waiting.removeAll()
            }
            return true
        }
        waiting.writeUInt8(0)
        waiting.withBytes { hash.update($0) }
        return CollectionHash(
            collection: collection,
            documentCount: count,
            bytes: hash.finish()
        )
    }

    /// The hash of a store with these collections, all of them and in the order of their names.
    package static func contentHash(of collections: [CollectionHash]) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeBytes(Array("moraine store 1\n".utf8))
        for hash in collections {
            writer.writeString(hash.collection.name)
            writer.writeBytes(hash.bytes)
        }
        return SHA256.hash(writer.finish())
    }

    private static let hashedAtOnce = 65_536
}
