// Removes what interrupted work of earlier writers has left. Only after a validated open, and only
// files whose content is elsewhere. Rules: format-spec/file-header.md, "How to write".

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSegments
import MoraineStorage

extension Writer {
    /// Removes files that carry a name of ours and that the state does not name, and what earlier
    /// writers kept for later: each makes its own ballast and prepares log files, so those of
    /// killed ones would add up.
    func removeOrphans() throws(StoreError) {
        do throws(FileError) {
            try forEachName(FileNames.manifestFolder) { name, parsed in
                if case .manifest(let id) = parsed, id != root.manifestID { removeQuietly(name) }
            }
            let liveLogs = Set(state.logs.map(\.sequence))
            try forEachName(FileNames.logFolder) { name, parsed in
                if case .log(_, let sequence) = parsed, !liveLogs.contains(sequence) {
                    removeQuietly(name)
                }
            }
            try removeOrphansOfSegments()
            try forEachName(FileNames.spareLogFolder) { name, _ in removeQuietly(name) }
            let temporary = FileNames.path(folder, FileNames.temporaryFolder)
            for entry in try fileSystem.list(temporary) where !entry.isDirectory {
                removeQuietly(FileNames.temporaryFolder + "/" + entry.name)
            }
        } catch {
            throw StoreError(error, doing: "remove what an interrupted writer left")
        }
    }

    private func forEachName(
        _ folderName: String,
        _ body: (String, FileNames.Parsed) throws(FileError) -> Void
    ) throws(FileError) {
        for entry in try fileSystem.list(FileNames.path(folder, folderName)) {
            let name = folderName + "/" + entry.name
            if let parsed = FileNames.parse(name) { try body(name, parsed) }
        }
    }

    /// Segments that were dropped and of which there is still a file.
    func droppedThatRemain() throws(StoreError) -> Set<UInt64> {
        do throws(FileError) {
            // DURABLE: a file that was removed must not come back once nobody knows that it was
            // dropped.
            try fileSystem.syncDirectory(FileNames.path(folder, FileNames.segmentFolder))
            var present: Set<UInt64> = []
            try forEachName(FileNames.segmentFolder) { _, parsed in
                if let id = parsed.segmentID { present.insert(id) }
            }
            return state.dropped.intersection(present)
        } catch {
            throw StoreError(error, doing: "look for files of dropped segments")
        }
    }

    /// Removes files of segments that are not part of the store, and those that a segment no longer
    /// needs.
    ///
    /// Without a sync: an orphan that comes back with a crash is known again for what it is. What
    /// tells that it is one goes only when the floor moves or a manifest is rotated, and both sync
    /// the folder before.
    private func removeOrphansOfSegments() throws(FileError) {
        var files: [UInt64: [(name: String, parsed: FileNames.Parsed)]] = [:]
        try forEachName(FileNames.segmentFolder) { name, parsed in
            if let id = parsed.segmentID { files[id, default: []].append((name, parsed)) }
        }
        for (id, names) in files.sorted(by: { $0.key < $1.key }) {
            if let entry = state.segments.first(where: { $0.id == id }) {
                // Of a segment that is part of the store, other files are older or unfinished ones.
                for (name, parsed) in names where !isNamed(parsed, by: entry) {
                    removeQuietly(name)
                }
            } else if try mayRemove(id) {
                let document = FileNames.document(id)
                for (name, _) in names where name != document { removeQuietly(name) }
                // Last: should this be interrupted, it tells what the others were.
                for (name, _) in names where name == document { removeQuietly(name) }
            }
        }
    }

    private func isNamed(_ parsed: FileNames.Parsed, by entry: SegmentEntry) -> Bool {
        switch parsed {
        case .document: true
        case .vector: entry.vector != nil
        case .key(_, let fileID): entry.key.fileID == fileID
        case .deletions(_, let fileID): state.deletions[entry.id]?.file.fileID == fileID
        case .derived(let kind, _, let fileID):
            state.derived[entry.id]?[kind.rawValue]?.fileID == fileID
        default: false
        }
    }

    /// Whether the files of a segment that is not part of the store may go.
    ///
    /// They may when an edit dropped it, when it was never finished, when the log still has its
    /// commits, or when it was made of segments that are part of the store or dropped. What is
    /// left is a whole segment that nobody knows: not ours to remove.
    private func mayRemove(_ id: UInt64) throws(FileError) -> Bool {
        if state.dropped.contains(id) { return true }
        let path = FileNames.path(folder, FileNames.document(id))
        guard let info = try fileSystem.info(path),
            info.byteCount >= UInt64(FileHeader.byteCount + FileFooter.byteCount)
        else { return true }
        let file = try fileSystem.open(path, .read)
        defer { file.close() }
        let bytes = try file.readBytes(
            at: info.byteCount - UInt64(FileFooter.byteCount),
            count: FileFooter.byteCount
        )
        let footer = bytes.withUnsafeBytes { try? FileFooter(decoding: $0, storeID: root.storeID) }
        guard let footer, footer.maxLSN > 0, footer.maxLSN <= state.floor else { return true }
        return isUnnamedMerge(id, footer)
    }

    /// True for the output of a merge that was not taken into the store.
    private func isUnnamedMerge(_ id: UInt64, _ footer: FileFooter) -> Bool {
        let inputs: [UInt64]
        do throws(StoreError) {
            inputs = try DocumentFile(
                fileSystem: fileSystem,
                root: folder,
                segmentID: id,
                storeID: root.storeID,
                reference: SealedFileReference(
                    fileID: footer.fileID,
                    byteCount: footer.fileByteCount,
                    footerChecksum: footer.encode(storeID: root.storeID).checksum
                ),
                cache: nil
            ).inputs
        } catch {
            // A crash kept its end and lost what stands before it: it was never synced, and so
            // never part of the store.
            return error.code == .corrupted
        }
        // Of those that are neither, edits dropped them long ago: none of their files is left.
        return inputs.contains(where: isKnown)
            && inputs.allSatisfy { isKnown($0) || !hasDocument($0) }
    }

    private func isKnown(_ segmentID: UInt64) -> Bool {
        state.dropped.contains(segmentID) || state.segments.contains { $0.id == segmentID }
    }

    private func hasDocument(_ segmentID: UInt64) -> Bool {
        let path = FileNames.path(folder, FileNames.document(segmentID))
        return (try? fileSystem.info(path)) != nil
    }
}

extension FileNames.Parsed {
    /// The segment that a file belongs to.
    var segmentID: UInt64? {
        switch self {
        case .document(let id), .vector(let id), .key(let id, _), .deletions(let id, _),
            .derived(_, let id, _):
            id
        default: nil
        }
    }
}
