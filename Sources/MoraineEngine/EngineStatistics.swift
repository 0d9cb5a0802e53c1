// What an open store says about itself.

import MoraineBytes
import MoraineLog
import MoraineSegments
package import MoraineStorage
import Synchronization

/// Sizes and counters of an open store.
///
/// Counters start at its opening.
package struct EngineStatistics: Sendable {
    /// The newest commit.
    package var lsn: UInt64 = 0
    /// Every commit up to here is in segments.
    package var floor: UInt64 = 0
    package var segmentCount = 0
    /// Rows of segments, dead ones included.
    package var rowCount = 0
    package var deadRowCount = 0
    /// Bytes of memtables.
    package var memtableByteCount = 0
    /// Bytes of live log records.
    package var logByteCount: UInt64 = 0
    package var logFileCount = 0
    /// Bytes of segment files.
    package var segmentByteCount: UInt64 = 0
    package var commitCount: UInt64 = 0
    /// Syncs of the log.
    package var syncCount: UInt64 = 0
    package var checkpointCount: UInt64 = 0
    package var blockCacheHits: UInt64 = 0
    package var blockCacheMisses: UInt64 = 0
    package var blockCacheByteCount = 0
    /// Why the last checkpoint failed, if it did; it is tried again.
    package var lastBackgroundError: StoreError?
    /// Why the store takes no more writes, if so.
    package var poison: StoreError?
    package var isReadOnly = false
    /// What is kept by pins, oldest first.
    package var snapshots: [PinnedSnapshot] = []
    /// Bytes of files that only pins keep.
    package var pinnedByteCount: UInt64 = 0
    package var expiredSnapshotCount: UInt64 = 0
    package var scrub = ScrubStatistics()
    package var compactions = CompactionCounters()
    /// Merges that run in the background now.
    package var runningCompactionCount = 0
    package var isCompactionPaused = false
}

extension Engine {
    /// Sizes and counters.
    ///
    /// Waits for a commit that is under way.
    package func statistics() -> EngineStatistics {
        var result = EngineStatistics()
        let newest = current.withLock { $0 }
        (result.snapshots, result.pinnedByteCount) = snapshots.list(beside: newest)
        result.expiredSnapshotCount = snapshots.expiredCount
        result.scrub = scrubber.statistics
        if let version = newest {
            result.lsn = version.lsn
            result.segmentCount = version.segments.count
            for view in version.segments {
                result.rowCount += view.segment.rowCount
                result.deadRowCount += view.dead.count
                result.segmentByteCount += view.segment.byteCount
            }
            if writer == nil {
                result.memtableByteCount = version.memtables.reduce(0) { $0 + $1.byteCount }
            }
        }
        let blocks = cache.statistics
        result.blockCacheHits = blocks.hitCount
        result.blockCacheMisses = blocks.missCount
        result.blockCacheByteCount = blocks.byteCount
        result.isReadOnly = writer == nil
        result.runningCompactionCount = compactions.runningCount
        result.isCompactionPaused = compactions.isPaused
        guard writer != nil else { return result }
        withWriter { writer in
            result.floor = writer.state.floor
            result.memtableByteCount =
                writer.active.byteCount + (writer.sealed?.table.byteCount ?? 0)
            result.logByteCount = writer.logByteCount
            result.logFileCount = writer.state.logs.count
            result.commitCount = writer.commitCount
            result.syncCount = writer.retiredSyncCount + (writer.log?.syncCount ?? 0)
            result.checkpointCount = writer.checkpointCount
            result.lastBackgroundError = writer.checkpointFailure ?? compactions.failure
            result.compactions = writer.compactions
            result.poison = writer.poison
        }
        return result
    }
}
