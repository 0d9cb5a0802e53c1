// What a store is made of and has done.

import MoraineEngine
import MoraineStorage

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

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
        /// Bytes of the segments' files, index files left out.
        public let segmentByteCount: UInt64
        /// Commits since the store was opened.
        public let commitCount: UInt64
        /// Syncs of the log since the store was opened; less than the commits where writers shared.
        public let syncCount: UInt64
        /// Bytes of ids, texts, metadata and vectors that commits gave since the store was opened.
        public let givenByteCount: UInt64
        /// Bytes written for them to the log, and by checkpoints and compactions to documents,
        /// vectors and deletions.
        public let writtenByteCount: UInt64
        /// Bytes written besides to files that can be made again from others.
        public let derivedWrittenByteCount: UInt64
        /// `writtenByteCount` for each byte given; `nil` before the first commit.
        public let writeAmplification: Double?
        /// Times that memory was written to a segment since the store was opened.
        public let checkpointCount: UInt64
        /// Document blocks that were found in memory.
        public let blockCacheHitCount: UInt64
        /// Document blocks that had to be read.
        public let blockCacheMissCount: UInt64
        /// Bytes of document blocks in memory.
        public let blockCacheByteCount: Int
        /// Segment files that are open, at most ``Store/Configuration/openFileCount``; not counted
        /// in a read-only store.
        public let openFileCount: Int
        /// Files of the newest state that are mapped into memory.
        ///
        /// All stores of a process may map three quarters of what the system allows it
        /// (`vm.max_map_count`); then opening and checkpoints throw `tooManyFiles`.
        public let mappedFileCount: Int
        /// What the last background work failed with, `nil` when it did not.
        public let lastBackgroundError: MoraineError?
        /// Why the store takes no writes until it is opened again, `nil` when it does.
        public let poison: MoraineError?

        /// Merges of segments since the store was opened.
        public let compactionCount: UInt64
        /// Merges that run in the background now.
        public let runningCompactionCount: Int
        /// True while merges in the background rest.
        public let isCompactionPaused: Bool
        /// Bytes of segments that merges have read since the store was opened.
        public let compactionReadByteCount: UInt64
        /// Bytes of segments that merges have written since the store was opened.
        public let compactionWrittenByteCount: UInt64

        /// Bytes of index files, which hold nothing of their own.
        public let indexByteCount: UInt64
        /// Documents with embeddings in segments that still lack index files; searches compare
        /// them one by one.
        public let unindexedDocumentCount: Int
        /// Index files that were made since the store was opened.
        public let indexCount: UInt64
        /// Index files that are being made in the background now.
        public let runningIndexCount: Int
        /// True while indexing in the background rests.
        public let isIndexingPaused: Bool

        /// Snapshots that are kept, oldest first.
        public let snapshots: [SnapshotEntry]
        /// Bytes of files that only snapshots keep.
        public let pinnedByteCount: UInt64
        /// Snapshots that have expired since the store was opened.
        public let expiredSnapshotCount: UInt64

        /// How far the check of files in the background is.
        public let scrub: Scrub

        /// The check of files in the background.
        public struct Scrub: Sendable, Hashable {
            /// True after ``Store/pauseScrub()``.
            public let isPaused: Bool
            /// Bytes checked since the store was opened.
            public let byteCount: UInt64
            /// Bytes checked in this pass over the store's files.
            public let passByteCount: UInt64
            /// Bytes of the segments that this pass goes over.
            public let passTotalByteCount: UInt64
            /// Passes that came to their end.
            public let passCount: UInt64
            /// When the last one did.
            public let lastPass: Date?
            /// Places that are damaged; ``Store/health()`` names them.
            public let findingCount: Int

            init(_ scrub: ScrubStatistics) {
                isPaused = scrub.isPaused
                byteCount = scrub.byteCount
                passByteCount = scrub.passByteCount
                passTotalByteCount = scrub.passTotalByteCount
                passCount = scrub.passCount
                lastPass = scrub.lastPassMilliseconds.map {
                    Date(timeIntervalSince1970: Double($0) / 1_000)
                }
                findingCount = scrub.findings.count
            }
        }

        /// A snapshot that somebody keeps.
        public struct SnapshotEntry: Sendable, Hashable {
            /// As ``Store/Snapshot/id``.
            public let id: UInt64
            /// The last commit that it contains.
            public let version: LSN
            /// What it was called when it was taken.
            public let label: String?
            /// When it was taken.
            public let taken: Date
            /// How long ago that is, by a clock that never jumps.
            public let age: Duration
            /// Bytes of the files that it keeps and the newest state does not need.
            ///
            /// Snapshots may keep the same file.
            public let pinnedByteCount: UInt64
            /// Bytes of memory that it keeps and the newest state does not need.
            public let memoryByteCount: Int

            init(_ pin: PinnedSnapshot) {
                id = pin.id
                version = pin.lsn
                label = pin.label
                taken = Date(timeIntervalSince1970: Double(pin.takenMilliseconds) / 1_000)
                age = .milliseconds(Int64(clamping: pin.ageMilliseconds))
                pinnedByteCount = pin.pinnedByteCount
                memoryByteCount = pin.memoryByteCount
            }
        }

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
            givenByteCount = statistics.volume.givenByteCount
            writtenByteCount = statistics.volume.logByteCount + statistics.volume.truthByteCount
            derivedWrittenByteCount = statistics.volume.derivedByteCount
            writeAmplification = statistics.volume.amplification
            blockCacheHitCount = statistics.blockCacheHits
            blockCacheMissCount = statistics.blockCacheMisses
            blockCacheByteCount = statistics.blockCacheByteCount
            openFileCount = statistics.openFileCount
            mappedFileCount = statistics.mappedFileCount
            lastBackgroundError = statistics.lastBackgroundError.map { MoraineError($0) }
            poison = statistics.poison.map { MoraineError($0) }
            compactionCount = statistics.compactions.count
            runningCompactionCount = statistics.runningCompactionCount
            isCompactionPaused = statistics.isCompactionPaused
            compactionReadByteCount = statistics.compactions.readByteCount
            compactionWrittenByteCount = statistics.compactions.writtenByteCount
            indexByteCount = statistics.derivedByteCount
            unindexedDocumentCount = statistics.unindexedRowCount
            indexCount = statistics.indexes.count
            runningIndexCount = statistics.runningIndexCount
            isIndexingPaused = statistics.isIndexingPaused
            snapshots = statistics.snapshots.map { SnapshotEntry($0) }
            pinnedByteCount = statistics.pinnedByteCount
            expiredSnapshotCount = statistics.expiredSnapshotCount
            scrub = Scrub(statistics.scrub)
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
