// How many documents a collection has in a memtable, for each version that may ask.

import Synchronization

/// How many documents of one collection lived in a memtable after each commit that changed it.
struct LiveCounts {
    /// By ascending LSN.
    private var steps: [(lsn: UInt64, count: Int)] = []

    /// Documents that a reader at `version` sees, those included that expire.
    func count(at version: UInt64) -> Int {
        // Mostly the newest: a reader is behind by the commits that are not published yet.
        if let last = steps.last, last.lsn <= version { return last.count }
        var low = 0
        var high = steps.count
        while low < high {
            let middle = (low + high) / 2
            if steps[middle].lsn <= version { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? 0 : steps[low - 1].count
    }

    /// Notes a document that came or went; true when that took memory.
    ///
    /// A restored document is older than some before it: its store is read from the end of the
    /// restoring on.
    mutating func add(_ change: Int, at lsn: UInt64) -> Bool {
        let last = steps.indices.last
        if let last, steps[last].lsn >= lsn {
            steps[last].count += change
            return false
        }
        steps.append((lsn, (last.map { steps[$0].count } ?? 0) + change))
        return true
    }

    /// Bytes of the note of one commit.
    static let stepByteCount = MemoryLayout<(lsn: UInt64, count: Int)>.stride
}

extension MemTable {
    /// How many documents of a collection a reader at `version` sees, those included that expire.
    func liveCount(collectionID: UInt32, at version: UInt64) -> Int {
        collections.withLock { $0[collectionID]?.live.count(at: version) ?? 0 }
    }
}
