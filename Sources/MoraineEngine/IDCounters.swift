// Ids that are never used twice.

import MoraineFormat
import Synchronization

/// The next file id and the next collection id.
///
/// Any thread.
final class IDCounters: Sendable {
    private let file: Atomic<UInt64>
    private let collection: Atomic<UInt32>

    init(nextFile: UInt64, nextCollection: UInt32) {
        file = Atomic(nextFile)
        collection = Atomic(nextCollection)
    }

    var nextFile: UInt64 { file.load(ordering: .relaxed) }
    var nextCollection: UInt32 { collection.load(ordering: .relaxed) }

    func allocateFile() -> UInt64 { file.wrappingAdd(1, ordering: .relaxed).oldValue }

    /// The next collection id, or one that is out of range when all are used up.
    func allocateCollection() -> UInt32 {
        var next = nextCollection
        while next <= FormatLimits.collectionIDs.upperBound {
            let (taken, current) = collection.weakCompareExchange(
                expected: next,
                desired: next + 1,
                ordering: .relaxed
            )
            if taken { return next }
            next = current
        }
        return next
    }

    /// Notes that an id is in use.
    func noteCollection(_ id: UInt32) { collection.max(id &+ 1, ordering: .relaxed) }
}
