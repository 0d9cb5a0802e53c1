// Whether an open store is well, and if not, why.

package import MoraineStorage
import Synchronization

/// What is wrong with an open store.
package struct EngineHealth: Sendable {
    /// One thing that is wrong.
    package enum Reason: Sendable {
        /// The store takes no writes until it is opened again.
        case poisoned(StoreError)
        /// Writing memory to segments failed; it is tried again.
        case checkpointFailed(StoreError)
        /// A derived file could not be made: searches work, slower; it is tried again.
        case indexingFailed(StoreError)
        /// The scrubber found bytes that are not what was written.
        case damaged(Finding)
        /// The disk is filled up to its reserve: only deletes are taken.
        case reserveReached(freeByteCount: UInt64)
        /// A snapshot above the age limit, where snapshots do not expire.
        case snapshotTooOld(PinnedSnapshot)
    }

    /// The gravest first.
    package var reasons: [Reason] = []

    /// True when something the store is for does not work any more.
    package var hasFailed: Bool {
        reasons.contains { if case .poisoned = $0 { true } else { false } }
    }
}

extension Engine {
    /// Whether the store is well; waits for a commit that is under way.
    package func health() -> EngineHealth {
        var health = EngineHealth()
        if writer != nil {
            let (poison, failure, free) = withWriter {
                ($0.poison, $0.checkpointFailure, $0.lowFreeSpace(adding: 0))
            }
            if let poison { health.reasons.append(.poisoned(poison)) }
            if let failure { health.reasons.append(.checkpointFailed(failure)) }
            if let free { health.reasons.append(.reserveReached(freeByteCount: free)) }
        }
        if let failure = indexing.failure { health.reasons.append(.indexingFailed(failure)) }
        health.reasons += scrubber.statistics.findings.map { .damaged($0) }
        let newest = current.withLock { $0 }
        health.reasons += snapshots.list(beside: newest).pins.filter(\.isOverAge)
            .map { .snapshotTooOld($0) }
        return health
    }
}
