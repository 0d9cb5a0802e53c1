// A store's folder in memory, and segments made of plain values.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

@testable import MoraineSegments

/// Seeded chance.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// A document as a value.
struct Row: Equatable {
    var collection: UInt32 = 1
    var id: [UInt8]
    var lsn: UInt64 = 1
    var created: UInt64 = 1_700_000_000_000
    var updated: UInt64 = 1_700_000_000_001
    var expiry: UInt64 = 0
    var vectorChecksum: UInt32?
    var text: [UInt8] = []

    var key: [UInt8] {
        var writer = ByteWriter()
        id.withUnsafeBytes { KeyBytes.write(collection: collection, id: $0, into: &writer) }
        return writer.finish()
    }

    var body: [UInt8] {
        var writer = ByteWriter()
        text.withUnsafeBytes { text in
            Metadata.empty.withUnsafeBytes { metadata in
                DocumentBody.encode(text: text, metadata: metadata, into: &writer)
            }
        }
        return writer.finish()
    }

    init(_ id: String, collection: UInt32 = 1, lsn: UInt64 = 1, text: [UInt8] = []) {
        self.id = Array(id.utf8)
        self.collection = collection
        self.lsn = lsn
        self.text = text
    }

    init(_ record: DocumentRecord) {
        collection = record.collectionID
        id = Array(record.id)
        lsn = record.lsn
        created = record.created
        updated = record.updated
        expiry = record.expiry
        vectorChecksum = record.vectorChecksum
        text = Array(record.text)
    }
}

func sortedByKey(_ rows: [Row]) -> [Row] {
    rows.sorted { a, b in
        a.collection != b.collection
            ? a.collection < b.collection : a.id.lexicographicallyPrecedes(b.id)
    }
}

/// Random letters: text that hardly shrinks.
func noise(_ count: Int, _ random: inout SplitMix) -> [UInt8] {
    (0..<count).map { _ in UInt8(33 + random.below(90)) }
}

/// A store's folder in memory.
struct Fixture {
    let files = SimulatedFileSystem()
    let storeID = StoreID(low: 0x0123_4567_89AB_CDEF, high: 0xFEDC_BA98_7654_3210)
    let root = "store"
    let segmentID: UInt64 = 7
    let keyFileID: UInt64 = 8

    init() throws {
        try files.createDirectory("store")
        try files.createDirectory("store/seg")
    }

    var documentPath: String { FileNames.path(root, FileNames.document(segmentID)) }
    var keyPath: String { FileNames.path(root, FileNames.key(segmentID, fileID: keyFileID)) }

    static func shape(_ id: UInt32) -> CollectionShape {
        CollectionShape(id: id, name: "c\(id)", dimensions: 4, metric: .cosine)
    }

    func write(_ rows: [Row], tombstones: [Row] = [], codec: Codec = .lz4) throws
        -> SegmentFiles
    {
        let writer = try SegmentWriter(
            fileSystem: files,
            root: root,
            segmentID: segmentID,
            keyFileID: keyFileID,
            storeID: storeID,
            createdLSN: 9,
            codec: codec
        )
        for row in rows {
            try row.id.withUnsafeBufferPointer { id throws(StoreError) in
                try row.body.withUnsafeBufferPointer { body throws(StoreError) in
                    _ = try writer.add(
                        collectionID: row.collection,
                        id: UnsafeRawBufferPointer(id),
                        lsn: row.lsn,
                        created: row.created,
                        updated: row.updated,
                        expiry: row.expiry,
                        vectorChecksum: row.vectorChecksum,
                        body: UnsafeRawBufferPointer(body)
                    )
                }
            }
        }
        for row in tombstones {
            row.id.withUnsafeBytes {
                writer.addTombstone(
                    collectionID: row.collection,
                    id: $0,
                    lsn: row.lsn,
                    time: row.created
                )
            }
        }
        let ids = Set((rows + tombstones).map(\.collection))
        return try writer.finish(collections: ids.map(Fixture.shape))
    }

    func open(_ segment: SegmentFiles, cache: BlockCache? = nil) throws -> SegmentReader {
        try SegmentReader(
            fileSystem: files,
            root: root,
            segmentID: segmentID,
            storeID: storeID,
            document: segment.document,
            key: segment.key,
            cache: cache
        )
    }

    /// Everything that opening and checking the segment complains of.
    func findings(_ segment: SegmentFiles) -> [Finding] {
        var findings: [Finding] = []
        do {
            try open(segment).verify { findings.append($0) }
        } catch let error as StoreError {
            findings.append(Finding(error, .structure, file: error.path ?? ""))
        } catch {
            findings.append(Finding(.unreadable, file: "", offset: 0, expected: "", found: ""))
        }
        return findings
    }
}
