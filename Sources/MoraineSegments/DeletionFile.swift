// Dead rows as a file. Bytes: format-spec/deletion.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// Reads and writes `.del` files.
///
/// They are small, so they are read whole.
package enum DeletionFile {
    /// Writes the dead rows of a segment as of a commit, and syncs the file.
    ///
    /// - Parameters:
    ///   - fileID: above those of all older deletion files of the segment.
    ///   - rows: at least one must be dead.
    package static func write(
        _ rows: DeadRows,
        lsn: UInt64,
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        fileID: UInt64,
        storeID: StoreID,
        createdLSN: UInt64
    ) throws(StoreError) -> SealedFileReference {
        precondition(rows.count > 0, "a segment without dead rows has no deletion file")
        let file = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.deletions(segmentID, fileID: fileID),
            kind: .deletions,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        var summary = ByteWriter()
        DeletionSummary(
            segmentID: segmentID,
            lsn: lsn,
            rowCount: rows.rowCount,
            deadRowCount: UInt32(rows.count)
        ).encode(into: &summary)
        try file.addSection(SectionType.deletionSummary, summary)
        try file.beginSection(SectionType.deadRowContainers)
        for index in 0..<containerCount(rows) {
            let bytes = encode(rows, container: index)
            if bytes.count > 0 { try file.append(bytes) }
        }
        try file.endSection()
        return try file.finish(rowCount: UInt64(rows.count), minLSN: lsn, maxLSN: lsn)
    }

    /// Opens a deletion file and reads all of it.
    ///
    /// - Parameter rowCount: the rows of the segment.
    /// - Returns: the dead rows, and the commit as of which they are dead.
    package static func read(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        reference: SealedFileReference,
        rowCount: UInt32
    ) throws(StoreError) -> (rows: DeadRows, lsn: UInt64) {
        try decode(
            open(fileSystem, root, segmentID, storeID, reference),
            segmentID: segmentID,
            rowCount: rowCount
        )
    }

    /// Checks every byte of a deletion file and goes on after a finding.
    package static func verify(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        reference: SealedFileReference,
        rowCount: UInt32,
        _ report: (Finding) -> Void
    ) {
        let name = FileNames.deletions(segmentID, fileID: reference.fileID)
        do throws(StoreError) {
            let file = try open(fileSystem, root, segmentID, storeID, reference)
            var isWhole = true
            file.verifyAll { finding in
                isWhole = false
                report(finding)
            }
            if isWhole { _ = try decode(file, segmentID: segmentID, rowCount: rowCount) }
        } catch {
            report(Finding(error, .structure, file: name))
        }
    }

    private static func open(
        _ fileSystem: any FileSystem,
        _ root: String,
        _ segmentID: UInt64,
        _ storeID: StoreID,
        _ reference: SealedFileReference
    ) throws(StoreError) -> SealedFile {
        try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.deletions(segmentID, fileID: reference.fileID),
            kind: .deletions,
            storeID: storeID,
            reference: reference,
            access: .read
        )
    }

    // MARK: Containers

    private static func containerCount(_ rows: DeadRows) -> Int {
        (rows.chunks.count + 1) / 2
    }

    /// The two chunks of container `index`; nothing when no row in them is dead.
    private static func encode(_ rows: DeadRows, container index: Int) -> ByteWriter {
        let chunks = [2 * index, 2 * index + 1].map { place in
            place < rows.chunks.count ? rows.chunks[place] : nil
        }
        let cardinality = chunks.reduce(0) { $0 + ($1?.deadRowCount ?? 0) }
        var writer = ByteWriter()
        guard cardinality > 0 else { return writer }
        let head = DeadRowContainer(index: UInt32(index), cardinality: cardinality)
        head.encode(into: &writer)
        for (half, chunk) in chunks.enumerated() {
            for place in 0..<DeadRows.wordCount {
                var word = chunk?.words[place] ?? 0
                guard head.kind == .array else {
                    writer.writeUInt64(word)
                    continue
                }
                while word != 0 {
                    let low =
                        half * DeadRows.chunkRowCount + place * 64 + word.trailingZeroBitCount
                    writer.writeUInt16(UInt16(low))
                    word &= word - 1
                }
            }
        }
        writer.pad(to: 8)
        return writer
    }

    private static func decode(_ file: SealedFile, segmentID: UInt64, rowCount: UInt32)
        throws(StoreError) -> (rows: DeadRows, lsn: UInt64)
    {
        let summarySection = try file.requiredSection(SectionType.deletionSummary)
        let containers = try file.requiredSection(SectionType.deadRowContainers)
        let summary = try decode(summarySection, file) { bytes throws(FormatError) in
            let summary = try DeletionSummary(decoding: bytes)
            guard summary.segmentID == segmentID, summary.rowCount == rowCount,
                UInt64(summary.deadRowCount) == file.footer.rowCount,
                summary.lsn == file.footer.minLSN, summary.lsn == file.footer.maxLSN
            else {
                throw FormatError(
                    .mismatch,
                    at: 0,
                    field: "summary",
                    expected: "segment \(segmentID) of \(rowCount) rows, as in the footer",
                    found: "\(summary)"
                )
            }
            return summary
        }
        let rows = try decode(containers, file) { bytes throws(FormatError) in
            try decodeContainers(bytes, summary)
        }
        return (rows, summary.lsn)
    }

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

    private static func decodeContainers(
        _ bytes: UnsafeRawBufferPointer,
        _ summary: DeletionSummary
    ) throws(FormatError) -> DeadRows {
        var reader = ByteReader(bytes)
        var chunks: [DeadRows.Chunk?] = Array(
            repeating: nil,
            count: DeadRows.chunkCount(summary.rowCount)
        )
        var nextIndex: UInt32 = 0
        var count = 0
        while !reader.isAtEnd {
            let at = UInt64(reader.position)
            let head = try DeadRowContainer(decoding: &reader)
            let firstChunk = Int(head.index) * 2
            guard head.index >= nextIndex, firstChunk < chunks.count else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "index",
                    expected: "\(nextIndex) to \((chunks.count - 1) / 2)",
                    found: "\(head.index)"
                )
            }
            nextIndex = head.index + 1
            let rowLimit = Int(summary.rowCount) - firstChunk * DeadRows.chunkRowCount
            try decodeRows(&reader, head, rowLimit) { low in
                let index = firstChunk + low / DeadRows.chunkRowCount
                let chunk = chunks[index] ?? DeadRows.Chunk(copying: nil)
                chunk.set(low % DeadRows.chunkRowCount)
                chunks[index] = chunk
            }
            count += head.cardinality
        }
        guard count == summary.deadRowCount else {
            throw FormatError(
                .mismatch,
                at: UInt64(bytes.count),
                field: "deadRowCount",
                expected: "\(summary.deadRowCount)",
                found: "\(count)"
            )
        }
        return DeadRows(rowCount: summary.rowCount, chunks: chunks)
    }

    /// Calls `add` with the low 16 bits of each row of a container, ascending.
    private static func decodeRows(
        _ reader: inout ByteReader,
        _ head: DeadRowContainer,
        _ rowLimit: Int,
        _ add: (Int) -> Void
    ) throws(FormatError) {
        let at = UInt64(reader.position)
        var previous = -1
        var count = 0
        func take(_ low: Int) throws(FormatError) {
            guard low > previous, low < rowLimit else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "row",
                    expected: "above \(previous), below \(rowLimit)",
                    found: "\(low)"
                )
            }
            previous = low
            count += 1
            add(low)
        }
        switch head.kind {
        case .array:
            for _ in 0..<head.cardinality { try take(Int(try reader.readUInt16("row"))) }
            // The container's head is 8 bytes, so the rows alone decide the padding.
            try reader.readZeros((8 - head.cardinality * 2 % 8) % 8, "padding")
        case .bitmap:
            for place in 0..<(DeadRowContainer.bitmapByteCount / 8) {
                var word = try reader.readUInt64("bitmap")
                while word != 0 {
                    try take(place * 64 + word.trailingZeroBitCount)
                    word &= word - 1
                }
            }
        }
        guard count == head.cardinality else {
            throw FormatError(
                .mismatch,
                at: at,
                field: "cardinality",
                expected: "\(head.cardinality)",
                found: "\(count)"
            )
        }
    }
}
