// The structures that stand in format-spec/golden, as the code has them.

import MoraineBytes
import MoraineFormat
import MoraineTestSupport
import Testing

/// One part of a golden file, and how the code writes and reads it.
struct GoldenCase: Sendable, CustomTestStringConvertible {
    let file: String
    let title: String
    /// The page and heading with the table of its fields, where it has a fixed layout.
    var table: (page: String, heading: String)?
    /// Every flipped bit must be refused.
    var isChecksummed = false
    let encode: @Sendable () -> [UInt8]
    /// Reads all of the bytes; true when they say what was encoded.
    let decode: @Sendable (UnsafeRawBufferPointer) throws(FormatError) -> Bool

    var testDescription: String { "\(file), \(title)" }
    var golden: Golden? { Golden.part(title, of: "v1/\(file)") }

    static let storeID = StoreID(low: 0x7766_5544_3322_1100, high: 0xFFEE_DDCC_BBAA_9988)
    static let incarnation: UInt64 = 0x0123_4567_89AB_CDEF
    static let time: UInt64 = 1_700_000_000_000
    static let notes = CollectionShape(id: 1, name: "notes", dimensions: 3, metric: .cosine)

    static func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        body(&writer)
        return writer.finish()
    }

    /// Reads one value that takes all of the bytes.
    static func whole<T>(
        _ bytes: UnsafeRawBufferPointer,
        _ body: (inout ByteReader) throws(FormatError) -> T
    ) throws(FormatError) -> T {
        var reader = ByteReader(bytes)
        let value = try body(&reader)
        try reader.expectEnd("golden")
        return value
    }

    static let all: [GoldenCase] = sealedFiles + logs + manifests + roots + documents + segments
}

// MARK: - file-header.hex

extension GoldenCase {
    private static let footer = FileFooter(
        directoryOffset: 1_088,
        directoryByteCount: 128,
        directoryChecksum: 0x89AB_CDEF,
        fileByteCount: 1_280,
        rowCount: 2,
        minLSN: 5,
        maxLSN: 300,
        fileID: 7
    )
    private static let entry = SectionEntry(
        type: SectionType.schema,
        ordinal: 0,
        offset: 832,
        byteCount: 18,
        firstChecksum: 1,
        tableChecksum: 0x0123_4567
    )

    private static let sealedFiles = [
        header("file-header.hex", .document, fileID: 7, createdLSN: 41),
        GoldenCase(
            file: "file-header.hex",
            title: "Footer",
            table: ("file-header.md", "Footer"),
            isChecksummed: true,
            encode: { footer.encode(storeID: storeID).bytes },
            decode: { bytes throws(FormatError) in
                try FileFooter(decoding: bytes, storeID: storeID) == footer
            }
        ),
        GoldenCase(
            file: "file-header.hex",
            title: "Directory entry",
            table: ("file-header.md", "Directory entry"),
            encode: { written { entry.encode(into: &$0) } },
            decode: { bytes throws(FormatError) in
                try whole(bytes) { reader throws(FormatError) in
                    try SectionEntry(decoding: &reader)
                } == entry
            }
        ),
    ]

    private static func header(
        _ file: String,
        _ kind: FileKind,
        fileID: UInt64,
        createdLSN: UInt64
    ) -> GoldenCase {
        GoldenCase(
            file: file,
            title: "Header",
            table: ("file-header.md", "Header"),
            isChecksummed: true,
            encode: {
                written {
                    FileHeader(
                        kind: kind,
                        storeID: storeID,
                        fileID: fileID,
                        createdLSN: createdLSN
                    ).encode(into: &$0)
                }
            },
            decode: { bytes throws(FormatError) in
                let header = try FileHeader(decoding: bytes)
                return header
                    == FileHeader(
                        kind: kind,
                        storeID: storeID,
                        fileID: fileID,
                        createdLSN: createdLSN
                    )
            }
        )
    }
}

// MARK: - log.hex

