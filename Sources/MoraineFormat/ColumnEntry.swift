// The fixed structures of a file of columns. Bytes: format-spec/columns.md.

package import MoraineBytes

/// The rows and fields of one collection.
package struct ColumnCollection: Sendable, Equatable {
    package static let byteCount = 24
    /// Fields that are not in the table may stand in the documents.
    package static let hasOtherFields: UInt32 = 1

    package static let layout = [
        ByteField("collectionID", offset: 0, size: 4, type: "u32"),
        ByteField("firstRow", offset: 4, size: 4, type: "u32"),
        ByteField("rowCount", offset: 8, size: 4, type: "u32"),
        ByteField("firstField", offset: 12, size: 4, type: "u32"),
        ByteField("fieldCount", offset: 16, size: 4, type: "u32"),
        ByteField("flags", offset: 20, size: 4, type: "u32"),
    ]

    package let collectionID: UInt32
    /// At least one; not beyond 2^32 - 2.
    package let rows: Range<UInt32>
    package let fields: Range<Int>
    /// False: a field that is not in the table stands in no document of these rows.
    package let hasOtherFields: Bool

    package init(
        collectionID: UInt32,
        rows: Range<UInt32>,
        fields: Range<Int>,
        hasOtherFields: Bool
    ) {
        self.collectionID = collectionID
        self.rows = rows
        self.fields = fields
        self.hasOtherFields = hasOtherFields
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(collectionID)
        writer.writeUInt32(rows.lowerBound)
        writer.writeUInt32(UInt32(rows.count))
        writer.writeUInt32(UInt32(fields.lowerBound))
        writer.writeUInt32(UInt32(fields.count))
        writer.writeUInt32(hasOtherFields ? ColumnCollection.hasOtherFields : 0)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let start = UInt64(reader.position)
        collectionID = try reader.readUInt32("collectionID")
        let firstRow = try reader.readUInt32("firstRow")
        let rowCount = try reader.readUInt32("rowCount")
        let firstField = try reader.readUInt32("firstField")
        let fieldCount = try reader.readUInt32("fieldCount")
        let flags = try reader.readUInt32("flags")
        guard rowCount > 0, UInt64(firstRow) + UInt64(rowCount) <= FormatLimits.segmentRowCount
        else {
            throw FormatError(
                .range,
                at: start + 8,
                field: "rowCount",
                expected: "1 to \(FormatLimits.segmentRowCount) rows in all",
                found: "\(rowCount) from \(firstRow) on"
            )
        }
        guard flags & ~ColumnCollection.hasOtherFields == 0 else {
            throw FormatError(
                .newer,
                at: start + 20,
                field: "flags",
                expected: "0 or 1",
                found: "\(flags)"
            )
        }
        rows = firstRow..<(firstRow + rowCount)
        fields = Int(firstField)..<(Int(firstField) + Int(fieldCount))
        hasOtherFields = flags != 0
    }
}

/// A field: its path and its columns.
package struct ColumnField: Sendable, Equatable {
    package static let byteCount = 16

    package static let layout = [
        ByteField("pathOffset", offset: 0, size: 4, type: "u32"),
        ByteField("pathByteCount", offset: 4, size: 4, type: "u32"),
        ByteField("firstColumn", offset: 8, size: 4, type: "u32"),
        ByteField("columnCount", offset: 12, size: 4, type: "u32"),
    ]

    /// Columns of a field at most: one of each kind in each domain, but for the rows that have the
    /// field and those in which it is an array or object.
    package static let columnCount =
        ColumnEntry.Kind.allCases.count * ColumnEntry.Domain.allCases.count - 2
    /// Bytes of a path at most: its names, the last with a length of two bytes in front.
    package static let pathByteCount = 1025

    package let path: Range<Int>
    /// Empty: the field stands in documents and is not indexed.
    package let columns: Range<Int>

    package init(path: Range<Int>, columns: Range<Int>) {
        self.path = path
        self.columns = columns
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(UInt32(path.lowerBound))
        writer.writeUInt32(UInt32(path.count))
        writer.writeUInt32(UInt32(columns.lowerBound))
        writer.writeUInt32(UInt32(columns.count))
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        // More than one field may name the same bytes or columns: many that name as many as there
        // are would be shown and checked for hours.
        func count(_ field: StaticString, atMost limit: Int) throws(FormatError) -> Int {
            let at = UInt64(reader.position)
            let count = Int(try reader.readUInt32(field))
            guard count <= limit else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "\(field)",
                    expected: "at most \(limit)",
                    found: "\(count)"
                )
            }
            return count
        }
        let pathOffset = Int(try reader.readUInt32("pathOffset"))
        path = pathOffset..<(pathOffset + (try count("pathByteCount", atMost: Self.pathByteCount)))
        let first = Int(try reader.readUInt32("firstColumn"))
        columns = first..<(first + (try count("columnCount", atMost: Self.columnCount)))
    }
}

