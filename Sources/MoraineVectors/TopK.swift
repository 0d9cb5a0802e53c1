// The k best candidates of one source, and the join of several sources' lists.
// Order: nearer first, equal scores by document id; format-spec/vector.md, "Scores".

/// A row of a source with its score.
package struct Candidate: Sendable, Equatable {
    /// The score as a number that is larger for nearer; `Score.value` gives the score back.
    package let key: UInt32
    /// Which of a search's sources the row belongs to.
    package let source: Int
    /// The row in the source: of the segment, or the position in a list of memtable rows.
    package let row: UInt32

    package init(key: UInt32, source: Int, row: UInt32) {
        self.key = key
        self.source = source
        self.row = row
    }
}

/// Keeps the best `capacity` rows of one source.
///
/// Within a segment rows stand in id order, so equal scores are ordered by row and no id is read.
/// A source whose rows stand in another order passes `precedes`.
///
/// A heap with the worst entry at the root; an entry is `key << 32 | ~row`, so that the larger
/// entry is the better one. Memory grows with what is offered, not with `capacity`.
package struct TopK: Sendable {
    package let capacity: Int
    /// Rows with a smaller key cannot enter; those with this key may.
    package private(set) var bar: UInt32

    private var heap: [UInt64] = []
    private let precedes: (@Sendable (UInt32, UInt32) -> Bool)?

    /// - Parameters:
    ///   - capacity: 0 or more; 0 keeps nothing.
    ///   - floor: smaller keys are of no interest: the k-th key that other sources have reached.
    ///   - precedes: whether the first row's id is less than the second's, where row order is not
    ///     id order. Called for equal scores only.
    package init(
        capacity: Int,
        floor: UInt32 = 0,
        precedes: (@Sendable (UInt32, UInt32) -> Bool)? = nil
    ) {
        self.capacity = max(0, capacity)
        self.bar = capacity > 0 ? floor : .max
        self.precedes = precedes
    }

    package var count: Int { heap.count }

    /// The keys of what was kept, largest first.
    var keys: [UInt32] { heap.sorted(by: >).map(Self.key) }

    /// Makes rows with a smaller key be of no interest; what was kept stays.
    mutating func raise(to floor: UInt32) { bar = max(bar, floor) }

    /// Whether `offer` would keep this row now.
    ///
    /// What is asked of a row before costlier questions.
    package func accepts(key: UInt32, row: UInt32) -> Bool {
        guard key >= bar else { return false }
        guard heap.count == capacity else { return true }
        guard let worst = heap.first else { return false }
        return isWorse(worst, Self.entry(key, row))
    }

    /// Takes in a row if it is among the best so far.
    ///
    /// Each row at most once.
    package mutating func offer(key: UInt32, row: UInt32) {
        guard accepts(key: key, row: row) else { return }
        let entry = Self.entry(key, row)
        if heap.count < capacity {
            heap.append(entry)
            siftUp()
        } else {
            heap[0] = entry
            siftDown()
        }
        if heap.count == capacity { bar = max(bar, UInt32(truncatingIfNeeded: heap[0] >> 32)) }
    }

    /// Takes in what another part of the same source kept.
    package mutating func merge(_ other: TopK) {
        for entry in other.heap { offer(key: Self.key(entry), row: Self.row(entry)) }
    }

    /// What was kept, nearest first, equal scores by id.
    package func sorted(source: Int) -> [Candidate] {
        heap.sorted { isWorse($1, $0) }.map {
            Candidate(key: Self.key($0), source: source, row: Self.row($0))
        }
    }

    private static func entry(_ key: UInt32, _ row: UInt32) -> UInt64 {
        UInt64(key) << 32 | UInt64(~row)
    }
    private static func key(_ entry: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: entry >> 32) }
    private static func row(_ entry: UInt64) -> UInt32 { ~UInt32(truncatingIfNeeded: entry) }

    private func isWorse(_ one: UInt64, _ other: UInt64) -> Bool {
        guard let precedes, (one ^ other) >> 32 == 0 else { return one < other }
        return precedes(Self.row(other), Self.row(one))
    }

    private mutating func siftUp() {
        var child = heap.count - 1
        let entry = heap[child]
        while child > 0 {
            let parent = (child - 1) / 2
            guard isWorse(entry, heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    private mutating func siftDown() {
        let entry = heap[0]
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, isWorse(heap[child + 1], heap[child]) { child += 1 }
            guard isWorse(heap[child], entry) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}

extension Candidate {
    /// Joins the lists of several sources into the best `limit`, nearest first, ties by id.
    ///
    /// - Parameters:
    ///   - lists: each one or more sources' candidates, each source's as `TopK.sorted` gave them.
    ///   - id: the bytes of a candidate's document id. Asked only of candidates of different
    ///     sources whose scores are equal and that compete for a place.
    /// - Throws: what `id` throws.
    package static func nearest<E: Error>(
        of lists: [[Candidate]],
        limit: Int,
        id: (Candidate) throws(E) -> [UInt8]
    ) throws(E) -> [Candidate] {
        if lists.count == 1, lists[0].first?.source == lists[0].last?.source {
            return lists[0].count <= limit ? lists[0] : Array(lists[0].prefix(max(0, limit)))
        }
        // Places make the sort stable: candidates of one source keep their order.
        var all = lists.flatMap { $0 }.enumerated().map { (place: $0, candidate: $1) }
        all.sort {
            $0.candidate.key != $1.candidate.key
                ? $0.candidate.key > $1.candidate.key : $0.place < $1.place
        }
        var result: [Candidate] = []
        var start = 0
        while start < all.count, result.count < limit {
            let first = all[start].candidate
            var end = start + 1
            while end < all.count, all[end].candidate.key == first.key { end += 1 }
            var tied = all[start..<end].map(\.candidate)
            if tied.contains(where: { $0.source != first.source }) {
                tied = try sortedByID(tied, id)
            }
            result += tied.prefix(limit - result.count)
            start = end
        }
        return result
    }

    private static func sortedByID<E: Error>(
        _ tied: [Candidate],
        _ id: (Candidate) throws(E) -> [UInt8]
    ) throws(E) -> [Candidate] {
        var named: [(id: [UInt8], candidate: Candidate)] = []
        for candidate in tied { named.append((try id(candidate), candidate)) }
        named.sort { $0.id.lexicographicallyPrecedes($1.id) }
        return named.map(\.candidate)
    }
}
