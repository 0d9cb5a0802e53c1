// Writes the vectors of a segment. Bytes: format-spec/vector.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// Writes `seg/<segment>.vec` space by space, front to back.
///
/// The table of spaces stands first, so the spaces and how many vectors each has are given at the
/// start. Memory: 8 bytes for each vector of the space being written. One thread at a time. A
/// writer that goes before `finish` removes its file; after an error every call throws it.
package final class VectorFileWriter {
    private let writer: SealedFileWriter
    private let spaces: [VectorSpaceEntry]
    private let rowCount: UInt64
    /// The space being written and what follows its vectors.
    private var index = 0
    private var rows = ByteWriter()
    private var norms = ByteWriter()
    private var lastRow: UInt32 = 0
    /// Zeros to fill up any stride.
    private static let padding = [UInt8](repeating: 0, count: 60)

    /// Makes the file.
    ///
    /// - Parameters:
    ///   - spaces: at least one, in ascending order of their collection ids.
    ///   - rowCount: rows of the segment, with and without vectors.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64,
        spaces: [VectorSpaceEntry],
        rowCount: UInt64
    ) throws(StoreError) {
        precondition(!spaces.isEmpty, "a segment without vectors has no vector file")
        precondition(
            zip(spaces, spaces.dropFirst()).allSatisfy { $0.collectionID < $1.collectionID }
        )
        precondition(rowCount <= FormatLimits.segmentRowCount)
        self.spaces = spaces
        self.rowCount = rowCount
        writer = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.vector(segment),
            kind: .vector,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        var table = ByteWriter(capacity: spaces.count * VectorSpaceEntry.byteCount)
        for space in spaces { space.encode(into: &table) }
        try writer.addSection(SectionType.spaces, table)
        try writer.beginSection(SectionType.vectors)
    }

    /// Appends the next vector, bit for bit: to the first space until it has as many as was said,
    /// then to the next.
    ///
    /// - Parameters:
    ///   - row: of the segment; ascending within a space.
    ///   - vector: as many floats as the space has dimensions, valid for its metric.
    ///   - norm: what `VectorMath.norm` makes of it; `nil`: computed here.
    package func append(row: UInt32, vector: UnsafePointer<Float>, norm: Float? = nil)
        throws(StoreError)
    {
        let space = spaces[index]
        precondition(rows.count == 0 || row > lastRow, "rows ascend")
        precondition(UInt64(row) < rowCount)
        let byteCount = space.dimensions * 4
        try writer.append(UnsafeRawBufferPointer(start: vector, count: byteCount))
        let rest = space.strideByteCount - byteCount
        if rest > 0 {
            try Self.padding.withUnsafeBufferPointer { zeros throws(StoreError) in
                try writer.append(
                    UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(zeros)[..<rest])
                )
            }
        }
        rows.writeUInt32(row)
        let norm = norm ?? VectorMath.norm(vector, dimensions: space.dimensions)
        norms.writeUInt32(norm.bitPattern)
        lastRow = row
        if rows.count == space.vectorCount * 4 { try endSpace() }
    }

    /// Seals and syncs the file, after the last vector; the folder is the caller's to sync.
    ///
    /// - Parameters:
    ///   - minLSN, maxLSN: lowest and highest LSN of the segment's rows with vectors.
    /// - Returns: what the manifest needs to know of the file.
    package func finish(minLSN: UInt64, maxLSN: UInt64) throws(StoreError) -> SealedFileReference {
        precondition(index == spaces.count, "vectors that were announced are missing")
        return try writer.finish(rowCount: rowCount, minLSN: minLSN, maxLSN: maxLSN)
    }

    /// Closes the file and removes it.
    ///
    /// Harmless after `finish` or an error.
    package func abandon() { writer.abandon() }

    private func endSpace() throws(StoreError) {
        let ordinal = UInt32(index)
        try writer.endSection()
        try writer.addSection(SectionType.rowMap, ordinal: ordinal, rows)
        try writer.addSection(SectionType.norms, ordinal: ordinal, norms)
        rows.removeAll()
        norms.removeAll()
        index += 1
        if index < spaces.count {
            try writer.beginSection(SectionType.vectors, ordinal: ordinal + 1)
        }
    }
}
