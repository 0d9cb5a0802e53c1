// Makes documents unrecoverable: when a purge returns, their bytes are in no file of the store.
//
// Deletes hide a document; its bytes stay in segments until they are merged, and in the log until
// its files are reused. A purge deletes, writes a checkpoint, rewrites every segment that holds a
// row or a tombstone of the keys, goes on in a log file that was never used before, and removes the
// old ones instead of recycling them. What the file system or the disk keeps of removed files is
// not the store's.

import MoraineFiles
package import MoraineFormat
import MoraineSegments
package import MoraineStorage
import Synchronization

/// What a purge did.
package struct PurgeReport: Sendable {
    /// Documents that were there and are deleted now.
    package var documentCount = 0
    /// Segments that held rows or tombstones of the ids, and were written anew.
    package var segmentCount = 0
    /// Where the bytes were looked for; `nil` when that was not asked for.
    package var proof: PurgeProof?
}

/// Where a purge looked for the bytes of its documents, and what it found.
package struct PurgeProof: Sendable {
    package var fileCount = 0
    package var byteCount: UInt64 = 0
    /// Records, rows and tombstones whose ids were compared, decompressed where they were
    /// compressed.
    package var recordCount = 0
    /// Strings of bytes that were searched for in every file: ids of eight bytes and more, the
    /// beginnings of texts and of vectors, as far as no other document of a segment has them.
    package var sampleCount = 0
    package var findings: [Finding] = []
}

extension Engine {
    /// Deletes documents and removes their bytes from every file of the store; blocks.
    ///
    /// Documents that were deleted or replaced before are removed just the same, so the ids need
    /// not be there any more. Writes and reads go on meanwhile. Ended early, what was done stays
    /// done; the purge can be asked for again.
    ///
    /// - Parameters:
    ///   - waitMilliseconds: how long to wait for snapshots that keep files of the documents.
    ///   - proves: looks for the bytes afterwards.
    ///   - progress: called now and then; answers false to end.
    /// - Throws: `pinned`, naming the snapshots that still keep files, when all else is done;
    ///   `unknownCollection`, `invalidID`, `cancelled`, `noSpace`, `corrupted`, `inputOutput`,
    ///   `poisoned`, `readOnly`, `closed`.
    package func purge(
        _ name: String,
        ids purged: [[UInt8]],
        waitMilliseconds: Int,
        proves: Bool = false,
        progress: @escaping @Sendable (CompactionProgress) -> Bool = { _ in true }
    ) throws(StoreError) -> PurgeReport {
        guard let shape = try version().collection(name) else {
            throw StoreError(.unknownCollection, "there is no collection \"\(name)\"")
        }
        return try purge(
            shape,
            ids: purged,
            waitMilliseconds: waitMilliseconds,
            proves: proves,
            progress: progress
        )
    }

    /// The same in a collection whatever its name is by now; never in another one that has its
    /// name.
    package func purge(
        _ collection: CollectionShape,
        ids purged: [[UInt8]],
        waitMilliseconds: Int,
        proves: Bool = false,
        progress: @escaping @Sendable (CompactionProgress) -> Bool = { _ in true }
    ) throws(StoreError) -> PurgeReport {
        var report = PurgeReport()
        let samples = try deleteAll(purged, in: collection, &report)
        let keys = Set(purged.map { PurgedKeys.key(collection.id, $0) })
        try withWriter { writer throws(StoreError) in try writer.beginPurge() }
        defer { withWriter { $0.endPurge() } }
        try checkpoint()
        // A build under way reads the segments that are to go, and writes what it finds in them.
        let rewritten = try indexing.jobs.exclusively(givingUp: true) { () throws(StoreError) in
            defer { indexing.memory.forgetOrigins() }
            return try rewrite(PurgedKeys(keys), progress)
        }
        report.segmentCount = rewritten.count
        try dropOldLogs()
        // Merges before this one may have left files, too, that a reader keeps.
        let dropped = try withWriter { writer throws(StoreError) in try writer.droppedThatRemain() }
        try waitForFiles(of: dropped.union(rewritten).sorted(), milliseconds: waitMilliseconds)
        if proves {
            report.proof = try PurgeSearch(
                fileSystem: options.fileSystem,
                folder: folder,
                keys: keys,
                samples: samples
            ).run(try version())
        }
        return report
    }

    /// Deletes what is there, and returns bytes of it to search for.
    private func deleteAll(
        _ ids: [[UInt8]],
        in collection: CollectionShape,
        _ report: inout PurgeReport
    ) throws(StoreError) -> [[UInt8]] {
        let version = try version()
        guard version.collection(id: collection.id) != nil else {
            throw StoreError(
                .unknownCollection,
                "there is no collection \"\(collection.name)\" any more"
            )
        }
        var samples: [[UInt8]] = []
        var there: [[UInt8]] = []
        for id in ids {
            if id.count >= PurgeSearch.sampleByteCount / 2 { samples.append(id) }
            let found: Void? = try id.withUnsafeBufferPointer { id throws(StoreError) in
                try version.withDocument(
                    collection,
                    id: UnsafeRawBufferPointer(id),
                    wantsVector: true
                ) { document in
                    for bytes in [document.text, document.vector] {
                        guard let bytes, bytes.count >= PurgeSearch.sampleByteCount else {
                            continue
                        }
                        samples.append(Array(bytes.prefix(PurgeSearch.sampleByteCount)))
                    }
                }
            }
            if found != nil { there.append(id) }
        }
        report.documentCount = there.count
        // In parts: one commit has a largest size.
        for start in stride(from: 0, to: ids.count, by: 10_000) {
            let part = ids[start..<min(start + 10_000, ids.count)]
            try commit { batch throws(StoreError) in
                for id in part {
                    try id.withUnsafeBufferPointer { id throws(StoreError) in
                        try batch.delete(collection, id: UnsafeRawBufferPointer(id))
                    }
                }
            }
        }
        return samples
    }

