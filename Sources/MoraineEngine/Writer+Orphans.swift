// Removes what interrupted work of earlier writers has left. Only after a validated open, and only
// files whose content is elsewhere. Rules: format-spec/file-header.md, "How to write".

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Writer {
    /// Removes files that carry a name of ours and that the state does not name.
    func removeOrphans() throws(StoreError) {
        do throws(FileError) {
            try forEachName(FileNames.manifestFolder) { name, parsed throws(FileError) in
                if case .manifest(let id) = parsed, id != root.manifestID { try remove(name) }
            }
            let liveLogs = Set(state.logs.map(\.sequence))
            try forEachName(FileNames.logFolder) { name, parsed throws(FileError) in
                if case .log(_, let sequence) = parsed, !liveLogs.contains(sequence) {
                    try remove(name)
                }
            }
            try forEachName(FileNames.segmentFolder) { name, parsed throws(FileError) in
                if try isOrphanOfSegments(name, parsed) { try remove(name) }
            }
            let temporary = FileNames.path(folder, FileNames.temporaryFolder)
            for entry in try fileSystem.list(temporary) where !entry.isDirectory {
                try fileSystem.remove(temporary + "/" + entry.name)
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

    private func remove(_ name: String) throws(FileError) {
        try fileSystem.remove(FileNames.path(folder, name))
    }

    private func isOrphanOfSegments(_ name: String, _ parsed: FileNames.Parsed)
        throws(FileError) -> Bool
    {
        let segmentID: UInt64
        let isNamed: Bool
        switch parsed {
        case .document(let id):
            segmentID = id
            isNamed = state.segments.contains { $0.id == id }
        case .vector(let id):
            segmentID = id
            isNamed = state.segments.contains { $0.id == id && $0.vector != nil }
        case .key(let id, let fileID):
            segmentID = id
            isNamed = state.segments.contains { $0.id == id && $0.key.fileID == fileID }
        case .deletions(let id, let fileID):
            segmentID = id
            isNamed = state.deletions[id]?.file.fileID == fileID
        default:
            return false
        }
        if isNamed { return false }
        // Of a segment that is part of the store, other files are older or unfinished ones.
        if state.segments.contains(where: { $0.id == segmentID }) { return true }
        return try !holdsOnlyCommitsBelowFloor(name)
    }

    /// True for a whole segment file whose commits the log no longer has: nobody's to delete.
    private func holdsOnlyCommitsBelowFloor(_ name: String) throws(FileError) -> Bool {
        let path = FileNames.path(folder, name)
        guard let info = try fileSystem.info(path),
            info.byteCount >= UInt64(FileHeader.byteCount + FileFooter.byteCount)
        else { return false }
        let file = try fileSystem.open(path, .read)
        defer { file.close() }
        let bytes = try file.readBytes(
            at: info.byteCount - UInt64(FileFooter.byteCount),
            count: FileFooter.byteCount
        )
        let footer = bytes.withUnsafeBytes { try? FileFooter(decoding: $0, storeID: root.storeID) }
        guard let footer else { return false }
        return footer.maxLSN > 0 && footer.maxLSN <= state.floor
    }
}
