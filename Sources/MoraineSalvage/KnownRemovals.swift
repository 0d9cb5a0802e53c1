// What commits took away at once: dropped collections and deletes by prefix, wherever they are told.

import MoraineFormat

/// Removals of segments, log and manifests.
struct KnownRemovals {
    /// A delete by prefix.
    private struct Prefix {
        let key: [UInt8]
        let lsn: UInt64
        let order: UInt32
    }

    private var dropped: Set<UInt32>
    private var prefixes: [Prefix] = []

    init(_ facts: ManifestFacts, _ segments: [SegmentSource], _ commits: [ParsedCommit]) {
        dropped = facts.droppedCollections
        for removal in segments.flatMap({ $0.document?.removals ?? [] })
        where commitNumbers.contains(removal.lsn) {
            guard let prefix = removal.prefix else {
                dropped.insert(removal.collectionID)
                continue
            }
            // What a segment holds of the same commit came after it.
            prefix.withUnsafeBytes { add(removal.collectionID, $0, removal.lsn, order: 0) }
        }
        for commit in commits {
            for (order, operation) in commit.operations.enumerated() {
                switch operation {
                case .dropCollection(let id): dropped.insert(id)
                case .deletePrefix(let id, let prefix):
                    add(id, prefix, commit.lsn, order: UInt32(truncatingIfNeeded: order))
                case .put, .delete, .createCollection, .renameCollection: continue
                }
            }
        }
    }

    private mutating func add(
        _ collectionID: UInt32,
        _ prefix: UnsafeRawBufferPointer,
        _ lsn: UInt64,
        order: UInt32
    ) {
        let key = SegmentStream.key(collectionID, prefix)
        prefixes.append(Prefix(key: key, lsn: lsn, order: order))
    }

    /// True for a collection that is gone for good: its id is never used again.
    func isDropped(_ collectionID: UInt32) -> Bool { dropped.contains(collectionID) }

    /// The deletes by prefix that a key met.
    func deletes(of key: [UInt8]) -> [Sighting] {
        prefixes.filter { key.starts(with: $0.key) }.map {
            Sighting(key: key, lsn: $0.lsn, order: $0.order, content: .delete)
        }
    }
}
