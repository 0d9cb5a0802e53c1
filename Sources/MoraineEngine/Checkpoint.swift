// Writes a sealed memtable to a segment. The files are built without the commit lock; taking the
// segment into the store is one edit under it.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// A segment and deletion files that were written and synced, but are not part of the store yet.
struct BuiltCheckpoint {
    let entry: SegmentEntry?
    /// For each row of the segment, its row in the memtable.
    let rows: [UInt32]
    let deletions: [DeletionsEntry]
}

/// Writes the files of a checkpoint.
struct CheckpointBuilder {
    let fileSystem: any FileSystem
    let folder: String
    let storeID: StoreID
    let codec: Codec
    let sealed: SealedMemTable
    /// Dead rows of each segment that its newest deletion file holds.
    let persistedDead: [UInt64: Int]
    let ids: IDCounters

    /// Writes and syncs everything.
    ///
    /// On an error nothing is left behind that anything refers to.
    func build() throws(StoreError) -> BuiltCheckpoint {
        var written: [String] = []
        do throws(StoreError) {
            var documents: [UInt32] = []
            var tombstones: [UInt32] = []
            collectRows(into: &documents, &tombstones)
            let entry = try writeSegment(documents, tombstones, &written)
            let deletions = try writeDeletions(&written)
            if !written.isEmpty {
                do throws(FileError) {
                    // DURABLE: the names must outlive a crash before an edit relies on them.
                    try fileSystem.syncDirectory(
                        FileNames.path(folder, FileNames.segmentFolder)
                    )
                } catch {
                    throw StoreError(error, doing: "sync the segment folder")
                }
            }
            return BuiltCheckpoint(entry: entry, rows: documents, deletions: deletions)
        } catch {
            for name in written { try? fileSystem.remove(FileNames.path(folder, name)) }
            throw error
        }
    }

    /// The rows that are part of the store at the sealed LSN, in key order.
    private func collectRows(into documents: inout [UInt32], _ tombstones: inout [UInt32]) {
        let table = sealed.table
        for number in 0..<table.rowCount {
            let row = table.row(number)
            if row.pointee.isTombstone {
                // A tombstone that a later put of its key has overtaken is not needed.
                let newest = table.newestRow(
                    collectionID: row.pointee.collectionID,
                    id: row.pointee.id
                )
                if newest == number { tombstones.append(UInt32(number)) }
            } else if row.pointee.isLive(at: sealed.lsn) {
                documents.append(UInt32(number))
            }
        }
        documents.sort(by: precedes)
        tombstones.sort(by: precedes)
    }

    private func precedes(_ a: UInt32, _ b: UInt32) -> Bool {
        let first = sealed.table.row(Int(a))
        let second = sealed.table.row(Int(b))
        return KeyBytes.compare(
            first.pointee.collectionID,
            first.pointee.id,
            second.pointee.collectionID,
            second.pointee.id
        ) < 0
    }

    private func writeSegment(
        _ documents: [UInt32],
        _ tombstones: [UInt32],
        _ written: inout [String]
    ) throws(StoreError) -> SegmentEntry? {
        if documents.isEmpty && tombstones.isEmpty { return nil }
        let table = sealed.table
        let segmentID = ids.allocateFile()
        let keyID = ids.allocateFile()
        written += [FileNames.document(segmentID), FileNames.key(segmentID, fileID: keyID)]
        let shapes = Set((documents + tombstones).map { table.row(Int($0)).pointee.collectionID })
            .sorted().compactMap { sealed.collections[$0] }
        let writer = try SegmentWriter(
            fileSystem: fileSystem,
            root: folder,
            segmentID: segmentID,
            keyFileID: keyID,
            storeID: storeID,
            createdLSN: sealed.lsn,
            codec: codec
        )
        for number in documents {
            let row = table.row(Int(number))
            try writer.add(
                collectionID: row.pointee.collectionID,
                id: row.pointee.id,
                lsn: row.pointee.lsn,
                created: row.pointee.created,
                updated: row.pointee.updated,
                expiry: row.pointee.expiry,
                vectorChecksum: vectorBytes(row).map { CRC32C.value($0) },
                body: row.pointee.body
            )
        }
        for number in tombstones {
            let row = table.row(Int(number))
            writer.addTombstone(
                collectionID: row.pointee.collectionID,
                id: row.pointee.id,
                lsn: row.pointee.lsn,
                time: row.pointee.updated
            )
        }
        let files = try writer.finish(collections: shapes)
        let vector = try writeVectors(
            documents,
            segmentID: segmentID,
            shapes: shapes,
            lsns: (files.minLSN, files.maxLSN),
            &written
        )
        return SegmentEntry(
            id: segmentID,
            rowCount: UInt64(documents.count),
            tombstoneCount: UInt64(tombstones.count),
            minLSN: files.minLSN,
            maxLSN: files.maxLSN,
            inputs: [],
            document: files.document,
            key: files.key,
            vector: vector
        )
    }

    private func vectorBytes(_ row: UnsafePointer<MemRow>) -> UnsafeRawBufferPointer? {
        guard let vector = row.pointee.vector,
            let shape = sealed.collections[row.pointee.collectionID]
        else { return nil }
        return UnsafeRawBufferPointer(start: vector, count: shape.dimensions * 4)
    }

