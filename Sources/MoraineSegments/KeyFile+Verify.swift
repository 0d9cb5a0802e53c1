// Checks every entry of a key file.

import MoraineBytes
import MoraineFiles
import MoraineFormat
package import MoraineStorage

extension KeyFile {
    /// Checks every byte of the file: frame, blocks, their order, fences and filter.
    ///
    /// Goes on after a finding, block by block.
    ///
    /// - Parameter limit: ends it early, without a word.
    package func verify(within limit: ReadLimit? = nil, _ report: (Finding) -> Void) {
        var damagedOffsets: Set<UInt64> = []
        file.verifyAll(within: limit) { finding in
            damagedOffsets.insert(finding.offset)
            report(finding)
        }
        var previous: [UInt8] = []
        var minLSN: UInt64 = 0
        var maxLSN: UInt64 = 0
        for block in 0..<fences.blockCount {
            if limit?.isOver == true { return }
            let cursor = cursor(from: fences.firstRow(block))
            do throws(StoreError) {
                try verifyShape(ofBlock: block, report)
                for row in fences.firstRow(block)..<fences.firstRow(block + 1) {
                    guard try cursor.next() else { break }
                    verify(cursor, row, block, &previous, report)
                    let lsn = cursor.entry.lsn
                    minLSN = minLSN == 0 ? lsn : min(minLSN, lsn)
                    maxLSN = max(maxLSN, lsn)
                }
            } catch {
                // A damaged chunk holds many blocks and is reported once.
                guard !damagedOffsets.contains(error.offset ?? 0) else { continue }
                report(Finding(error, .block, file: file.name))
            }
        }
        if footer.minLSN != minLSN || footer.maxLSN != maxLSN {
            report(
                Finding(
                    .mismatch,
                    file: file.name,
                    offset: footer.fileByteCount - 32,
                    expected: "LSNs \(footer.minLSN) to \(footer.maxLSN)",
                    found: "\(minLSN) to \(maxLSN)"
                )
            )
        }
    }

    private func verify(
        _ cursor: KeyCursor,
        _ row: UInt32,
        _ block: Int,
        _ previous: inout [UInt8],
        _ report: (Finding) -> Void
    ) {
        let key = cursor.key
        func finding(_ kind: Finding.Kind, _ expected: String, _ found: String) {
            report(
                Finding(
                    kind,
                    file: file.name,
                    offset: blocks.entry.offset + UInt64(block * KeyBlock.byteCount),
                    expected: expected,
                    found: "row \(row): \(found)"
                )
            )
        }
        if !KeyBytes.isValidID(KeyBytes.id(of: key)) || KeyBytes.collection(of: key) == 0 {
            finding(.record, "a collection and an id", "\(key.count) other bytes")
        }
        if row > 0, previous.withUnsafeBytes({ KeyBytes.compare($0, key) >= 0 }) {
            finding(.order, "a key above the one before", "one that is not")
        }
        if row == fences.firstRow(block), KeyBytes.compare(fences.key(block), key) != 0 {
            finding(.mismatch, "the key that the fences name", "another")
        }
        if (try? mayContain(key)) == false {
            finding(.mismatch, "a key that the filter lets through", "one that it does not")
        }
        previous.removeAll(keepingCapacity: true)
        previous.append(contentsOf: key)
    }

    /// Checks restarts and padding of a block.
    private func verifyShape(ofBlock block: Int, _ report: (Finding) -> Void) throws(StoreError) {
        var cursor = try cursor(inBlock: block)
        let bytes = try blocks.bytes(at: block * KeyBlock.byteCount, count: KeyBlock.byteCount)
        do throws(KeyBlockDamage) {
            var starts: [Int] = []
            try cursor.seek(restart: 0)
            repeat {
                if cursor.index % KeyBlock.restartInterval == 0 {
                    starts.append(cursor.entryOffset)
                }
                try cursor.skipNumbers()
            } while try cursor.next()
            let isListed = starts.enumerated().allSatisfy { cursor.restartOffset($0) == $1 }
            let padding = bytes[cursor.position..<cursor.end]
            if !isListed || padding.contains(where: { $0 != 0 }) {
                throw KeyBlockDamage(offset: cursor.position)
            }
        } catch {
            throw damage(error, block)
        }
    }
}
