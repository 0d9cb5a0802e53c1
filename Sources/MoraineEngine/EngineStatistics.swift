// What an open store says about itself.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
package import MoraineStorage
import Synchronization

/// Bytes that commits gave and bytes that were written for them, since the store was opened.
package struct WriteVolume: Sendable {
    /// Commits as they were given: ids, texts, metadata, vectors.
    package var givenByteCount: UInt64 = 0
    /// Records of the log.
    package var logByteCount: UInt64 = 0
    /// Documents, vectors and deletions, by checkpoints and compactions.
    package var truthByteCount: UInt64 = 0
    /// Files that can be made again from others.
    package var derivedByteCount: UInt64 = 0

    /// Bytes written to log and truth files for each byte given; `nil` before the first.
    package var amplification: Double? {
        givenByteCount == 0
            ? nil : Double(logByteCount + truthByteCount) / Double(givenByteCount)
    }

    /// Counts the files of a new segment.
    mutating func count(_ entry: SegmentEntry) {
        truthByteCount += entry.document.byteCount + (entry.vector?.byteCount ?? 0)
        derivedByteCount += entry.key.byteCount
    }
}

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
    /// Bytes of segment files, but for derived ones.
    package var segmentByteCount: UInt64 = 0
    /// Bytes of derived files that searches use.
    package var derivedByteCount: UInt64 = 0
    /// Rows with vectors in segments that still lack derived files for them.
    package var unindexedRowCount = 0
    package var commitCount: UInt64 = 0
    /// Syncs of the log.
    package var syncCount: UInt64 = 0
    package var checkpointCount: UInt64 = 0
    package var volume = WriteVolume()
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
    package var indexes = IndexCounters()
    /// Builds of derived files that run in the background now.
    package var runningIndexCount = 0
    package var isIndexingPaused = false
    /// Descriptors of segment files; those of a reader are not counted.
    package var openFileCount = 0
    /// Files that the newest version has mapped.
    package var mappedFileCount = 0
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
        result.openFileCount = descriptors?.openCount ?? 0
        if let version = newest {
            result.lsn = version.lsn
            result.segmentCount = version.segments.count
            for view in version.segments {
                result.rowCount += view.segment.rowCount
                result.deadRowCount += view.dead.count
                result.segmentByteCount += view.segment.byteCount
                result.derivedByteCount += view.indexes.byteCount
                result.mappedFileCount += view.mappedFileCount
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
        result.runningCompactionCount = compactions.jobs.runningCount
        result.runningIndexCount = indexing.jobs.runningCount
        result.isIndexingPaused = indexing.jobs.isPaused
        result.unindexedRowCount = unindexedRowCount
        result.isCompactionPaused = compactions.jobs.isPaused
        guard writer != nil else {
            let followed = followed.withLock { $0 }
            result.floor = followed.floor
            result.logByteCount = followed.logByteCount
            result.logFileCount = followed.logFileCount
            return result
        }
        withWriter { writer in
            result.floor = writer.state.floor
            result.memtableByteCount =
                writer.active.byteCount + (writer.sealed?.table.byteCount ?? 0)
            result.logByteCount = writer.logByteCount
            result.logFileCount = writer.state.logs.count
            result.commitCount = writer.commitCount
            result.syncCount = writer.retiredSyncCount + (writer.log?.syncCount ?? 0)
            result.checkpointCount = writer.checkpointCount
            result.volume = writer.volume
            result.lastBackgroundError =
                writer.checkpointFailure ?? compactions.failure ?? indexing.failure
            result.compactions = writer.compactions
            result.indexes = writer.indexes
            result.poison = writer.poison
        }
        return result
    }
}

/// What a reading engine knows of the log that it follows.
struct FollowedLog: Sendable {
    let floor: UInt64
    let logByteCount: UInt64
    let logFileCount: Int

    init(_ opened: OpenedState) {
        floor = opened.state.floor
        logByteCount = opened.logByteCount
        logFileCount = opened.state.logs.count
    }
}
