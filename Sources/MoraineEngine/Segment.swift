// A segment as the engine holds it: its readers, opened once and shared by all versions.

package import MoraineFiles
package import MoraineFormat
package import MoraineSegments
package import MoraineStorage
package import MoraineVectors
import Synchronization

/// An immutable segment, open for reading.
package final class Segment: Sendable {
    package let entry: SegmentEntry
    package let files: SegmentReader
    /// `nil` when no row has a vector.
    package let vectors: VectorFile?
    /// Set once the segment is no longer part of the store.
    private let reaper = Mutex<FileReaper?>(nil)
    /// Rows that expire, by collection; filled when the first of them has expired.
    private let expiries = Mutex<[UInt32: ExpiringRows]>([:])
    /// When the first tombstone was put, once it was asked for; 0 when it cannot be read.
    private let firstTombstoneTime = Mutex<UInt64?>(nil)

    package var id: UInt64 { entry.id }
    package var rowCount: Int { Int(entry.rowCount) }
    /// Bytes of its files.
    package var byteCount: UInt64 {
        entry.document.byteCount + entry.key.byteCount + (entry.vector?.byteCount ?? 0)
    }

    /// Rows that have a vector.
    package var vectorCount: Int { vectors?.spaces.reduce(0) { $0 + $1.vectorCount } ?? 0 }

    /// Has the files removed when the last holder of this object lets go of it.
    func retire(_ reaper: FileReaper) { self.reaper.withLock { $0 = reaper } }

    deinit {
        guard let reaper = reaper.withLock({ $0 }) else { return }
        var names = [FileNames.key(id, fileID: entry.key.fileID)]
        if entry.vector != nil { names.append(FileNames.vector(id)) }
        // The documents last: what is left after a crash is judged by them.
        names.append(FileNames.document(id))
        reaper.add(names)
    }

    package init(
        _ fileSystem: any FileSystem,
        folder: String,
        storeID: StoreID,
        entry: SegmentEntry,
        cache: BlockCache
    ) throws(StoreError) {
        self.entry = entry
        files = try SegmentReader(
            fileSystem: fileSystem,
            root: folder,
            segmentID: entry.id,
            storeID: storeID,
            document: entry.document,
            key: entry.key,
            cache: cache
        )
        guard files.rowCount == entry.rowCount,
            files.documents.tombstoneCount == entry.tombstoneCount
        else {
            throw StoreError(
                .corrupted,
                "a segment has not the rows that the manifest says",
                path: FileNames.path(folder, FileNames.document(entry.id)),
                offset: 0,
                expected: "\(entry.rowCount) rows, \(entry.tombstoneCount) tombstones",
                found: "\(files.rowCount) rows, \(files.documents.tombstoneCount) tombstones"
            )
        }
        if let reference = entry.vector {
            vectors = try VectorFile(
                fileSystem: fileSystem,
                root: folder,
                segment: entry.id,
                storeID: storeID,
                reference: reference
            )
            guard vectors?.rowCount == Int(files.rowCount) else {
                throw StoreError(
                    .corrupted,
                    "a segment's vectors are of another number of rows",
                    path: FileNames.path(folder, FileNames.vector(entry.id)),
                    offset: 0,
                    expected: "\(entry.rowCount)",
                    found: "\(vectors?.rowCount ?? 0)"
                )
            }
        } else {
            vectors = nil
        }
    }
}

/// The rows of a collection that expire, in the order in which they do.
private struct ExpiringRows: Sendable {
    let rows: [UInt32]
    let expiries: [UInt64]
}

extension Segment {
    /// The rows of a collection that have expired at `now`, dead ones included.
    ///
    /// The first call that finds any reads the collection's keys; from then on twelve bytes are
    /// kept for each row that ever expires.
    func expiredRows(of collectionID: UInt32, at now: UInt64) throws(StoreError)
        -> ArraySlice<UInt32>
    {
        guard let summary = files.expiry(of: collectionID), summary.earliest <= now else {
            return []
        }
        let known: ExpiringRows
        if let kept = expiries.withLock({ $0[collectionID] }) {
            known = kept
        } else {
            known = try readExpiries(collectionID)
            expiries.withLock { $0[collectionID] = known }
        }
        var low = 0
        var high = known.expiries.count
        while low < high {
            let middle = (low + high) / 2
            if known.expiries[middle] <= now { low = middle + 1 } else { high = middle }
        }
        return known.rows[..<low]
    }

