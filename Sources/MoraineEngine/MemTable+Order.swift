// The rows of a memtable in the order of their ids. Commits do not keep it: it is made when a scan
// or a delete by prefix asks, and kept as far as it was made.

import MoraineFormat
import Synchronization

/// The rows of one collection in a memtable.
struct CollectionRows {
    var head = UInt32.max
    var live = LiveCounts()
    var sorted: SortedRows?
    /// Steps that were taken since for want of order.
    var debt = 0
}

/// Rows in id order, complete up to row `max`.
struct SortedRows {
    var rows: [UInt32] = []
    var max = -1
}

extension MemTable {
    /// The rows of a collection in id order, several rows of one id oldest first, in two parts
    /// that have each their own order.
    ///
    /// Contains rows that the caller's version may not see.
    ///
    /// - Returns: the rows that are kept in order between calls, and those that were added since.
    ///   The latter are sorted by each call until that has cost as much as joining them to the
    ///   former: so a scan behind each write does not go over the whole table.
    package func sortedRows(collectionID: UInt32) -> (kept: [UInt32], added: [UInt32]) {
        let (known, added) = rowsSinceSorting(collectionID)
        if added.isEmpty { return (known.rows, []) }
        let sorted = added.sorted(by: precedes)
        guard owes(collectionID, 4 * added.count, limit: known.rows.count) else {
            return (known.rows, sorted)
        }
        return (join(known, sorted, collectionID), [])
    }

    /// Calls `body` with the rows of a collection whose ids begin with `prefix`, in no order, dead
    /// ones and deletes included.
    ///
    /// Rows that are not in order yet are looked at one by one, until that has cost as much as
    /// sorting them.
    func forEachRow(
        collectionID: UInt32,
        prefix: UnsafeRawBufferPointer,
        _ body: (Int, UnsafePointer<MemRow>) -> Void
    ) {
        let (known, added) = rowsSinceSorting(collectionID)
        func visit(_ number: UInt32) -> Bool {
            let row = row(Int(number))
            guard row.pointee.id.starts(with: prefix) else { return false }
            body(Int(number), row)
            return true
        }
        for number in added { _ = visit(number) }
        var place = firstPlace(in: known.rows, notBefore: prefix)
        while place < known.rows.count, visit(known.rows[place]) { place += 1 }
        if owes(collectionID, added.count, limit: known.rows.count + 16 * added.count) {
            _ = join(known, added.sorted(by: precedes), collectionID)
        }
    }

    /// The place of the first of sorted rows whose id is not before these bytes.
    func firstPlace(in rows: [UInt32], notBefore id: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if KeyBytes.compare(row(Int(rows[middle])).pointee.id, id) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The rows that are kept in order, and those that were added since, newest first.
    private func rowsSinceSorting(_ collectionID: UInt32) -> (SortedRows, [UInt32]) {
        let (known, head) = collections.withLock { collections in
            (
                collections[collectionID]?.sorted ?? SortedRows(),
                collections[collectionID]?.head ?? Self.none
            )
        }
        var added: [UInt32] = []
        var row = head
        while row != Self.none, Int(row) > known.max {
            added.append(row)
            row = self.row(Int(row)).pointee.previousInCollection
        }
        return (known, added)
    }

    /// Notes steps that an order of all rows would have saved; true once there are `limit`.
    private func owes(_ collectionID: UInt32, _ steps: Int, limit: Int) -> Bool {
        collections.withLock { collections in
            let debt = (collections[collectionID]?.debt ?? 0) + steps
            collections[collectionID]?.debt = debt >= limit ? 0 : debt
            return debt >= limit
        }
    }

    /// Joins sorted rows to those that are kept, and keeps them.
    private func join(_ known: SortedRows, _ added: [UInt32], _ collectionID: UInt32) -> [UInt32] {
        let joined = SortedRows(
            rows: merge(known.rows, added),
            max: max(known.max, added.max().map(Int.init) ?? -1)
        )
        collections.withLock { collections in
            if (collections[collectionID]?.sorted?.max ?? -1) < joined.max {
                collections[collectionID]?.sorted = joined
            }
        }
        return joined.rows
    }

    private func precedes(_ a: UInt32, _ b: UInt32) -> Bool {
        let order = KeyBytes.compare(row(Int(a)).pointee.id, row(Int(b)).pointee.id)
        return order == 0 ? a < b : order < 0
    }

    private func merge(_ a: [UInt32], _ b: [UInt32]) -> [UInt32] {
        if a.isEmpty { return b }
        var result: [UInt32] = []
        result.reserveCapacity(a.count + b.count)
        var i = 0
        var j = 0
        while i < a.count, j < b.count {
            if precedes(a[i], b[j]) {
                result.append(a[i])
                i += 1
            } else {
                result.append(b[j])
                j += 1
            }
        }
        result.append(contentsOf: a[i...])
        result.append(contentsOf: b[j...])
        return result
    }
}
