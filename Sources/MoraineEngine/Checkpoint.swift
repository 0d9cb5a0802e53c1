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

extension BuiltCheckpoint {
    /// The files, documents last: what is left after a crash is judged by them.
    var fileNames: [String] {
        var names = deletions.map { FileNames.deletions($0.segmentID, fileID: $0.file.fileID) }
        guard let entry else { return names }
        names.append(FileNames.key(entry.id, fileID: entry.key.fileID))
        if entry.vector != nil { names.append(FileNames.vector(entry.id)) }
        return names + [FileNames.document(entry.id)]
    }
}

/// Writes the files of a checkpoint.
struct CheckpointBuilder: Sendable {
    let fileSystem: any FileSystem
    let folder: String
    let storeID: StoreID
    let codec: Codec
    let sealed: SealedMemTable
    /// Dead rows of each segment that its newest deletion file holds.
    let persistedDead: [UInt64: Int]
    let ids: IDCounters
    let reaper: FileReaper
    /// Vectors are written on a thread of their own.
    let isParallel: Bool

    /// Writes and syncs everything.
    ///
    /// On an error nothing is left behind that anything refers to; what cannot be removed is tried
    /// again before the next checkpoint, since from then on nobody could tell it from a segment.
    func build() throws(StoreError) -> BuiltCheckpoint {
        var written: [String] = []
        do throws(StoreError) {
            var documents: [UInt32] = []
            var tombstones: [UInt32] = []
            collectRows(into: &documents, &tombstones)
            let entry = try writeSegment(documents, tombstones, &written)
            let deletions = try writeDeletions(&written)
            do throws(FileError) {
                // DURABLE: the names must outlive a crash before an edit relies on them. And also
                // without a new file: an orphan whose removal a crash undoes must not find that
                // the floor has passed its commits, or nobody could tell it from a segment.
                try fileSystem.syncDirectory(FileNames.path(folder, FileNames.segmentFolder))
            } catch {
                throw StoreError(error, doing: "sync the segment folder")
            }
            return BuiltCheckpoint(entry: entry, rows: documents, deletions: deletions)
        } catch {
            // Documents last: what is left after a crash is judged by them.
            reaper.add(written.reversed())
            reaper.reap(fileSystem, folder: folder)
            throw error
        }
    }

