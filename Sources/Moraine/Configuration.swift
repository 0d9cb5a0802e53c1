// How a store is opened.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineStorage

extension Store {
    /// What an acknowledged write survives.
    public enum Durability: Sendable, Hashable {
        /// A power cut. Each write waits for the disk; writes at the same time share the wait.
        case full
        /// A killed process at once, a power cut after the interval, 1 millisecond to 1 hour.
        case relaxed(Duration)
        /// A killed process; a power cut may lose everything since the last `Store.sync()`.
        case bulk
    }

    /// How documents are compressed.
    ///
    /// Each block says how it was stored, so that a store can be opened with another choice at any
    /// time.
    public enum Compression: Sendable, Hashable {
        /// Fast to write, faster to read; about a third of the size for JSON-like text.
        case lz4
        /// Smaller by another third, several times slower.
        case deflate
        /// As it is.
        case none
    }

    /// How a store is opened.
    ///
    /// The defaults suit a service on one machine.
    public struct Configuration: Sendable {
        /// What an acknowledged write survives.
        public var durability = Durability.full
        /// Bytes of memory for documents not yet in segments and for caches, from 1 MiB.
        ///
        /// Results, open snapshots and vectors mapped from files come on top.
        public var memoryByteCount = 256 << 20
        /// Bytes of new documents that are gathered in memory before they are written to a
        /// segment, from 64 KiB to ``memoryByteCount``; `nil`: an eighth of that, 1 to 64 MiB.
        public var memtableByteCount: Int?
        /// Bytes of one log file at most, from 64 KiB.
        ///
        /// A larger commit gets what it needs.
        public var logFileByteCount = 64 << 20
        /// How documents are compressed from now on.
        public var compression = Compression.lz4
        /// Read without lock, beside a writer or without one, and change nothing on disk.
        public var isReadOnly = false
        /// Make the store when nothing is at the path.
        ///
        /// Not done when read-only.
        public var createsIfMissing = true
        /// The age at which a snapshot expires, 1 millisecond or more; `nil`: never.
        ///
        /// A snapshot that was forgotten keeps the files that compaction replaced.
        public var maxSnapshotAge: Duration? = .seconds(3_600)
        /// False: a snapshot above that age stays; ``Store/health()`` tells of it.
        public var expiresSnapshots = true
        /// Bytes a second of the store's own files that are read in the background to find damage
        /// before it is needed; 0: none.
        ///
        /// It begins a minute after opening, rests a day after each pass over all files, and is
        /// off in a read-only store. What it finds is in ``Store/health()``.
        public var scrubBytesPerSecond = 8 << 20
        /// Merge segments in the background when there is reason to: eight of about the same number
        /// of documents, more than a fifth of a segment's documents replaced or deleted, deletes
        /// that nothing needs any more, more than 32 segments.
        ///
        /// Works on all processors but one, at low priority, and takes a share of the time that
        /// grows with the number of segments. False: only ``Store/compact(all:progress:)`` merges.
        public var compactsInBackground = true
        /// Segments at which writers wait for merges in the background, 8 to 1,000,000.
        ///
        /// Merges that cannot help, being paused or short of space, do not stop writing.
        public var segmentLimit = 64
        /// Make index files in the background when segments lack them.
        ///
        /// Works on all processors but one, at low priority, and takes a share of the time that
        /// grows with what there is to do. False: only ``Store/buildIndexes(progress:)`` makes them.
        public var indexesInBackground = true
        /// Documents with embeddings in segments without their index files at which writers wait
        /// for the background, 0 or more.
        ///
        /// Work that cannot help, being paused or failing, does not stop writing.
        public var unindexedDocumentLimit = 200_000
        /// Open segment files at most, 1 or more; the lock, the log and the manifest come on top.
        ///
        /// Those that nobody reads are closed.
        public var openFileCount = 64
        /// Bytes of the disk that puts leave free, 0 or more; they get `noSpace` before.
        ///
        /// At most an eighth of the disk, so that a small one can be used. Deletes, checkpoints and
        /// compaction may use them, so that a store that has filled its disk can make room again.
        /// A file of 2 MiB is kept for the case that others use them.
        public var diskReserveByteCount = EngineOptions.usualDiskReserveByteCount
        /// Threads of one search, 1 to 1,024; `nil`: one for each processor.
        public var searchThreadCount: Int?

