// Merges segments into one: first the order of rows, then documents, keys and vectors side by side. Works without the commit lock; taking the result into the store is one edit.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors
import Synchronization

/// What compaction has done since the store was opened.
package struct CompactionCounters: Sendable, Equatable {
    /// Merges that were taken into the store.
    package var count: UInt64 = 0
    package var inputSegmentCount: UInt64 = 0
    /// Bytes of the files that were read and of those that were written.
    package var readByteCount: UInt64 = 0
    package var writtenByteCount: UInt64 = 0
    /// Document blocks that were copied as they were.
    package var copiedBlockCount: UInt64 = 0

    package init() {}
}

/// What a compaction reads, fixed when it begins.
struct CompactionTask: Sendable {
    /// With the rows that are dead as of the floor: what commits above it have ended is replayed
    /// from the log after a crash, and may not be durable yet.
    let inputs: [SegmentView]
    /// The other segments: what may hold documents that a tombstone must still hide from salvage.
    let others: [Segment]
    let floor: UInt64
    /// The time of the floor: rows that have expired by then go.
    let time: UInt64
    let storeID: StoreID
    let collections: CollectionTable
    /// Segments that the inputs were made from and whose files may still be there.
    let ancestors: [UInt64]
    /// The derived files that the output is to have when it takes the place of the inputs, as far
    /// as it should have them at all.
    let derivedKinds: Set<DerivedKind>

    var byteCount: UInt64 { inputs.reduce(0) { $0 + $1.segment.byteCount } }

    /// Bytes that the output takes at most, about: each file's share of live rows, and the frames.
    var neededByteCount: UInt64 {
        inputs.reduce(1 << 20) { sum, view in
            let rows = UInt64(max(1, view.segment.rowCount))
            let share = view.segment.byteCount / rows * UInt64(view.liveRowCount)
            return sum + share + share / 16 + 65_536
        }
    }

    /// Bytes of the output's derived files, about: half of what they are made from, or what inputs
    /// have for each row where that is more.
    var neededDerivedByteCount: UInt64 {
        if derivedKinds.isEmpty { return 0 }
        let mostForARow = inputs.reduce(0.0) { most, view in
            max(most, Double(view.indexes.byteCount) / Double(max(1, view.segment.rowCount)))
        }
        let rows = inputs.reduce(0) { $0 + $1.liveRowCount }
        return max(neededByteCount / 2, UInt64(mostForARow * Double(rows)))
    }
}

/// A segment that was written and synced, but is not part of the store yet.
struct BuiltCompaction: Sendable {
    let task: CompactionTask
    let plan: MergePlan
    /// `nil` when nothing is left of the inputs.
    let segment: Segment?
    let copiedBlockCount: Int
    /// What was made of the segment before it is part of the store.
    var indexes = OutputIndexes()
    /// What takes the place of the inputs' blocks in the cache once the segment is in the store.
    var warmBlocks: WarmBlocks

    /// Has all files removed: they were not taken into the store.
    func retire(_ reaper: FileReaper) {
        indexes.files.retire(reaper)
        segment?.retire(reaper)
    }
}

/// Writes the segment of a compaction.
struct CompactionBuilder {
    let fileSystem: any FileSystem
    let folder: String
    let codec: Codec
    let ids: IDCounters
    let cache: BlockCache
    let reaper: FileReaper
    let task: CompactionTask
    /// Threads that work on it.
    let width: Int
    /// Called at each step with bytes of inputs done; throws to end the work.
    let step: @Sendable (UInt64) throws(StoreError) -> Void

    /// Bytes of records that are put into blocks at a time.
    private static let runByteCount = 1 << 20

    /// Writes and syncs everything.
    ///
    /// On an error nothing is left behind that anything refers to.
    func build() throws(StoreError) -> BuiltCompaction {
        let segmentID = ids.allocateFile()
        let keyID = ids.allocateFile()
        // Documents last: what is left after a crash is judged by them.
        let names = [
            FileNames.key(segmentID, fileID: keyID), FileNames.vector(segmentID),
            FileNames.document(segmentID),
        ]
        do throws(StoreError) {
            return try build(segmentID, keyID)
        } catch {
            reaper.add(names)
            reaper.reap(fileSystem, folder: folder)
            throw error
        }
    }

