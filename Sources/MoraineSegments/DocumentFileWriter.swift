// Writes the records of a segment in key order. Bytes: format-spec/document.md.

package import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// Writes a `.doc` file: documents and tombstones in key order, then index and schema.
///
/// One thread at a time. Memory: one block, 32 bytes for each block written, and the compressed
/// tombstones, which stand behind the documents.
package final class DocumentFileWriter {
    private let file: SealedFileWriter
    private let segmentID: UInt64
    private let seed: ChecksumSeed
    private var documents: BlockBuilder
    private var tombstones: BlockBuilder
    private var tombstoneBlocks: [StoredBlock] = []
    private var index = ByteWriter()
    private var blockCount: UInt32 = 0
    private var firstRowOfBlock: UInt32 = 0
    private var rowCountByCollection: [UInt32: UInt32] = [:]
    private var expiries: [UInt32: SegmentExpiry] = [:]
    package private(set) var rowCount: UInt32 = 0
    package private(set) var tombstoneCount: UInt64 = 0
    /// Lowest and highest LSN so far, removals included; 0 before the first record.
    package private(set) var minLSN: UInt64 = 0
    package private(set) var maxLSN: UInt64 = 0

    /// Makes the file.
    ///
    /// The `.doc` file's id is the segment's.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        createdLSN: UInt64,
        codec: Codec
    ) throws(StoreError) {
        self.segmentID = segmentID
        seed = storeID.seed.mixed(segmentID)
        documents = BlockBuilder(codec: codec, kind: .documents)
        tombstones = BlockBuilder(codec: codec, kind: .tombstones)
        file = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.document(segmentID),
            kind: .document,
            storeID: storeID,
            fileID: segmentID,
            createdLSN: createdLSN
        )
        try file.beginSection(SectionType.documentBlocks, selfChecked: true)
    }

    /// Adds a document, whose key is above those of all documents before.
    ///
    /// - Parameters:
    ///   - created: milliseconds since 1970, as are `updated` and `expiry`; 0 = never expires.
    ///   - vectorChecksum: CRC-32C of the vector's f32s; `nil` without a vector.
    ///   - body: prefixed text · prefixed metadata, valid and at most 64 MiB.
    /// - Returns: the document's row.
    @discardableResult
    package func add(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        lsn: UInt64,
        created: UInt64,
        updated: UInt64,
        expiry: UInt64,
        vectorChecksum: UInt32?,
        body: UnsafeRawBufferPointer
    ) throws(StoreError) -> UInt32 {
        precondition(UInt64(rowCount) < FormatLimits.segmentRowCount, "the segment is full")
        // A large document alone: reading its neighbours must not read it too.
        if documents.recordCount > 0, body.count >= FormatLimits.blockByteCount {
            try closeDocuments()
        }
        documents.add(lsn: lsn) { writer in
            DocumentRecord.encodeDocument(
                collectionID: collectionID,
                id: id,
                lsn: lsn,
                created: created,
                updated: updated,
                expiry: expiry,
                vectorChecksum: vectorChecksum,
                body: body,
                into: &writer
            )
        }
        count(lsn)
        rowCountByCollection[collectionID, default: 0] += 1
        SegmentExpiry.counting(expiry, of: collectionID, into: &expiries)
        rowCount += 1
        if documents.isFull { try closeDocuments() }
        return rowCount - 1
    }

    /// Adds documents that a merge has put into blocks, whose keys are above those of all
    /// documents before.
    func append(_ run: DocumentRun) throws(StoreError) {
        precondition(documents.recordCount == 0, "single documents and runs do not mix")
        precondition(
            UInt64(rowCount) + UInt64(run.rowCount) <= FormatLimits.segmentRowCount,
            "the segment is full"
        )
        for block in run.blocks {
            var placed = block
            placed.header.segmentID = segmentID
            placed.header.firstRow = rowCount
            rowCount += block.header.recordCount
            try write(placed)
        }
        firstRowOfBlock = rowCount
    }

    /// Counts the rows of a merge, whose documents come with runs.
    func count(_ plan: MergePlan) {
        for (collectionID, count) in plan.rowCounts {
            rowCountByCollection[collectionID, default: 0] += UInt32(count)
        }
        expiries.merge(plan.expiries) { $0.joined($1) }
        for lsn in plan.lsns { count(lsn) }
    }

    /// Adds a tombstone, whose key is above those of all tombstones before and no document's.
    package func addTombstone(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        lsn: UInt64,
        time: UInt64
    ) {
        tombstones.add(lsn: lsn) { writer in
            DocumentRecord.encodeTombstone(
                collectionID: collectionID,
                id: id,
                lsn: lsn,
                time: time,
                into: &writer
            )
        }
        count(lsn)
        rowCountByCollection[collectionID, default: 0] += 0
        tombstoneCount += 1
        if tombstones.isFull { closeTombstones() }
    }

    /// Writes what is left, index, schema and the frame, and syncs the file.
    ///
    /// - Parameters:
    ///   - collections: the shapes of at least those collections that have a record.
    ///   - named: collections that stand in the schema also without a record.
    ///   - inputs: the segments that a compaction read; empty after a flush.
    ///   - removals: what commits since the segments before took away at once, their LSNs not
    ///     descending.
    package func finish(
        collections: [CollectionShape],
        named: [CollectionShape] = [],
        inputs: [UInt64] = [],
        removals: [Removal] = []
    ) throws(StoreError) -> SealedFileReference {
        if documents.recordCount > 0 { try closeDocuments() }
        if tombstones.recordCount > 0 { closeTombstones() }
        for block in tombstoneBlocks { try write(block) }
        tombstoneBlocks = []
        try file.endSection()

        try file.addSection(SectionType.blockIndex, index)

        var schema = ByteWriter()
        SegmentCollection.encode(makeSchema(collections + named, named: named), into: &schema)
        try file.addSection(SectionType.schema, schema)

        if !inputs.isEmpty {
            var list = ByteWriter(capacity: inputs.count * 8)
            for input in inputs { list.writeUInt64(input) }
            try file.addSection(SectionType.inputs, list)
        }
        try write(removals)
        try writeExpiries()
        return try file.finish(rowCount: UInt64(rowCount), minLSN: minLSN, maxLSN: maxLSN)
    }

    /// Closes the file and removes it.
    package func abandon() { file.abandon() }

    private func write(_ removals: [Removal]) throws(StoreError) {
        guard !removals.isEmpty else { return }
        for removal in removals { count(removal.lsn) }
        var section = ByteWriter()
        Removal.encode(removals, into: &section)
        try file.addSection(SectionType.removals, section)
    }

    private func writeExpiries() throws(StoreError) {
        guard !expiries.isEmpty else { return }
        var section = ByteWriter()
        SegmentExpiry.encode(
            expiries.values.sorted { $0.collectionID < $1.collectionID },
            into: &section
        )
        try file.addSection(SectionType.expiries, section)
    }

    private func count(_ lsn: UInt64) {
        minLSN = minLSN == 0 ? lsn : min(minLSN, lsn)
        maxLSN = max(maxLSN, lsn)
    }

    private func makeSchema(_ collections: [CollectionShape], named: [CollectionShape])
        -> [SegmentCollection]
    {
        let shapes = Dictionary(
            collections.map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for shape in named { rowCountByCollection[shape.id, default: 0] += 0 }
        var firstRow: UInt32 = 0
        var schema: [SegmentCollection] = []
        for (id, rows) in rowCountByCollection.sorted(by: { $0.key < $1.key }) {
            guard let shape = shapes[id] else {
                preconditionFailure("collection \(id) has records but no shape")
            }
            schema.append(SegmentCollection(shape: shape, firstRow: firstRow, rowCount: rows))
            firstRow += rows
        }
        return schema
    }

    private func closeDocuments() throws(StoreError) {
        try write(
            documents.close(
                segmentID: segmentID,
                blockNumber: blockCount,
                firstRow: firstRowOfBlock
            )
        )
        firstRowOfBlock = rowCount
    }

    private func closeTombstones() {
        tombstoneBlocks.append(
            tombstones.close(
                segmentID: segmentID,
                blockNumber: 0,
                firstRow: DocumentBlockHeader.noRow
            )
        )
    }

    private func write(_ block: StoredBlock) throws(StoreError) {
        let over = Int(file.offset % 8)
        var bytes = ByteWriter(capacity: 8 + DocumentBlockHeader.byteCount)
        if over != 0 { bytes.writeZeros(8 - over) }
        let offset = file.offset + UInt64(bytes.count)
        var header = block.header
        header.blockNumber = blockCount
        let checksum = header.encode(at: offset, seed: seed, into: &bytes)
        try file.append(bytes)
        try file.append(block.payload)
        BlockIndexEntry(
            offset: offset,
            storedByteCount: header.storedByteCount,
            rawByteCount: header.rawByteCount,
            firstRow: header.firstRow,
            recordCount: header.recordCount,
            headerChecksum: checksum
        ).encode(into: &index)
        blockCount += 1
    }
}
