// Merging segments: gives back the space of what was replaced or deleted, and keeps reads quick.

import MoraineEngine
import MoraineStorage

extension Store {
    /// How far a compaction is.
    public struct CompactionProgress: Sendable, Hashable {
        /// Merges that are finished.
        public let mergeCount: Int
        /// Bytes of segments that were worked off.
        public let doneByteCount: UInt64
        /// Bytes of segments whose merge has begun or is finished.
        public let totalByteCount: UInt64
        /// Vectors of new segments that are linked in their graph.
        public let linkedVectorCount: Int
        /// Vectors of new segments whose graph was begun or is finished.
        public let vectorCount: Int
    }

    /// What a compaction did.
    public struct CompactionSummary: Sendable, Hashable {
        /// Merges; each made one segment of one or more.
        public let mergeCount: Int
        /// Segments that were read.
        public let inputSegmentCount: Int
        /// Bytes of the files that were read.
        public let readByteCount: UInt64
        /// Bytes of the files that were written.
        public let writtenByteCount: UInt64
        /// Bytes of all segments before.
        public let byteCountBefore: UInt64
        /// Bytes of all segments after.
        ///
        /// Files that a snapshot keeps are not counted; they go with it.
        public let byteCountAfter: UInt64
    }

    /// Merges segments until there is no reason to merge more; blocks.
    ///
    /// A store does this by itself in the background, see ``Configuration/compactsInBackground``.
    /// Reads and writes go on meanwhile. Needs room on the disk for what it writes before the old
    /// files go; without it nothing is begun.
    ///
    /// What it makes has its index files when it takes the place of the old segments, so that
    /// searches are never slower behind it: unless ``Configuration/indexesInBackground`` is false
    /// and no old segment had any, or there is no room for them. While they are made, all
    /// bytes are done and `progress` tells of the vectors.
    ///
    /// - Parameters:
    ///   - all: everything into as few segments as the memory budget allows: a quarter of it, at
    ///     56 bytes a document.
    ///   - progress: called now and then on threads of the store's; answers false to end, which
    ///     leaves the store as the finished merges made it.
    /// - Throws: `cancelled` when `progress` ended it, `noSpace`, `corrupted`, `inputOutput`,
    ///   `poisoned`, `readOnly`, `closed`.
    @discardableResult
    public func compact(
        all: Bool = false,
        progress: @escaping @Sendable (CompactionProgress) -> Bool = { _ in true }
    ) throws(MoraineError) -> CompactionSummary {
        try face { () throws(StoreError) in
            let summary = try engine.compact(all: all) { made in
                progress(
                    CompactionProgress(
                        mergeCount: made.mergeCount,
                        doneByteCount: made.doneByteCount,
                        totalByteCount: made.totalByteCount,
                        linkedVectorCount: made.linkedVectorCount,
                        vectorCount: made.vectorCount
                    )
                )
            }
            return CompactionSummary(
                mergeCount: summary.mergeCount,
                inputSegmentCount: summary.inputSegmentCount,
                readByteCount: summary.readByteCount,
                writtenByteCount: summary.writtenByteCount,
                byteCountBefore: summary.byteCountBefore,
                byteCountAfter: summary.byteCountAfter
            )
        }
    }

    /// Merges segments until there is no reason to merge more; runs on a thread of the store's own.
    ///
    /// A cancelled task ends it at the next step.
    ///
    /// - Throws: what the blocking form throws.
    @discardableResult
    public func compact(
        all: Bool = false,
        progress: @escaping @Sendable (CompactionProgress) -> Bool = { _ in true }
    ) async throws(MoraineError) -> CompactionSummary {
        try await run { (isCancelled: @escaping @Sendable () -> Bool) throws(MoraineError) in
            try self.compact(all: all) { !isCancelled() && progress($0) }
        }
    }

    /// Lets compaction in the background rest, until ``resumeCompaction()``.
    ///
    /// Begins no merge, and merges under way wait at their next step. Calls count: as many calls
    /// of ``resumeCompaction()`` end it. ``compact(all:progress:)`` works all the same.
    public func pauseCompaction() { engine.compactions.pause() }

    /// Ends one ``pauseCompaction()``.
    ///
    /// Without one it does nothing.
    public func resumeCompaction() { engine.compactions.resume() }
}
