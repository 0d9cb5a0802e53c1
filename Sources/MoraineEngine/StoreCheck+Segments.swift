// Checks the files of segments: each by itself, those of one segment against each other, and that
// no key is live in two segments.

import MoraineBytes
import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors

extension StoreCheck {
    /// Checks the files of every segment, and that no key is live in two.
    ///
    /// - Throws: what the limit throws.
    mutating func checkSegments(_ root: Root, _ state: StoreState) throws(StoreError) {
        let totalByteCount = state.segments.reduce(0) { $0 + byteCount(of: $1) }
        var doneByteCount: UInt64 = 0
        let cache = BlockCache(byteBudget: 1 << 20)
        for entry in state.segments {
            try limit?.check()
            count(FileNames.document(entry.id))
            count(FileNames.key(entry.id, fileID: entry.key.fileID))
            if entry.vector != nil { count(FileNames.vector(entry.id)) }
            checkSegment(entry, root, cache)
            if let deletions = state.deletions[entry.id] {
                checkDeletions(deletions, of: entry, root)
            }
            doneByteCount += byteCount(of: entry)
            progress?(doneByteCount, totalByteCount)
        }
        try limit?.check()
        forgetVanished()
        try checkKeysAreLiveOnce(root, state, cache)
    }

    private func byteCount(of entry: SegmentEntry) -> UInt64 {
        entry.document.byteCount + entry.key.byteCount + (entry.vector?.byteCount ?? 0)
    }

    private mutating func checkSegment(_ entry: SegmentEntry, _ root: Root, _ cache: BlockCache) {
        var found: [Finding] = []
        var vectors: VectorFile?
        if let reference = entry.vector {
            do throws(StoreError) {
                let file = try VectorFile(
                    fileSystem: fileSystem,
                    root: folder,
                    segment: entry.id,
                    storeID: root.storeID,
                    reference: reference
                )
                file.verify(within: limit) { found.append($0) }
                vectors = file
            } catch {
                add(error, .structure)
            }
        }
        do throws(StoreError) {
            let reader = try SegmentReader(
                fileSystem: fileSystem,
                root: folder,
                segmentID: entry.id,
                storeID: root.storeID,
                document: entry.document,
                key: entry.key,
                cache: cache
            )
            reader.verify(within: limit) { found.append($0) }
            if reader.rowCount != entry.rowCount
                || reader.documents.tombstoneCount != entry.tombstoneCount
                || reader.documents.footer.minLSN != entry.minLSN
                || reader.documents.footer.maxLSN != entry.maxLSN
            {
                found.append(
                    Finding(
                        .mismatch,
                        file: FileNames.document(entry.id),
                        offset: 0,
                        expected: "the rows and LSNs that the manifest says",
                        found: "\(reader.rowCount) rows"
                    )
                )
            }
            if entry.vector == nil || vectors != nil {
                try checkVectors(of: reader, vectors, &found)
            }
        } catch {
            add(error, .structure)
        }
        for finding in found where !report.findings.contains(finding) {
            report.findings.append(finding)
        }
    }

    /// Each document that says it has a vector has it, with the checksum that it says, and no
    /// other vector is there.
    private func checkVectors(
        of reader: SegmentReader,
        _ vectors: VectorFile?,
        _ found: inout [Finding]
    ) throws(StoreError) {
        var seen = 0
        var meter = ReadMeter(limit)
        try reader.documents.forEachRecord(in: 0..<reader.rowCount) {
            row,
            record throws(StoreError) in
            try meter.step()
            guard let checksum = record.vectorChecksum else { return true }
            seen += 1
            var actual: UInt32?
            if let space = vectors?.space(ofCollection: record.collectionID),
                let ordinal = try space.ordinal(ofRow: row)
            {
                let floats = try space.vector(ordinal)
                actual = CRC32C.value(
                    UnsafeRawBufferPointer(start: floats, count: space.dimensions * 4)
                )
            }
            if actual != checksum {
                found.append(
                    Finding(
                        .mismatch,
                        file: FileNames.vector(reader.segmentID),
                        offset: 0,
                        expected: "row \(row): a vector with checksum \(hex(checksum))",
                        found: actual.map { hex($0) } ?? "no vector"
                    )
                )
            }
            return true
        }
        let stored = vectors?.spaces.reduce(0) { $0 + $1.vectorCount } ?? 0
        if seen != stored {
            found.append(
                Finding(
                    .mismatch,
                    file: FileNames.vector(reader.segmentID),
                    offset: 0,
                    expected: "\(seen) vectors",
                    found: "\(stored)"
                )
            )
        }
    }

    private mutating func checkDeletions(
        _ deletions: DeletionsEntry,
        of entry: SegmentEntry,
        _ root: Root
    ) {
        count(FileNames.deletions(entry.id, fileID: deletions.file.fileID))
        var found: [Finding] = []
        DeletionFile.verify(
            fileSystem: fileSystem,
            root: folder,
            segmentID: entry.id,
            storeID: root.storeID,
            reference: deletions.file,
            rowCount: UInt32(clamping: entry.rowCount)
        ) { found.append($0) }
        report.findings += found
    }

    /// No key is live in two segments.
    private mutating func checkKeysAreLiveOnce(
        _ root: Root,
        _ state: StoreState,
        _ cache: BlockCache
    ) throws(StoreError) {
        guard report.findings.isEmpty, state.segments.count > 1 else { return }
        do throws(StoreError) {
            var views: [SegmentView] = []
            for entry in state.segments {
                views.append(
                    try SegmentView(
                        entry,
                        state,
                        root,
                        fileSystem,
                        folder: folder,
                        cache: cache
                    )
                )
            }
            for index in views.indices { try checkAgainstOlder(views[index], views[..<index]) }
        } catch {
            try limit?.check()
            add(error, .structure)
        }
    }

    private mutating func checkAgainstOlder(
        _ view: SegmentView,
        _ older: ArraySlice<SegmentView>
    ) throws(StoreError) {
        guard !older.isEmpty, view.segment.rowCount > 0 else { return }
        let cursor = view.segment.files.keys.cursor(from: 0)
        var meter = ReadMeter(limit)
        while try cursor.next() {
            try meter.step()
            if view.dead.isDead(cursor.row) { continue }
            for other in older {
                if let entry = try other.segment.files.keys.find(cursor.key),
                    !other.dead.isDead(entry.row)
                {
                    report.findings.append(
                        Finding(
                            .mismatch,
                            file: FileNames.document(view.segment.id),
                            offset: 0,
                            expected: "each key live once",
                            found: "row \(cursor.row) is live in segment \(other.segment.id) too"
                        )
                    )
                }
            }
        }
    }
}