extension GoldenCase {
    static let logHeader = LogHeader(
        kind: .log,
        storeID: storeID,
        fileID: 9,
        createdLSN: 299,
        epoch: 3,
        incarnation: incarnation,
        predecessor: 8,
        predecessorEnd: 4_352,
        firstNumber: 300
    )

    private static let logs = [
        header("log.hex", .log, fileID: 9, createdLSN: 299),
        record(
            "log.hex",
            "Commit",
            at: 4_096,
            seed: logHeader.recordSeed,
            LogRecord(
                kind: .commit,
                number: 300,
                promised: 299,
                operationCount: 3,
                payloadByteCount: 70
            )
        ) { commitPayload },
        record(
            "log.hex",
            "Marker",
            at: 4_208,
            seed: logHeader.recordSeed,
            LogRecord(
                kind: .marker,
                number: 300,
                promised: 300,
                operationCount: 0,
                payloadByteCount: 0
            )
        ) { [] },
        record(
            "log.hex",
            "Second commit",
            at: 4_248,
            seed: logHeader.recordSeed,
            LogRecord(
                kind: .commit,
                number: 301,
                promised: 300,
                operationCount: 3,
                payloadByteCount: 23
            )
        ) { secondPayload },
    ]

    /// The payload of the second commit in log.hex.
    static var secondPayload: [UInt8] {
        var writer = CommitWriter()
        writer.renameCollection(id: 1, name: "texts")
        withBytes(of: "a/") { writer.deletePrefix(collectionID: 1, prefix: $0) }
        writer.dropCollection(id: 1)
        return written { $0.writeUInt64(time) } + writer.finish().dropFirst(8)
    }

    /// The payload of the commit in log.hex.
    static var commitPayload: [UInt8] {
        var writer = CommitWriter()
        writer.createCollection(notes)
        withBytes(of: "a") { id in
            withBytes(of: "Morän") { text in
                [1, -0.5, 0.25].withUnsafeBufferPointer { vector in
                    metadata.withUnsafeBytes { metadata in
                        writer.put(
                            collectionID: 1,
                            id: id,
                            vector: vector,
                            text: text,
                            metadata: metadata
                        )
                    }
                }
            }
        }
        withBytes(of: "gone") { writer.delete(collectionID: 1, id: $0) }
        // The time is set when a commit gets its number.
        return written { $0.writeUInt64(time) } + writer.finish().dropFirst(8)
    }

    /// The object `{"lang":"sv","year":2024}`.
    static let metadata = written {
        $0.writeVarint(2)
        $0.writeString("lang")
        $0.writeUInt8(Metadata.Tag.string.rawValue)
        $0.writeString("sv")
        $0.writeString("year")
        $0.writeUInt8(Metadata.Tag.integer.rawValue)
        $0.writeVarint(2024 * 2)
    }

    static func withBytes<R>(of text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        Array(text.utf8).withUnsafeBytes(body)
    }

    private static func record(
        _ file: String,
        _ title: String,
        at offset: UInt64,
        seed: ChecksumSeed,
        _ record: LogRecord,
        payload: @escaping @Sendable () -> [UInt8]
    ) -> GoldenCase {
        GoldenCase(
            file: file,
            title: title,
            table: ("log.md", "Record"),
            isChecksummed: true,
            encode: {
                let head = [UInt8](repeating: 0, count: LogRecord.headerByteCount)
                var bytes = head + payload()
                // Leftovers, where the padding must come.
                while bytes.count < record.frameByteCount { bytes.append(0xEE) }
                bytes.withUnsafeMutableBytes { record.seal($0, at: offset, seed: seed) }
                return bytes
            },
            decode: { bytes throws(FormatError) in
                try LogRecord.decode(bytes, at: offset, seed: seed) == record
            }
        )
    }
}

// MARK: - manifest.hex

extension GoldenCase {
    private static let manifestHeader = LogHeader(
        kind: .manifest,
        storeID: storeID,
        fileID: 13,
        createdLSN: 299,
        epoch: 3,
        incarnation: incarnation,
        firstNumber: 1
    )

