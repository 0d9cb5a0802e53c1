// Checks every block and record of a document file.

import MoraineBytes
import MoraineFiles
import MoraineFormat
package import MoraineStorage

extension DocumentFile {
    /// Checks every byte of the file: frame, blocks, records, their order, and the schema.
    ///
    /// Goes on after a finding. A block that cannot be read is one finding; its records are not
    /// looked at.
    package func verify(_ report: (Finding) -> Void) {
        verify(within: nil, report) { _, _ in }
    }

    /// The same, and calls `record` with the row and record of each document that was read, in
    /// order; tombstones have no row.
    ///
    /// - Parameter limit: ends it early, without a word.
    func verify(
        within limit: ReadLimit?,
        _ report: (Finding) -> Void,
        _ record: (UInt32?, DocumentRecord) -> Void
    ) {
        file.verifyAll(within: limit, report)
        verifyGaps(report)
        var check = RecordCheck(self)
        for number in index.indices {
            if limit?.isOver == true { return }
            do throws(StoreError) {
                let block = try readBlock(number)
                check.begin(block)
                for place in 0..<block.recordCount {
                    let found = try block.record(place)
                    check.check(found, block, place, report)
                    let isTombstone = index[number].holdsTombstones
                    record(isTombstone ? nil : block.firstRow + UInt32(place), found)
                }
                check.end(block, report)
                withExtendedLifetime(block) {}
            } catch {
                check.isWhole = false
                report(Finding(error, .block, file: file.name))
            }
        }
        check.finish(report)
    }

    /// Checks that the bytes between blocks are zeros and fewer than eight.
    private func verifyGaps(_ report: (Finding) -> Void) {
        guard let blocks = file.section(SectionType.documentBlocks)?.entry else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { buffer.deallocate() }
        var end = blocks.offset
        for entry in index {
            if entry.offset - end >= 8 {
                report(
                    Finding(
                        .block,
                        file: file.name,
                        offset: end,
                        expected: "a block",
                        found: "the next block at \(entry.offset)"
                    )
                )
            }
            file.verifyZeros(from: end, to: entry.offset, buffer, report)
            end = entry.offset + DocumentFile.blockByteCount(entry)
        }
        file.verifyZeros(from: end, to: blocks.offset + blocks.byteCount, buffer, report)
    }
}

/// What the records of a file must be together.
private struct RecordCheck {
    let file: SealedFile
    let collections: [SegmentCollection]
    private let expiries: [SegmentExpiry]
    /// False once a block could not be read: then sums say nothing.
    var isWhole = true
    /// The key before, of the same kind.
    private var key = ByteWriter()
    private var kind = DocumentBlockHeader.Kind.documents
    private var maxLSNOfBlock: UInt64 = 0
    private var minLSN: UInt64 = 0
    private var maxLSN: UInt64 = 0
    private var expiryCounts: [UInt32: UInt32] = [:]
    private var earliest: [UInt32: UInt64] = [:]

    init(_ documents: DocumentFile) {
        file = documents.file
        collections = documents.collections
        expiries = documents.expiries
        minLSN = documents.removals.first?.lsn ?? 0
        maxLSN = documents.removals.last?.lsn ?? 0
    }

    mutating func begin(_ block: DecodedBlock) {
        maxLSNOfBlock = 0
        if block.header.kind != kind {
            kind = block.header.kind
            key.removeAll()
        }
    }

    mutating func check(
        _ record: DocumentRecord,
        _ block: DecodedBlock,
        _ place: Int,
        _ report: (Finding) -> Void
    ) {
        func finding(_ kind: Finding.Kind, _ expected: String, _ found: String) {
            report(
                Finding(
                    kind,
                    file: file.name,
                    offset: block.offset,
                    expected: expected,
                    found: "record \(place) of block \(block.header.blockNumber): \(found)"
                )
            )
        }
        do throws(FormatError) {
            try record.validate()
        } catch {
            finding(.record, "\(error.field): \(error.expected)", error.found)
        }
        if record.isTombstone != (kind == .tombstones) {
            finding(.record, "\(kind)", record.isTombstone ? "a tombstone" : "a document")
        }
        var next = ByteWriter(capacity: record.id.count + 4)
        KeyBytes.write(collection: record.collectionID, id: record.id, into: &next)
        let ascends = next.withBytes { new in key.withBytes { KeyBytes.compare($0, new) < 0 } }
        if !ascends { finding(.order, "a key above the one before", "one that is not") }
        key = next
        let collection = collections.element(withKey: record.collectionID) { $0.shape.id }
        let row = block.firstRow &+ UInt32(place)
        if collection == nil || (kind == .documents && collection?.rows.contains(row) == false) {
            finding(.mismatch, "a row of its collection", "collection \(record.collectionID)")
        }
        if record.vectorChecksum != nil, collection?.shape.dimensions == 0 {
            finding(.mismatch, "no vector in this collection", "a vector")
        }
        if record.expiry != 0 {
            expiryCounts[record.collectionID, default: 0] += 1
            earliest[record.collectionID] = min(
                earliest[record.collectionID] ?? .max,
                record.expiry
            )
        }
        maxLSNOfBlock = max(maxLSNOfBlock, record.lsn)
        minLSN = minLSN == 0 ? record.lsn : min(minLSN, record.lsn)
        maxLSN = max(maxLSN, record.lsn)
    }

    func end(_ block: DecodedBlock, _ report: (Finding) -> Void) {
        guard block.header.maxLSN != maxLSNOfBlock else { return }
        report(
            Finding(
                .mismatch,
                file: file.name,
                offset: block.offset + 40,
                expected: "maxLSN \(block.header.maxLSN)",
                found: "\(maxLSNOfBlock)"
            )
        )
    }

    func finish(_ report: (Finding) -> Void) {
        let footer = file.footer
        let counted = expiryCounts.sorted { $0.key < $1.key }.map {
            SegmentExpiry(
                collectionID: $0.key,
                rowCount: $0.value,
                earliest: earliest[$0.key] ?? 0
            )
        }
        if isWhole, counted != expiries {
            report(
                Finding(
                    .mismatch,
                    file: file.name,
                    offset: file.section(SectionType.expiries)?.entry.offset ?? 0,
                    expected: "expiries \(expiries)",
                    found: "\(counted)"
                )
            )
        }
        guard isWhole, footer.minLSN != minLSN || footer.maxLSN != maxLSN else { return }
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