    private func readExpiries(_ collectionID: UInt32) throws(StoreError) -> ExpiringRows {
        let rows = files.rows(of: collectionID)
        var found: [(expiry: UInt64, row: UInt32)] = []
        let cursor = files.keys.cursor(from: rows.lowerBound)
        while try cursor.next(), cursor.row < rows.upperBound {
            if cursor.entry.expiry != 0 { found.append((cursor.entry.expiry, cursor.row)) }
        }
        found.sort { $0.expiry < $1.expiry }
        return ExpiringRows(rows: found.map(\.row), expiries: found.map(\.expiry))
    }

    /// When the first of its tombstones was put, in milliseconds since 1970; `nil` without one.
    ///
    /// The first call reads a block. It stands for all: it was put before the file was made, so that
    /// a day after that at the latest it is a day old.
    var tombstoneTime: UInt64? {
        guard entry.tombstoneCount > 0 else { return nil }
        return firstTombstoneTime.withLock { known in
            if known == nil {
                var time: UInt64 = 0
                // A segment that cannot be read is not merged for its tombstones.
                try? files.documents.forEachTombstone { record in
                    time = record.updated
                    return false
                }
                known = time
            }
            return known == 0 ? nil : known
        }
    }

    /// Whether some record of the segment, dead or alive, may be one that a removal takes away.
    package func mayHold(_ removal: Removal) -> Bool {
        entry.minLSN < removal.lsn
            && !files.rows(of: removal.collectionID).isEmpty
    }
}

/// A segment, which of its rows are dead and what there is to search it by, as one version sees it.
package struct SegmentView: Sendable {
    package let segment: Segment
    package internal(set) var dead: DeadRows
    package internal(set) var indexes = SegmentIndexes()

    package var liveRowCount: Int { segment.rowCount - dead.count }

    /// Its files that are mapped: keys, vectors and all that is derived from them.
    var mappedFileCount: Int { 1 + (segment.vectors == nil ? 0 : 1) + indexes.all.count }
}

// What every `get` needs, without counts: all readers share these objects, and the version that
// they hold keeps them.
extension SegmentView {
    @inline(__always)
    var uncountedSegment: Unmanaged<Segment> { .passUnretained(segment) }
    @inline(__always)
    var uncountedKeys: Unmanaged<KeyFile> { .passUnretained(segment.files.keys) }
    @inline(__always)
    var uncountedDocuments: Unmanaged<DocumentFile> { .passUnretained(segment.files.documents) }
    @inline(__always)
    var uncountedDead: Unmanaged<DeadRows> { .passUnretained(dead) }
}

extension SegmentView {
    /// A segment that the manifest names, with its dead rows as of the floor.
    ///
    /// - Parameter open: the segment, when it is open already.
    /// - Throws: `corrupted`, also where its deletion file is not the one that the manifest means.
    init(
        _ entry: SegmentEntry,
        _ state: StoreState,
        _ root: Root,
        _ fileSystem: any FileSystem,
        folder: String,
        cache: BlockCache,
        open: Segment? = nil
    ) throws(StoreError) {
        let segment: Segment
        if let open {
            segment = open
        } else {
            segment = try Segment(
                fileSystem,
                folder: folder,
                storeID: root.storeID,
                entry: entry,
                cache: cache
            )
        }
        self.init(segment: segment, dead: DeadRows(rowCount: segment.files.rowCount))
        guard let deletions = state.deletions[entry.id] else { return }
        let read = try DeletionFile.read(
            fileSystem: fileSystem,
            root: folder,
            segmentID: entry.id,
            storeID: root.storeID,
            reference: deletions.file,
            rowCount: segment.files.rowCount
        )
        guard read.rows.count == deletions.deadRowCount, read.lsn <= state.floor else {
            throw StoreError(
                .corrupted,
                "a deletion file is not the one that the manifest means",
                path: FileNames.path(
                    folder,
                    FileNames.deletions(entry.id, fileID: deletions.file.fileID)
                ),
                offset: 0,
                expected: "\(deletions.deadRowCount) dead rows as of \(state.floor)",
                found: "\(read.rows.count) as of \(read.lsn)"
            )
        }
        dead = read.rows
    }
}
