// Which rows of a range are meant: a bitmap that is read without counting references.

/// A set of rows of a segment, out of a range.
///
/// Immutable once it was handed out; any thread. Words are aligned with the segment's rows, not
/// with the range: bit `row % 64` of word `row / 64`, lowest bit first, counted from the first
/// word that the range touches. Bits outside the range are zero.
package final class RowSet: Sendable {
    /// The rows that could be in it.
    package let rows: Range<UInt32>
    @usableFromInline let firstWord: Int
    @usableFromInline let wordCount: Int
    // Written only by the function that makes the set, before it hands it out; freed in deinit.
    @usableFromInline nonisolated(unsafe) let words: UnsafeMutablePointer<UInt64>

    /// None of the rows.
    init(_ rows: Range<UInt32>) {
        self.rows = rows
        firstWord = Int(rows.lowerBound / 64)
        wordCount = rows.isEmpty ? 0 : Int((rows.upperBound - 1) / 64) - firstWord + 1
        words = .allocate(capacity: max(wordCount, 1))
        words.initialize(repeating: 0, count: max(wordCount, 1))
    }

    /// The rows of a range that a test lets pass, asked in ascending order.
    package convenience init<E: Error>(
        _ rows: Range<UInt32>,
        where passes: (UInt32) throws(E) -> Bool
    ) throws(E) {
        self.init(rows)
        for row in rows where try passes(row) { insert(row) }
    }

    deinit { words.deallocate() }

    /// True when the row is in the set; any row may be asked for.
    @inlinable @inline(__always)
    package func contains(_ row: UInt32) -> Bool {
        let word = Int(row &>> 6) &- firstWord
        // Unsigned, so that rows before the first word are beyond the last.
        guard UInt(bitPattern: word) < UInt(bitPattern: wordCount) else { return false }
        return words[word] & (1 &<< UInt64(row & 63)) != 0
    }

    /// How many rows are in the set.
    ///
    /// - Complexity: linear in the range, 64 rows at a time.
    package var count: Int {
        var sum = 0
        for index in 0..<wordCount { sum += words[index].nonzeroBitCount }
        return sum
    }

    /// Calls `body` with each row, ascending.
    package func forEach<E: Error>(_ body: (UInt32) throws(E) -> Void) throws(E) {
        for index in 0..<wordCount {
            var word = words[index]
            while word != 0 {
                try body(UInt32((firstWord + index) * 64 + word.trailingZeroBitCount))
                word &= word - 1
            }
        }
    }

    /// Calls `body` with the bits of 64 rows and the first of these rows, for all where one is set.
    package func forEachWord<E: Error>(_ body: (UInt64, UInt32) throws(E) -> Void) throws(E) {
        for index in 0..<wordCount where words[index] != 0 {
            try body(words[index], UInt32((firstWord + index) * 64))
        }
    }

    /// These rows without those that are set in words kept elsewhere, such as the dead rows.
    ///
    /// - Parameters:
    ///   - chunkRowCount: rows that a chunk of words covers; a multiple of 64.
    ///   - chunk: the words of rows `chunkRowCount` × n and on; `nil` where none is set.
    package func subtracting(
        chunkRowCount: Int,
        _ chunk: (Int) -> UnsafePointer<UInt64>?
    ) -> RowSet {
        precondition(chunkRowCount > 0 && chunkRowCount % 64 == 0)
        let result = RowSet(copying: self)
        let chunkWordCount = chunkRowCount / 64
        var index = 0
        while index < wordCount {
            let number = (firstWord + index) / chunkWordCount
            let end = min((number + 1) * chunkWordCount - firstWord, wordCount)
            if let other = chunk(number) {
                for place in index..<end {
                    result.words[place] &= ~other[firstWord + place - number * chunkWordCount]
                }
            }
            index = end
        }
        return result
    }

    /// The rows that are in both; the ranges must be the same.
    package func intersection(_ other: RowSet) -> RowSet {
        let result = RowSet(copying: self)
        result.formIntersection(other)
        return result
    }

    /// The rows that are in either; the ranges must be the same.
    package func union(_ other: RowSet) -> RowSet {
        let result = RowSet(copying: self)
        result.formUnion(other)
        return result
    }

    /// The rows of the range that are not in the set.
    package func complement() -> RowSet {
        let result = RowSet(copying: self)
        result.formComplement()
        return result
    }

    // MARK: While it is made

    private convenience init(copying other: RowSet) {
        self.init(other.rows)
        words.update(from: other.words, count: wordCount)
    }

    /// Adds a row of the range.
    @inline(__always)
    func insert(_ row: UInt32) {
        words[Int(row &>> 6) &- firstWord] |= 1 &<< UInt64(row & 63)
    }

    func insertAll() {
        for index in 0..<wordCount { words[index] = .max }
        clearOutside()
    }

    /// Adds the bits of words that stand in a file, little-endian, one for each of the set's.
    func insert(words bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == wordCount * 8)
        for index in 0..<wordCount {
            let word = bytes.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self)
            words[index] |= UInt64(littleEndian: word)
        }
        clearOutside()
    }

    func formUnion(_ other: RowSet) {
        precondition(rows == other.rows)
        for index in 0..<wordCount { words[index] |= other.words[index] }
    }

    func formIntersection(_ other: RowSet) {
        precondition(rows == other.rows)
        for index in 0..<wordCount { words[index] &= other.words[index] }
    }

    func subtract(_ other: RowSet) {
        precondition(rows == other.rows)
        for index in 0..<wordCount { words[index] &= ~other.words[index] }
    }

    func formComplement() {
        for index in 0..<wordCount { words[index] = ~words[index] }
        clearOutside()
    }

    /// Clears the bits of the first and last word that do not belong to the range.
    private func clearOutside() {
        guard wordCount > 0 else { return }
        words[0] &= UInt64.max << UInt64(rows.lowerBound % 64)
        words[wordCount - 1] &= UInt64.max >> UInt64(63 - (rows.upperBound - 1) % 64)
    }
}
