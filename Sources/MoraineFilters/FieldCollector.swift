// Gathers the values of the fields of one collection, row by row.

import MoraineBytes
import MoraineFormat

/// Values of one field that stand in one place: its own values, or the elements of its arrays.
struct ValueCollector {
    var nulls: RowList
    var falses: RowList
    var trues: RowList
    var integers: [(value: Int64, row: UInt32)] = []
    var doubles: [(value: Double, row: UInt32)] = []
    var strings = StringTable()
    /// The number of a string and a row that has it.
    var stringRows: [(number: UInt32, row: UInt32)] = []

    /// - Parameter first: the first row of the collection.
    init(first: UInt32) {
        nulls = RowList(first: first)
        falses = nulls
        trues = nulls
    }

    mutating func append(_ scalar: Scalar, row: UInt32) {
        switch scalar {
        case .null: nulls.append(row)
        case .bool(let value): if value { trues.append(row) } else { falses.append(row) }
        case .number(.integer(let value)): integers.append((value, row))
        // One zero: they compare as equal, and so they sort as one value.
        case .number(.double(let value)): doubles.append((value == 0 ? 0 : value, row))
        case .string(let text):
            stringRows.append((UInt32(strings.number(of: text)), row))
        }
    }

    var byteCount: Int {
        nulls.byteCount + falses.byteCount + trues.byteCount
            + 16 * (integers.count + doubles.count) + 8 * stringRows.count
            + strings.byteCount + 20 * strings.count
    }
}

/// A field and the fields within it.
final class FieldCollector {
    /// The path as it is written: each name with its length in front.
    let path: [UInt8]
    let name: [UInt8]
    var present: RowList
    var composites: RowList
    var values: ValueCollector
    var elements: ValueCollector
    /// False once a value could not be taken: then no value is kept.
    private(set) var isIndexed = true
    /// Within this one, ascending by name.
    private var children: [FieldCollector] = []
    /// Where the next name is most likely to stand: documents are alike.
    private var guess = 0

    init(path: [UInt8], name: [UInt8], first: UInt32) {
        self.path = path
        self.name = name
        present = RowList(first: first)
        composites = present
        values = ValueCollector(first: first)
        elements = values
    }

    var byteCount: Int {
        path.count + 400 + present.byteCount + composites.byteCount + values.byteCount
            + elements.byteCount
    }

    /// Drops what was gathered and takes nothing more.
    func giveUp(first: UInt32) {
        isIndexed = false
        present = RowList(first: first)
        composites = present
        values = ValueCollector(first: first)
        elements = values
    }

    /// The field of that name within this one; `nil` when there is none yet.
    func child(_ key: UnsafeRawBufferPointer) -> FieldCollector? {
        if guess < children.count, key.equals(bytes: children[guess].name) {
            defer { guess += 1 }
            return children[guess]
        }
        let place = self.place(of: key)
        guard place < children.count, key.equals(bytes: children[place].name) else { return nil }
        guess = place + 1
        return children[place]
    }

    func insert(_ child: FieldCollector) {
        let place = child.name.withUnsafeBufferPointer {
            self.place(of: UnsafeRawBufferPointer($0))
        }
        children.insert(child, at: place)
        guess = place + 1
    }

    /// The next object begins: names start from the least again.
    func restart() { guess = 0 }

    private func place(of key: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = children.count
        while low < high {
            let middle = (low + high) / 2
            let order = children[middle].name.withUnsafeBufferPointer {
                KeyBytes.compare(UnsafeRawBufferPointer($0), key)
            }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// The fields of one collection.
struct CollectionCollector {
    /// An object that is being gone through.
    private struct Frame {
        var itemCount: Int
        let field: FieldCollector
    }

    let collectionID: UInt32
    let firstRow: UInt32
    private(set) var rowCount: UInt32 = 0
    /// In the order of their first appearance.
    private(set) var fields: [FieldCollector] = []
    /// There are fields that are not in `fields`.
    private(set) var hasOtherFields = false
    private let root: FieldCollector
    private var frames: [Frame] = []

    init(collectionID: UInt32, firstRow: UInt32) {
        self.collectionID = collectionID
        self.firstRow = firstRow
        root = FieldCollector(path: [], name: [], first: firstRow)
    }

    var rows: Range<UInt32> { firstRow..<(firstRow + rowCount) }

    /// Takes the next row's metadata.
    mutating func append(_ metadata: UnsafeRawBufferPointer) throws(FormatError) {
        let row = firstRow + rowCount
        rowCount += 1
        var reader = ByteReader(metadata)
        frames.removeAll(keepingCapacity: true)
        open(root, count: try reader.readCount("count", unit: 2))
        while let last = frames.indices.last {
            guard frames[last].itemCount > 0 else {
                frames.removeLast()
                continue
            }
            frames[last].itemCount -= 1
            let key = try reader.readPrefixed("key")
            guard let field = field(key, in: frames[last].field) else {
                try Metadata.skipValue(&reader)
                continue
            }
            try take(field, row, &reader)
        }
        try reader.expectEnd("metadata")
    }

    /// Bytes of memory, without what was allocated and is not used yet.
    var byteCount: Int { fields.reduce(0) { $0 + $1.byteCount } }

    /// The fields in the order of their paths as they are written.
    var sortedFields: [FieldCollector] {
        fields.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    /// Has the field with the most values give them up; false when none has any.
    func giveUpLargest() -> Bool {
        let indexed = fields.filter(\.isIndexed)
        guard let largest = indexed.max(by: { $0.byteCount < $1.byteCount }) else { return false }
        largest.giveUp(first: firstRow)
        return true
    }

    private mutating func open(_ field: FieldCollector, count: Int) {
        field.restart()
        frames.append(Frame(itemCount: count, field: field))
    }

    private mutating func field(_ key: UnsafeRawBufferPointer, in parent: FieldCollector)
        -> FieldCollector?
    {
        if let field = parent.child(key) { return field }
        guard fields.count < ColumnFileWriter.fieldLimit,
            parent.path.count + key.count < ColumnFileWriter.pathByteLimit
        else {
            hasOtherFields = true
            return nil
        }
        var path = ByteWriter()
        path.writeBytes(parent.path)
        path.writePrefixed(key)
        let field = FieldCollector(path: path.finish(), name: Array(key), first: firstRow)
        parent.insert(field)
        fields.append(field)
        return field
    }

    private mutating func take(
        _ field: FieldCollector,
        _ row: UInt32,
        _ reader: inout ByteReader
    ) throws(FormatError) {
        let isObject = reader.remaining > 0 && reader.bytes[reader.position] == 8
        if field.isIndexed { field.present.append(row) }
        if let scalar = try Scalar(&reader) {
            guard field.isIndexed else { return }
            if Self.isTooLong(scalar) { return field.giveUp(first: firstRow) }
            field.values.append(scalar, row: row)
            return
        }
        if field.isIndexed { field.composites.append(row) }
        if isObject {
            return open(field, count: try reader.readCount("count", unit: 2))
        }
        for _ in 0..<(try reader.readCount("count")) {
            var element = reader
            if let scalar = try Scalar(&element) {
                reader = element
                guard field.isIndexed else { continue }
                if Self.isTooLong(scalar) {
                    field.giveUp(first: firstRow)
                } else {
                    field.elements.append(scalar, row: row)
                }
            } else {
                try Metadata.skipValue(&reader)
            }
        }
    }

    private static func isTooLong(_ scalar: Scalar) -> Bool {
        guard case .string(let text) = scalar else { return false }
        return text.count > ColumnFileWriter.stringByteLimit
    }
}
