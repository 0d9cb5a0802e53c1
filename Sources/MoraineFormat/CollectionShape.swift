// A collection as log, manifest and the schema of a segment hold it, and the ids in all of them.
// Bytes: format-spec/document.md, "Schema".

package import MoraineBytes

/// What a collection is called and what vectors it holds.
package struct CollectionShape: Sendable, Hashable {
    package let id: UInt32
    package let name: String
    /// Numbers in a vector; 0 when documents have none.
    package let dimensions: Int
    package let metric: Metric

    package init(id: UInt32, name: String, dimensions: Int, metric: Metric) {
        self.id = id
        self.name = name
        self.dimensions = dimensions
        self.metric = metric
    }

    /// The same collection under another name.
    package func renamed(_ name: String) -> CollectionShape {
        CollectionShape(id: id, name: name, dimensions: dimensions, metric: metric)
    }

    /// 1 to 255 bytes of UTF-8 without a character below U+0020 and without U+007F.
    package static func isValidName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= FormatLimits.nameByteCount
            && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}

extension ByteWriter {
    /// id · prefixed name · dimensions · metric.
    package mutating func writeCollectionShape(_ shape: CollectionShape) {
        writeVarint(UInt64(shape.id))
        writeString(shape.name)
        writeVarint(UInt64(shape.dimensions))
        writeUInt8(shape.metric.rawValue)
    }
}

extension ByteReader {
    /// A collection's id: a varint from 1 to 2^32 − 2.
    @inline(__always)
    package mutating func readCollectionID() throws(FormatError) -> UInt32 {
        let at = position
        let value = try readVarint("collection id")
        guard let id = UInt32(exactly: value), FormatLimits.collectionIDs.contains(id) else {
            throw FormatError(
                .range,
                at: UInt64(at),
                field: "collection id",
                expected: "1 to 2^32 - 2",
                found: "\(value)"
            )
        }
        return id
    }

    /// A document's id: 1 to 1,024 bytes.
    ///
    /// Whether it is UTF-8 was checked when it was put.
    @inline(__always)
    package mutating func readID() throws(FormatError) -> UnsafeRawBufferPointer {
        let at = position
        let id = try readPrefixed("id")
        guard !id.isEmpty, id.count <= FormatLimits.idByteCount else {
            throw FormatError(
                .range,
                at: UInt64(at),
                field: "id",
                expected: "1 to \(FormatLimits.idByteCount) bytes",
                found: "\(id.count)"
            )
        }
        return id
    }

    /// A collection's name: prefixed, valid.
    package mutating func readCollectionName() throws(FormatError) -> String {
        let at = UInt64(position)
        let name = try readString("name")
        guard CollectionShape.isValidName(name) else {
            throw FormatError(
                .range,
                at: at,
                field: "name",
                expected: "1 to \(FormatLimits.nameByteCount) bytes without control characters",
                found: "\(name.utf8.count) bytes of other text"
            )
        }
        return name
    }

    /// id · prefixed name · dimensions · metric.
    package mutating func readCollectionShape() throws(FormatError) -> CollectionShape {
        let id = try readCollectionID()
        let name = try readCollectionName()
        let dimensionsAt = UInt64(position)
        let dimensions = try readVarint("dimensions")
        guard dimensions <= UInt64(FormatLimits.dimensions) else {
            throw FormatError(
                .range,
                at: dimensionsAt,
                field: "dimensions",
                expected: "0 to \(FormatLimits.dimensions)",
                found: "\(dimensions)"
            )
        }
        let metricAt = UInt64(position)
        let tag = try readUInt8("metric")
        guard let metric = Metric(rawValue: tag) else {
            throw FormatError(
                .newer,
                at: metricAt,
                field: "metric",
                expected: "1 to 3",
                found: "\(tag)"
            )
        }
        return CollectionShape(id: id, name: name, dimensions: Int(dimensions), metric: metric)
    }
}
