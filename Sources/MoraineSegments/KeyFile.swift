// Finds rows by their keys. Bytes: format-spec/key.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// An open `.key` file, mapped.
///
/// Any thread; no call but `cursor` allocates.
package final class KeyFile: Sendable {
    let file: SealedFile
    package var header: FileHeader { file.layout.header }
    package var path: String { file.path }
    package let segmentID: UInt64
    package let rowCount: UInt32
    let blocks: Section
    let fences: KeyFences
    private let filter: Section
    let filterHeader: KeyFilterHeader

    /// Opens the file and checks its frame and fences; blocks and filter are checked as they are
    /// touched.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        reference: SealedFileReference
    ) throws(StoreError) {
        file = try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.key(segmentID, fileID: reference.fileID),
            kind: .key,
            storeID: storeID,
            reference: reference,
            access: .mapped
        )
        self.segmentID = segmentID
        blocks = try file.requiredSection(SectionType.keyBlocks)
        filter = try file.requiredSection(SectionType.filter)
        guard let rows = UInt32(exactly: file.footer.rowCount),
            UInt64(rows) <= FormatLimits.segmentRowCount
        else {
            throw file.damage(
                "the footer's row count is not a segment's",
                at: file.footer.fileByteCount - 40,
                expected: "at most \(FormatLimits.segmentRowCount)",
                found: "\(file.footer.rowCount)"
            )
        }
        rowCount = rows
        let fenceSection = try file.requiredSection(SectionType.fences)
        let fenceBytes = try fenceSection.allBytes()
        do throws(FormatError) {
            fences = try KeyFences(
                fenceBytes,
                rowCount: rows,
                blockByteCount: blocks.byteCount
            )
        } catch {
            throw StoreError(error, path: file.path, base: fenceSection.entry.offset)
        }
        filterHeader = try KeyFile.readFilterHeader(file, filter, rowCount: rows)
    }

    package var footer: FileFooter { file.footer }
    package var reference: SealedFileReference { file.reference }

    private static func readFilterHeader(
        _ file: SealedFile,
        _ section: Section,
        rowCount: UInt32
    ) throws(StoreError) -> KeyFilterHeader {
        let bytes = try section.bytes(at: 0, count: KeyFilterHeader.byteCount)
        do throws(FormatError) {
            let header = try KeyFilterHeader(decoding: bytes)
            guard section.byteCount - KeyFilterHeader.byteCount == Int(header.arrayLength),
                header.keyCount == rowCount
            else {
                throw FormatError(
                    .mismatch,
                    at: 16,
                    field: "arrayLength",
                    expected:
                        "\(section.byteCount - KeyFilterHeader.byteCount) for \(rowCount) keys",
                    found: "\(header.arrayLength) for \(header.keyCount)"
                )
            }
            return header
        } catch {
            throw StoreError(error, path: file.path, base: section.entry.offset)
        }
    }

    /// The row with that key, `nil` when the segment has none.
    ///
    /// - Throws: `corrupted` where a block or the filter is damaged.
    package func find(_ key: UnsafeRawBufferPointer) throws(StoreError) -> KeyEntry? {
        guard try mayContain(key), let block = fences.block(of: key) else { return nil }
        var cursor = try self.cursor(inBlock: block)
        do throws(KeyBlockDamage) {
            guard try cursor.seek(key).isEqual else { return nil }
            let row = fences.firstRow(block) &+ UInt32(truncatingIfNeeded: cursor.index)
            let numbers = try cursor.readNumbers()
            return KeyEntry(
                row: row,
                lsn: numbers.lsn,
                created: numbers.created,
                expiry: numbers.expiry
            )
        } catch {
            throw damage(error, block)
        }
    }

    /// The first row whose key is at or above `key`; `rowCount` when there is none.
    package func lowerBound(_ key: UnsafeRawBufferPointer) throws(StoreError) -> UInt32 {
        guard let block = fences.block(of: key) else { return 0 }
        var cursor = try self.cursor(inBlock: block)
        do throws(KeyBlockDamage) {
            guard try cursor.seek(key).isThere else { return fences.firstRow(block + 1) }
            return fences.firstRow(block) + UInt32(cursor.index)
        } catch {
            throw damage(error, block)
        }
    }

    /// What is known of a row.
    ///
    /// - Parameter row: below `rowCount`.
    package func entry(_ row: UInt32) throws(StoreError) -> KeyEntry {
        precondition(row < rowCount)
        let block = fences.block(ofRow: row)
        let place = Int(row - fences.firstRow(block))
        var cursor = try self.cursor(inBlock: block)
        do throws(KeyBlockDamage) {
            try cursor.seek(restart: place / KeyBlock.restartInterval)
            while cursor.index < place {
                try cursor.skipNumbers()
                guard try cursor.next() else { throw KeyBlockDamage(offset: 0) }
            }
            let numbers = try cursor.readNumbers()
            return KeyEntry(
                row: row,
                lsn: numbers.lsn,
                created: numbers.created,
                expiry: numbers.expiry
            )
        } catch {
            throw damage(error, block)
        }
    }

    /// Appends the ids of rows' documents, and where each of them ends.
    ///
    /// Quicker than cursors for rows here and there: what all of them need of memory is asked for
    /// before the first is read.
    ///
    /// - Parameter rows: each below `rowCount`.
    /// - Throws: `corrupted` where a block is damaged.
    package func appendIDs(ofRows rows: [UInt32], to ids: inout [UInt8], ends: inout [Int])
        throws(StoreError)
    {
        try withUnsafeTemporaryAllocation(of: RowPlace.self, capacity: rows.count) {
            places throws(StoreError) in
            for (index, row) in rows.enumerated() {
                precondition(row < rowCount)
                let block = fences.block(ofRow: row)
                let place = RowPlace(block: block, index: Int(row - fences.firstRow(block)))
                places.initializeElement(at: index, to: place)
                let bytes = try blocks.bytes(
                    at: block &* KeyBlock.byteCount,
                    count: KeyBlock.byteCount
                )
                KeyBlockCursor.fetchRestartList(bytes)
            }
            for place in places { try cursor(inBlock: place.block).fetchEntries(of: place.restart) }
            for place in places {
                var cursor = try cursor(inBlock: place.block)
                do throws(KeyBlockDamage) {
                    try cursor.appendID(place.index, to: &ids)
                } catch {
                    throw damage(error, place.block)
                }
                ends.append(ids.count)
            }
        }
    }

    /// Where a row's entry stands.
    private struct RowPlace {
        let block: Int
        /// Its number in the block.
        let index: Int
        var restart: Int { index / KeyBlock.restartInterval }
    }

    /// The keys from `row` on, in order.
    ///
    /// - Parameter row: at most `rowCount`.
    package func cursor(from row: UInt32) -> KeyCursor {
        precondition(row <= rowCount)
        return KeyCursor(self, from: row)
    }

    /// False when the key is certainly not here.
    @inline(__always)
    func mayContain(_ key: UnsafeRawBufferPointer) throws(StoreError) -> Bool {
        guard filterHeader.arrayLength > 0 else { return true }
        let hash = hash64(key, seed: filterHeader.seed)
        let (a, b, c) = filterHeader.places(of: hash)
        let found =
            try fingerprint(a) ^ (try fingerprint(b)) ^ (try fingerprint(c))
        return found == KeyFilterHeader.fingerprint(of: hash)
    }

    @inline(__always)
    private func fingerprint(_ place: Int) throws(StoreError) -> UInt8 {
        try filter.bytes(at: KeyFilterHeader.byteCount &+ place, count: 1)[0]
    }

    /// The entries of a block, which is checked if it was not yet.
    @inline(__always)
    func cursor(inBlock block: Int) throws(StoreError) -> KeyBlockCursor {
        let bytes = try blocks.bytes(
            at: block &* KeyBlock.byteCount,
            count: KeyBlock.byteCount
        )
        do throws(KeyBlockDamage) {
            let cursor = try KeyBlockCursor(bytes)
            let rows = fences.firstRow(block &+ 1) &- fences.firstRow(block)
            guard cursor.entryCount == Int(rows) else {
                throw KeyBlockDamage(offset: KeyBlock.byteCount - 2)
            }
            return cursor
        } catch {
            throw damage(error, block)
        }
    }

    @inline(never)
    func damage(_ damage: KeyBlockDamage, _ block: Int) -> StoreError {
        file.damage(
            "key block \(block) does not follow the format",
            at: blocks.entry.offset + UInt64(block * KeyBlock.byteCount + damage.offset),
            expected: "an entry",
            found: "other bytes"
        )
    }
}
