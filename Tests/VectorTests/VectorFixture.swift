// Small vector files in memory.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

@testable import MoraineVectors

/// A space to be written: rows ascending.
struct FixtureSpace {
    var collectionID: UInt32 = 1
    var dimensions: Int
    var metric: Metric
    var rows: [UInt32]
    var vectors: [[Float]]

    init(
        _ random: inout SplitMix,
        collectionID: UInt32 = 1,
        dimensions: Int,
        metric: Metric,
        rows: [UInt32]
    ) {
        self.collectionID = collectionID
        self.dimensions = dimensions
        self.metric = metric
        self.rows = rows
        vectors = rows.map { _ in random.vector(dimensions) }
    }

    init(metric: Metric, rows: [UInt32], vectors: [[Float]]) {
        dimensions = vectors[0].count
        self.metric = metric
        self.rows = rows
        self.vectors = vectors
    }

    var entry: VectorSpaceEntry {
        VectorSpaceEntry(
            collectionID: collectionID,
            dimensions: dimensions,
            vectorCount: rows.count,
            metric: metric
        )
    }
}

/// A store's folder in memory with vector files in it.
struct VectorFixture {
    let files = SimulatedFileSystem()
    let storeID = StoreID(low: 0x0123_4567_89AB_CDEF, high: 0xFEDC_BA98_7654_3210)
    let root = "store"

    init() throws {
        try files.createDirectory("store")
        try files.createDirectory("store/seg")
    }

    func path(_ segment: UInt64) -> String {
        FileNames.path(root, FileNames.vector(segment))
    }

    func write(
        _ spaces: [FixtureSpace],
        segment: UInt64 = 7,
        fileID: UInt64 = 70,
        rowCount: UInt64
    ) throws(StoreError) -> SealedFileReference {
        let writer = try VectorFileWriter(
            fileSystem: files,
            root: root,
            segment: segment,
            storeID: storeID,
            fileID: fileID,
            createdLSN: 5,
            spaces: spaces.map(\.entry),
            rowCount: rowCount
        )
        for space in spaces {
            for (row, vector) in zip(space.rows, space.vectors) {
                try withVector(vector) { buffer throws(StoreError) in
                    guard let base = buffer.baseAddress else { return }
                    try writer.append(row: row, vector: base)
                }
            }
        }
        return try writer.finish(minLSN: 1, maxLSN: 5)
    }

    func open(
        _ reference: SealedFileReference,
        segment: UInt64 = 7,
        storeID: StoreID? = nil
    ) throws(StoreError) -> VectorFile {
        try VectorFile(
            fileSystem: files,
            root: root,
            segment: segment,
            storeID: storeID ?? self.storeID,
            reference: reference
        )
    }

    /// Writes any sections with right checksums, as an attacker could.
    func forge(
        _ sections: [(type: UInt32, ordinal: UInt32, bytes: [UInt8])],
        rowCount: UInt64,
        segment: UInt64 = 7
    ) throws(StoreError) -> SealedFileReference {
        if files.contents(of: path(segment)) != nil { _ = files.removeForTest(path(segment)) }
        let writer = try SealedFileWriter(
            fileSystem: files,
            root: root,
            name: FileNames.vector(segment),
            kind: .vector,
            storeID: storeID,
            fileID: 70,
            createdLSN: 5
        )
        for section in sections {
            try writer.beginSection(section.type, ordinal: section.ordinal)
            try writer.append(section.bytes)
            try writer.endSection()
        }
        return try writer.finish(rowCount: rowCount, minLSN: 1, maxLSN: 5)
    }
}

func findings(_ file: VectorFile) -> [Finding] {
    var found: [Finding] = []
    file.verify { found.append($0) }
    return found
}