    private static let edits: [(title: String, edit: ManifestEdit)] = [
        ("Counters", .counters(nextFileID: 130, nextCollectionID: 2)),
        (
            "Collection",
            .collection(
                CollectionShape(id: 1, name: "notes", dimensions: 384, metric: .cosine),
                createdLSN: 1
            )
        ),
        (
            "Segment",
            .segment(
                SegmentEntry(
                    id: 7,
                    rowCount: 2,
                    tombstoneCount: 1,
                    minLSN: 5,
                    maxLSN: 300,
                    inputs: [4, 6],
                    document: SealedFileReference(
                        fileID: 7,
                        byteCount: 1_280,
                        footerChecksum: 0xA1B2_C3D4
                    ),
                    key: SealedFileReference(fileID: 11, byteCount: 8_448, footerChecksum: 0),
                    vector: SealedFileReference(
                        fileID: 7,
                        byteCount: 4_864,
                        footerChecksum: .max
                    )
                )
            )
        ),
        (
            "Deletions",
            .deletions(
                DeletionsEntry(
                    segmentID: 7,
                    file: SealedFileReference(
                        fileID: 12,
                        byteCount: 320,
                        footerChecksum: 0x1234_5678
                    ),
                    deadRowCount: 1
                )
            )
        ),
        (
            "Log",
            .log(LogEntry(sequence: 9, epoch: 3, firstLSN: 300, incarnation: 0x0102_0304_0506_0708))
        ),
        ("Log dropped", .logDropped(sequence: 8)),
        ("Floor", .floor(lsn: 299, commitTime: time)),
    ]

    private static var manifests: [GoldenCase] {
        let later: [(title: String, edit: ManifestEdit)] = [
            ("Collection renamed", .collectionRenamed(id: 1, name: "texts")),
            ("Collection dropped", .collectionDropped(id: 1)),
            ("Segment dropped", .segmentDropped(id: 7)),
            (
                "Derived file",
                .derived(
                    DerivedEntry(
                        segmentID: 7,
                        kindNumber: DerivedKind.graph.rawValue,
                        file: SealedFileReference(
                            fileID: 14,
                            byteCount: 1_280,
                            footerChecksum: 0x89AB_CDEF
                        )
                    )
                )
            ),
            (
                "Derived file dropped",
                .derivedDropped(segmentID: 7, kindNumber: DerivedKind.columns.rawValue)
            ),
        ]
        let cases = (edits + later).map { title, edit in
            GoldenCase(
                file: "manifest.hex",
                title: title,
                encode: { written { edit.encode(into: &$0) } },
                decode: { bytes throws(FormatError) in
                    try whole(bytes) { reader throws(FormatError) in
                        try ManifestEdit.decode(&reader)
                    } == edit
                }
            )
        }
        let all = written { writer in
            for (_, edit) in edits { edit.encode(into: &writer) }
        }
        return cases + [
            record(
                "manifest.hex",
                "Record",
                at: 4_096,
                seed: manifestHeader.recordSeed,
                LogRecord(
                    kind: .edit,
                    number: 1,
                    promised: 0,
                    operationCount: 7,
                    payloadByteCount: all.count
                )
            ) { all }
        ]
    }
}

// MARK: - root.hex

extension GoldenCase {
    private static let root = Root(
        storeID: storeID,
        sequence: 17,
        incarnation: incarnation,
        parentIncarnation: 0xFEDC_BA98_7654_3210,
        epoch: 3,
        manifestID: 13,
        manifestEnd: 4_296,
        manifestEdit: 1,
        durableLSN: 300,
        state: .closed,
        logSequence: 9,
        logEnd: 4_336,
        createdTime: time
    )

    private static let roots = [("Copy", UInt64(0)), ("Second copy", 4_096)].map { title, offset in
        GoldenCase(
            file: "root.hex",
            title: title,
            table: ("root.md", "Copy"),
            isChecksummed: true,
            encode: { root.encodeCopy(at: offset) },
            decode: { bytes throws(FormatError) in
                try Root.decodeCopy(bytes, at: offset) == root
            }
        )
    }
}
