// What an engine is opened with.

package import MoraineBytes
package import MoraineFiles

/// What an acknowledged commit survives.
package enum Durability: Sendable, Equatable {
    /// A power cut: the log is synced before the commit is acknowledged.
    case full
    /// A killed process; a power cut may lose what was acknowledged in the last interval.
    case relaxed(milliseconds: Int)
    /// A killed process; a power cut may lose everything since the last `sync()`.
    case bulk
}

/// How to open a store.
///
/// The defaults suit a service on one machine.
package struct EngineOptions: Sendable {
    package var fileSystem: any FileSystem = PosixFileSystem()
    package var clock: any Clock = SystemClock()
    package var random: any RandomSource = SystemRandom()
    /// Read without taking the lock and without changing a byte.
    package var isReadOnly = false
    /// Make the store when nothing is there.
    package var createsStore = true
    package var durability = Durability.full
    /// Bytes of memory for memtables and caches.
    package var memoryByteCount = 256 << 20
    /// Bytes at which a memtable is written to a segment; `nil`: an eighth of the budget, at most
    /// 64 MiB.
    package var memtableByteCount: Int?
    /// Bytes of a log file at most, unless one commit needs more.
    package var logFileByteCount = 64 << 20
    /// How document blocks are compressed.
    package var codec = Codec.lz4
    /// False: no threads; the caller's calls do everything, as tests and the simulator need it.
    package var runsInBackground = true
    /// Compact when there is reason to, on threads of its own.
    ///
    /// Only with `runsInBackground`; false: only when asked to.
    package var compactsInBackground = true
    /// Threads that compact in the background: all processors but one.
    package var compactionThreadCount = max(1, WorkerThread.processorCount - 1)
    /// Segments at which writers wait for compaction.
    package var segmentLimit = 64
    /// Make derived files when segments lack them, on threads of its own.
    ///
    /// Only with `runsInBackground`; false: only when asked to.
    package var indexesInBackground = true
    /// Threads that make derived files in the background: all processors but one.
    package var indexThreadCount = max(1, WorkerThread.processorCount - 1)
    /// Rows with vectors in segments without their derived files at which writers wait.
    package var unindexedRowLimit = 200_000
    /// The derived files that are made and used.
    package var indexFormats = IndexFormat.all
    /// The age at which a pin expires, in milliseconds; `nil`: never.
    package var snapshotAgeMilliseconds: UInt64? = 3_600_000
    /// False: pins above that age are reported and stay.
    package var expiresSnapshots = true
    /// Bytes a second that the scrubber reads in the background; 0: only by `scrubStep`.
    package var scrubBytesPerSecond = 0
    /// Descriptors at most for segment files of an engine that writes.
    package var openFileCount = 64
    /// Bytes of the disk that commits leave free, at most an eighth of it; 0: they use all.
    package var diskReserveByteCount = 0
    /// What a store keeps free when nobody says otherwise.
    package static let usualDiskReserveByteCount = 32 << 20
    /// Threads of a scan over many vectors.
    package var scanThreadCount = WorkerThread.processorCount

    package init() {}

    /// The size at which a memtable is full.
    package var memtableLimit: Int {
        memtableByteCount ?? max(1 << 20, min(64 << 20, memoryByteCount / 8))
    }

    /// Bytes for decompressed blocks: half of the budget, less when the memtables take more.
    package var blockCacheByteCount: Int {
        let (memtables, isTooMuch) = memtableLimit.multipliedReportingOverflow(by: 3)
        let rest = isTooMuch ? 0 : memoryByteCount - memtables
        return max(1 << 20, min(memoryByteCount / 2, rest))
    }

    /// Rows that one compaction puts into a segment at most: it needs less than
    /// ``compactionRowByteCount`` bytes of memory for each, and may take a quarter of the budget.
    package var compactionRowLimit: Int {
        max(65_536, memoryByteCount / 4 / EngineOptions.compactionRowByteCount)
    }

    /// Keys while the filter is built, the order of rows, and where each row went.
    static let compactionRowByteCount = 56

    /// Live log bytes at which a checkpoint is forced.
    ///
    /// Two log files at least: the current one counts whole, though most of it may be in segments.
    package var logByteLimit: UInt64 {
        let (memtables, isTooMuch) = UInt64(memtableLimit).multipliedReportingOverflow(by: 4)
        return isTooMuch ? .max : max(memtables, 2 * UInt64(logFileByteCount))
    }
}
