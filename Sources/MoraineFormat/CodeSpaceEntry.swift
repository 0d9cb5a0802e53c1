// An entry of a code file's table of spaces. Bytes: format-spec/codes.md, "Coded space".

package import MoraineBytes

/// What one coded space of a code file holds.
package struct CodeSpaceEntry: Sendable, Hashable {
    package static let byteCount = 36

    package static let layout =
        SpaceShape.layout + [
            ByteField("scale", offset: 24, size: 4, type: "f32"),
            ByteField("leastNorm", offset: 28, size: 4, type: "f32"),
            ByteField("largestNorm", offset: 32, size: 4, type: "f32"),
        ]

    private let shape: SpaceShape
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
        shape = SpaceShape(
            collectionID: space.collectionID,
            dimensions: space.dimensions,
            vectorCount: space.vectorCount,
            metric: space.metric
        )
        self.scale = scale
        self.leastNorm = leastNorm
        self.largestNorm = largestNorm
    }

    package var collectionID: UInt32 { shape.collectionID }
    /// 1 to 16,384.
    package var dimensions: Int { shape.dimensions }
    /// 1 to 2^32 − 2.
    package var vectorCount: Int { shape.vectorCount }
    package var metric: Metric { shape.metric }

    /// Bytes of a code: the dimensions, rounded up to 128.
    package var strideByteCount: Int { Self.strideByteCount(dimensions) }

    /// Bytes of a code of so many dimensions.
    package static func strideByteCount(_ dimensions: Int) -> Int { (dimensions + 127) / 128 * 128 }

    /// True when it codes the vectors that `space` describes.
    package func describes(_ space: VectorSpaceEntry) -> Bool {
        collectionID == space.collectionID && dimensions == space.dimensions
            && vectorCount == space.vectorCount && metric == space.metric
    }

    package func encode(into writer: inout ByteWriter) {
        shape.encode(into: &writer, stride: strideByteCount)
        writer.writeUInt32(scale.bitPattern)
        writer.writeUInt32(leastNorm.bitPattern)
        writer.writeUInt32(largestNorm.bitPattern)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        let check = EntryCheck(start: reader.position)
        shape = try SpaceShape(decoding: &reader, stride: Self.strideByteCount)
        scale = Float(bitPattern: try reader.readUInt32("scale"))
        leastNorm = Float(bitPattern: try reader.readUInt32("leastNorm"))
        largestNorm = Float(bitPattern: try reader.readUInt32("largestNorm"))
        let isScale = scale.isFinite && scale >= .leastNormalMagnitude
        try check.require(isScale, 24, "scale", "a normal number above 0", scale)
        try check.require(leastNorm >= 0, 28, "leastNorm", "0 or more", leastNorm)
        try check.require(
            leastNorm <= largestNorm && largestNorm.isFinite,
            32,
            "largestNorm",
            "a finite number from \(leastNorm)",
            largestNorm
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
