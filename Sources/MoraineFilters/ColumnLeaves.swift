// How the numbers of a column are cut into leaves. Bytes: format-spec/columns.md, "Numbers".

/// The places of leaves in a column of numbers.
enum ColumnLeaves {
    /// Numbers of a leaf; the last one may have fewer.
    static let entryCount = 4096
    /// Bytes of the least and greatest number of a leaf.
    static let rangeByteCount = 16
    /// Bytes of a number and its row.
    static let entryByteCount = 12

    static func leafCount(_ count: Int) -> Int { (count + entryCount - 1) / entryCount }

    static func byteCount(_ count: Int) -> Int {
        leafCount(count) * rangeByteCount + count * entryByteCount
    }

    /// The numbers that a leaf holds.
    static func entries(ofLeaf leaf: Int, of count: Int) -> Range<Int> {
        (leaf * entryCount)..<min((leaf + 1) * entryCount, count)
    }

    /// Where a leaf starts in the column.
    static func offset(ofLeaf leaf: Int, of count: Int) -> Int {
        leafCount(count) * rangeByteCount + leaf * entryCount * entryByteCount
    }
}
