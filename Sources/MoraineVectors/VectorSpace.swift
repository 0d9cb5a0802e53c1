// One space of a vector file: the vectors of one collection, where they lie and whose they are.
// Bytes: format-spec/vector.md.

package import MoraineFormat
package import MoraineStorage
import Synchronization

/// The vectors of one collection in a mapped vector file.
///
/// Vectors are numbered from 0 in the order of their rows: that number is a vector's ordinal. Every
/// read checks the chunks it touches, once per open file, and throws `corrupted` if one does not
/// match. Pointers are valid as long as this object lives. Any thread.
package final class VectorSpace: Sendable {
    package let entry: VectorSpaceEntry
    /// Floats from the start of a vector to the start of the next.
    package let stride: Int
    /// Rows of the segment.
    let rowCount: UInt32
    /// Kept because the sections borrow it.
    private let file: SealedFile
    let vectorSection: Section
    let rowSection: Section
    let normSection: Section
    /// First and last row, `first << 32 | last`, once they were read; `unread` before.
    private let ends = Atomic<UInt64>(VectorSpace.unread)
    private static let unread = UInt64.max  // no row is 2^32 - 1

    /// Finds the sections of the `index`-th space and compares their lengths with its entry.
    init(
        _ entry: VectorSpaceEntry,
        index: Int,
        rowCount: UInt32,
        in file: SealedFile
    ) throws(StoreError) {
        func section(_ type: UInt32, unit: Int) throws(StoreError) -> Section {
            // No overflow: at most 2^32 vectors of 2^16 bytes.
            let byteCount = entry.vectorCount * unit
            return try file.requiredSection(type, ordinal: index, byteCount: byteCount)
        }
        vectorSection = try section(SectionType.vectors, unit: entry.strideByteCount)
        rowSection = try section(SectionType.rowMap, unit: 4)
        normSection = try section(SectionType.norms, unit: 4)
        stride = entry.strideByteCount / 4
        self.entry = entry
        self.rowCount = rowCount
        self.file = file
    }

    package var collectionID: UInt32 { entry.collectionID }
    package var dimensions: Int { entry.dimensions }
    package var metric: Metric { entry.metric }
    package var vectorCount: Int { entry.vectorCount }
    package var strideByteCount: Int { entry.strideByteCount }

    /// The floats of one vector: `dimensions` of them.
    package func vector(_ ordinal: Int) throws(StoreError) -> UnsafePointer<Float> {
        try vectors(ordinal..<(ordinal + 1))
    }

    /// The floats of neighbouring vectors, `stride` apart.
    package func vectors(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Float> {
        try items(ordinals, vectorSection, strideByteCount, Float.self)
    }

    /// The norm of one vector.
    package func norm(_ ordinal: Int) throws(StoreError) -> Float {
        try norms(ordinal..<(ordinal + 1)).pointee
    }

    /// The norms of neighbouring vectors.
    package func norms(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Float> {
        try items(ordinals, normSection, 4, Float.self)
    }

    /// The row of a vector, below the segment's row count.
    package func row(_ ordinal: Int) throws(StoreError) -> UInt32 {
        let ends = try rowEnds()
        guard !isDense(ends) else { return ends.first + UInt32(ordinal) }
        return try mappedRow(ordinal)
    }

    /// The vector of a row; `nil` when the row has none in this space.
    ///
    /// - Complexity: one step where every row between the first and the last has a vector, else a
    ///   binary search of the row map.
    package func ordinal(ofRow row: UInt32) throws(StoreError) -> Int? {
        let ends = try rowEnds()
        guard row >= ends.first, row <= ends.last else { return nil }
        if isDense(ends) { return Int(row - ends.first) }
        var low = 0
        var high = vectorCount
        while low < high {
            let middle = (low + high) / 2
            if try mappedRow(middle) < row { low = middle + 1 } else { high = middle }
        }
        guard low < vectorCount, try mappedRow(low) == row else { return nil }
        return low
    }

    /// The ordinals of those of some rows that have a vector.
    ///
    /// - Parameter rows: calls its argument with rows, ascending.
    /// - Complexity: linear in the rows where every row between the first and the last has a vector,
    ///   else times the logarithm of how far apart they lie.
    package func ordinals(
        ofRows rows: ((UInt32) throws(StoreError) -> Void) throws(StoreError) -> Void
    ) throws(StoreError) -> [UInt32] {
        let ends = try rowEnds()
        let isDense = isDense(ends)
        var ordinals: [UInt32] = []
        var place = 0
        try rows { row throws(StoreError) in
            guard row >= ends.first, row <= ends.last else { return }
            if isDense { return ordinals.append(row - ends.first) }
            place = try firstOrdinal(notBelow: row, from: place)
            // Not beyond the end: the last row is not below this one.
            if try mappedRow(place) == row { ordinals.append(UInt32(place)) }
        }
        return ordinals
    }

    /// The first ordinal, from one on, whose row is not below a row up to the last one.
    private func firstOrdinal(notBelow row: UInt32, from start: Int) throws(StoreError) -> Int {
        var low = start
        var high = start
        var step = 1
        while try mappedRow(high) < row {
            low = high + 1
            high = min(high + step, vectorCount - 1)
            step *= 2
        }
        while low < high {
            let middle = (low + high) / 2
            if try mappedRow(middle) < row { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The row of the first vector, where every row up to that of the last has one.
    package func firstRowIfDense() throws(StoreError) -> UInt32? {
        let ends = try rowEnds()
        return isDense(ends) ? ends.first : nil
    }

    /// As the row map ascends strictly, its ends tell whether it has gaps.
    @inline(__always)
    private func isDense(_ ends: (first: UInt32, last: UInt32)) -> Bool {
        Int(ends.last - ends.first) + 1 == vectorCount
    }

    @inline(__always)
    private func rowEnds() throws(StoreError) -> (first: UInt32, last: UInt32) {
        let packed = ends.load(ordering: .relaxed)
        guard packed != Self.unread else { return try readRowEnds() }
        return (UInt32(truncatingIfNeeded: packed >> 32), UInt32(truncatingIfNeeded: packed))
    }

    private func readRowEnds() throws(StoreError) -> (first: UInt32, last: UInt32) {
        let first = try mappedRow(0)
        let last = try mappedRow(vectorCount - 1)
        guard last >= first, Int(last - first) >= vectorCount - 1 else {
            throw damage(
                at: vectorCount - 1,
                "row map does not ascend",
                "\(Int(first) + vectorCount - 1)",
                "\(last)"
            )
        }
        ends.store(UInt64(first) << 32 | UInt64(last), ordering: .relaxed)
        return (first, last)
    }

    private func mappedRow(_ ordinal: Int) throws(StoreError) -> UInt32 {
        let row = try items(ordinal..<(ordinal + 1), rowSection, 4, UInt32.self).pointee
        guard row < rowCount else {
            throw damage(at: ordinal, "row beyond the segment's", "below \(rowCount)", "\(row)")
        }
        return row
    }

    /// The error for a norm that no valid vector has.
    func invalidNorm(at ordinal: Int) -> StoreError {
        file.damage(
            "a vector's norm cannot be",
            at: normSection.entry.offset + UInt64(ordinal) * 4,
            expected: "a finite norm that the metric allows",
            found: "another"
        )
    }

    private func damage(
        at ordinal: Int,
        _ what: String,
        _ expected: String,
        _ found: String
    ) -> StoreError {
        file.damage(
            what,
            at: rowSection.entry.offset + UInt64(ordinal) * 4,
            expected: expected,
            found: found
        )
    }

    /// Items of `unit` bytes as they lie in a section, after their chunks were checked.
    @inline(__always)
    private func items<T: BitwiseCopyable>(
        _ ordinals: Range<Int>,
        _ section: Section,
        _ unit: Int,
        _ type: T.Type
    ) throws(StoreError) -> UnsafePointer<T> {
        precondition(ordinals.lowerBound >= 0 && ordinals.upperBound <= vectorCount)
        let bytes = try section.bytes(
            at: ordinals.lowerBound &* unit,
            count: ordinals.count &* unit
        )
        // The section is not empty, so that there is an address; sections start at multiples of 64
        // of a mapping that starts on a page.
        guard let base = bytes.baseAddress else { throw damage(at: 0, "no bytes", "some", "none") }
        return base.assumingMemoryBound(to: T.self)
    }
}
