// Writes what a test wants into the manifest of a closed store, under checksums that are right.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage
import Testing

@testable import MoraineEngine

/// The manifest of a closed store in the folder "store".
struct EditedManifest {
    let disk: SimulatedFileSystem
    let root: Root
    let state: StoreState

    init(_ disk: SimulatedFileSystem) throws {
        self.disk = disk
        root = try RootFile.read(disk, folder: "store").chosen()
        let root = root
        state = try ManifestReader.read(disk, folder: "store", root: root, promisedOnly: false)
            .state
    }

    /// Writes both copies of ROOT.
    func write(_ root: Root) {
        disk.replace(
            path: "store/ROOT",
            bytes: root.encodeCopy(at: 0) + root.encodeCopy(at: UInt64(Root.copyByteCount))
        )
    }

    /// Puts a state into the place of the manifest's; ROOT says that there is no log when there
    /// is none.
    func write(_ state: StoreState) throws {
        let path = "store/" + FileNames.manifest(root.manifestID)
        let header = try LogFiles.link(
            try disk.open(path, .read),
            kind: .manifest,
            storeID: root.storeID,
            fileID: root.manifestID
        ).header
        disk.replace(path: path, bytes: header.encode())
        let log = LogWriter(
            file: try disk.open(path, .readWrite),
            header: header,
            lastNumber: 0,
            promised: 0
        )
        let edits = state.wholeState()
        var writer = ByteWriter()
        for edit in edits { edit.encode(into: &writer) }
        writer.withBytes {
            log.append(.edit, number: 1, operationCount: UInt32(edits.count), payload: $0)
        }
        try log.flush()
        try log.sync()
        var root = root
        root.manifestEnd = log.position
        root.manifestEdit = 1
        if state.logs.isEmpty {
            root.logSequence = 0
            root.logEnd = 0
        }
        write(root)
    }

    /// Lets the manifest mean a sealed file whose footer has another checksum.
    func replace(_ path: String, footerChecksum: UInt32) throws {
        var state = state
        state.segments = state.segments.map { entry in
            SegmentEntry(
                id: entry.id,
                rowCount: entry.rowCount,
                tombstoneCount: entry.tombstoneCount,
                minLSN: entry.minLSN,
                maxLSN: entry.maxLSN,
                inputs: entry.inputs,
                document: entry.document.with(
                    footerChecksum,
                    if: path.hasSuffix(FileNames.document(entry.id))
                ),
                key: entry.key.with(
                    footerChecksum,
                    if: path.hasSuffix(FileNames.key(entry.id, fileID: entry.key.fileID))
                ),
                vector: entry.vector?.with(
                    footerChecksum,
                    if: path.hasSuffix(FileNames.vector(entry.id))
                )
            )
        }
        for (id, entry) in state.deletions {
            state.deletions[id] = DeletionsEntry(
                segmentID: id,
                file: entry.file.with(
                    footerChecksum,
                    if: path.hasSuffix(FileNames.deletions(id, fileID: entry.file.fileID))
                ),
                deadRowCount: entry.deadRowCount
            )
        }
        try write(state)
    }
}

extension SealedFileReference {
    fileprivate func with(_ footerChecksum: UInt32, if isMeant: Bool) -> SealedFileReference {
        SealedFileReference(
            fileID: fileID,
            byteCount: byteCount,
            footerChecksum: isMeant ? footerChecksum : self.footerChecksum
        )
    }
}