    /// Writes every segment anew that holds a row or a tombstone of the keys; returns their ids.
    private func rewrite(
        _ keys: PurgedKeys,
        _ progress: @escaping @Sendable (CompactionProgress) -> Bool
    ) throws(StoreError) -> [UInt64] {
        try compactions.jobs.exclusively { () throws(StoreError) in
            defer { reaper.reap(options.fileSystem, folder: folder) }
            let teller = ProgressTeller(progress)
            var rewritten: [UInt64] = []
            // Rows first: a tombstone goes once no other segment has a row of its key. A segment is
            // looked at again after each merge, as tombstones of outputs may now be free to go.
            while let ids = try nextToRewrite(keys) {
                let task = withWriter { $0.compactionTask(ids) }
                let width = options.runsInBackground ? WorkerThread.processorCount : 1
                try run(task, width: width, telling: teller)
                rewritten += ids
            }
            return rewritten
        }
    }

    private func nextToRewrite(_ keys: PurgedKeys) throws(StoreError) -> [UInt64]? {
        let segments = try version().segments.map(\.segment)
        var chosen: [UInt64] = []
        var rows = 0
        for segment in segments where try keys.hasRow(in: segment) {
            rows += segment.rowCount
            if rows > options.compactionRowLimit, !chosen.isEmpty { break }
            if chosen.count == MergePlan.inputLimit { break }
            chosen.append(segment.id)
        }
        if !chosen.isEmpty { return chosen }
        for segment in segments where try keys.hasTombstone(in: segment) { return [segment.id] }
        return nil
    }

    /// Writes a checkpoint and goes on in a log file that never held anything, until no log file
    /// is left that held a commit before.
    private func dropOldLogs() throws(StoreError) {
        try withWriter { writer throws(StoreError) in try writer.leaveLog() }
        try checkpoint()
        try withWriter { writer throws(StoreError) in try writer.dropLogsBelowFloor() }
        do throws(FileError) {
            // DURABLE: a removed file must not come back with the bytes in it.
            for name in [FileNames.logFolder, FileNames.spareLogFolder, FileNames.segmentFolder] {
                try options.fileSystem.syncDirectory(FileNames.path(folder, name))
            }
        } catch {
            throw StoreError(error, doing: "sync a folder")
        }
    }

    /// Waits until the files of segments that were written anew are gone.
    private func waitForFiles(of segments: [UInt64], milliseconds: Int) throws(StoreError) {
        var left = milliseconds
        while true {
            reaper.reap(options.fileSystem, folder: folder)
            var isPinned = false
            for id in segments where !isPinned { isPinned = try isOnDisk(id) }
            if !isPinned { return }
            guard left > 0 else { throw pinned() }
            let pause = min(left, 20)
            WorkerThread.sleep(nanoseconds: UInt64(pause) * 1_000_000)
            left -= pause
        }
    }

    private func isOnDisk(_ segmentID: UInt64) throws(StoreError) -> Bool {
        do throws(FileError) {
            let path = FileNames.path(folder, FileNames.document(segmentID))
            return try options.fileSystem.info(path) != nil
        } catch {
            throw StoreError(error, doing: "look for a file")
        }
    }

    private func pinned() -> StoreError {
        let pins = snapshots.list(beside: current.withLock { $0 }).pins
        let names = pins.filter { $0.pinnedByteCount > 0 }.map { pin in
            "snapshot \(pin.id)\(pin.label.map { " (\($0))" } ?? ""), "
                + "\(pin.ageMilliseconds / 1000) s old"
        }
        return StoreError(
            .pinned,
            "the documents are deleted, but readers still keep files with their bytes; close them "
                + "and purge again",
            path: folder,
            expected: "no reader of an older version",
            found: names.isEmpty ? "a read under way" : names.joined(separator: "; ")
        )
    }
}

/// Keys whose traces are to go.
private struct PurgedKeys {
    private let keys: Set<[UInt8]>

    init(_ keys: Set<[UInt8]>) { self.keys = keys }

    static func key(_ collectionID: UInt32, _ id: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: collectionID.bigEndian) { Array($0) } + id
    }

    func hasRow(in segment: Segment) throws(StoreError) -> Bool {
        for key in keys {
            let found = try key.withUnsafeBufferPointer { key throws(StoreError) in
                try segment.files.keys.find(UnsafeRawBufferPointer(key))
            }
            if found != nil { return true }
        }
        return false
    }

    func hasTombstone(in segment: Segment) throws(StoreError) -> Bool {
        var isThere = false
        try segment.files.documents.forEachTombstone { record throws(StoreError) in
            isThere = keys.contains(Self.key(record.collectionID, Array(record.id)))
            return !isThere
        }
        return isThere
    }
}

extension Writer {
    /// From now on log files that are no longer needed are removed instead of recycled.
    func beginPurge() throws(StoreError) {
        try checkWritable()
        if manifest == nil { try start() }
        recyclesLogs = false
    }

    func endPurge() { recyclesLogs = true }

    /// Goes on in a new log file, so that the checkpoint that follows drops the present one.
    func leaveLog() throws(StoreError) {
        removeSpares()
        if log != nil { try rotateLog(needed: 0) }
    }

    /// Drops every log file whose commits are all in segments.
    func dropLogsBelowFloor() throws(StoreError) {
        let dropped = logsToDrop(floor: state.floor)
        if !dropped.isEmpty {
            try commitEdits(dropped.map { .logDropped(sequence: $0.sequence) })
            recycle(dropped)
        }
        removeSpares()
    }
}
