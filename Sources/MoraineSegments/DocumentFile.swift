// Reads the records of a segment. Bytes: format-spec/document.md.

package import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// An open `.doc` file.
///
/// Any thread.
package final class DocumentFile: Sendable {
    let file: SealedFile
    package var header: FileHeader { file.layout.header }
    package let segmentID: UInt64
    /// The collections with records in this segment, and some that have none, ascending.
    package let collections: [SegmentCollection]
    /// The segments that this one was compacted from; empty after a flush.
    package let inputs: [UInt64]
    /// What commits took away at once, in their order.
    package let removals: [Removal]
    /// The collections with documents that expire, ascending.
    package let expiries: [SegmentExpiry]
    let index: [BlockIndexEntry]
    /// Blocks 0 ..< this hold documents, those from there on tombstones.
    package let documentBlockCount: Int
    package let rowCount: UInt32
    package let tombstoneCount: UInt64
    let cache: BlockCache?

    /// Opens the file and checks its frame, index and schema.
    ///
    /// - Parameter cache: keeps decompressed blocks; `nil` reads each time.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        reference: SealedFileReference,
        cache: BlockCache?
    ) throws(StoreError) {
        file = try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.document(segmentID),
            kind: .document,
            storeID: storeID,
            reference: reference,
            access: .read
        )
        self.segmentID = segmentID
        self.cache = cache
        guard let rows = UInt32(exactly: file.footer.rowCount),
            UInt64(rows) <= FormatLimits.segmentRowCount, reference.fileID == segmentID
        else {
            throw file.damage(
                "the footer's counts are not a segment's",
                at: file.footer.fileByteCount - 40,
                expected: "at most \(FormatLimits.segmentRowCount) rows of file \(segmentID)",
                found: "\(file.footer.rowCount) rows of file \(reference.fileID)"
            )
        }
        rowCount = rows
        index = try DocumentFile.readIndex(file, rowCount: rows)
        documentBlockCount = index.firstIndex { $0.holdsTombstones } ?? index.count
        tombstoneCount = index[documentBlockCount...].reduce(0) { $0 + UInt64($1.recordCount) }
        let schema = try file.requiredSection(SectionType.schema)
        collections = try DocumentFile.decode(schema, file) { bytes throws(FormatError) in
            try SegmentCollection.decode(bytes, rowCount: UInt64(rows))
        }
        if let section = file.section(SectionType.inputs) {
            inputs = try DocumentFile.decode(section, file, DocumentFile.readInputs)
        } else {
            inputs = []
        }
        if let section = file.section(SectionType.removals) {
            removals = try DocumentFile.decode(section, file) { bytes throws(FormatError) in
                try Removal.decode(bytes)
            }
        } else {
            removals = []
        }
        if let section = file.section(SectionType.expiries) {
            let collections = collections
            expiries = try DocumentFile.decode(section, file) { bytes throws(FormatError) in
                try SegmentExpiry.decode(bytes, collections: collections)
            }
        } else {
            expiries = []
        }
    }

    /// Reads the section of inputs.
    package static func readInputs(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> [UInt64]
    {
        guard bytes.count > 0, bytes.count % 8 == 0 else {
            throw FormatError(
                .truncated,
                at: 0,
                field: "inputs",
                expected: "segment ids of 8 bytes each",
                found: "\(bytes.count) bytes"
            )
        }
        var reader = ByteReader(bytes)
        var ids: [UInt64] = []
        while !reader.isAtEnd { ids.append(try reader.readUInt64("input")) }
        return ids
    }

    package var footer: FileFooter { file.footer }
    package var reference: SealedFileReference { file.reference }
    package var blockCount: Int { index.count }
    /// Where the file is, for errors.
    package var path: String { file.path }

    /// The collection with that id, when the segment has records of it.
    package func collection(_ id: UInt32) -> SegmentCollection? {
        collections.element(withKey: id) { $0.shape.id }
    }

    /// Bytes of the rows before and after compression; a block that holds other rows too counts by
    /// its share.
    package func byteCounts(of rows: Range<UInt32>) -> (raw: UInt64, stored: UInt64) {
        guard !rows.isEmpty else { return (0, 0) }
        var raw: UInt64 = 0
        var stored: UInt64 = 0
        for entry in index[blockNumber(of: rows.lowerBound)..<documentBlockCount] {
            guard entry.firstRow < rows.upperBound else { break }
            let block = entry.firstRow..<(entry.firstRow + entry.recordCount)
            let count = UInt64(rows.clamped(to: block).count)
            raw += UInt64(entry.rawByteCount) * count / UInt64(entry.recordCount)
            stored += UInt64(entry.storedByteCount) * count / UInt64(entry.recordCount)
        }
        return (raw, stored)
    }

    /// The block that holds a row.
    ///
    /// - Parameter row: below `rowCount`.
    package func blockNumber(of row: UInt32) -> Int {
        precondition(row < rowCount)
        var low = 0
        var high = documentBlockCount
        while high - low > 1 {
            let middle = (low + high) / 2
            if index[middle].firstRow <= row { low = middle } else { high = middle }
        }
        return low
    }

    /// A block, from the cache or the file.
    ///
    /// - Parameters:
    ///   - number: 0 ..< `blockCount`.
    ///   - caching: false does not put it into the cache: for scans, which would flush it.
    package func block(_ number: Int, caching: Bool = true) throws(StoreError) -> DecodedBlock {
        let small = UInt32(truncatingIfNeeded: number)
        if let block = cache?.block(fileID: file.fileID, number: small) { return block }
        let block = try readBlock(number)
        if caching { cache?.insert(block, fileID: file.fileID, number: small) }
        return block
    }

    /// The block that holds a row, from the cache or the file.
    ///
    /// - Parameter row: below `rowCount`.
    package func block(ofRow row: UInt32) throws(StoreError) -> DecodedBlock {
        try block(blockNumber(of: row))
    }

    /// Calls `body` with each row and its record, ascending, block by block past the cache.
    ///
    /// - Parameter body: answers false to stop. The record lives as long as the call.
    package func forEachRecord(
        in rows: Range<UInt32>,
        _ body: (UInt32, DocumentRecord) throws(StoreError) -> Bool
    ) throws(StoreError) {
        precondition(rows.upperBound <= rowCount)
        var row = rows.lowerBound
        while row < rows.upperBound {
            let block = try block(blockNumber(of: row), caching: false)
            let end = min(rows.upperBound, block.firstRow + block.header.recordCount)
            while row < end {
                let record = try block.record(ofRow: row)
                guard try body(row, record) else { return }
                row += 1
            }
            withExtendedLifetime(block) {}
        }
    }

    /// Calls `body` with each tombstone in key order.
    ///
    /// - Parameter body: answers false to stop. The record lives as long as the call.
    package func forEachTombstone(_ body: (DocumentRecord) throws(StoreError) -> Bool)
        throws(StoreError)
    {
        for number in documentBlockCount..<index.count {
            let block = try block(number, caching: false)
            for place in 0..<block.recordCount {
                guard try body(block.record(place)) else { return }
            }
            withExtendedLifetime(block) {}
        }
    }

    // MARK: Reading

    /// Reads, checks and decompresses a block, past the cache.
    func readBlock(_ number: Int) throws(StoreError) -> DecodedBlock {
        try withStoredBlock(number) { header, payload throws(FormatError) in
            try DecodedBlock(
                header: header,
                offset: index[number].offset,
                payload: payload,
                path: file.path
            )
        }
    }

    /// A block as it is stored: checked, not decompressed.
    func readStoredBlock(_ number: Int) throws(StoreError) -> StoredBlock {
        try withStoredBlock(number) { header, payload in
            StoredBlock(header: header, payload: Array(payload))
        }
    }

    private func withStoredBlock<R>(
        _ number: Int,
        _ body: (DocumentBlockHeader, UnsafeRawBufferPointer) throws(FormatError) -> R
    ) throws(StoreError) -> R {
        let entry = index[number]
        // In range: the index was held against the section's length.
        let byteCount = DocumentBlockHeader.byteCount + Int(entry.storedByteCount)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 8)
        defer { buffer.deallocate() }
        let blocks = try file.requiredSection(SectionType.documentBlocks)
        try blocks.read(into: buffer, at: entry.offset - blocks.entry.offset)
        do throws(FormatError) {
            let bytes = UnsafeRawBufferPointer(buffer)
            let header = try checkBlock(bytes, number, entry)
            return try body(
                header,
                UnsafeRawBufferPointer(rebasing: bytes[DocumentBlockHeader.byteCount...])
            )
        } catch {
            throw StoreError(error, path: file.path, base: entry.offset)
        }
    }

    /// The header of a block that is the one of its entry and whose payload has its checksum.
    private func checkBlock(
        _ bytes: UnsafeRawBufferPointer,
        _ number: Int,
        _ entry: BlockIndexEntry
    ) throws(FormatError) -> DocumentBlockHeader {
        let header = try DocumentBlockHeader(
            decoding: UnsafeRawBufferPointer(rebasing: bytes[..<DocumentBlockHeader.byteCount]),
            at: entry.offset,
            seed: file.layout.seed,
            named: entry.headerChecksum
        )
        guard header.segmentID == segmentID, header.blockNumber == number,
            header.firstRow == entry.firstRow, header.recordCount == entry.recordCount,
            header.rawByteCount == entry.rawByteCount,
            header.storedByteCount == entry.storedByteCount,
            header.kind == (entry.holdsTombstones ? .tombstones : .documents)
        else {
            throw FormatError(
                .mismatch,
                at: 8,
                field: "block header",
                expected: "\(entry)",
                found: "\(header)"
            )
        }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[DocumentBlockHeader.byteCount...])
        try expectChecksum(
            CRC32C.value(payload),
            header.payloadChecksum.littleEndian,
            at: 48,
            "payloadChecksum"
        )
        return header
    }

    /// Reads the index and checks that its blocks follow each other inside the section.
    private static func readIndex(_ file: SealedFile, rowCount: UInt32) throws(StoreError)
        -> [BlockIndexEntry]
    {
        let blocks = try file.requiredSection(SectionType.documentBlocks).entry
        let section = try file.requiredSection(SectionType.blockIndex)
        return try decode(section, file) { bytes throws(FormatError) in
            guard bytes.count % BlockIndexEntry.byteCount == 0 else {
                throw FormatError(
                    .truncated,
                    at: 0,
                    field: "block index",
                    expected: "entries of \(BlockIndexEntry.byteCount) bytes",
                    found: "\(bytes.count) bytes"
                )
            }
            var reader = ByteReader(bytes)
            var entries: [BlockIndexEntry] = []
            entries.reserveCapacity(bytes.count / BlockIndexEntry.byteCount)
            var end = blocks.offset
            var nextRow: UInt64 = 0
            while !reader.isAtEnd {
                let at = UInt64(reader.position)
                let entry = try BlockIndexEntry(decoding: &reader)
                let follows =
                    entry.holdsTombstones
                    ? nextRow == rowCount : UInt64(entry.firstRow) == nextRow
                guard isInside(entry, from: end, to: blocks.offset + blocks.byteCount), follows
                else {
                    throw FormatError(
                        .range,
                        at: at,
                        field: "block index",
                        expected: "a block from \(end) on, row \(nextRow)",
                        found: "\(entry)"
                    )
                }
                end = entry.offset + blockByteCount(entry)
                if !entry.holdsTombstones { nextRow += UInt64(entry.recordCount) }
                entries.append(entry)
            }
            guard nextRow == rowCount else {
                throw FormatError(
                    .mismatch,
                    at: UInt64(bytes.count),
                    field: "block index",
                    expected: "\(rowCount) rows",
                    found: "\(nextRow)"
                )
            }
            return entries
        }
    }

    static func blockByteCount(_ entry: BlockIndexEntry) -> UInt64 {
        UInt64(DocumentBlockHeader.byteCount) + UInt64(entry.storedByteCount)
    }

    /// True when the block lies between two offsets and could hold its records.
    private static func isInside(_ entry: BlockIndexEntry, from start: UInt64, to end: UInt64)
        -> Bool
    {
        let size = blockByteCount(entry)
        // Each record has a byte and four of its start.
        return entry.offset >= start && entry.offset % 8 == 0 && entry.offset <= end
            && size <= end - entry.offset && entry.recordCount > 0
            && entry.rawByteCount <= UInt32(FormatLimits.rawBlockByteCount)
            && entry.recordCount <= entry.rawByteCount / 5
    }

    /// Loads a small section and decodes it; errors name file and place.
    private static func decode<T>(
        _ section: Section,
        _ file: SealedFile,
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> T
    ) throws(StoreError) -> T {
        let bytes = try section.load()
        do throws(FormatError) {
            return try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                try body(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw StoreError(error, path: file.path, base: section.entry.offset)
        }
    }
}
