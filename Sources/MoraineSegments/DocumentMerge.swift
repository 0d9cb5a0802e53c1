// Puts the documents of a merge into blocks, run by run, on any number of threads.

package import MoraineBytes
import MoraineFormat
package import MoraineStorage

/// Blocks for consecutive rows of a merge's output.
package struct DocumentRun: Sendable {
    let blocks: [StoredBlock]
    package let rowCount: Int
    let rowCountByCollection: [UInt32: UInt32]
    let expiries: [UInt32: SegmentExpiry]
    let minLSN: UInt64
    let maxLSN: UInt64
    /// The sum of the records' LSNs, wrapping.
    package let lsnSum: UInt64
    /// Bytes of the records before compression.
    package let rawByteCount: Int
    /// Blocks that were copied as they are.
    package let copiedBlockCount: Int
}

/// Makes the document blocks of a merge.
///
/// Any thread; different runs at the same time.
package struct DocumentMerge: Sendable {
    private let plan: MergePlan
    private let codec: Codec

    package init(_ plan: MergePlan, codec: Codec) {
        self.plan = plan
        self.codec = codec
    }

    /// Rows of the output, cut into runs of about `byteCount` bytes of records each.
    package func runs(byteCount: Int) -> [Range<Int>] {
        if plan.rowCount == 0 { return [] }
        var raw = 0
        var rows = 0
        for input in plan.inputs {
            raw += input.segment.documents.rawDocumentByteCount
            rows += Int(input.segment.rowCount)
        }
        let average = max(1, raw / max(1, rows))
        let length = max(1, min(65_536, byteCount / average))
        return stride(from: 0, to: plan.rowCount, by: length).map {
            $0..<min($0 + length, plan.rowCount)
        }
    }

    /// The blocks of a run.
    ///
    /// A block of an input whose rows are all in the run, one behind the other, is copied as it
    /// is; it is decoded all the same, so that no damage is copied.
    ///
    /// - Throws: `corrupted` where an input is damaged or its documents are not those of its keys.
    package func make(_ rows: Range<Int>) throws(StoreError) -> DocumentRun {
        var maker = RunMaker(plan: plan, codec: codec)
        return try maker.make(rows)
    }
}

extension DocumentFile {
    /// Bytes of the documents' blocks before compression.
    var rawDocumentByteCount: Int {
        index[..<documentBlockCount].reduce(0) { $0 + Int($1.rawByteCount) }
    }
}

private struct RunMaker {
    let plan: MergePlan
    let codec: Codec
    private var builder: BlockBuilder
    private var blocks: [StoredBlock] = []
    /// For each input, the block that was read last and its number.
    private var open: [(number: Int, block: DecodedBlock)?]
    private var rowCounts: [UInt32: UInt32] = [:]
    private var expiries: [UInt32: SegmentExpiry] = [:]
    private var minLSN: UInt64 = 0
    private var maxLSN: UInt64 = 0
    private var lsnSum: UInt64 = 0
    private var rawByteCount = 0
    private var copiedBlockCount = 0

    init(plan: MergePlan, codec: Codec) {
        self.plan = plan
        self.codec = codec
        builder = BlockBuilder(codec: codec, kind: .documents)
        open = Array(repeating: nil, count: plan.inputs.count)
    }

    mutating func make(_ rows: Range<Int>) throws(StoreError) -> DocumentRun {
        var row = rows.lowerBound
        while row < rows.upperBound {
            if let stored = try wholeBlock(at: row, before: rows.upperBound) {
                close()
                blocks.append(stored)
                copiedBlockCount += 1
                row += Int(stored.header.recordCount)
            } else {
                try append(row)
                row += 1
            }
        }
        close()
        return DocumentRun(
            blocks: blocks,
            rowCount: rows.count,
            rowCountByCollection: rowCounts,
            expiries: expiries,
            minLSN: minLSN,
            maxLSN: maxLSN,
            lsnSum: lsnSum,
            rawByteCount: rawByteCount,
            copiedBlockCount: copiedBlockCount
        )
    }

    private mutating func close() {
        guard builder.recordCount > 0 else { return }
        blocks.append(builder.close(segmentID: 0, blockNumber: 0, firstRow: 0))
    }

    private mutating func append(_ row: Int) throws(StoreError) {
        let number = Int(plan.inputNumbers[row])
        let inputRow = plan.inputRows[row]
        let block = try block(number, inputRow)
        let place = Int(inputRow - block.firstRow)
        let record = try block.record(place)
        let bytes = block.recordBytes(place)
        // A large document alone: reading its neighbours must not read it too.
        if builder.recordCount > 0, bytes.count >= FormatLimits.blockByteCount { close() }
        builder.add(lsn: record.lsn) { $0.writeBytes(bytes) }
        count(record, bytes.count)
        if builder.isFull { close() }
        withExtendedLifetime(block) {}
    }

    private mutating func count(_ record: DocumentRecord, _ byteCount: Int) {
        rowCounts[record.collectionID, default: 0] += 1
        SegmentExpiry.counting(record.expiry, of: record.collectionID, into: &expiries)
        minLSN = minLSN == 0 ? record.lsn : min(minLSN, record.lsn)
        maxLSN = max(maxLSN, record.lsn)
        lsnSum &+= record.lsn
        rawByteCount += byteCount
    }

    private mutating func block(_ number: Int, _ row: UInt32) throws(StoreError) -> DecodedBlock {
        let documents = plan.inputs[number].segment.documents
        if let (_, block) = open[number], row >= block.firstRow,
            row - block.firstRow < block.header.recordCount
        {
            return block
        }
        let blockNumber = documents.blockNumber(of: row)
        let block = try documents.block(blockNumber, caching: false)
        open[number] = (blockNumber, block)
        return block
    }

    /// The block of an input that starts at a row of the output and ends before another, when all
    /// of its rows live, nothing comes between them, and it is not small.
    ///
    /// What waits before it becomes a small block: at most one for each that is copied, and it is
    /// joined with its neighbours by the next merge.
    private mutating func wholeBlock(at row: Int, before end: Int) throws(StoreError)
        -> StoredBlock?
    {
        let number = Int(plan.inputNumbers[row])
        let inputRow = plan.inputRows[row]
        // Most rows stand in the middle of a block that is open.
        if let (_, block) = open[number], inputRow > block.firstRow,
            inputRow - block.firstRow < block.header.recordCount
        {
            return nil
        }
        let documents = plan.inputs[number].segment.documents
        let blockNumber = documents.blockNumber(of: inputRow)
        let entry = documents.index[blockNumber]
        guard entry.firstRow == inputRow, Int(entry.recordCount) <= end - row,
            Int(entry.rawByteCount) * 2 >= FormatLimits.blockByteCount
        else { return nil }
        // Rows of an input ascend: if the last one is in its place, so are those between, unless
        // rows of other inputs stand among them.
        let last = row + Int(entry.recordCount) - 1
        guard plan.inputRows[last] == inputRow + entry.recordCount - 1,
            plan.inputNumbers[row...last].allSatisfy({ Int($0) == number })
        else { return nil }
        let (stored, block) = try documents.readStoredBlock(blockNumber)
        for place in 0..<block.recordCount {
            count(try block.record(place), block.recordBytes(place).count)
        }
        withExtendedLifetime(block) {}
        return stored
    }
}
