// The files of a segment in format-spec/golden: documents, vectors, deletions, keys.

import MoraineBytes
import MoraineFormat
import MoraineTestSupport

// MARK: - document.hex

extension GoldenCase {
    private static let fileSeed = storeID.seed.mixed(7)

    private static let vectorChecksum = CRC32C.value(
        written { writer in
            for value in [1, -0.5, 0.25] as [Float] { writer.writeUInt32(value.bitPattern) }
        }
    )

    private static func body(_ text: String, _ metadata: [UInt8]) -> [UInt8] {
        written { writer in
            withBytes(of: text) { text in
                metadata.withUnsafeBytes {
                    DocumentBody.encode(text: text, metadata: $0, into: &writer)
                }
            }
        }
    }

    private static let firstDocument = document(
        "a",
        lsn: 300,
        updated: time + 1,
        expiry: 0,
        vectorChecksum,
        body("Morän", metadata)
    )
    private static let secondDocument = document(
        "b",
        lsn: 5,
        updated: time,
        expiry: time + 10_000_000_000,
        nil,
        body("", Metadata.empty)
    )

    private static func document(
        _ id: String,
        lsn: UInt64,
        updated: UInt64,
        expiry: UInt64,
        _ vectorChecksum: UInt32?,
        _ body: [UInt8]
    ) -> [UInt8] {
        written { writer in
            withBytes(of: id) { id in
                body.withUnsafeBytes {
                    DocumentRecord.encodeDocument(
                        collectionID: 1,
                        id: id,
                        lsn: lsn,
                        created: time,
                        updated: updated,
                        expiry: expiry,
                        vectorChecksum: vectorChecksum,
                        body: $0,
                        into: &writer
                    )
                }
            }
        }
    }

    /// The records, then where each starts.
    static let payload =
        firstDocument + secondDocument
        + written {
            $0.writeUInt32(0)
            $0.writeUInt32(UInt32(firstDocument.count))
        }

    static let blockHeader = DocumentBlockHeader(
        segmentID: 7,
        blockNumber: 0,
        firstRow: 0,
        recordCount: 2,
        codec: .none,
        kind: .documents,
        rawByteCount: UInt32(payload.count),
        storedByteCount: UInt32(payload.count),
        maxLSN: 300,
        payloadChecksum: CRC32C.value(payload)
    )

    private static let indexEntry = BlockIndexEntry(
        offset: 64,
        storedByteCount: blockHeader.storedByteCount,
        rawByteCount: blockHeader.rawByteCount,
        firstRow: 0,
        recordCount: 2,
        headerChecksum: 0x2732_09DF
    )

    private static let schema = [SegmentCollection(shape: notes, firstRow: 0, rowCount: 2)]

