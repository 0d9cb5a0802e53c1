// Writes the codes of a segment's vectors. Bytes: format-spec/codes.md.

import CKernels
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
    /// Memory: 16 bytes for each vector of a space, and a batch of codes. The folder is the
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
        var facts = FactColumns()
        try writer.beginSection(SectionType.codeHighHalves, ordinal: ordinal)
        try encode(space, quantizer, step) { vector, norm, code, halves throws(StoreError) in
            facts.append(quantizer.facts(of: code, for: vector, norm: norm), norm: norm)
            try writer.append(halves.high)
        }
        try writer.endSection()
        // Coded twice: until here the low halves would be as much memory as the high ones are file.
        try writer.beginSection(SectionType.codeLowHalves, ordinal: ordinal)
        try encode(space, quantizer, step) { _, _, _, halves throws(StoreError) in
            try writer.append(halves.low)
        }
        try writer.endSection()
        try writer.addSection(SectionType.codeErrors, ordinal: ordinal, facts.errors)
        try writer.addSection(SectionType.codeSquareSums, ordinal: ordinal, facts.squareSums)
        try writer.addSection(SectionType.coarseErrors, ordinal: ordinal, facts.coarseErrors)
        try writer.addSection(
            SectionType.coarseSquareSums,
            ordinal: ordinal,
            facts.coarseSquareSums
        )
        return CodeSpaceEntry(
            space.entry,
            scale: quantizer.scale,
            leastNorm: facts.leastNorm,
            largestNorm: facts.largestNorm
        )
    }

    /// Codes all vectors in order and hands each with its norm, its code and the code's halves.
    private static func encode(
        _ space: VectorSpace,
        _ quantizer: Quantizer,
        _ step: () throws(StoreError) -> Void,
        _ body: (
            UnsafePointer<Float>, Float, UnsafePointer<UInt8>,
            (high: UnsafeRawBufferPointer, low: UnsafeRawBufferPointer)
        ) throws(StoreError) -> Void
    ) throws(StoreError) {
        let byteCount = quantizer.strideByteCount
        let code = UnsafeMutablePointer<UInt8>.allocate(capacity: 2 * byteCount)
        defer { code.deallocate() }
        let (high, low) = (code + byteCount, code + byteCount + byteCount / 2)
        let halves = (
            high: UnsafeRawBufferPointer(start: high, count: byteCount / 2),
            low: UnsafeRawBufferPointer(start: low, count: byteCount / 2)
        )
        for start in stride(from: 0, to: space.vectorCount, by: batchCount) {
            try step()
            let end = min(start + batchCount, space.vectorCount)
            let vectors = try space.vectors(start..<end)
            let norms = try space.norms(start..<end)
            for index in 0..<(end - start) {
                let norm = norms[index]
                guard norm.isFinite, norm > 0 || (norm == 0 && space.metric != .cosine) else {
                    throw space.invalidNorm(at: start + index)
                }
                let vector = vectors + index * space.stride
                quantizer.encode(vector, norm: norm, into: code)
                mk_split_code(code, byteCount, high, low)
                try body(vector, norm, code, halves)
            }
        }
    }
}

/// What is kept beside the codes of a space.
private struct FactColumns {
    var errors = ByteWriter()
    var squareSums = ByteWriter()
    var coarseErrors = ByteWriter()
    var coarseSquareSums = ByteWriter()
    var leastNorm = Float.infinity
    var largestNorm = Float(0)

    mutating func append(_ facts: Quantizer.Facts, norm: Float) {
        errors.writeUInt32(facts.error.bitPattern)
        squareSums.writeUInt32(facts.squareSum)
        coarseErrors.writeUInt32(facts.coarseError.bitPattern)
        coarseSquareSums.writeUInt32(facts.coarseSquareSum)
        leastNorm = min(leastNorm, norm)
        largestNorm = max(largestNorm, norm)
    }
}
