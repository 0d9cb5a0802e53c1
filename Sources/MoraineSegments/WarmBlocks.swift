// What a merge moves in the cache: readers that met decompressed blocks of the inputs are to meet
// those of the output, and not a cold file.

import MoraineFormat
package import MoraineStorage

/// Decompressed blocks of a merge's output, most of whose rows come from blocks that are cached.
///
/// Memory: as many bytes as the cache may hold, at most, from the end of the merge until
/// ``moveIn()``.
package struct WarmBlocks: Sendable {
    private let cache: BlockCache?
    private let inputs: Set<UInt64>
    private let fileID: UInt64
    private var blocks: [(number: UInt32, block: DecodedBlock)] = []

    /// Nothing of the output; the inputs' blocks go all the same.
    package init(inputs: [MergeInput]) {
        cache = inputs.first?.segment.documents.cache
        self.inputs = Set(inputs.map(\.segment.documents.file.fileID))
        fileID = 0
    }

    /// Reads the blocks of the output.
    ///
    /// - Parameters:
    ///   - output: what was made of the plan.
    ///   - step: called now and then; throws to end the work.
    /// - Throws: `corrupted` where the output cannot be read; what `step` throws.
    package init(
        _ output: DocumentFile,
        plan: MergePlan,
        step: () throws(StoreError) -> Void
    ) throws(StoreError) {
        cache = output.cache
        inputs = Set(plan.inputs.map(\.segment.documents.file.fileID))
        fileID = output.file.fileID
        guard let cache else { return }
        var rows = plan.inputs.map { CachedRows($0.segment.documents, cache) }
        guard rows.contains(where: { !$0.isEmpty }) else { return }
        var byteCount = 0
        for number in 0..<output.documentBlockCount {
            let entry = output.index[number]
            let range = Int(entry.firstRow)..<Int(entry.firstRow + entry.recordCount)
            var count = 0
            for row in range where rows[Int(plan.inputNumbers[row])].contains(plan.inputRows[row]) {
                count += 1
            }
            guard count * 2 > range.count else { continue }
            let block = try output.readBlock(number)
            byteCount += block.memoryByteCount
            if byteCount > cache.byteBudget { return }
            blocks.append((UInt32(truncatingIfNeeded: number), block))
            if blocks.count % 64 == 0 { try step() }
        }
    }

    /// Puts the blocks in the place of those of the inputs, which nobody reads any more but old
    /// snapshots.
    package func moveIn() { cache?.exchange(inputs, for: blocks, of: fileID) }
}

/// Which rows of an input stand in cached blocks; asked in ascending order of rows.
private struct CachedRows {
    private let index: [BlockIndexEntry]
    private let isCached: [Bool]
    private var number = 0

    init(_ file: DocumentFile, _ cache: BlockCache) {
        index = Array(file.index[..<file.documentBlockCount])
        isCached = index.indices.map {
            cache.holds(fileID: file.file.fileID, number: UInt32(truncatingIfNeeded: $0))
        }
    }

    var isEmpty: Bool { !isCached.contains(true) }

    mutating func contains(_ row: UInt32) -> Bool {
        while number + 1 < index.count, index[number + 1].firstRow <= row { number += 1 }
        return isCached[number]
    }
}
