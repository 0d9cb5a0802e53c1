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

/// A list of rows as it stands in a file.
private enum EncodedRows {
    case all
    case list(DistanceReader)
    /// As many words as the collection touches.
    case bitmap(UnsafeRawBufferPointer)

    init(_ bytes: UnsafeRawBufferPointer, of collection: Range<UInt32>) throws(FormatError) {
        var reader = ByteReader(bytes)
        let form = try reader.readUInt8("form")
        switch form {
        case RowForm.all:
            try reader.expectEnd("rows")
            self = .all
        case RowForm.list: self = .list(DistanceReader(reader, collection))
        case RowForm.bitmap:
            let wordCount =
                Int((collection.upperBound - 1) / 64) - Int(collection.lowerBound / 64) + 1
            self = .bitmap(try reader.readBytes(wordCount * 8, "bitmap"))
            try reader.expectEnd("rows")
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

/// Reads rows that are distances from the one before.
private struct DistanceReader {
    private var reader: ByteReader
    private var least: UInt64
    private let end: UInt64

    init(_ reader: ByteReader, _ collection: Range<UInt32>) {
        self.reader = reader
        least = UInt64(collection.lowerBound)
        end = UInt64(collection.upperBound)
    }

    /// The next row; `nil` behind the last.
    @inline(__always)
    mutating func next() throws(FormatError) -> UInt32? {
        if reader.isAtEnd { return nil }
        let at = reader.position
        let distance = try reader.readVarint("distance")
        guard distance < end - least else {
            throw FormatError(
                .range,
                at: UInt64(at),
                field: "row",
                expected: "below \(end)",
                found: "\(distance) after \(least)"
            )
        }
        defer { least += distance + 1 }
        return UInt32(least + distance)
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
        switch try EncodedRows(bytes, of: collection) {
        case .all: insertAll()
        case .list(var list):
            while let row = try list.next() {
                if row >= rows.upperBound { return }
                if row >= rows.lowerBound { insert(row) }
            }
        case .bitmap(let words):
            let start = (firstWord - Int(collection.lowerBound / 64)) * 8
            insert(words: UnsafeRawBufferPointer(rebasing: words[start..<(start + wordCount * 8)]))
        }
    }

    /// How many rows of a collection an encoded list holds.
    ///
    /// - Complexity: linear in the bytes of the list, however many rows they stand for.
    /// - Throws: where the list breaks a rule.
    static func count(encoded bytes: UnsafeRawBufferPointer, of collection: Range<UInt32>)
        throws(FormatError) -> Int
    {
        switch try EncodedRows(bytes, of: collection) {
        case .all: return collection.count
        case .list(var list):
            var count = 0
            while try list.next() != nil { count += 1 }
            return count
        case .bitmap:
            let set = RowSet(collection)
            try set.insert(encoded: bytes, of: collection)
            return set.count
        }
    }
}
