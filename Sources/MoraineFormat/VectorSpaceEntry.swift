// An entry of a vector file's table of spaces. Bytes: format-spec/vector.md, "Space".

package import MoraineBytes

/// What one space of a vector file holds.
package struct VectorSpaceEntry: Sendable, Hashable {
    package static let byteCount = 24

    package static let layout = SpaceShape.layout

    private let shape: SpaceShape

    package init(collectionID: UInt32, dimensions: Int, vectorCount: Int, metric: Metric) {
        shape = SpaceShape(
            collectionID: collectionID,
            dimensions: dimensions,
            vectorCount: vectorCount,
            metric: metric
        )
    }

    package var collectionID: UInt32 { shape.collectionID }
    /// 1 to 16,384.
    package var dimensions: Int { shape.dimensions }
    /// 1 to 2^32 − 2.
    package var vectorCount: Int { shape.vectorCount }
    package var metric: Metric { shape.metric }

    /// Bytes from the start of a vector to the start of the next.
    package var strideByteCount: Int { Self.strideByteCount(dimensions) }

    private static func strideByteCount(_ dimensions: Int) -> Int {
        (4 * dimensions + 63) / 64 * 64
    }

    package func encode(into writer: inout ByteWriter) {
        shape.encode(into: &writer, stride: strideByteCount)
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        shape = try SpaceShape(decoding: &reader, stride: Self.strideByteCount)
    }
}