    private func build(_ segmentID: UInt64, _ keyID: UInt64) throws(StoreError) -> BuiltCompaction {
        let writer = try SegmentWriter(
            fileSystem: fileSystem,
            root: folder,
            segmentID: segmentID,
            keyFileID: keyID,
            storeID: task.storeID,
            createdLSN: task.floor,
            codec: codec
        )
        let inputs = task.inputs.map { MergeInput(segment: $0.segment.files, dead: $0.dead) }
        let plan = try MergePlan(inputs, expiredAt: task.time) { () throws(StoreError) in
            try step(0)
        }
        writer.count(plan)
        let vectors = try VectorMerge(task.inputs.map(\.segment), plan: plan)
        let work = MergeWork(
            documents: DocumentMerge(plan, codec: codec),
            runByteCount: Self.runByteCount,
            inputByteCount: task.byteCount,
            writer: writer,
            width: width,
            step: step
        )
        var vectorReference: SealedFileReference?
        let lsns = lsnRange
        let vectorResult = Mutex<SealedFileReference?>(nil)
        try work.run(keysOf: plan) { () throws(StoreError) in
            guard !vectors.spaces.isEmpty else { return }
            let reference = try vectors.write(
                fileSystem: fileSystem,
                root: folder,
                segmentID: segmentID,
                storeID: task.storeID,
                fileID: ids.allocateFile(),
                createdLSN: task.floor,
                lsns: lsns,
                step: { () throws(StoreError) in try step(0) }
            )
            vectorResult.withLock { $0 = reference }
        }
        vectorReference = vectorResult.withLock { $0 }
        try addTombstones(plan, to: writer)
        let liveRowCount = task.inputs.reduce(0) { $0 + $1.liveRowCount }
        guard writer.rowCount == plan.rowCount,
            plan.rowCount + plan.expiredRowCount == liveRowCount
        else { throw disagreement(plan, writer, liveRowCount) }
        let removals = neededRemovals
        if writer.isEmpty, removals.isEmpty, named.isEmpty {
            writer.abandon()
            return BuiltCompaction(
                task: task,
                plan: plan,
                segment: nil,
                copiedBlockCount: 0,
                warmBlocks: WarmBlocks(inputs: plan.inputs)
            )
        }
        let files = try writer.finish(
            collections: shapes,
            named: named,
            inputs: task.inputs.map(\.segment.id) + task.ancestors,
            removals: removals
        )
        let entry = SegmentEntry(
            id: segmentID,
            rowCount: UInt64(files.rowCount),
            tombstoneCount: files.tombstoneCount,
            minLSN: files.minLSN,
            maxLSN: files.maxLSN,
            inputs: task.inputs.map(\.segment.id),
            document: files.document,
            key: files.key,
            vector: vectorReference
        )
        do throws(FileError) {
            // DURABLE: the names must outlive a crash before an edit relies on them.
            try fileSystem.syncDirectory(FileNames.path(folder, FileNames.segmentFolder))
        } catch {
            throw StoreError(error, doing: "sync the segment folder")
        }
        let segment = try Segment(
            fileSystem,
            folder: folder,
            storeID: task.storeID,
            entry: entry,
            cache: cache
        )
        return BuiltCompaction(
            task: task,
            plan: plan,
            segment: segment,
            copiedBlockCount: work.copiedBlockCount,
            warmBlocks: WarmBlocks(inputs: plan.inputs)
        )
    }

    /// Of all rows of the inputs: bounds for those of the output.
    private var lsnRange: (min: UInt64, max: UInt64) {
        let entries = task.inputs.map(\.segment.entry)
        return (entries.map(\.minLSN).min() ?? 0, entries.map(\.maxLSN).max() ?? 0)
    }

    /// The collections of the inputs, under their present names; as the inputs have them where
    /// they are no more.
    private var shapes: [CollectionShape] {
        var shapes: [UInt32: CollectionShape] = [:]
        for view in task.inputs {
            for collection in view.segment.files.collections {
                let id = collection.shape.id
                shapes[id] = task.collections[id] ?? collection.shape
            }
        }
        return Array(shapes.values)
    }

    /// Collections that an input only names, as far as another segment has them under another name.
    private var named: [CollectionShape] {
        let ids = Set(
            task.inputs.flatMap { $0.segment.files.collections }.filter { $0.rowCount == 0 }
                .map(\.shape.id)
        )
        return ids.sorted().compactMap { task.collections[$0] }.filter { shape in
            task.others.contains { other in
                other.files.documents.collection(shape.id).map { $0.shape != shape } ?? false
            }
        }
    }

