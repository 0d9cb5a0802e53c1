// Checks the files of a segment against each other.

import MoraineFormat
package import MoraineStorage

extension SegmentReader {
    /// Checks every byte of both files, and that each row has the same key, LSN, created time and
    /// expiry in both.
    ///
    /// Goes on after a finding.
    ///
    /// - Parameter limit: ends it early, without a word.
    package func verify(within limit: ReadLimit? = nil, _ report: (Finding) -> Void) {
        keys.verify(within: limit, report)
        var cursor: KeyCursor?
        documents.verify(within: limit, report) { row, record in
            do throws(StoreError) {
                guard let row else {
                    try checkAbsent(record, report)
                    return
                }
                // A block of documents that could not be read leaves a hole in the rows.
                let keys =
                    cursor.flatMap { $0.row &+ 1 == row ? $0 : nil } ?? keys.cursor(from: row)
                cursor = keys
                guard try keys.next() else { return }
                compare(keys, record, report)
            } catch {
                // The key file's own check has reported it.
                cursor = nil
            }
        }
    }

    private func compare(
        _ key: KeyCursor,
        _ record: DocumentRecord,
        _ report: (Finding) -> Void
    ) {
        let expected = KeyEntry(
            row: key.row,
            lsn: record.lsn,
            created: record.created,
            expiry: record.expiry
        )
        let isSameKey = KeyBytes.with(collection: record.collectionID, id: record.id) {
            KeyBytes.compare($0, key.key) == 0
        }
        guard !isSameKey || key.entry != expected else { return }
        report(
            Finding(
                .mismatch,
                file: keys.file.name,
                offset: keys.blocks.entry.offset,
                expected: "\(expected) as in the document file",
                found: "\(key.entry) with \(isSameKey ? "the same" : "another") key"
            )
        )
    }

    private func checkAbsent(_ tombstone: DocumentRecord, _ report: (Finding) -> Void)
        throws(StoreError)
    {
        guard
            let entry = try find(collectionID: tombstone.collectionID, id: tombstone.id)
        else { return }
        report(
            Finding(
                .mismatch,
                file: keys.file.name,
                offset: keys.blocks.entry.offset,
                expected: "no row for a key with a tombstone",
                found: "row \(entry.row)"
            )
        )
    }
}
