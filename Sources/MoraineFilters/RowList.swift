// The rows that have a value, as a file of columns holds them.
// Bytes: format-spec/columns.md, "Rows".

import MoraineBytes

/// Forms of a list of rows.
///
/// On disk: never renumber.
private enum RowForm {
    /// All rows of the collection.
    static let all: UInt8 = 1
    /// Each row's distance from the one before.
    static let list: UInt8 = 2
    /// One bit a row.
    static let bitmap: UInt8 = 3
}

/// Ascending rows, gathered in the form of a list: 1 to 5 bytes a row.
struct RowList {
    private var distances = ByteWriter()
    private(set) var count: UInt32 = 0
    /// The least row that may follow.
    private var next: UInt32

    /// - Parameter first: the first row of the collection.
    init(first: UInt32) { next = first }

    /// Appends a row above the last; the last itself is not added again.
    @inline(__always)
    mutating func append(_ row: UInt32) {
        if count > 0, row == next &- 1 { return }
        distances.writeVarint(UInt64(row - next))
        next = row + 1
        count += 1
    }

    var byteCount: Int { distances.count }

    /// Forgets the rows, keeps the memory.
    mutating func restart(first: UInt32) {
        distances.removeAll()
        count = 0
        next = first
    }

    /// Writes the rows of a collection in the shortest form.
    func encode(_ rows: Range<UInt32>, into writer: inout ByteWriter) {
        let firstWord = Int(rows.lowerBound / 64)
        let wordCount = Int((rows.upperBound - 1) / 64) - firstWord + 1
        if Int(count) == rows.count {
            writer.writeUInt8(RowForm.all)
        } else if distances.count < wordCount * 8 {
            writer.writeUInt8(RowForm.list)
            writer.writeBytes(distances.bytes)
        } else {
            writer.writeUInt8(RowForm.bitmap)
            var words = [UInt64](repeating: 0, count: wordCount)
            distances.withBytes { bytes in
                var reader = ByteReader(bytes)
                var row = Int(rows.lowerBound)
                // What was written above reads back.
                while let distance = try? reader.readVarint("distance") {
                    row += Int(distance)
                    words[row / 64 - firstWord] |= 1 << UInt64(row % 64)
                    row += 1
                }
            }
            for word in words { writer.writeUInt64(word) }
        }
    }
}

extension RowSet {
    /// Adds the rows of an encoded list, those that are in the range.
    ///
    /// - Parameter collection: the rows that the list may hold; the set's range lies in them.
    /// - Throws: where the list breaks a rule; some rows may have been added by then.
    func insert(encoded bytes: UnsafeRawBufferPointer, of collection: Range<UInt32>)
        throws(FormatError)
    {
        var reader = ByteReader(bytes)
        let form = try reader.readUInt8("form")
        switch form {
        case RowForm.all:
            try reader.expectEnd("rows")
            insertAll()
        case RowForm.list:
            var row = UInt64(collection.lowerBound)
            while !reader.isAtEnd {
                let at = reader.position
                let distance = try reader.readVarint("distance")
                guard distance < UInt64(collection.upperBound) - row else {
                    throw FormatError(
                        .range,
                        at: UInt64(at),
                        field: "row",
                        expected: "below \(collection.upperBound)",
                        found: "\(distance) after \(row)"
                    )
                }
                row += distance
                if row >= UInt64(rows.upperBound) { return }
                if row >= UInt64(rows.lowerBound) { insert(UInt32(row)) }
                row += 1
            }
        case RowForm.bitmap:
            let base = Int(collection.lowerBound / 64)
            let all = Int((collection.upperBound - 1) / 64) - base + 1
            let words = try reader.readBytes(all * 8, "bitmap")
            try reader.expectEnd("rows")
            let start = (firstWord - base) * 8
            insert(words: UnsafeRawBufferPointer(rebasing: words[start..<(start + wordCount * 8)]))
        default:
            throw FormatError(
                .newer,
                at: 0,
                field: "form",
                expected: "1 to 3",
                found: "\(form)"
            )
        }
    }
}
