// Documents and keys of a segment, open together.

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
    /// The collections with records in this segment, ascending.
    package var collections: [SegmentCollection] { documents.collections }

    /// The rows of a collection; empty when there are none.
    package func rows(of collectionID: UInt32) -> Range<UInt32> {
        documents.collection(collectionID)?.rows ?? 0..<0
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
