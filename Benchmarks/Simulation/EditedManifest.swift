// Writes what somebody wants into the manifest of a closed store, under checksums that are right.

import MoraineBytes
package import MoraineEngine
package import MoraineFiles
package import MoraineFormat
import MoraineLog
package import MoraineStorage

/// ROOT and manifest of a closed store.
package struct EditedManifest {
    private let disk: SimulatedFileSystem
    private let folder: String
    package let root: Root
    package let state: StoreState

    package init(_ disk: SimulatedFileSystem, folder: String = "store") throws(StoreError) {
        self.disk = disk
        self.folder = folder
        let root = try RootFile.read(disk, folder: folder).chosen()
        self.root = root
        state = try ManifestReader.read(disk, folder: folder, root: root, promisedOnly: false)
            .state
    }

    /// Writes both copies of ROOT.
    package func write(_ root: Root) {
        disk.replace(
            path: FileNames.path(folder, FileNames.root),
            bytes: root.encodeCopy(at: 0) + root.encodeCopy(at: UInt64(Root.copyByteCount))
        )
    }

    /// Puts a state into the place of the manifest's; ROOT says that there is no log when there
    /// is none.
    package func write(_ state: StoreState) throws(StoreError) {
        let path = FileNames.path(folder, FileNames.manifest(root.manifestID))
        let old = try open(path, .read)
        let header = try LogFiles.link(
            old,
            kind: .manifest,
            storeID: root.storeID,
            fileID: root.manifestID
        ).header
        disk.replace(path: path, bytes: header.encode())
        let log = LogWriter(
            file: try open(path, .readWrite),
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

    private func open(_ path: String, _ mode: OpenMode) throws(StoreError) -> any File {
        try fileCall("open a file") { () throws(FileError) in try disk.open(path, mode) }
    }

    /// Lets the manifest mean sealed files whose footers have other checksums.
    ///
    /// - Parameter footerChecksums: by the files' names, relative to the store's folder.
    package func write(_ footerChecksums: [String: UInt32]) throws(StoreError) {
        func meaning(_ file: SealedFileReference, _ name: String) -> SealedFileReference {
            SealedFileReference(
                fileID: file.fileID,
                byteCount: file.byteCount,
                footerChecksum: footerChecksums[name] ?? file.footerChecksum
            )
        }
        var state = state
        state.segments = state.segments.map { entry in
            SegmentEntry(
                id: entry.id,
                rowCount: entry.rowCount,
                tombstoneCount: entry.tombstoneCount,
                minLSN: entry.minLSN,
                maxLSN: entry.maxLSN,
                inputs: entry.inputs,
                document: meaning(entry.document, FileNames.document(entry.id)),
                key: meaning(entry.key, FileNames.key(entry.id, fileID: entry.key.fileID)),
                vector: entry.vector.map { meaning($0, FileNames.vector(entry.id)) }
            )
        }
        for (id, entry) in state.deletions {
            state.deletions[id] = DeletionsEntry(
                segmentID: id,
                file: meaning(
                    entry.file,
                    FileNames.deletions(id, fileID: entry.file.fileID)
                ),
                deadRowCount: entry.deadRowCount
            )
        }
        for (id, files) in state.derived {
            for (number, file) in files {
                guard let kind = DerivedKind(rawValue: number) else { continue }
                let name = FileNames.derived(kind, id, fileID: file.fileID)
                state.derived[id]?[number] = meaning(file, name)
            }
        }
        try write(state)
    }
}
