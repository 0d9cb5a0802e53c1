// The head of a deletion file and of its containers. Bytes: format-spec/deletion.md.

package import MoraineBytes

/// Which rows a deletion file is about.
package struct DeletionSummary: Sendable, Equatable {
    package static let byteCount = 24

    package static let layout = [
        ByteField("segmentID", offset: 0, size: 8, type: "u64"),
        ByteField("lsn", offset: 8, size: 8, type: "u64"),
        ByteField("rowCount", offset: 16, size: 4, type: "u32"),
        ByteField("deadRowCount", offset: 20, size: 4, type: "u32"),
    ]

    package var segmentID: UInt64
    /// The rows are dead as of this commit.
    package var lsn: UInt64
    package var rowCount: UInt32
    package var deadRowCount: UInt32

    package init(segmentID: UInt64, lsn: UInt64, rowCount: UInt32, deadRowCount: UInt32) {
        self.segmentID = segmentID
        self.lsn = lsn
        self.rowCount = rowCount
        self.deadRowCount = deadRowCount
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt64(segmentID)
        writer.writeUInt64(lsn)
        writer.writeUInt32(rowCount)
        writer.writeUInt32(deadRowCount)
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes)
        segmentID = try reader.readUInt64("segmentID")
        lsn = try reader.readUInt64("lsn")
        rowCount = try reader.readUInt32("rowCount")
        deadRowCount = try reader.readUInt32("deadRowCount")
        try reader.expectEnd("summary")
    }
}

/// The head of a container of dead rows.
package struct DeadRowContainer: Sendable, Equatable {
    /// How the rows are written.
    ///
    /// On disk: never renumber.
    package enum Kind: UInt16, Sendable {
        case array = 1
        case bitmap = 2
    }

    package static let byteCount = 8
    /// Rows that one container covers.
    package static let rowCount = 65_536
    /// Rows of an array at most.
    package static let arrayCapacity = 4096
    package static let bitmapByteCount = 8192

    package static let layout = [
        ByteField("index", offset: 0, size: 4, type: "u32"),
        ByteField("kind", offset: 4, size: 2, type: "u16"),
        ByteField("cardinality", offset: 6, size: 2, type: "u16"),
    ]

    package var index: UInt32
    /// Dead rows in the container, 1 to 65,536; on disk less one.
    package var cardinality: Int

    package init(index: UInt32, cardinality: Int) {
        self.index = index
        self.cardinality = cardinality
    }

    /// Follows from the cardinality: the smaller of the two.
    package var kind: Kind {
        cardinality <= DeadRowContainer.arrayCapacity ? .array : .bitmap
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(index)
        writer.writeUInt16(kind.rawValue)
        writer.writeUInt16(UInt16(cardinality - 1))
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let at = UInt64(reader.position)
        index = try reader.readUInt32("index")
        let kindNumber = try reader.readUInt16("kind")
        cardinality = Int(try reader.readUInt16("cardinality")) + 1
        guard kindNumber == kind.rawValue else {
            throw FormatError(
                .mismatch,
                at: at + 4,
                field: "kind",
                expected: "\(kind.rawValue)",
                found: "\(kindNumber)"
            )
        }
    }
}
