// A block of records, decompressed and checked. Bytes: format-spec/document.md.

package import MoraineBytes
package import MoraineFormat
package import MoraineStorage

/// The records of one block.
///
/// Immutable; what is read from it borrows its memory.
package final class DecodedBlock: Sendable {
    /// The header as it was read.
    package let header: DocumentBlockHeader
    /// Where the block stands in its file.
    package let offset: UInt64
    private let path: String
    // Written before init returns, never after; freed in deinit.
    nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer
    /// Where the records end and their starts begin.
    private let recordsEnd: Int

    /// Decompresses `payload` and checks the starts of the records.
    ///
    /// - Parameter header: says at least five bytes a record.
    package init(
        header: DocumentBlockHeader,
        offset: UInt64,
        payload: UnsafeRawBufferPointer,
        path: String
    ) throws(FormatError) {
        let rawByteCount = Int(header.rawByteCount)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: rawByteCount, alignment: 8)
        self.header = header
        self.offset = offset
        self.path = path
        bytes = UnsafeRawBufferPointer(memory)
        // In range: at most 2^32 × 4.
        recordsEnd = rawByteCount - Int(header.recordCount) * 4
        try header.codec.decompress(payload, into: memory)
        try checkStarts()
    }

    deinit { bytes.deallocate() }

    /// How many records there are; at least one.
    package var recordCount: Int { Int(header.recordCount) }
    /// The row of the first record.
    ///
    /// Not for tombstones.
    package var firstRow: UInt32 { header.firstRow }
    /// Bytes of memory that the block takes.
    package var memoryByteCount: Int { bytes.count + 160 }

    /// The bytes of record `index`, 0 ..< `recordCount`.
    @inline(__always)
    package func recordBytes(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < recordCount)
        let start = start(index)
        let end = index + 1 < recordCount ? self.start(index + 1) : recordsEnd
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// Record `index`, 0 ..< `recordCount`.
    ///
    /// It borrows this block.
    package func record(_ index: Int) throws(StoreError) -> DocumentRecord {
        do throws(FormatError) {
            return try DocumentRecord(decoding: recordBytes(index))
        } catch {
            throw StoreError(
                .corrupted,
                "record \(index) of block \(header.blockNumber): \(error.field)",
                path: path,
                offset: offset,
                expected: error.expected,
                found: error.found
            )
        }
    }

    /// The record of a row, which stands in this block.
    ///
    /// It borrows this block.
    package func record(ofRow row: UInt32) throws(StoreError) -> DocumentRecord {
        try record(Int(row - firstRow))
    }

    @inline(__always)
    private func start(_ index: Int) -> Int {
        Int(
            UInt32(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: recordsEnd &+ index &* 4,
                    as: UInt32.self
                )
            )
        )
    }

    /// Throws unless the records' starts ascend from 0 and lie inside the payload.
    private func checkStarts() throws(FormatError) {
        var end = 0
        for index in 0..<recordCount {
            let start = start(index)
            guard index == 0 ? start == 0 : start > end, start < recordsEnd else {
                throw FormatError(
                    .range,
                    at: UInt64(DocumentBlockHeader.byteCount),
                    field: "record start",
                    expected: "above \(end), below \(recordsEnd)",
                    found: "\(start)"
                )
            }
            end = start
        }
    }
}
