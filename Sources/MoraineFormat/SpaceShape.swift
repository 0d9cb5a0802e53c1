// The fields that entries of spaces begin with, in vector files and in code files.
// Bytes: format-spec/vector.md, "Space".

import MoraineBytes

/// Checks the fields of an entry, whose first byte is at `start`.
struct EntryCheck {
    let start: Int

    /// Throws a `range` error for the field at `offset` unless `holds`.
    func require(
        _ holds: Bool,
        _ offset: Int,
        _ field: String,
        _ expected: String,
        _ found: some CustomStringConvertible
    ) throws(FormatError) {
        guard holds else {
            throw FormatError(
                .range,
                at: UInt64(start + offset),
                field: field,
                expected: expected,
                found: "\(found)"
            )
        }
    }

    /// Checks the two fields that every entry begins with.
    func require(collectionID: UInt32, field: UInt32) throws(FormatError) {
        let ids = FormatLimits.collectionIDs
        let holds = ids.contains(collectionID)
        try require(holds, 0, "collectionID", "1 to 2^32 - 2", collectionID)
        try require(field == 0, 4, "field", "0", field)
    }
}

/// Whose vectors a space has, how many and of what kind.
struct SpaceShape: Sendable, Hashable {
    static let layout = [
        ByteField("collectionID", offset: 0, size: 4, type: "u32"),
        ByteField("field", offset: 4, size: 4, type: "u32"),
        ByteField("dimensions", offset: 8, size: 4, type: "u32"),
        ByteField("strideByteCount", offset: 12, size: 4, type: "u32"),
        ByteField("vectorCount", offset: 16, size: 4, type: "u32"),
        ByteField("metric", offset: 20, size: 1, type: "u8"),
        ByteField("reserved", offset: 21, size: 3, type: "u8[3]"),
    ]

    let collectionID: UInt32
    /// 1 to 16,384.
    let dimensions: Int
    /// 1 to 2^32 − 2.
    let vectorCount: Int
    let metric: Metric

    init(collectionID: UInt32, dimensions: Int, vectorCount: Int, metric: Metric) {
        precondition((1...FormatLimits.dimensions).contains(dimensions))
        precondition(vectorCount > 0 && UInt64(vectorCount) <= FormatLimits.segmentRowCount)
        self.collectionID = collectionID
        self.dimensions = dimensions
        self.vectorCount = vectorCount
        self.metric = metric
    }

    /// - Parameter stride: bytes from one item to the next.
    func encode(into writer: inout ByteWriter, stride: Int) {
        writer.writeUInt32(collectionID)
        writer.writeUInt32(0)
        writer.writeUInt32(UInt32(dimensions))
        writer.writeUInt32(UInt32(stride))
        writer.writeUInt32(UInt32(vectorCount))
        writer.writeUInt8(metric.rawValue)
        writer.writeZeros(3)
    }

    /// - Parameter stride: what it must be for so many dimensions.
    init(decoding reader: inout ByteReader, stride: (Int) -> Int) throws(FormatError) {
        let check = EntryCheck(start: reader.position)
        collectionID = try reader.readUInt32("collectionID")
        let field = try reader.readUInt32("field")
        dimensions = Int(try reader.readUInt32("dimensions"))
        let found = Int(try reader.readUInt32("strideByteCount"))
        vectorCount = Int(try reader.readUInt32("vectorCount"))
        let tag = try reader.readUInt8("metric")
        try reader.readZeros(3, "reserved")
        try check.require(collectionID: collectionID, field: field)
        let isShort = (1...FormatLimits.dimensions).contains(dimensions)
        try check.require(isShort, 8, "dimensions", "1 to 16384", dimensions)
        let isCounted = UInt64(vectorCount) <= FormatLimits.segmentRowCount && vectorCount > 0
        try check.require(isCounted, 16, "vectorCount", "1 to 2^32 - 2", vectorCount)
        guard let metric = Metric(rawValue: tag) else {
            throw FormatError(
                .newer,
                at: UInt64(check.start + 20),
                field: "metric",
                expected: "1 to 3",
                found: "\(tag)"
            )
        }
        self.metric = metric
        let wanted = stride(dimensions)
        try check.require(found == wanted, 12, "strideByteCount", "\(wanted)", found)
    }
}