    static let documents = [
        // What writes every kind of value from JSON stands above this layer, in its own tests.
        metadataCase("Metadata") { Golden.part("Metadata", of: "v1/document.hex")?.bytes ?? [] },
        metadataCase("No metadata") { Metadata.empty },
        GoldenCase(
            file: "document.hex",
            title: "Document",
            encode: { firstDocument },
            decode: { bytes throws(FormatError) in
                let record = try DocumentRecord(decoding: bytes)
                try record.validate()
                return !record.isTombstone && record.id.elementsEqual("a".utf8)
                    && record.lsn == 300 && record.created == time && record.updated == time + 1
                    && record.expiry == 0 && record.vectorChecksum == vectorChecksum
                    && record.text.elementsEqual("Morän".utf8)
                    && record.metadata.elementsEqual(metadata)
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Document without vector",
            encode: { secondDocument },
            decode: { bytes throws(FormatError) in
                let record = try DocumentRecord(decoding: bytes)
                try record.validate()
                return record.vectorChecksum == nil && record.expiry == time + 10_000_000_000
                    && record.text.isEmpty && record.metadata.elementsEqual(Metadata.empty)
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Tombstone",
            encode: {
                written { writer in
                    withBytes(of: "gone") {
                        DocumentRecord.encodeTombstone(
                            collectionID: 1,
                            id: $0,
                            lsn: 300,
                            time: time + 1,
                            into: &writer
                        )
                    }
                }
            },
            decode: { bytes throws(FormatError) in
                let record = try DocumentRecord(decoding: bytes)
                try record.validate()
                return record.isTombstone && record.id.elementsEqual("gone".utf8)
                    && record.lsn == 300 && record.updated == time + 1
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Block header",
            table: ("document.md", "Block header"),
            isChecksummed: true,
            encode: { written { _ = blockHeader.encode(at: 64, seed: fileSeed, into: &$0) } },
            decode: { bytes throws(FormatError) in
                try DocumentBlockHeader(
                    decoding: bytes,
                    at: 64,
                    seed: fileSeed,
                    named: indexEntry.headerChecksum
                ) == blockHeader
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Payload",
            isChecksummed: true,
            encode: { payload },
            decode: { bytes throws(FormatError) in
                try expectChecksum(
                    CRC32C.value(bytes),
                    blockHeader.payloadChecksum.littleEndian,
                    at: 0,
                    "payloadChecksum"
                )
                return true
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Block index entry",
            table: ("document.md", "Block index entry"),
            encode: { written { indexEntry.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try BlockIndexEntry(decoding: &reader)
                } == indexEntry
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Schema",
            encode: { written { SegmentCollection.encode(schema, into: &$0) } },
            decode: { bytes throws(FormatError) in
                try SegmentCollection.decode(bytes, rowCount: 2) == schema
            }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Removals",
            encode: { written { Removal.encode(removals, into: &$0) } },
            decode: { bytes throws(FormatError) in try Removal.decode(bytes) == removals }
        ),
        GoldenCase(
            file: "document.hex",
            title: "Expiries",
            encode: { written { SegmentExpiry.encode(expiries, into: &$0) } },
            decode: { bytes throws(FormatError) in
                try SegmentExpiry.decode(bytes, collections: schema) == expiries
            }
        ),
    ]

    private static let removals = [
        Removal(collectionID: 1, lsn: 300, prefix: Array("a/".utf8)),
        Removal(collectionID: 2, lsn: 301, prefix: nil),
    ]
    private static let expiries = [SegmentExpiry(collectionID: 1, rowCount: 2, earliest: time)]

    private static func metadataCase(
        _ title: String,
        encode: @escaping @Sendable () -> [UInt8]
    ) -> GoldenCase {
        GoldenCase(
            file: "document.hex",
            title: title,
            encode: encode,
            decode: { bytes throws(FormatError) in
                try Metadata.validate(bytes)
                return true
            }
        )
    }
}

// MARK: - segment.hex

extension GoldenCase {
    private static let space = VectorSpaceEntry(
        collectionID: 1,
        dimensions: 384,
        vectorCount: 2,
        metric: .cosine
    )
    private static let source = DerivedSource(
        SealedFileReference(fileID: 70, byteCount: 1, footerChecksum: 0x0123_4567)
    )
    private static let codedSpace = CodeSpaceEntry(
        VectorSpaceEntry(collectionID: 1, dimensions: 300, vectorCount: 1024, metric: .cosine),
        scale: 0x1p-8,
        leastNorm: 0.5,
        largestNorm: 3
    )
    private static let graph = GraphSpaceEntry(
        collectionID: 1,
        vectorCount: 5000,
        nodeCount: 4999,
        entryCount: 64,
        joinCount: 1,
        width: 100,
        factor: 1.25,
        meanDegree: 28.5,
        sampleCount: 100,
        recalls: [0.5, 0.625, 0.75, 0.8125, 0.875, 0.9375, 0.96875, 1],
        walk: .coarse
    )
    private static let summary = DeletionSummary(
        segmentID: 7,
        lsn: 300,
        rowCount: 70_000,
        deadRowCount: 3
    )
    private static let filter = KeyFilterHeader(
        seed: 0x0123_4567_89AB_CDEF,
        segmentLength: 4,
        segmentCountLength: 8,
        arrayLength: 16,
        keyCount: 5
    )

    static let segments = [
        GoldenCase(
            file: "segment.hex",
            title: "Space",
            table: ("vector.md", "Space"),
            encode: { written { space.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try VectorSpaceEntry(decoding: &reader)
                } == space
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Summary",
            table: ("deletion.md", "Summary"),
            encode: { written { summary.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try DeletionSummary(decoding: bytes) == summary
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Array",
            table: ("deletion.md", "Containers"),
            encode: {
                written {
                    DeadRowContainer(index: 1, cardinality: 3).encode(into: &$0)
                    for row in [0, 9, 4_463] as [UInt16] { $0.writeUInt16(row) }
                    $0.pad(to: 8)
                }
            },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    let container = try DeadRowContainer(decoding: &reader)
                    let rows = try reader.readBytes(container.cardinality * 2, "rows")
                    try reader.readZeros(2, "padding")
                    return container == DeadRowContainer(index: 1, cardinality: 3)
                        && rows.elementsEqual([0, 0, 9, 0, 0x6F, 0x11])
                }
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Bitmap",
            table: ("deletion.md", "Containers"),
            encode: {
                written { DeadRowContainer(index: 0, cardinality: 65_536).encode(into: &$0) }
            },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try DeadRowContainer(decoding: &reader)
                } == DeadRowContainer(index: 0, cardinality: 65_536)
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Filter",
            table: ("key.md", "Filter"),
            encode: { written { filter.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try KeyFilterHeader(
                        decoding: try reader.readBytes(KeyFilterHeader.byteCount, "filter")
                    )
                } == filter
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Source",
            table: ("codes.md", "Source"),
            encode: { written { source.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try DerivedSource(decoding: &reader)
                } == source
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Coded space",
            table: ("codes.md", "Coded space"),
            encode: { written { codedSpace.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try CodeSpaceEntry(decoding: &reader)
                } == codedSpace
            }
        ),
        GoldenCase(
            file: "segment.hex",
            title: "Graph",
            table: ("graph.md", "Graph"),
            encode: { written { graph.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try GraphSpaceEntry(decoding: &reader)
                } == graph
            }
        ),
    ]
}

extension CRC32C {
    fileprivate static func value(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { value($0) }
    }
}