    private func writeVectors(
        _ documents: [UInt32],
        segmentID: UInt64,
        shapes: [CollectionShape],
        lsns: (min: UInt64, max: UInt64),
        _ written: inout [String]
    ) throws(StoreError) -> SealedFileReference? {
        let table = sealed.table
        var counts: [UInt32: Int] = [:]
        for number in documents {
            let row = table.row(Int(number))
            if row.pointee.vector != nil { counts[row.pointee.collectionID, default: 0] += 1 }
        }
        let spaces = shapes.compactMap { shape in
            counts[shape.id].map {
                VectorSpaceEntry(
                    collectionID: shape.id,
                    dimensions: shape.dimensions,
                    vectorCount: $0,
                    metric: shape.metric
                )
            }
        }
        if spaces.isEmpty { return nil }
        written.append(FileNames.vector(segmentID))
        let writer = try VectorFileWriter(
            fileSystem: fileSystem,
            root: folder,
            segment: segmentID,
            storeID: storeID,
            fileID: ids.allocateFile(),
            createdLSN: sealed.lsn,
            spaces: spaces,
            rowCount: UInt64(documents.count)
        )
        for (index, number) in documents.enumerated() {
            if let vector = table.row(Int(number)).pointee.vector {
                try writer.append(row: UInt32(index), vector: vector)
            }
        }
        return try writer.finish(minLSN: lsns.min, maxLSN: lsns.max)
    }

    /// One file for each segment whose dead rows are not those of its newest file.
    ///
    /// Rows only die, so the count tells.
    private func writeDeletions(_ written: inout [String]) throws(StoreError) -> [DeletionsEntry] {
        var entries: [DeletionsEntry] = []
        for (segmentID, dead) in sealed.dead.sorted(by: { $0.key < $1.key })
        where dead.count != persistedDead[segmentID] ?? 0 {
            let fileID = ids.allocateFile()
            written.append(FileNames.deletions(segmentID, fileID: fileID))
            let file = try DeletionFile.write(
                dead,
                lsn: sealed.lsn,
                fileSystem: fileSystem,
                root: folder,
                segmentID: segmentID,
                fileID: fileID,
                storeID: storeID,
                createdLSN: sealed.lsn
            )
            entries.append(
                DeletionsEntry(
                    segmentID: segmentID,
                    file: file,
                    deadRowCount: UInt64(dead.count)
                )
            )
        }
        return entries
    }
}

extension Writer {
    /// Ends the active memtable at the last commit.
    ///
    /// Only when none is sealed.
    func seal() {
        precondition(sealed == nil)
        sealed = SealedMemTable(
            table: active,
            lsn: lastLSN,
            time: lastTime,
            dead: Dictionary(uniqueKeysWithValues: segments.map { ($0.segment.id, $0.dead) }),
            collections: collections
        )
        active = MemTable()
    }

    /// True when the active memtable holds something that is not in a segment.
    var hasUnflushed: Bool { lastLSN > (sealed?.lsn ?? state.floor) }

    /// Takes a built checkpoint into the store: one edit, then the segment replaces the memtable.
    ///
    /// - Parameter segment: the built segment, opened.
    func install(_ built: BuiltCheckpoint, segment: Segment?) throws(StoreError) {
        try checkWritable()
        guard let sealed else { return }
        var edits: [ManifestEdit] = []
        for (shape, lsn) in newCollections where lsn <= sealed.lsn {
            edits.append(.collection(shape, createdLSN: lsn))
        }
        if let entry = built.entry { edits.append(.segment(entry)) }
        edits += built.deletions.map { .deletions($0) }
        edits.append(.floor(lsn: sealed.lsn, commitTime: sealed.time))
        let dropped = logsToDrop(floor: sealed.lsn)
        edits += dropped.map { .logDropped(sequence: $0.sequence) }
        let replaced = built.deletions.compactMap { state.deletions[$0.segmentID] }
        try commitEdits(edits)

        newCollections.removeAll { $0.lsn <= sealed.lsn }
        for entry in built.deletions { persistedDead[entry.segmentID] = Int(entry.deadRowCount) }
        if let segment {
            // Rows that commits behind the sealed LSN have ended since.
            let dead = built.rows.indices.filter {
                sealed.table.row(Int(built.rows[$0])).pointee.deathLSN != nil
            }
            segments.append(
                SegmentView(
                    segment: segment,
                    dead: DeadRows(rowCount: segment.files.rowCount).with(
                        dead: dead.map { UInt32($0) }
                    )
                )
            )
        }
        self.sealed = nil
        checkpointFailure = nil
        checkpointCount += 1
        if let entry = built.entry { volume.count(entry) }
        for entry in built.deletions { volume.truthByteCount += entry.file.byteCount }
        closedLogByteCount = closedLogByteCount(after: dropped)
        publish(self)
        recycle(dropped)
        for entry in replaced {
            removeQuietly(FileNames.deletions(entry.segmentID, fileID: entry.file.fileID))
        }
    }

    /// Live record bytes are counted by file sizes once files were dropped: an upper bound.
    private func closedLogByteCount(after dropped: [LogEntry]) -> UInt64 {
        if dropped.isEmpty { return closedLogByteCount }
        if state.logs.allSatisfy({ $0.sequence == log?.header.fileID }) { return 0 }
        return closedLogByteCount
    }
}
