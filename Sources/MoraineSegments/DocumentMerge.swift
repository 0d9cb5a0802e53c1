// Puts the documents of a merge into blocks, run by run, on any number of threads.

package import MoraineBytes
import MoraineFormat
package import MoraineStorage

/// Blocks for consecutive rows of a merge's output.
package struct DocumentRun: Sendable {
    let blocks: [StoredBlock]
    package let rowCount: Int
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
        var runs: [Range<Int>] = []
        var start = 0
        while start < plan.rowCount {
            let end = start + length < plan.rowCount ? blockStart(start + length) : plan.rowCount
            runs.append(start..<(end > start ? end : min(start + length, plan.rowCount)))
            start = runs[runs.count - 1].upperBound
        }
        return runs
    }

    /// Where the rows of the input's block begin that a row of the output comes from: the block
    /// can be copied whole if no run ends inside it.
    private func blockStart(_ row: Int) -> Int {
        let number = Int(plan.inputNumbers[row])
        let documents = plan.inputs[number].segment.documents
        let inputRow = plan.inputRows[row]
        let firstRow = documents.index[documents.blockNumber(of: inputRow)].firstRow
        let start = row - Int(inputRow - firstRow)
        return plan.isWhole(start, count: row - start + 1, of: number, from: firstRow)
            ? start : row
    }

    /// The blocks of a run.
    ///
    /// A block of an input whose rows are all in the run, one behind the other, is copied as it
    /// is, once its checksum is found right.
    ///
    /// - Throws: `corrupted` where an input is damaged, or the LSNs of its documents are not those
    ///   of its keys: of each document that is moved, and the highest of each block that is copied.
    package func make(_ rows: Range<Int>) throws(StoreError) -> DocumentRun {
        var maker = RunMaker(plan: plan, codec: codec)
        return try maker.make(rows)
    }
}

extension MergePlan {
    /// Whether rows of the output from `row` on are those of an input from `inputRow` on, with
    /// nothing between them.
    fileprivate func isWhole(_ row: Int, count: Int, of number: Int, from inputRow: UInt32) -> Bool
    {
        // Rows of an input ascend: if the first and the last one are in their places, so are those
        // between, unless rows of other inputs stand among them.
        row >= 0 && inputRows[row] == inputRow
            && inputRows[row + count - 1] == inputRow + UInt32(count - 1)
            && inputNumbers[row..<row + count].allSatisfy { Int($0) == number }
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
        guard record.lsn == plan.lsns[row] else {
            throw disagreement(number, block.offset, expected: plan.lsns[row], found: record.lsn)
        }
        let bytes = block.recordBytes(place)
        // A large document alone: reading its neighbours must not read it too.
        if builder.recordCount > 0, bytes.count >= FormatLimits.blockByteCount { close() }
        builder.add(lsn: record.lsn) { $0.writeBytes(bytes) }
        if builder.isFull { close() }
        withExtendedLifetime(block) {}
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
            Int(entry.rawByteCount) * 2 >= FormatLimits.blockByteCount,
            plan.isWhole(row, count: Int(entry.recordCount), of: number, from: inputRow)
        else { return nil }
        let stored = try documents.readStoredBlock(blockNumber)
        let maxLSN = plan.lsns[row..<row + Int(entry.recordCount)].reduce(0) { max($0, $1) }
        guard stored.header.maxLSN == maxLSN else {
            throw disagreement(number, entry.offset, expected: maxLSN, found: stored.header.maxLSN)
        }
        return stored
    }

    private func disagreement(_ number: Int, _ offset: UInt64, expected: UInt64, found: UInt64)
        -> StoreError
    {
        StoreError(
            .corrupted,
            "the documents of a segment are not those of its keys; nothing was changed",
            path: plan.inputs[number].segment.documents.file.path,
            offset: offset,
            expected: "LSN \(expected)",
            found: "\(found)"
        )
    }
}
