// Opens a store: ROOT, manifest, segments, log. Changes nothing on disk.
// Order and rules: format-spec/root.md, "Opening".

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// What reading a store from disk gives.
struct OpenedState {
    var root: Root
    /// Both copies of ROOT are sound and the same.
    var isRootWhole: Bool
    var state: StoreState
    var segments: [SegmentView] = []
    /// Dead rows of each segment as of the floor.
    var floorDead: [UInt64: DeadRows] = [:]
    var memtable = MemTable()
    var collections: CollectionTable
    var newChanges: [(change: CollectionChange, lsn: UInt64)] = []
    var newRemovals: [Removal] = []
    var lastLSN: UInt64
    var lastTime: UInt64
    /// The last commit in each live log file.
    var logEnds: [UInt64: UInt64] = [:]
    var logTail: (sequence: UInt64, end: UInt64)?
    /// Record bytes in live log files.
    var logByteCount: UInt64 = 0
    /// Every commit up to here is known to be synced.
    var logPromise: UInt64 = 0
    var nextFileID: UInt64
    var nextCollectionID: UInt32
    var manifestEnd: UInt64
    /// For people: a tail that was cut.
    var notes: [StoreError] = []
}

/// Reads stores.
///
/// Segments that were opened before are used again.
struct StoreOpener {
    let options: EngineOptions
    let folder: String
    let cache: BlockCache
    /// Beside a live writer: believe nothing that is not promised.
    let promisedOnly: Bool
    /// All the same, believe edits of the manifest; see ``ReadAttempts``.
    var believesUnpromisedEdits = false
    /// Segments of an earlier opening, by id.
    var known: [UInt64: SegmentView] = [:]

    private var fileSystem: any FileSystem { options.fileSystem }

    func open() throws(StoreError) -> OpenedState {
        let copies = try RootFile.read(fileSystem, folder: folder)
        let root = try copies.chosen()
        let manifest = try ManifestReader.read(
            fileSystem,
            folder: folder,
            root: root,
            promisedOnly: promisedOnly && !believesUnpromisedEdits
        )
        let state = manifest.state
        var opened = OpenedState(
            root: root,
            isRootWhole: copies.isWhole,
            state: state,
            collections: CollectionTable(state.collections.values.map(\.shape)),
            lastLSN: state.floor,
            lastTime: state.floorTime,
            nextFileID: state.nextFileID,
            nextCollectionID: state.nextCollectionID,
            manifestEnd: manifest.end
        )
        for case .failure(let error) in copies.copies { opened.notes.append(error) }
        if let torn = manifest.torn { opened.notes.append(torn) }
        for entry in state.segments {
            let open = known[entry.id]?.segment
            var view = try SegmentView(
                entry,
                state,
                root,
                fileSystem,
                folder: folder,
                cache: cache,
                open: open?.entry == entry ? open : nil
            )
            openIndexes(of: &view, state, root, &opened.notes)
            opened.segments.append(view)
            opened.floorDead[entry.id] = view.dead
        }
        if !promisedOnly {
            try LogFiles.checkUnlisted(fileSystem, folder: folder, root: root, state: state)
        }
        try replay(into: &opened)
        opened.nextFileID = max(opened.nextFileID, try highestFileID() + 1)
        return opened
    }

    /// Throws unless this code knows all that it takes to write to the store.
    ///
    /// A file that the store needs may have features that only who knows them may go on with, while
    /// anybody may read it. Derived files may be made anew instead.
    func requireWritable(_ opened: OpenedState) throws(StoreError) {
        let state = opened.state
        for segment in opened.segments.map(\.segment) {
            let (documents, keys) = (segment.files.documents, segment.files.keys)
            try requireWritable(documents.header, at: 0, documents.path)
            try requireWritable(keys.header, at: 0, keys.path)
            if let vectors = segment.vectors {
                try requireWritable(vectors.header, at: 0, vectors.path)
            }
        }
        var names = [FileNames.root, FileNames.manifest(opened.root.manifestID)]
        names += state.logs.map { FileNames.log(epoch: $0.epoch, sequence: $0.sequence) }
        names += state.deletions.map { FileNames.deletions($0, fileID: $1.file.fileID) }
        for name in names {
            let file = try openListed(fileSystem, FileNames.path(folder, name))
            defer { file.close() }
            // One copy of ROOT may be damaged.
            let places = name == FileNames.root ? [0, UInt64(Root.copyByteCount)] : [0]
            for place in places {
                let bytes = try fileCall("read a file's header") { () throws(FileError) in
                    try file.readBytes(at: place, count: FileHeader.byteCount)
                }
                let header = try? bytes.withUnsafeBytes { try FileHeader(decoding: $0) }
                if let header { try requireWritable(header, at: place, file.path) }
            }
        }
    }