    /// The rows that are part of the store at the sealed LSN, in key order.
    private func collectRows(into documents: inout [UInt32], _ tombstones: inout [UInt32]) {
        let table = sealed.table
        for number in 0..<table.rowCount {
            let row = table.row(number)
            if row.pointee.isTombstone {
                // That of a dropped collection has nothing left to hide.
                if sealed.collections[row.pointee.collectionID] == nil { continue }
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
        let hasNews = !sealed.removals.isEmpty || !sealed.renamed.isEmpty
        if documents.isEmpty && tombstones.isEmpty && !hasNews { return nil }
        let table = sealed.table
        let segmentID = ids.allocateFile()
        let keyID = ids.allocateFile()
        written += [FileNames.document(segmentID), FileNames.key(segmentID, fileID: keyID)]
        let shapes = Set((documents + tombstones).map { table.row(Int($0)).pointee.collectionID })
            .sorted().compactMap { sealed.collections[$0] }
        let spaces = vectorSpaces(documents, shapes: shapes)
        // The vectors are most of the bytes and need no look at the rest.
        var vectors: SideWork<SealedFileReference>?
        if !spaces.isEmpty {
            written.append(FileNames.vector(segmentID))
            vectors = SideWork(isParallel: isParallel) { () throws(StoreError) in
                try writeVectors(documents, tombstones, segmentID: segmentID, spaces: spaces)
            }
        }
        let files = Result { () throws(StoreError) in
            try writeDocuments(
                documents,
                tombstones,
                segmentID: segmentID,
                keyID: keyID,
                shapes: shapes
            )
        }
        // Without a thread of its own the side work is still to do, and in vain after a failure.
        if !isParallel { _ = try files.get() }
        let vector = vectors?.wait()
        let segment = try files.get()
        return SegmentEntry(
            id: segmentID,
            rowCount: UInt64(documents.count),
            tombstoneCount: UInt64(tombstones.count),
            minLSN: segment.minLSN,
            maxLSN: segment.maxLSN,
            inputs: [],
            document: segment.document,
            key: segment.key,
            vector: try vector?.get()
        )
    }

    private func writeDocuments(
        _ documents: [UInt32],
        _ tombstones: [UInt32],
        segmentID: UInt64,
        keyID: UInt64,
        shapes: [CollectionShape]
    ) throws(StoreError) -> SegmentFiles {
        let table = sealed.table
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
                vectorChecksum: row.pointee.vector == nil ? nil : row.pointee.vectorChecksum,
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
        return try writer.finish(
            collections: shapes,
            named: sealed.renamed,
            removals: sealed.removals
        )
    }

    /// The collections that have vectors among the rows.
    private func vectorSpaces(_ documents: [UInt32], shapes: [CollectionShape])
        -> [VectorSpaceEntry]
    {
        let table = sealed.table
        var counts: [UInt32: Int] = [:]
        for number in documents {
            let row = table.row(Int(number))
            if row.pointee.vector != nil { counts[row.pointee.collectionID, default: 0] += 1 }
        }
        return shapes.compactMap { shape in
            counts[shape.id].map {
                VectorSpaceEntry(
                    collectionID: shape.id,
                    dimensions: shape.dimensions,
                    vectorCount: $0,
                    metric: shape.metric
                )
            }
        }
    }

    private func writeVectors(
        _ documents: [UInt32],
        _ tombstones: [UInt32],
        segmentID: UInt64,
        spaces: [VectorSpaceEntry]
    ) throws(StoreError) -> SealedFileReference {
        let table = sealed.table
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
        var minLSN = UInt64.max
        var maxLSN: UInt64 = 0
        for (index, number) in documents.enumerated() {
            let row = table.row(Int(number))
            minLSN = min(minLSN, row.pointee.lsn)
            maxLSN = max(maxLSN, row.pointee.lsn)
            if let vector = row.pointee.vector {
                try writer.append(row: UInt32(index), vector: vector, norm: row.pointee.norm)
            }
        }
        for number in tombstones {
            let lsn = table.row(Int(number)).pointee.lsn
            minLSN = min(minLSN, lsn)
            maxLSN = max(maxLSN, lsn)
        }
        return try writer.finish(minLSN: minLSN, maxLSN: maxLSN)
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
            collections: collections,
            removals: newRemovals,
            renamed: renamedCollections()
        )
        loadedByteCount += active.byteCount
        active = MemTable(after: active, pool: pages)
    }

    /// The collections, as far as they are still there, that changes since the last checkpoint gave
    /// another name.
    private func renamedCollections() -> [CollectionShape] {
        let ids = Set(
            newChanges.compactMap { change, _ in
                if case .renamed(let id, _) = change { id } else { nil }
            }
        )
        return ids.sorted().compactMap { collections[$0] }
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
        for (change, lsn) in newChanges where lsn <= sealed.lsn {
            edits.append(change.edit(at: lsn))
        }
        if let entry = built.entry { edits.append(.segment(entry)) }
        edits += built.deletions.map { .deletions($0) }
        edits.append(.floor(lsn: sealed.lsn, commitTime: sealed.time))
        let dropped = logsToDrop(floor: sealed.lsn)
        edits += dropped.map { .logDropped(sequence: $0.sequence) }
        let replaced = built.deletions.compactMap { state.deletions[$0.segmentID] }
        try commitEdits(edits)

        newChanges.removeAll { $0.lsn <= sealed.lsn }
        newRemovals.removeAll { $0.lsn <= sealed.lsn }
        for entry in built.deletions { floorDead[entry.segmentID] = sealed.dead[entry.segmentID] }
        if let segment {
            floorDead[segment.id] = DeadRows(rowCount: segment.files.rowCount)
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
        makeBallast()
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
