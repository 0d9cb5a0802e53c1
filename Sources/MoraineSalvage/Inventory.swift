// What stands in the damaged store's folder: each file by its name and by what its header says.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// A file of the damaged store.
struct FoundFile {
    /// Relative to the store's folder.
    let name: String
    let place: FileNames.Parsed
    let byteCount: UInt64
    /// `nil` when the first 64 bytes do not verify.
    let header: FileHeader?

    /// The file's own id: what its header says, else its name.
    var fileID: UInt64 {
        if let header { return header.fileID }
        switch place {
        case .document(let id), .vector(let id), .spareLog(let id), .manifest(let id): return id
        case .key(_, let id), .deletions(_, let id), .derived(_, _, let id), .log(_, let id):
            return id
        case .root, .lock, .temporaryRoot: return 0
        }
    }

    /// What the file is: what its header says, else its name.
    var kind: FileKind {
        if let header { return header.kind }
        return switch place {
        case .document: .document
        case .vector: .vector
        case .key: .key
        case .deletions: .deletions
        case .derived(let kind, _, _): kind.fileKind
        case .log, .spareLog: .log
        case .manifest: .manifest
        case .root, .lock, .temporaryRoot: .root
        }
    }
}

/// The files of a damaged store.
struct Inventory {
    let folder: String
    let fileSystem: UntouchedFileSystem
    /// The store that most headers name.
    let storeID: StoreID
    /// Every file of that store, or that may be one, by name.
    private(set) var files: [FoundFile]
    private(set) var findings: [Finding]
    /// The segment that a `.key` or `.del` file is of, by its file id, as the names say.
    private let segments: [UInt64: UInt64]

    /// Looks at all files of the folder.
    ///
    /// - Throws: `notAStore` when nothing in the folder is ours, `notFound` when no header says
    ///   which store this was.
    init(_ base: any FileSystem, folder: String) throws(StoreError) {
        let plain = UntouchedFileSystem(base)
        guard
            let info = try fileCall(
                "look at the store",
                { () throws(FileError) in
                    try plain.info(folder)
                }
            ), info.isDirectory
        else {
            throw StoreError(.notAStore, "there is no store here", path: folder)
        }
        var found: [FoundFile] = []
        var findings: [Finding] = []
        for name in try Inventory.names(plain, folder) {
            guard let place = FileNames.parse(name) else { continue }
            let file = Inventory.look(plain, folder, name, place, &findings)
            // Derived files hold nothing that is not elsewhere; another file may bear their name.
            if DerivedKind.allCases.contains(where: { $0.fileKind == file.kind }) { continue }
            found.append(file)
        }
        let counted = found.filter { $0.place != .lock }
        guard !counted.isEmpty else {
            throw StoreError(.notAStore, "no file of a store is here", path: folder)
        }
        let roots = Inventory.rootIDs(plain, folder)
        var votes: [StoreID: Int] = [:]
        for id in roots + counted.compactMap({ $0.header?.storeID }) { votes[id, default: 0] += 1 }
        guard let storeID = votes.max(by: { ($0.value, $0.key.low) < ($1.value, $1.key.low) })?.key
        else {
            throw StoreError(
                .notFound,
                "nothing can be recovered: no file's header says which store this was",
                path: folder
            )
        }
        for file in counted {
            guard let header = file.header else {
                if file.place != .root {
                    findings.append(
                        Finding(
                            .structure,
                            file: file.name,
                            offset: 0,
                            expected: "a header",
                            found: "other bytes"
                        )
                    )
                }
                continue
            }
            guard header.storeID != storeID else { continue }
            findings.append(
                Finding(
                    .mismatch,
                    file: file.name,
                    offset: 24,
                    expected: "store \(storeID.text)",
                    found: "a file of store \(header.storeID.text)"
                )
            )
        }
        files = counted.filter { $0.header.map { $0.storeID == storeID } ?? true }
        segments = Inventory.segments(files)
        self.folder = folder
        self.storeID = storeID
        self.findings = findings
        var headers: [String: [UInt8]] = [:]
        for file in files where file.header == nil {
            // What the header must have been, so that one flipped bit costs no file.
            var writer = ByteWriter()
            FileHeader(kind: file.kind, storeID: storeID, fileID: file.fileID, createdLSN: 0)
                .encode(into: &writer)
            headers[FileNames.path(folder, file.name)] = writer.finish()
        }
        fileSystem = UntouchedFileSystem(
            base,
            aliases: Inventory.aliases(files, segments, folder),
            headers: headers
        )
    }

    /// The files of one kind.
    func files(_ kind: FileKind) -> [FoundFile] { files.filter { $0.kind == kind } }

    /// The files of one kind that belong to a segment.
    func files(_ kind: FileKind, ofSegment id: UInt64) -> [FoundFile] {
        files(kind).filter { segments[$0.fileID] == id }
    }

    /// Leaves out sealed files that are whole and not those that the manifest means: of a copy of
    /// the store that went on by itself.
    ///
    /// - Parameter footerChecksums: of the files that edits name, by file id.
    mutating func leaveOutStrangers(_ footerChecksums: [UInt64: UInt32]) {
        let all = files
        files = []
        for file in all {
            // A footer that is damaged says nothing; what stands before it proves itself.
            guard let footer = footer(file), let named = footerChecksums[footer.fileID],
                let found = reference(file)?.footerChecksum, found != named
            else {
                files.append(file)
                continue
            }
            findings.append(
                Finding(
                    .mismatch,
                    file: file.name,
                    offset: file.byteCount - 8,
                    expected: "footerChecksum \(hex(named))",
                    found: hex(found)
                )
            )
        }
    }