        /// The defaults.
        public init() {}
    }
}

extension Store.Configuration {
    /// The same for the engine.
    func options(_ fileSystem: any FileSystem) throws(StoreError) -> EngineOptions {
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.isReadOnly = isReadOnly
        options.createsStore = createsIfMissing && !isReadOnly
        options.durability = try engineDurability
        options.memoryByteCount = try Self.check(
            memoryByteCount,
            "memoryByteCount",
            1 << 20...Int.max
        )
        options.memtableByteCount = try memtableByteCount.map { count throws(StoreError) in
            let count = try Self.check(count, "memtableByteCount", 64 << 10...Int.max)
            guard count <= memoryByteCount else {
                throw StoreError(
                    .invalidArgument,
                    "memtableByteCount is above memoryByteCount, the budget that it is a part of",
                    expected: "a memtableByteCount of at most \(memoryByteCount)",
                    found: "\(count)"
                )
            }
            return count
        }
        options.logFileByteCount = try Self.check(
            logFileByteCount,
            "logFileByteCount",
            64 << 10...1 << 40
        )
        options.codec =
            switch compression {
            case .lz4: .lz4
            case .deflate: .deflate
            case .none: .none
            }
        options.snapshotAgeMilliseconds = try maxSnapshotAge.map { age throws(StoreError) in
            guard age >= .milliseconds(1) else {
                throw StoreError(
                    .invalidArgument,
                    "maxSnapshotAge is out of range",
                    expected: "at least 1 millisecond",
                    found: "\(age)"
                )
            }
            return UInt64(clamping: age.boundedMilliseconds)
        }
        options.expiresSnapshots = expiresSnapshots
        options.openFileCount = try Self.check(openFileCount, "openFileCount", 1...Int.max)
        options.diskReserveByteCount = try Self.check(
            diskReserveByteCount,
            "diskReserveByteCount",
            0...1 << 50
        )
        let scrub = try Self.check(scrubBytesPerSecond, "scrubBytesPerSecond", 0...1 << 40)
        options.scrubBytesPerSecond = isReadOnly ? 0 : scrub
        options.compactsInBackground = compactsInBackground
        options.segmentLimit = try Self.check(segmentLimit, "segmentLimit", 8...1_000_000)
        options.indexesInBackground = indexesInBackground
        options.unindexedRowLimit = try Self.check(
            unindexedDocumentLimit,
            "unindexedDocumentLimit",
            0...Int.max
        )
        if let searchThreadCount {
            options.scanThreadCount = try Self.check(
                searchThreadCount,
                "searchThreadCount",
                1...1_024
            )
        }
        return options
    }

    private var engineDurability: MoraineEngine.Durability {
        get throws(StoreError) {
            switch durability {
            case .full: return .full
            case .bulk: return .bulk
            case .relaxed(let interval):
                guard interval >= .milliseconds(1), interval <= .seconds(3_600) else {
                    throw StoreError(
                        .invalidArgument,
                        "the interval of relaxed durability is out of range",
                        expected: "1 millisecond to 1 hour",
                        found: "\(interval)"
                    )
                }
                return .relaxed(milliseconds: Int(interval.boundedMilliseconds))
            }
        }
    }

    private static func check(_ value: Int, _ name: String, _ range: ClosedRange<Int>)
        throws(StoreError) -> Int
    {
        guard range.contains(value) else {
            throw StoreError(
                .invalidArgument,
                "\(name) is out of range",
                expected: range.upperBound == Int.max
                    ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)",
                found: "\(value)"
            )
        }
        return value
    }
}
