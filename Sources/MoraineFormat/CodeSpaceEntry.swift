// An entry of a code file's table of spaces. Bytes: format-spec/codes.md, "Coded space".

package import MoraineBytes

/// What one coded space of a code file holds.
package struct CodeSpaceEntry: Sendable, Hashable {
    package static let byteCount = 36

    package static let layout = [
        ByteField("collectionID", offset: 0, size: 4, type: "u32"),
        ByteField("field", offset: 4, size: 4, type: "u32"),
        ByteField("dimensions", offset: 8, size: 4, type: "u32"),
        ByteField("strideByteCount", offset: 12, size: 4, type: "u32"),
        ByteField("vectorCount", offset: 16, size: 4, type: "u32"),
        ByteField("metric", offset: 20, size: 1, type: "u8"),
        ByteField("reserved", offset: 21, size: 3, type: "u8[3]"),
        ByteField("scale", offset: 24, size: 4, type: "f32"),
        ByteField("leastNorm", offset: 28, size: 4, type: "f32"),
        ByteField("largestNorm", offset: 32, size: 4, type: "f32"),
    ]

    package let collectionID: UInt32
    /// 1 to 16,384.
    package let dimensions: Int
    /// 1 to 2^32 − 2.
    package let vectorCount: Int
    package let metric: Metric
    /// What one step of a code stands for; a normal number above 0.
    package let scale: Float
    /// The least and the largest norm of the vectors, as the vector file has them.
    package let leastNorm: Float
    package let largestNorm: Float

    package init(
        _ space: VectorSpaceEntry,
        scale: Float,
        leastNorm: Float,
        largestNorm: Float
    ) {
        precondition(scale.isFinite && scale >= .leastNormalMagnitude)
        precondition(leastNorm >= 0 && leastNorm <= largestNorm && largestNorm.isFinite)
        collectionID = space.collectionID
        dimensions = space.dimensions
        vectorCount = space.vectorCount
        metric = space.metric
        self.scale = scale
        self.leastNorm = leastNorm
        self.largestNorm = largestNorm
    }

    /// Bytes of a code: the dimensions, rounded up to 64.
    package var strideByteCount: Int { Self.strideByteCount(dimensions) }

    /// Bytes of a code of so many dimensions.
    package static func strideByteCount(_ dimensions: Int) -> Int { (dimensions + 63) / 64 * 64 }

    /// True when it codes the vectors that `space` describes.
    package func describes(_ space: VectorSpaceEntry) -> Bool {
        collectionID == space.collectionID && dimensions == space.dimensions
            && vectorCount == space.vectorCount && metric == space.metric
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt32(collectionID)
        writer.writeUInt32(0)
        writer.writeUInt32(UInt32(dimensions))
        writer.writeUInt32(UInt32(strideByteCount))
        writer.writeUInt32(UInt32(vectorCount))
        writer.writeUInt8(metric.rawValue)
        writer.writeZeros(3)
        writer.writeUInt32(scale.bitPattern)
        writer.writeUInt32(leastNorm.bitPattern)
        writer.writeUInt32(largestNorm.bitPattern)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let start = reader.position
        func require(
            _ holds: Bool,
            _ at: Int,
            _ field: String,
            _ expected: String,
            _ found: String
        ) throws(FormatError) {
            guard holds else {
                throw FormatError(
                    .range,
                    at: UInt64(start + at),
                    field: field,
                    expected: expected,
                    found: found
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
        scale = Float(bitPattern: try reader.readUInt32("scale"))
        leastNorm = Float(bitPattern: try reader.readUInt32("leastNorm"))
        largestNorm = Float(bitPattern: try reader.readUInt32("largestNorm"))
        let ids = FormatLimits.collectionIDs
        try require(
            ids.contains(collectionID),
            0,
            "collectionID",
            "1 to 2^32 - 2",
            "\(collectionID)"
        )
        try require(field == 0, 4, "field", "0", "\(field)")
        let isShort = (1...FormatLimits.dimensions).contains(Int(dimensions))
        try require(isShort, 8, "dimensions", "1 to 16384", "\(dimensions)")
        let isCounted = UInt64(count) <= FormatLimits.segmentRowCount && count > 0
        try require(isCounted, 16, "vectorCount", "1 to 2^32 - 2", "\(count)")
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
        let wanted = Self.strideByteCount(Int(dimensions))
        try require(Int(stride) == wanted, 12, "strideByteCount", "\(wanted)", "\(stride)")
        let isScale = scale.isFinite && scale >= .leastNormalMagnitude
        try require(isScale, 24, "scale", "a normal number above 0", "\(scale)")
        try require(leastNorm >= 0, 28, "leastNorm", "0 or more", "\(leastNorm)")
        try require(
            leastNorm <= largestNorm && largestNorm.isFinite,
            32,
            "largestNorm",
            "a finite number from \(leastNorm)",
            "\(largestNorm)"
        )
    }
}

/// A sealed file that a derived file was made from.
///
/// Bytes: format-spec/codes.md, "Source".
package struct DerivedSource: Sendable, Hashable {
    package static let byteCount = 16

    package static let layout = [
        ByteField("fileID", offset: 0, size: 8, type: "u64"),
        ByteField("footerChecksum", offset: 8, size: 4, type: "u32"),
        ByteField("reserved", offset: 12, size: 4, type: "u32"),
    ]

    package let fileID: UInt64
    package let footerChecksum: UInt32

    package init(_ reference: SealedFileReference) {
        fileID = reference.fileID
        footerChecksum = reference.footerChecksum
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt64(fileID)
        writer.writeUInt32(footerChecksum)
        writer.writeZeros(4)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        fileID = try reader.readUInt64("fileID")
        footerChecksum = try reader.readUInt32("footerChecksum")
        try reader.readZeros(4, "reserved")
    }
}