    /// What the inputs say was taken away, as long as another segment may hold some of it.
    private var neededRemovals: [Removal] {
        Removal.merged(task.inputs.flatMap { $0.segment.files.removals }).filter { removal in
            task.others.contains { $0.mayHold(removal) }
        }
    }

    private func addTombstones(_ plan: MergePlan, to writer: SegmentWriter) throws(StoreError) {
        try plan.forEachTombstone(
            isNeeded: { key, lsn throws(StoreError) in
                for other in task.others where other.entry.minLSN < lsn {
                    if try other.files.keys.find(key) != nil { return true }
                }
                return false
            },
            { tombstone throws(StoreError) in
                writer.addTombstone(
                    collectionID: tombstone.collectionID,
                    id: tombstone.id,
                    lsn: tombstone.lsn,
                    time: tombstone.time
                )
            }
        )
    }

    private func disagreement(_ plan: MergePlan, _ writer: SegmentWriter, _ liveRowCount: Int)
        -> StoreError
    {
        StoreError(
            .corrupted,
            "the documents of segments are not those of their keys; nothing was changed",
            path: FileNames.path(folder, FileNames.document(task.inputs[0].segment.id)),
            offset: 0,
            expected: "\(liveRowCount) rows, \(plan.expiredRowCount) of them expired",
            found: "\(plan.rowCount) keys, \(writer.rowCount) documents"
        )
    }
}

/// The vectors of a merge.
private struct VectorMerge: Sendable {
    /// One collection's vectors: where each input has them, and the rows of the output.
    private struct Source: Sendable {
        let spaces: [VectorSpace?]
        let rows: Range<Int>
    }

    private let plan: MergePlan
    private let sources: [Source]
    let spaces: [VectorSpaceEntry]

    init(_ segments: [Segment], plan: MergePlan) throws(StoreError) {
        var sources: [Source] = []
        var entries: [VectorSpaceEntry] = []
        var start = 0
        for (collectionID, count) in plan.rowCounts {
            let rows = start..<start + count
            start += count
            let spaces = segments.map { $0.vectors?.space(ofCollection: collectionID) }
            guard let shape = spaces.lazy.compactMap({ $0 }).first else { continue }
            for (segment, space) in zip(segments, spaces) {
                guard let space,
                    space.dimensions != shape.dimensions || space.metric != shape.metric
                else { continue }
                throw StoreError(
                    .corrupted,
                    "segments disagree about a collection's vectors",
                    path: segment.vectors?.path,
                    expected: "\(shape.dimensions) dimensions, \(shape.metric)",
                    found: "\(space.dimensions), \(space.metric)"
                )
            }
            var vectorCount = 0
            for row in rows {
                let space = spaces[Int(plan.inputNumbers[row])]
                if try space?.ordinal(ofRow: plan.inputRows[row]) != nil { vectorCount += 1 }
            }
            if vectorCount == 0 { continue }
            sources.append(Source(spaces: spaces, rows: rows))
            entries.append(
                VectorSpaceEntry(
                    collectionID: collectionID,
                    dimensions: shape.dimensions,
                    vectorCount: vectorCount,
                    metric: shape.metric
                )
            )
        }
        self.plan = plan
        self.sources = sources
        self.spaces = entries
    }

    func write(
        fileSystem: any FileSystem,
        root: String,
        segmentID: UInt64,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64,
        lsns: (min: UInt64, max: UInt64),
        step: () throws(StoreError) -> Void
    ) throws(StoreError) -> SealedFileReference {
        let writer = try VectorFileWriter(
            fileSystem: fileSystem,
            root: root,
            segment: segmentID,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN,
            spaces: spaces,
            rowCount: UInt64(plan.rowCount)
        )
        for source in sources {
            for row in source.rows {
                if row % 1024 == 0 { try step() }
                guard let space = source.spaces[Int(plan.inputNumbers[row])],
                    let ordinal = try space.ordinal(ofRow: plan.inputRows[row])
                else { continue }
                try writer.append(row: UInt32(row), vector: try space.vector(ordinal))
            }
        }
        return try writer.finish(minLSN: lsns.min, maxLSN: lsns.max)
    }
}
