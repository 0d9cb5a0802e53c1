// Writes the files of a segment that hold its documents and keys, in one pass over sorted rows.

package import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage
import Synchronization

/// What a finished segment consists of, but for its vectors.
package struct SegmentFiles: Sendable, Equatable {
    package let segmentID: UInt64
    package let document: SealedFileReference
    package let key: SealedFileReference
    package let rowCount: UInt32
    package let tombstoneCount: UInt64
    /// Lowest and highest LSN of a document, tombstone or removal, 0 when there is none.
    package let minLSN: UInt64
    package let maxLSN: UInt64
}

/// Writes `.doc` and `.key` of a segment.
///
/// One thread at a time, but for `writeKeys`.
///
/// Documents come in key order: by collection id, then by the id's bytes. So do tombstones, which
/// may come between the documents or after them. A writer that goes before `finish`, or fails,
/// leaves no files behind.
package final class SegmentWriter {
    private let fileSystem: any FileSystem
    private let root: String
    private let segmentID: UInt64
    private let documents: DocumentFileWriter
    private let keys: KeyFileWriter
    private var lastTombstone: [UInt8] = []
    /// The key file, once `writeKeys` has written it.
    private let writtenKeys = Mutex<SealedFileReference?>(nil)

    /// Makes both files.
    ///
    /// - Parameters:
    ///   - segmentID: also the `.doc` file's id.
    ///   - keyFileID: the `.key` file's id.
    ///   - createdLSN: the newest LSN now.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        keyFileID: UInt64,
        storeID: StoreID,
        createdLSN: UInt64,
        codec: Codec
    ) throws(StoreError) {
        self.fileSystem = fileSystem
        self.root = root
        self.segmentID = segmentID
        documents = try DocumentFileWriter(
            fileSystem: fileSystem,
            root: root,
            segmentID: segmentID,
            storeID: storeID,
            createdLSN: createdLSN,
            codec: codec
        )
        keys = try KeyFileWriter(
            fileSystem: fileSystem,
            root: root,
            segmentID: segmentID,
            fileID: keyFileID,
            storeID: storeID,
            createdLSN: createdLSN
        )
    }

    /// True without a document and without a tombstone.
    package var isEmpty: Bool { documents.rowCount == 0 && documents.tombstoneCount == 0 }

    /// Rows so far: the row that the next document gets.
    package var rowCount: UInt32 { documents.rowCount }

    /// Adds a document, whose key is above those of all documents before.
    ///
    /// - Parameters:
    ///   - id: 1 to 1,024 bytes.
    ///   - created: milliseconds since 1970, as are `updated` and `expiry`; 0 = never expires.
    ///   - vectorChecksum: CRC-32C of the vector's f32s; `nil` without a vector.
    ///   - body: prefixed text · prefixed metadata, valid and at most 64 MiB.
    /// - Returns: the document's row.
    @discardableResult
    package func add(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        lsn: UInt64,
        created: UInt64,
        updated: UInt64,
        expiry: UInt64,
        vectorChecksum: UInt32?,
        body: UnsafeRawBufferPointer
    ) throws(StoreError) -> UInt32 {
        try KeyBytes.with(collection: collectionID, id: id) { key throws(StoreError) in
            try keys.add(key: key, lsn: lsn, created: created, expiry: expiry)
        }
        return try documents.add(
            collectionID: collectionID,
            id: id,
            lsn: lsn,
            created: created,
            updated: updated,
            expiry: expiry,
            vectorChecksum: vectorChecksum,
            body: body
        )
    }

    /// Counts the rows of a merge, whose keys come with `writeKeys` and documents with `append`.
    package func count(_ plan: MergePlan) { documents.count(plan) }

    /// Writes and syncs the key file of a merge, whose documents come with runs.
    ///
    /// On any thread, also beside `append`; not without rows, and at most once.
    ///
    /// - Parameter step: called now and then; throws to end the work.
    package func writeKeys(
        of plan: MergePlan,
        step: () throws(StoreError) -> Void
    ) throws(StoreError) {
        precondition(plan.rowCount > 0)
        var count = 0
        try plan.forEachKey { key, entry throws(StoreError) in
            try keys.add(key: key, lsn: entry.lsn, created: entry.created, expiry: entry.expiry)
            count += 1
            if count % 4096 == 0 { try step() }
        }
        let reference = try keys.finish()
        writtenKeys.withLock { $0 = reference }
    }

    /// Adds the documents of a merge: the runs come in the order of their rows.
    package func append(_ run: DocumentRun) throws(StoreError) { try documents.append(run) }

    /// Adds the tombstone of a delete at `time`; its key is above those of all tombstones before,
    /// and no document of the segment has it.
    package func addTombstone(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        lsn: UInt64,
        time: UInt64
    ) {
        KeyBytes.with(collection: collectionID, id: id) { key in
            precondition(
                lastTombstone.withUnsafeBytes { KeyBytes.compare($0, key) < 0 },
                "tombstones ascend"
            )
            lastTombstone.removeAll(keepingCapacity: true)
            lastTombstone.append(contentsOf: key)
        }
        documents.addTombstone(collectionID: collectionID, id: id, lsn: lsn, time: time)
    }

    /// Completes and syncs both files.
    ///
    /// The folder is the caller's to sync.
    ///
    /// - Parameters:
    ///   - collections: the shapes of at least those collections that have a record.
    ///   - named: collections that stand in the schema also without a record.
    ///   - inputs: the segments that a compaction read; empty after a flush.
    ///   - removals: what commits since the segments before took away at once, their LSNs not
    ///     descending.
    package func finish(
        collections: [CollectionShape],
        named: [CollectionShape] = [],
        inputs: [UInt64] = [],
        removals: [Removal] = []
    ) throws(StoreError) -> SegmentFiles {
        do throws(StoreError) {
            let document = try documents.finish(
                collections: collections,
                named: named,
                inputs: inputs,
                removals: removals
            )
            do throws(StoreError) {
                let key =
                    if let written = writtenKeys.withLock({ $0 }) { written } else {
                        try keys.finish()
                    }
                return SegmentFiles(
                    segmentID: segmentID,
                    document: document,
                    key: key,
                    rowCount: documents.rowCount,
                    tombstoneCount: documents.tombstoneCount,
                    minLSN: documents.minLSN,
                    maxLSN: documents.maxLSN
                )
            } catch {
                // Should this fail too, the file is an orphan that the next writer removes.
                try? fileSystem.remove(FileNames.path(root, FileNames.document(segmentID)))
                throw error
            }
        } catch {
            abandon()
            throw error
        }
    }

    /// Closes the files and removes them.
    ///
    /// Harmless after `finish`.
    package func abandon() {
        documents.abandon()
        keys.abandon()
    }
}
