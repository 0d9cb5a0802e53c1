// Gathers records until they make a block. Bytes: format-spec/document.md.

import MoraineBytes
import MoraineFormat

/// Records that are not yet a block.
struct BlockBuilder {
    /// The records so far.
    private(set) var records = ByteWriter(capacity: 2 * FormatLimits.blockByteCount)
    private var starts: [UInt32] = []
    private var maxLSN: UInt64 = 0
    private let codec: Codec
    private let kind: DocumentBlockHeader.Kind

    init(codec: Codec, kind: DocumentBlockHeader.Kind) {
        self.codec = codec
        self.kind = kind
    }

    var recordCount: Int { starts.count }

    /// True when the block is to be closed before the next record.
    var isFull: Bool { records.count >= FormatLimits.blockByteCount }

    /// Appends a record that `encode` writes.
    mutating func add(lsn: UInt64, _ encode: (inout ByteWriter) -> Void) {
        starts.append(UInt32(records.count))
        encode(&records)
        maxLSN = max(maxLSN, lsn)
    }

    /// Compresses the block, hands it out and starts anew.
    ///
    /// There must be a record.
    mutating func close(segmentID: UInt64, blockNumber: UInt32, firstRow: UInt32) -> StoredBlock {
        for start in starts { records.writeUInt32(start) }
        var stored = records.withBytes { codec.compress($0) }
        let shrank = stored.count < records.count
        if !shrank { stored = records.bytes }
        let header = DocumentBlockHeader(
            segmentID: segmentID,
            blockNumber: blockNumber,
            firstRow: firstRow,
            recordCount: UInt32(starts.count),
            codec: shrank ? codec : .none,
            kind: kind,
            rawByteCount: UInt32(records.count),
            storedByteCount: UInt32(stored.count),
            maxLSN: maxLSN,
            payloadChecksum: stored.withUnsafeBytes { CRC32C.value($0) }
        )
        records.removeAll()
        starts.removeAll(keepingCapacity: true)
        maxLSN = 0
        return StoredBlock(header: header, payload: stored)
    }
}

/// A block as it will stand in the file, but for its number and place.
struct StoredBlock {
    var header: DocumentBlockHeader
    let payload: [UInt8]
}
