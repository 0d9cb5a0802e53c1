// Sorted values of a column, in the mapped bytes. Bytes: format-spec/columns.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

/// The strings of a field, ascending.
struct StringColumn {
    let count: Int
    private let file: ColumnFile
    private let collection: Range<UInt32>
    /// Where the column, its strings and its lists of rows start among the values.
    private let start: Int
    private let stringStart: Int
    private let listStart: Int
    private let end: Int

    /// - Parameter entry: of that file, checked.
    init(_ file: ColumnFile, _ entry: ColumnEntry, _ collection: Range<UInt32>) {
        self.file = file
        self.collection = collection
        count = Int(entry.valueCount)
        start = Int(entry.offset)
        stringStart = start + count * 8
        listStart = stringStart + Int(entry.stringByteCount)
        end = start + Int(entry.byteCount)
    }

    /// The bytes of a string.
    func string(_ index: Int) throws(StoreError) -> UnsafeRawBufferPointer {
        try file.values.bytes(try part(index, field: 0, from: stringStart, to: listStart))
    }

    /// Where the list of rows of a string stands.
    func list(_ index: Int) throws(StoreError) -> Range<Int> {
        try part(index, field: 4, from: listStart, to: end)
    }

    /// The bytes between the end that the entry before names and the one that this one does.
    private func part(_ index: Int, field: Int, from first: Int, to last: Int)
        throws(StoreError) -> Range<Int>
    {
        let previous = try index == 0 ? 0 : boundary(index - 1, field)
        let next = try boundary(index, field)
        guard previous <= next, next <= last - first else {
            throw file.file.damage(
                "a string of a column does not lie in it",
                at: file.values.entry.offset + UInt64(start + index * 8 + field),
                expected: "\(previous) to \(last - first)",
                found: "\(next)"
            )
        }
        return (first + previous)..<(first + next)
    }

    private func boundary(_ index: Int, _ field: Int) throws(StoreError) -> Int {
        let bytes = try file.values.bytes(at: start + index * 8 + field, count: 4)
        return Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
    }

    /// The first string that is not below `text`, or the first above it.
    func place(of text: [UInt8], isBehindEqual: Bool) throws(StoreError) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            let found = try string(middle)
            let order = text.withUnsafeBufferPointer {
                KeyBytes.compare(found, UnsafeRawBufferPointer($0))
            }
            if order < 0 || (isBehindEqual && order == 0) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Adds the rows of a range of strings.
    func add(_ range: Range<Int>, to set: RowSet) throws(StoreError) {
        for index in range {
            let list = try list(index)
            try file.insert(at: list.lowerBound, count: list.count, of: collection, to: set)
        }
    }
}

/// The integers or doubles of a field with their rows, ascending.
struct NumberColumn {
    let count: Int
    private let file: ColumnFile
    private let collection: Range<UInt32>
    private let start: Int
    private let isDouble: Bool

    /// - Parameter entry: of that file, checked.
    init(_ file: ColumnFile, _ entry: ColumnEntry, _ collection: Range<UInt32>) {
        self.file = file
        self.collection = collection
        count = Int(entry.valueCount)
        start = Int(entry.offset)
        isDouble = entry.kind == .doubles
    }

    private func number(at offset: Int) throws(StoreError) -> Number {
        let bytes = try file.values.bytes(at: offset, count: 8)
        let bits = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        return isDouble ? .double(Double(bitPattern: bits)) : .integer(Int64(bitPattern: bits))
    }

    /// The least and the greatest number of a leaf, as its table says.
    func bounds(ofLeaf leaf: Int) throws(StoreError) -> (least: Number, greatest: Number) {
        let at = start + leaf * ColumnLeaves.rangeByteCount
        return (try number(at: at), try number(at: at + 8))
    }

    /// A number of a leaf.
    func number(_ place: Int, ofLeaf leaf: Int) throws(StoreError) -> Number {
        try number(at: start + ColumnLeaves.offset(ofLeaf: leaf, of: count) + place * 8)
    }

    /// The rows of a leaf, u32 each.
    func rows(ofLeaf leaf: Int) throws(StoreError) -> UnsafeRawBufferPointer {
        let entries = ColumnLeaves.entries(ofLeaf: leaf, of: count).count
        let at = start + ColumnLeaves.offset(ofLeaf: leaf, of: count) + entries * 8
        return try file.values.bytes(at: at, count: entries * 4)
    }

    /// The first number that is not below `number`, or the first above it.
    func place(of number: Number, isBehindEqual: Bool) throws(StoreError) -> Int {
        func isBefore(_ found: Number) -> Bool {
            let order = found.order(number)
            return order < 0 || (isBehindEqual && order == 0)
        }
        let leafCount = ColumnLeaves.leafCount(count)
        var low = 0
        var high = leafCount
        while low < high {
            let middle = (low + high) / 2
            if isBefore(try bounds(ofLeaf: middle).greatest) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let leaf = low
        guard leaf < leafCount else { return count }
        let entries = ColumnLeaves.entries(ofLeaf: leaf, of: count)
        low = 0
        high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(try self.number(middle, ofLeaf: leaf)) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return entries.lowerBound + low
    }

    /// Adds the rows of a range of numbers.
    func add(_ range: Range<Int>, to set: RowSet) throws(StoreError) {
        var at = range.lowerBound
        while at < range.upperBound {
            let leaf = at / ColumnLeaves.entryCount
            let entries = ColumnLeaves.entries(ofLeaf: leaf, of: count)
            let end = min(entries.upperBound, range.upperBound)
            let rows = try rows(ofLeaf: leaf)
            for place in (at - entries.lowerBound)..<(end - entries.lowerBound) {
                let row = UInt32(
                    littleEndian: rows.loadUnaligned(fromByteOffset: place &* 4, as: UInt32.self)
                )
                if set.rows.contains(row) {
                    set.insert(row)
                } else if !collection.contains(row) {
                    throw file.file.damage(
                        "a number belongs to a row that the collection has not",
                        at: file.values.entry.offset
                            + UInt64(start + ColumnLeaves.offset(ofLeaf: leaf, of: count)),
                        expected: "a row of \(collection)",
                        found: "\(row)"
                    )
                }
            }
            at = end
        }
    }
}
