// Which rows of a segment are dead: an immutable bitmap whose successors share what is the same.

import MoraineBytes

/// The dead rows of a segment at one moment.
///
/// Immutable; any thread, no locks. `with(dead:)` makes the next one and copies only the chunks of
/// 32,768 rows (4 KiB) that change. The holder of a reference may test rows without counting
/// references.
package final class DeadRows: Sendable {
    /// Rows that one chunk covers.
    package static let chunkRowCount = 32_768
    static let wordCount = chunkRowCount / 64

    /// The bits of 32,768 rows. Written only before it is shared.
    // @unchecked: no write after the DeadRows that made it returned from init.
    final class Chunk: @unchecked Sendable {
        let words: UnsafeMutablePointer<UInt64>
        var deadRowCount = 0

        init(copying other: Chunk?) {
            words = .allocate(capacity: DeadRows.wordCount)
            if let other {
                words.initialize(from: other.words, count: DeadRows.wordCount)
                deadRowCount = other.deadRowCount
            } else {
                words.initialize(repeating: 0, count: DeadRows.wordCount)
            }
        }

        deinit { words.deallocate() }

        /// Sets all of a range that lies in the chunk.
        func set(_ places: Range<Int>) {
            var at = places.lowerBound
            while at < places.upperBound {
                let end = min((at / 64 + 1) * 64, places.upperBound)
                let width = UInt64(end - at)
                let mask = width == 64 ? UInt64.max : (1 << width - 1) << UInt64(at % 64)
                deadRowCount += (mask & ~words[at / 64]).nonzeroBitCount
                words[at / 64] |= mask
                at = end
            }
        }

        func set(_ place: Int) {
            let bit: UInt64 = 1 << UInt64(place % 64)
            if words[place / 64] & bit == 0 { deadRowCount += 1 }
            words[place / 64] |= bit
        }
    }

    /// Rows of the segment.
    package let rowCount: UInt32
    /// How many of them are dead.
    package let count: Int
    let chunks: [Chunk?]
    /// The words of each chunk, `nil` where no row is dead.
    // Written before init returns, never after; freed in deinit. The chunks own the words.
    nonisolated(unsafe) private let table: UnsafeMutablePointer<UnsafePointer<UInt64>?>

    /// A segment of `rowCount` rows that are all alive.
    package convenience init(rowCount: UInt32) {
        let chunkCount = DeadRows.chunkCount(rowCount)
        self.init(rowCount: rowCount, chunks: Array(repeating: nil, count: chunkCount))
    }

    init(rowCount: UInt32, chunks: [Chunk?]) {
        self.rowCount = rowCount
        self.chunks = chunks
        count = chunks.reduce(0) { $0 + ($1?.deadRowCount ?? 0) }
        table = .allocate(capacity: max(chunks.count, 1))
        for index in chunks.indices {
            (table + index).initialize(to: chunks[index].map { UnsafePointer($0.words) })
        }
    }

    deinit { table.deallocate() }

    static func chunkCount(_ rowCount: UInt32) -> Int {
        (Int(rowCount) + chunkRowCount - 1) / chunkRowCount
    }

    /// Whether a row is dead.
    ///
    /// - Parameter row: below `rowCount`.
    @inline(__always)
    package func isDead(_ row: UInt32) -> Bool {
        precondition(row < rowCount)
        guard let words = table[Int(row &>> 15)] else { return false }
        return words[Int((row & 32_767) &>> 6)] & (1 &<< UInt64(row & 63)) != 0
    }

    /// The bits of rows 32,768 × `chunk` and on, 512 words, lowest bit first; `nil` where all of
    /// them are alive.
    ///
    /// Valid while this object lives.
    ///
    /// - Parameter chunk: below the number of chunks that `rowCount` rows need.
    package func words(ofChunk chunk: Int) -> UnsafePointer<UInt64>? {
        precondition(chunk >= 0 && chunk < chunks.count)
        return table[chunk]
    }

    /// How many rows of a range are dead.
    ///
    /// - Parameter rows: at most `rowCount`.
    package func count(in rows: Range<UInt32>) -> Int {
        precondition(rows.upperBound <= rowCount)
        var sum = 0
        var row = Int(rows.lowerBound)
        let end = Int(rows.upperBound)
        while row < end {
            let index = row / DeadRows.chunkRowCount
            let chunkEnd = min((index + 1) * DeadRows.chunkRowCount, end)
            if let chunk = chunks[index] {
                sum += DeadRows.count(chunk, row - index * DeadRows.chunkRowCount, chunkEnd - row)
            }
            row = chunkEnd
        }
        return sum
    }

    private static func count(_ chunk: Chunk, _ start: Int, _ count: Int) -> Int {
        if count == chunkRowCount { return chunk.deadRowCount }
        var sum = 0
        var at = start
        let end = start + count
        while at < end {
            let wordEnd = min((at / 64 + 1) * 64, end)
            let width = UInt64(wordEnd - at)
            let mask = width == 64 ? UInt64.max : (1 << width - 1) << UInt64(at % 64)
            sum += (chunk.words[at / 64] & mask).nonzeroBitCount
            at = wordEnd
        }
        return sum
    }

    /// These dead rows and more.
    ///
    /// - Parameter rows: below `rowCount`, in any order; some may be dead already.
    package func with(dead rows: some Sequence<UInt32>) -> DeadRows {
        var next = chunks
        var isCopied: Set<Int> = []
        for row in rows {
            precondition(row < rowCount)
            let index = Int(row) / DeadRows.chunkRowCount
            if isCopied.insert(index).inserted { next[index] = Chunk(copying: chunks[index]) }
            next[index]?.set(Int(row) % DeadRows.chunkRowCount)
        }
        return isCopied.isEmpty ? self : DeadRows(rowCount: rowCount, chunks: next)
    }

    /// These dead rows and all of a range.
    ///
    /// - Parameter range: at most `rowCount`; some rows may be dead already.
    package func with(deadRange range: Range<UInt32>) -> DeadRows {
        precondition(range.upperBound <= rowCount)
        if count(in: range) == range.count { return self }
        var next = chunks
        var row = Int(range.lowerBound)
        while row < Int(range.upperBound) {
            let index = row / DeadRows.chunkRowCount
            let first = index * DeadRows.chunkRowCount
            let end = min(first + DeadRows.chunkRowCount, Int(range.upperBound))
            let chunk = Chunk(copying: chunks[index])
            chunk.set((row - first)..<(end - first))
            next[index] = chunk
            row = end
        }
        return DeadRows(rowCount: rowCount, chunks: next)
    }

    /// Calls `body` with each dead row, ascending.
    package func forEach<E: Error>(_ body: (UInt32) throws(E) -> Void) throws(E) {
        for (index, chunk) in chunks.enumerated() {
            guard let chunk else { continue }
            for wordIndex in 0..<DeadRows.wordCount {
                var word = chunk.words[wordIndex]
                while word != 0 {
                    let place = wordIndex * 64 + word.trailingZeroBitCount
                    try body(UInt32(index * DeadRows.chunkRowCount + place))
                    word &= word - 1
                }
            }
        }
    }
}
