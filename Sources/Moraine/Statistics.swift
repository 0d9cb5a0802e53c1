// What a store is made of and has done.

import MoraineEngine
import MoraineStorage

extension Store {
    /// Numbers about a store at one moment.
    public struct Statistics: Sendable {
        /// The newest commit.
        public let version: LSN
        /// Every commit up to this one is in segments; later ones are in the log and in memory.
        public let floor: LSN
        /// Segments, each a few files.
        public let segmentCount: Int
        /// Documents in segments, dead ones included.
        public let rowCount: Int
        /// Documents in segments that were replaced or deleted.
        public let deadRowCount: Int
        /// Bytes of documents that are in memory and the log only.
        public let memtableByteCount: Int
        /// Bytes of live log files.
        public let logByteCount: UInt64
        /// Bytes of the segments' files.
        public let segmentByteCount: UInt64
        /// Commits since the store was opened.
        public let commitCount: UInt64
        /// Syncs of the log since the store was opened; less than the commits where writers shared.
        public let syncCount: UInt64
        /// Times that memory was written to a segment since the store was opened.
        public let checkpointCount: UInt64
        /// Document blocks that were found in memory.
        public let blockCacheHitCount: UInt64
        /// Document blocks that had to be read.
        public let blockCacheMissCount: UInt64
        /// Bytes of document blocks in memory.
        public let blockCacheByteCount: Int
        /// What the last background work failed with, `nil` when it did not.
        public let lastBackgroundError: MoraineError?
        /// Why the store takes no writes until it is opened again, `nil` when it does.
        public let poison: MoraineError?

        init(_ statistics: EngineStatistics) {
            version = statistics.lsn
            floor = statistics.floor
            segmentCount = statistics.segmentCount
            rowCount = statistics.rowCount
            deadRowCount = statistics.deadRowCount
            memtableByteCount = statistics.memtableByteCount
            logByteCount = statistics.logByteCount
            segmentByteCount = statistics.segmentByteCount
            commitCount = statistics.commitCount
            syncCount = statistics.syncCount
            checkpointCount = statistics.checkpointCount
            blockCacheHitCount = statistics.blockCacheHits
            blockCacheMissCount = statistics.blockCacheMisses
            blockCacheByteCount = statistics.blockCacheByteCount
            lastBackgroundError = statistics.lastBackgroundError.map { MoraineError($0) }
            poison = statistics.poison.map { MoraineError($0) }
        }
    }

    /// Numbers about the store now.
    ///
    /// Never waits for a disk.
    ///
    /// - Throws: `closed`.
    public func statistics() throws(MoraineError) -> Statistics {
        try checkOpen()
        return Statistics(engine.statistics())
    }
}
