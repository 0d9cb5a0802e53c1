// Documents and keys of a segment, open together.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// An open segment without its vectors.
///
/// Any thread.
package final class SegmentReader: Sendable {
    package let segmentID: UInt64
    package let documents: DocumentFile
    package let keys: KeyFile

    /// Opens both files and checks that they belong together.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        document: SealedFileReference,
        key: SealedFileReference,
        cache: BlockCache?
    ) throws(StoreError) {
        self.segmentID = segmentID
        documents = try DocumentFile(
            fileSystem: fileSystem,
            root: root,
            segmentID: segmentID,
            storeID: storeID,
            reference: document,
            cache: cache
        )
        keys = try KeyFile(
            fileSystem: fileSystem,
            root: root,
            segmentID: segmentID,
            storeID: storeID,
            reference: key
        )
        guard keys.rowCount == documents.rowCount else {
            throw StoreError(
                .corrupted,
                "the segment's files have different numbers of rows",
                path: FileNames.path(root, FileNames.key(segmentID, fileID: key.fileID)),
                offset: keys.footer.fileByteCount - 40,
                expected: "\(documents.rowCount)",
                found: "\(keys.rowCount)"
            )
        }
    }

    package var rowCount: UInt32 { documents.rowCount }
    /// The collections with records in this segment, and some that have none, ascending.
    package var collections: [SegmentCollection] { documents.collections }

    /// What commits took away at once, in their order.
    package var removals: [Removal] { documents.removals }

    /// The documents of a collection that expire; `nil` when none does.
    package func expiry(of collectionID: UInt32) -> SegmentExpiry? {
        documents.expiries.element(withKey: collectionID) { $0.collectionID }
    }

    /// The rows of a collection; empty when there are none.
    package func rows(of collectionID: UInt32) -> Range<UInt32> {
        documents.collection(collectionID)?.rows ?? 0..<0
    }

    /// The rows of a collection whose ids begin with `prefix`.
    ///
    /// - Parameter prefix: at most 1,024 bytes; empty for all rows.
    package func rows(of collectionID: UInt32, prefix: [UInt8]) throws(StoreError) -> Range<UInt32>
    {
        let all = rows(of: collectionID)
        if all.isEmpty || prefix.isEmpty { return all }
        let start = try lowerBound(collectionID, prefix, within: all)
        guard let behind = KeyBytes.behind(prefix: prefix) else { return start..<all.upperBound }
        return start..<max(start, try lowerBound(collectionID, behind, within: all))
    }

    /// The first row of a collection whose id is at or above `id`; the end of `rows` when none is.
    ///
    /// - Parameter rows: those of the collection.
    package func lowerBound(_ collectionID: UInt32, _ id: [UInt8], within rows: Range<UInt32>)
        throws(StoreError) -> UInt32
    {
        var key = ByteWriter()
        id.withUnsafeBytes { KeyBytes.write(collection: collectionID, id: $0, into: &key) }
        let bound = try key.withBytes { bytes throws(StoreError) -> UInt32 in
            try keys.lowerBound(bytes)
        }
        return min(max(bound, rows.lowerBound), rows.upperBound)
    }

    /// The row of a document, `nil` when the segment has none.
    ///
    /// - Parameter id: at most 1,024 bytes.
    package func find(collectionID: UInt32, id: UnsafeRawBufferPointer) throws(StoreError)
        -> KeyEntry?
    {
        try KeyBytes.with(collection: collectionID, id: id) { key throws(StoreError) in
            try keys.find(key)
        }
    }
}
