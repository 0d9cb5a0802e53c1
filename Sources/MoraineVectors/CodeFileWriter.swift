// Writes the codes of a segment's vectors. Bytes: format-spec/codes.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// Makes `seg/<segment>.<file id>.q8` from a vector file.
package enum CodeFileWriter {
    /// Vectors below which a space is not coded.
    ///
    /// So few floats, 1.5 MiB at 384 dimensions, are compared in about 0.1 ms.
    package static let leastVectorCount = 1024

    /// Vectors between two calls of `step`.
    private static let batchCount = 256

    /// Codes every space of a file that has vectors enough, seals and syncs the result.
    ///
    /// Memory: 8 bytes for each vector of a space, and a batch of codes. The folder is the
    /// caller's to sync. After an error nothing is left of the file.
    ///
    /// - Parameter step: called every few hundred vectors; what it throws ends the work.
    /// - Returns: what the manifest needs to know of the file; `nil` when no space is worth it.
    /// - Throws: `corrupted` when vectors fail their checksum, errors of the operating system, and
    ///   what `step` throws.
    package static func write(
        vectors: VectorFile,
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64,
        step: () throws(StoreError) -> Void
    ) throws(StoreError) -> SealedFileReference? {
        let spaces = vectors.spaces.filter { $0.vectorCount >= leastVectorCount }
        guard !spaces.isEmpty else { return nil }
        let writer = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.derived(.codes, segment, fileID: fileID),
            kind: .codes,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        defer { writer.abandon() }
        var source = ByteWriter()
        DerivedSource(vectors.reference).encode(into: &source)
        try writer.addSection(SectionType.source, source)
        var table = ByteWriter()
        for (index, space) in spaces.enumerated() {
            let quantizer = try Quantizer(for: space, step: step)
            let entry = try write(space, quantizer, UInt32(index), to: writer, step)
            entry.encode(into: &table)
        }
        try writer.addSection(SectionType.codeSpaces, table)
        let footer = vectors.file.footer
        return try writer.finish(
            rowCount: footer.rowCount,
            minLSN: footer.minLSN,
            maxLSN: footer.maxLSN
        )
    }

    private static func write(
        _ space: VectorSpace,
        _ quantizer: Quantizer,
        _ ordinal: UInt32,
        to writer: SealedFileWriter,
        _ step: () throws(StoreError) -> Void
    ) throws(StoreError) -> CodeSpaceEntry {
        var errors = ByteWriter()
        var squareSums = ByteWriter()
        var (leastNorm, largestNorm) = (Float.infinity, Float(0))
        let stride = quantizer.strideByteCount
        let codes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: batchCount * stride)
        defer { codes.deallocate() }
        try writer.beginSection(SectionType.codes, ordinal: ordinal)
        var start = 0
        while start < space.vectorCount {
            try step()
            let end = min(start + batchCount, space.vectorCount)
            let vectors = try space.vectors(start..<end)
            let norms = try space.norms(start..<end)
            for index in 0..<(end - start) {
                guard let code = codes.baseAddress else { break }
                let norm = norms[index]
                guard norm.isFinite, norm > 0 || (norm == 0 && space.metric != .cosine) else {
                    throw space.invalidNorm(at: start + index)
                }
                leastNorm = min(leastNorm, norm)
                largestNorm = max(largestNorm, norm)
                let (error, squareSum) = quantizer.encode(
                    vectors + index * space.stride,
                    norm: norm,
                    into: code + index * stride
                )
                errors.writeUInt32(error.bitPattern)
                squareSums.writeUInt32(squareSum)
            }
            let filled = codes[..<((end - start) * stride)]
            try writer.append(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: filled)))
            start = end
        }
        try writer.endSection()
        try writer.addSection(SectionType.codeErrors, ordinal: ordinal, errors)
        try writer.addSection(SectionType.codeSquareSums, ordinal: ordinal, squareSums)
        return CodeSpaceEntry(
            space.entry,
            scale: quantizer.scale,
            leastNorm: leastNorm,
            largestNorm: largestNorm
        )
    }
}
