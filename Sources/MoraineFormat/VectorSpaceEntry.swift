// An entry of a vector file's table of spaces. Bytes: format-spec/vector.md, "Space".

package import MoraineBytes

/// What one space of a vector file holds.
package struct VectorSpaceEntry: Sendable, Hashable {
    package static let byteCount = 24

    package static let layout = [
        ByteField("collectionID", offset: 0, size: 4, type: "u32"),
        ByteField("field", offset: 4, size: 4, type: "u32"),
        ByteField("dimensions", offset: 8, size: 4, type: "u32"),
        ByteField("strideByteCount", offset: 12, size: 4, type: "u32"),
        ByteField("vectorCount", offset: 16, size: 4, type: "u32"),
        ByteField("metric", offset: 20, size: 1, type: "u8"),
        ByteField("reserved", offset: 21, size: 3, type: "u8[3]"),
    ]

    package let collectionID: UInt32
    /// 1 to 16,384.
    package let dimensions: Int
    /// 1 to 2^32 − 2.
    package let vectorCount: Int
    package let metric: Metric

    package init(collectionID: UInt32, dimensions: Int, vectorCount: Int, metric: Metric) {
        precondition((1...FormatLimits.dimensions).contains(dimensions))
        precondition(vectorCount > 0 && UInt64(vectorCount) <= FormatLimits.segmentRowCount)
        self.collectionID = collectionID
        self.dimensions = dimensions
        self.vectorCount = vectorCount
        self.metric = metric
    }

    /// Bytes from the start of a vector to the start of the next.
    package var strideByteCount: Int { (4 * dimensions + 63) / 64 * 64 }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(collectionID)
        writer.writeUInt32(0)
        writer.writeUInt32(UInt32(dimensions))
        writer.writeUInt32(UInt32(strideByteCount))
        writer.writeUInt32(UInt32(vectorCount))
        writer.writeUInt8(metric.rawValue)
        writer.writeZeros(3)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let start = reader.position
        func require(
            _ holds: Bool,
            _ at: Int,
            _ field: String,
            _ expected: String,
            _ found: UInt32
        ) throws(FormatError) {
            guard holds else {
                throw FormatError(
                    .range,
                    at: UInt64(start + at),
                    field: field,
                    expected: expected,
                    found: "\(found)"
                )
            }
        }
        collectionID = try reader.readUInt32("collectionID")
        let field = try reader.readUInt32("field")
        let dimensions = try reader.readUInt32("dimensions")
        let stride = try reader.readUInt32("strideByteCount")
        let count = try reader.readUInt32("vectorCount")
        let tag = try reader.readUInt8("metric")
        try reader.readZeros(3, "reserved")
        try require(
            FormatLimits.collectionIDs.contains(collectionID),
            0,
            "collectionID",
            "1 to 2^32 - 2",
            collectionID
        )
        try require(field == 0, 4, "field", "0", field)
        try require(
            (1...FormatLimits.dimensions).contains(Int(dimensions)),
            8,
            "dimensions",
            "1 to 16384",
            dimensions
        )
        try require(
            UInt64(count) <= FormatLimits.segmentRowCount && count > 0,
            16,
            "vectorCount",
            "1 to 2^32 - 2",
            count
        )
        guard let metric = Metric(rawValue: tag) else {
            throw FormatError(
                .newer,
                at: UInt64(start + 20),
                field: "metric",
                expected: "1 to 3",
                found: "\(tag)"
            )
        }
        self.metric = metric
        self.dimensions = Int(dimensions)
        vectorCount = Int(count)
        try require(
            Int(stride) == strideByteCount,
            12,
            "strideByteCount",
            "\(strideByteCount)",
            stride
        )
    }
}