/// A column: one kind of values of a field.
package struct ColumnEntry: Sendable, Equatable {
    /// What a column holds.
    ///
    /// On disk: never renumber.
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// The rows that have the field.
        case present = 1
        /// The rows in which it is an array or object.
        case composite = 2
        /// The rows in which it is null.
        case null = 3
        case `false` = 4
        case `true` = 5
        /// Integers with their rows, ascending.
        case integers = 6
        /// Doubles with their rows, ascending.
        case doubles = 7
        /// Strings, ascending, each with its rows.
        case strings = 8
    }

    /// Where the values stand.
    ///
    /// On disk: never renumber.
    package enum Domain: UInt8, Sendable, CaseIterable {
        /// The field's own value.
        case value = 1
        /// The elements of an array.
        case elements = 2
    }

    package static let byteCount = 32

    package static let layout = [
        ByteField("kind", offset: 0, size: 1, type: "u8"),
        ByteField("domain", offset: 1, size: 1, type: "u8"),
        ByteField("reserved", offset: 2, size: 2, type: "u8[2]"),
        ByteField("valueCount", offset: 4, size: 4, type: "u32"),
        ByteField("stringByteCount", offset: 8, size: 8, type: "u64"),
        ByteField("offset", offset: 16, size: 8, type: "u64"),
        ByteField("byteCount", offset: 24, size: 8, type: "u64"),
    ]

    package let kind: Kind
    package let domain: Domain
    /// Rows; numbers with a row; different strings.
    package let valueCount: UInt32
    /// Bytes of all strings; 0 for other kinds.
    package let stringByteCount: UInt64
    /// From the start of the section of values.
    package let offset: UInt64
    package let byteCount: UInt64

    package init(
        kind: Kind,
        domain: Domain,
        valueCount: UInt32,
        stringByteCount: UInt64,
        offset: UInt64,
        byteCount: UInt64
    ) {
        self.kind = kind
        self.domain = domain
        self.valueCount = valueCount
        self.stringByteCount = stringByteCount
        self.offset = offset
        self.byteCount = byteCount
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt8(kind.rawValue)
        writer.writeUInt8(domain.rawValue)
        writer.writeZeros(2)
        writer.writeUInt32(valueCount)
        writer.writeUInt64(stringByteCount)
        writer.writeUInt64(offset)
        writer.writeUInt64(byteCount)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let start = UInt64(reader.position)
        let kindNumber = try reader.readUInt8("kind")
        let domainNumber = try reader.readUInt8("domain")
        guard let kind = Kind(rawValue: kindNumber), let domain = Domain(rawValue: domainNumber),
            domain == .value || kind != .present && kind != .composite
        else {
            throw FormatError(
                .newer,
                at: start,
                field: "kind",
                expected: "kinds 1 and 2 in domain 1, or 3 to 8 in domain 1 or 2",
                found: "\(kindNumber) and \(domainNumber)"
            )
        }
        self.kind = kind
        self.domain = domain
        try reader.readZeros(2, "reserved")
        valueCount = try reader.readUInt32("valueCount")
        stringByteCount = try reader.readUInt64("stringByteCount")
        offset = try reader.readUInt64("offset")
        byteCount = try reader.readUInt64("byteCount")
    }
}
