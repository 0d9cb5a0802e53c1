// Checks the checksums of a segment's files in small portions, for a check that never ends.

import MoraineFormat
package import MoraineStorage

extension KeyFile {
    /// Checks the next portion of the file; see `SealedFile.verifyPortion`.
    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        file.verifyPortion(&place, buffer, report)
    }
}

extension DocumentFile {
    /// Checks the next portion of the file: as `SealedFile.verifyPortion`, then block by block.
    ///
    /// - Returns: the bytes that were read; `nil` when nothing is left.
    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        if let count = file.verifyPortion(&place, buffer, report) { return count }
        guard place.block < index.count else { return nil }
        if place.block == 0 { verifyZeros(behind: -1, buffer, report) }
        let number = place.block
        place.block += 1
        do throws(StoreError) {
            // Decompressing and the starts of records are part of the check.
            _ = try readBlock(number)
        } catch {
            report(Finding(error, .block, file: file.name))
        }
        verifyZeros(behind: number, buffer, report)
        return Int(clamping: DocumentFile.blockByteCount(index[number]))
    }

    /// Checks the padding between a block, or the section's start, and what follows.
    private func verifyZeros(
        behind number: Int,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) {
        guard let blocks = file.section(SectionType.documentBlocks)?.entry else { return }
        let start =
            number < 0
            ? blocks.offset
            : index[number].offset + DocumentFile.blockByteCount(index[number])
        let next = number + 1
        let end = next < index.count ? index[next].offset : blocks.offset + blocks.byteCount
        file.verifyZeros(from: start, to: end, buffer, report)
    }
}