    /// Opens a file by the name that it has.
    func open(_ file: FoundFile) throws(StoreError) -> any File {
        // Not through the aliases: the name is the one that was found.
        try fileCall("open a file of the damaged store") { () throws(FileError) in
            try fileSystem.openAsNamed(FileNames.path(folder, file.name))
        }
    }

    /// What a manifest would say of a sealed file, read from the file itself.
    func reference(_ file: FoundFile) -> SealedFileReference? {
        guard file.byteCount >= UInt64(FileFooter.byteCount), let open = try? open(file) else {
            return nil
        }
        defer { open.close() }
        guard
            let tail = try? open.readBytes(
                at: file.byteCount - UInt64(FileFooter.byteCount),
                count: FileFooter.byteCount
            ), tail.count == FileFooter.byteCount
        else { return nil }
        let checksum = tail.withUnsafeBytes {
            UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 56, as: UInt32.self))
        }
        return SealedFileReference(
            fileID: file.fileID,
            byteCount: file.byteCount,
            footerChecksum: checksum
        )
    }

    /// A sealed file's footer, if it verifies.
    func footer(_ file: FoundFile) -> FileFooter? {
        guard file.byteCount >= UInt64(FileFooter.byteCount), let open = try? open(file) else {
            return nil
        }
        defer { open.close() }
        let at = file.byteCount - UInt64(FileFooter.byteCount)
        guard let tail = try? open.readBytes(at: at, count: FileFooter.byteCount) else {
            return nil
        }
        return tail.withUnsafeBytes { bytes in
            try? FileFooter(decoding: bytes, storeID: storeID)
        }
    }

    // MARK: Looking

    private static func names(_ fileSystem: UntouchedFileSystem, _ folder: String)
        throws(StoreError) -> [String]
    {
        var names: [String] = []
        for part in [""] + FileNames.folders where part != FileNames.temporaryFolder {
            let path = part.isEmpty ? folder : FileNames.path(folder, part)
            let entries = try fileCall("list the damaged store") {
                () throws(FileError) -> [DirectoryEntry] in
                guard let info = try fileSystem.info(path), info.isDirectory else { return [] }
                return try fileSystem.list(path)
            }
            for entry in entries where !entry.isDirectory {
                names.append(part.isEmpty ? entry.name : part + "/" + entry.name)
            }
        }
        return names
    }

    private static func look(
        _ fileSystem: UntouchedFileSystem,
        _ folder: String,
        _ name: String,
        _ place: FileNames.Parsed,
        _ findings: inout [Finding]
    ) -> FoundFile {
        var byteCount: UInt64 = 0
        var header: FileHeader?
        do throws(FileError) {
            let file = try fileSystem.open(FileNames.path(folder, name), .read)
            defer { file.close() }
            byteCount = try file.byteCount()
            let bytes = try file.readBytes(at: 0, count: FileHeader.byteCount)
            header = bytes.withUnsafeBytes { try? FileHeader(decoding: $0) }
        } catch {
            findings.append(
                Finding(StoreError(error, doing: "read a file"), .unreadable, file: name)
            )
        }
        return FoundFile(name: name, place: place, byteCount: byteCount, header: header)
    }

    /// The store that each sound copy of ROOT names.
    private static func rootIDs(_ fileSystem: UntouchedFileSystem, _ folder: String) -> [StoreID] {
        let path = FileNames.path(folder, FileNames.root)
        guard let file = try? fileSystem.open(path, .read) else { return [] }
        defer { file.close() }
        return [0, Root.copyByteCount].compactMap { offset in
            guard let bytes = try? file.readBytes(at: UInt64(offset), count: Root.copyByteCount)
            else { return nil }
            return bytes.withUnsafeBytes {
                (try? Root.decodeCopy($0, at: UInt64(offset)))?.storeID
            }
        }
    }

    private static func segments(_ files: [FoundFile]) -> [UInt64: UInt64] {
        var segments: [UInt64: UInt64] = [:]
        for file in files {
            switch file.place {
            case .key(let segment, let id), .deletions(let segment, let id): segments[id] = segment
            default: continue
            }
        }
        return segments
    }

    /// Paths under which a file must be looked for, though it stands under another name.
    private static func aliases(
        _ files: [FoundFile],
        _ segments: [UInt64: UInt64],
        _ folder: String
    ) -> [String: String] {
        var aliases: [String: String] = [:]
        for file in files {
            guard let header = file.header else { continue }
            let name: String
            switch header.kind {
            case .document: name = FileNames.document(header.fileID)
            case .key:
                guard let segment = segments[header.fileID] else { continue }
                name = FileNames.key(segment, fileID: header.fileID)
            case .deletions:
                guard let segment = segments[header.fileID] else { continue }
                name = FileNames.deletions(segment, fileID: header.fileID)
            case .manifest: name = FileNames.manifest(header.fileID)
            case .log, .vector, .root, .codes, .graph, .columns: continue
            }
            if name != file.name {
                aliases[FileNames.path(folder, name)] = FileNames.path(folder, file.name)
            }
        }
        return aliases
    }
}
