// How far merges are that somebody asked for and waits for.

import MoraineStorage
import Synchronization

/// How far a compaction is.
package struct CompactionProgress: Sendable {
    /// Merges that are finished.
    package var mergeCount = 0
    /// Bytes of inputs that were read, and of those that were begun.
    package var doneByteCount: UInt64 = 0
    package var totalByteCount: UInt64 = 0
    /// Vectors of outputs that were linked in a graph, and those of all graphs that were begun.
    package var linkedVectorCount = 0
    package var vectorCount = 0
}

/// Adds up merges that run one behind the other, and tells of them.
///
/// Any thread.
final class ProgressTeller: Sendable {
    private let made = Mutex(CompactionProgress())
    private let tell: @Sendable (CompactionProgress) -> Bool

    /// - Parameter tell: answers false to end.
    init(_ tell: @escaping @Sendable (CompactionProgress) -> Bool) { self.tell = tell }

    func begin(_ task: CompactionTask) {
        made.withLock { $0.totalByteCount += task.byteCount }
    }

    func link(_ linked: Int, of toLink: Int) {
        made.withLock {
            $0.linkedVectorCount += linked
            $0.vectorCount += toLink
        }
    }

    /// - Throws: `cancelled` where it is to end.
    func step(_ byteCount: UInt64) throws(StoreError) {
        let now = made.withLock { made -> CompactionProgress in
            made.doneByteCount = min(made.totalByteCount, made.doneByteCount + byteCount)
            return made
        }
        if !tell(now) { throw Engine.cancelledError }
    }

    func end() {
        made.withLock {
            $0.mergeCount += 1
            $0.doneByteCount = $0.totalByteCount
        }
    }
}
