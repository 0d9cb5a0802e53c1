// Reads every byte of a vector file and says what is wrong. Rules: format-spec/vector.md.

import MoraineFormat
package import MoraineStorage

extension VectorFile {
    /// Checks the frame, every chunk, and what the chunks hold.
    ///
    /// Row maps ascend and stay below the row count, norms are right bit for bit, every vector is
    /// valid for its metric, and the floats after a vector are zero. Goes on after a finding;
    /// chunks whose checksum is wrong are reported once, their content is not looked at.
    ///
    /// - Parameter limit: ends it early, without a word.
    package func verify(within limit: ReadLimit? = nil, _ report: (Finding) -> Void) {
        file.verifyAll(within: limit, report)
        for space in spaces where limit?.isOver != true {
            verifyRows(of: space, report)
            verifyVectors(of: space, report)
        }
    }

    /// Checks the next portion of the frame and the chunks; see `SealedFile.verifyPortion`.
    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        file.verifyPortion(&place, buffer, report)
    }

    private func verifyRows(of space: VectorSpace, _ report: (Finding) -> Void) {
        let section = space.rowSection
        var least: UInt32 = 0
        forEachBatch(of: space, batch: SectionEntry.chunkByteCount / 4) {
            ordinals throws(StoreError) in
            let rows = try section.bytes(at: ordinals.lowerBound * 4, count: ordinals.count * 4)
            for index in 0..<ordinals.count {
                let row = rows.load(fromByteOffset: index * 4, as: UInt32.self)
                if row < least || row >= space.rowCount {
                    report(
                        Finding(
                            .order,
                            file: file.name,
                            offset: section.entry.offset + UInt64(ordinals.lowerBound + index) * 4,
                            expected: "a row from \(least) to \(space.rowCount - 1)",
                            found: "\(row)"
                        )
                    )
                }
                least = row < .max ? row + 1 : row
            }
        }
    }

    private func verifyVectors(of space: VectorSpace, _ report: (Finding) -> Void) {
        forEachBatch(of: space, batch: 1) { ordinals throws(StoreError) in
            let ordinal = ordinals.lowerBound
            let vector = try space.vector(ordinal)
            let values = UnsafeBufferPointer(start: vector, count: space.stride)
            let offset =
                space.vectorSection.entry.offset + UInt64(ordinal * space.strideByteCount)
            if let bad = values[space.dimensions...].firstIndex(where: { $0.bitPattern != 0 }) {
                report(
                    Finding(
                        .padding,
                        file: file.name,
                        offset: offset + UInt64(bad) * 4,
                        expected: "0",
                        found: "\(values[bad])"
                    )
                )
            }
            let numbers = UnsafeBufferPointer(rebasing: values[..<space.dimensions])
            do throws(StoreError) {
                _ = try VectorMath.validatedNorm(of: numbers, metric: space.metric)
            } catch {
                report(
                    Finding(
                        .record,
                        file: file.name,
                        offset: offset,
                        expected: error.expected ?? "a valid vector",
                        found: error.found ?? error.message
                    )
                )
            }
            let norm = VectorMath.norm(vector, dimensions: space.dimensions)
            let stored = try space.norm(ordinal)
            if stored.bitPattern != norm.bitPattern {
                report(
                    Finding(
                        .mismatch,
                        file: file.name,
                        offset: space.normSection.entry.offset + UInt64(ordinal) * 4,
                        expected: "a norm of \(norm)",
                        found: "\(stored)"
                    )
                )
            }
        }
    }

    /// Runs `body` over the ordinals in steps; what it throws was reported with its chunk.
    private func forEachBatch(
        of space: VectorSpace,
        batch: Int,
        _ body: (Range<Int>) throws(StoreError) -> Void
    ) {
        for start in stride(from: 0, to: space.vectorCount, by: batch) {
            let end = min(start + batch, space.vectorCount)
            // Only a chunk's checksum can fail here, and `verifyAll` has reported it.
            try? body(start..<end)
        }
    }
}