    private func requireWritable(_ header: FileHeader, at place: UInt64, _ path: String)
        throws(StoreError)
    {
        guard header.isReadOnly else { return }
        throw StoreError(
            .newerFormat,
            "the file has features that this version can read and not write",
            path: path,
            offset: place + 16,
            expected: "roCompatFlags 0",
            found: "\(header.roCompatFlags)"
        )
    }

    /// Opens the derived files of a segment, as far as they are there and sound: the store does not
    /// need them, and its writer makes them anew.
    private func openIndexes(
        of view: inout SegmentView,
        _ state: StoreState,
        _ root: Root,
        _ notes: inout [StoreError]
    ) {
        let known = known[view.segment.id]
        for format in options.indexFormats {
            guard let file = state.derived[view.segment.id]?[format.kind.rawValue] else { continue }
            if let open = known?.indexes[format.kind], open.entry.file == file,
                known?.segment === view.segment
            {
                view.indexes[format.kind] = open
                continue
            }
            if let base = format.kind.base, view.indexes[base] == nil { continue }
            do throws(StoreError) {
                let source = IndexSource(
                    fileSystem: fileSystem,
                    folder: folder,
                    storeID: root.storeID,
                    segment: view.segment,
                    indexes: view.indexes
                )
                view.indexes[format.kind] = try format.file(file, source)
            } catch {
                // Beside a writer a newer file may have taken its place meanwhile.
                if !promisedOnly { notes.append(error) }
            }
        }
    }

    /// Replays the log above the floor into a memtable.
    private func replay(into opened: inout OpenedState) throws(StoreError) {
        let chain = try LogFiles.chain(
            fileSystem,
            folder: folder,
            root: opened.root,
            state: opened.state
        )
        defer { for link in chain.links { link.file.close() } }
        var limit = UInt64.max
        if promisedOnly { limit = try chain.read(upTo: 0) { _ in }.promise }
        let ids = IDCounters(
            nextFile: opened.nextFileID,
            nextCollection: opened.nextCollectionID
        )
        let applier = Writer(options: options, folder: folder, opened: opened, ids: ids)
        let outcome = try chain.read(upTo: limit) { entry throws(StoreError) in
            try applier.apply(
                entry.payload,
                count: entry.operationCount,
                lsn: entry.number,
                path: entry.path,
                base: entry.payloadOffset
            )
        }
        opened.memtable = applier.active
        opened.segments = applier.segments
        opened.collections = applier.collections
        opened.newChanges = applier.newChanges
        opened.newRemovals = applier.newRemovals
        opened.nextCollectionID = ids.nextCollection
        opened.lastLSN = applier.lastLSN
        opened.lastTime = applier.lastTime
        opened.logPromise = outcome.promise
        if let torn = outcome.torn { opened.notes.append(torn) }
        for (index, link) in chain.links.enumerated() {
            opened.logEnds[link.header.fileID] = outcome.linkNumbers[index]
            opened.logByteCount += outcome.linkEnds[index] - UInt64(LogHeader.byteCount)
        }
        if let last = chain.links.last, let end = outcome.linkEnds.last {
            opened.logTail = (last.header.fileID, end)
        }
    }

    /// The highest id in the name of any file of the store.
    private func highestFileID() throws(StoreError) -> UInt64 {
        var highest: UInt64 = 0
        do throws(FileError) {
            for folderName in [
                FileNames.manifestFolder, FileNames.logFolder, FileNames.spareLogFolder,
                FileNames.segmentFolder,
            ] {
                for entry in try fileSystem.list(FileNames.path(folder, folderName)) {
                    switch FileNames.parse(folderName + "/" + entry.name) {
                    case .document(let id)?, .vector(let id)?, .spareLog(let id)?,
                        .manifest(let id)?, .log(_, let id)?:
                        highest = max(highest, id)
                    case .key(_, let id)?, .deletions(_, let id)?, .derived(_, _, let id)?:
                        highest = max(highest, id)
                    case .root?, .lock?, .temporaryRoot?, nil:
                        continue
                    }
                }
            }
        } catch {
            throw StoreError(error, doing: "list the store")
        }
        return highest
    }
}
