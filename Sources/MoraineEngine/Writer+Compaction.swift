// Begins a compaction and takes its result into the store. Under the commit lock, as all of Writer;
// that the floor does not move while a result is taken in is the caller's to see to.

import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors

extension Writer {
    /// The segments as the compaction policy sees them.
    var compactionCandidates: [CompactionPolicy.Candidate] {
        segments.map { view in
            CompactionPolicy.Candidate(
                id: view.segment.id,
                rowCount: view.segment.rowCount,
                deadRowCount: min(
                    view.segment.rowCount,
                    (floorDead[view.segment.id]?.count ?? 0) + expiredRowCount(view.segment)
                ),
                tombstoneCount: Int(view.segment.entry.tombstoneCount),
                minLSN: view.segment.entry.minLSN,
                maxLSN: view.segment.entry.maxLSN,
                tombstoneTime: view.segment.tombstoneTime
            )
        }
    }

    /// Rows that have expired by the time of the floor, some of which may be dead as well.
    private func expiredRowCount(_ segment: Segment) -> Int {
        segment.files.documents.expiries.reduce(0) { sum, expiry in
            // A segment that cannot be read is not merged for its expired rows.
            let expired = try? segment.expiredRows(of: expiry.collectionID, at: state.floorTime)
            return sum + (expired?.count ?? 0)
        }
    }

    /// What a compaction of these segments reads.
    ///
    /// - Parameter isIndexed: the output gets every derived file that it should have; else those
    ///   of which an input has one.
    func compactionTask(_ ids: [UInt64], isIndexed: Bool = false) -> CompactionTask {
        let chosen = Set(ids)
        let inputs = segments.filter { chosen.contains($0.segment.id) }.map { view in
            SegmentView(
                segment: view.segment,
                dead: floorDead[view.segment.id] ?? view.dead,
                indexes: view.indexes
            )
        }
        let ancestors = inputs.flatMap { view in
            view.segment.files.documents.inputs.filter { state.dropped.contains($0) }
        }
        return CompactionTask(
            inputs: inputs,
            others: segments.map(\.segment).filter { !chosen.contains($0.id) },
            floor: state.floor,
            time: state.floorTime,
            storeID: root.storeID,
            collections: collections,
            ancestors: Array(Set(ancestors)).sorted(),
            derivedKinds: Set(
                isIndexed
                    ? options.indexFormats.map(\.kind)
                    : inputs.flatMap(\.indexes.all).compactMap(\.entry.kind)
            )
        )
    }

    /// Lets the store's time go on to now, so that what has expired since the last commit counts
    /// as expired for good.
    func advanceTime() throws(StoreError) {
        let now = UInt64(max(0, options.clock.wallMilliseconds()))
        guard lastLSN == state.floor, sealed == nil, now > lastTime else { return }
        try checkWritable()
        if manifest == nil { try start() }
        try commitEdits([.floor(lsn: state.floor, commitTime: now)])
        lastTime = now
        publish(self)
    }

    /// Takes a built compaction into the store: one edit, then the output stands for its inputs.
    ///
    /// - Parameters:
    ///   - outputRows: as ``MergePlan/outputRows()``.
    ///   - deletions: of the output, as of the floor; `nil` when none of its rows is dead by then.
    ///   - reaper: gets the files of the inputs once no version needs them.
    func install(
        _ built: BuiltCompaction,
        outputRows: [[UInt32]],
        deletions: DeletionsEntry?,
        reaper: FileReaper
    ) throws(StoreError) {
        try checkWritable()
        let inputs = built.task.inputs.map(\.segment)
        let listed = Set(state.segments.map(\.id))
        guard inputs.allSatisfy({ listed.contains($0.id) }) else {
            throw StoreError(
                .cancelled,
                "segments of a merge were merged by another one meanwhile; nothing was changed",
                path: folder
            )
        }
        var edits: [ManifestEdit] = []
        let files = built.indexes.files
        if let segment = built.segment {
            edits.append(.segment(segment.entry))
            edits += files.all.map { .derived($0.entry) }
        } else {
            edits += inputs.map { .segmentDropped(id: $0.id) }
        }
        if let deletions { edits.append(.deletions(deletions)) }
        let oldDeletions = inputs.compactMap { state.deletions[$0.id] }
        try commitEdits(edits)

        let ids = Set(inputs.map(\.id))
        let views = segments.filter { ids.contains($0.segment.id) }
        segments.removeAll { ids.contains($0.segment.id) }
        if let segment = built.segment {
            let current = built.carry(views.map { ($0.segment.id, $0.dead) }, outputRows)
            segments.append(SegmentView(segment: segment, dead: current, indexes: files))
            floorDead[segment.id] = built.carry(floorDead.map { ($0.key, $0.value) }, outputRows)
            if let dead = sealed?.dead {
                sealed?.dead[segment.id] = built.carry(dead.map { ($0.key, $0.value) }, outputRows)
            }
        }
        for id in ids {
            floorDead[id] = nil
            sealed?.dead[id] = nil
        }
        if let segment = built.segment { volume.count(segment.entry) }
        volume.truthByteCount += deletions?.file.byteCount ?? 0
        volume.derivedByteCount += files.byteCount
        indexes.count += UInt64(files.all.count)
        indexes.writtenByteCount += files.byteCount
        compactions.count += 1
        compactions.inputSegmentCount += UInt64(inputs.count)
        compactions.readByteCount += built.task.byteCount
        compactions.writtenByteCount += built.segment?.byteCount ?? 0
        compactions.copiedBlockCount += UInt64(built.copiedBlockCount)
        publish(self)
        for entry in oldDeletions {
            removeQuietly(FileNames.deletions(entry.segmentID, fileID: entry.file.fileID))
        }
        for view in views {
            view.indexes.retire(reaper)
            view.segment.retire(reaper)
        }
    }
}

extension BuiltCompaction {
    /// The dead rows of the output: those rows of the inputs that were alive when the compaction
    /// began and are dead in `dead`, which lists segments by id.
    func carry(_ dead: [(id: UInt64, rows: DeadRows)], _ outputRows: [[UInt32]]) -> DeadRows {
        let now = Dictionary(dead.map { ($0.id, $0.rows) }, uniquingKeysWith: { first, _ in first })
        var rows: [UInt32] = []
        for (index, view) in task.inputs.enumerated() {
            guard let later = now[view.segment.id], later.count > view.dead.count else { continue }
            later.forEach { row in
                let output = outputRows[index][Int(row)]
                // Rows that were dead or had expired at the beginning have no place in the output.
                if output != .max { rows.append(output) }
            }
        }
        return DeadRows(rowCount: UInt32(plan.rowCount)).with(dead: rows)
    }
}
