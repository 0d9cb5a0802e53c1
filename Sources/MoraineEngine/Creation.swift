// Makes a new store, and tells what stands in a folder. Order of writes: format-spec/root.md,
// "Creation".

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// What a folder holds, as far as opening a store goes.
enum FolderContents {
    /// Nothing, not even the folder.
    case nothing
    /// A folder in which a store may be made: empty, or an interrupted creation.
    case creatable
    case store
}

struct StoreCreator {
    let options: EngineOptions
    let folder: String

    private var fileSystem: any FileSystem { options.fileSystem }

    /// Looks at the folder.
    ///
    /// - Throws: `notAStore` for anything that is no store, `corrupted` for files of a store
    ///   without ROOT.
    func contents() throws(StoreError) -> FolderContents {
        let sight: Sight
        do throws(FileError) {
            sight = try look()
        } catch {
            throw StoreError(error, doing: "look at the store's folder")
        }
        switch sight {
        case .nothing: return .nothing
        case .creatable: return .creatable
        case .store: return .store
        case .foreign(let found):
            throw StoreError(
                .notAStore,
                "this is no store",
                path: folder,
                expected: "a store's folder",
                found: found
            )
        case .unfinished:
            throw StoreError(
                .notAStore,
                "a salvage into this folder did not come to its end; remove it and salvage again",
                path: folder,
                expected: "a store's folder",
                found: "a part of a store, with \(FileNames.unfinishedRoot) in place of ROOT"
            )
        case .rootless:
            throw StoreError(
                .corrupted,
                "the store's ROOT is missing",
                path: FileNames.path(folder, FileNames.root),
                offset: 0,
                expected: "ROOT",
                found: "files of a store without it"
            )
        }
    }

    private enum Sight {
        case nothing, creatable, store, unfinished, rootless
        case foreign(String)
    }

    private func look() throws(FileError) -> Sight {
        guard let info = try fileSystem.info(folder) else { return .nothing }
        guard info.isDirectory else { return .foreign("a file") }
        if try fileSystem.info(FileNames.path(folder, FileNames.root)) != nil { return .store }
        let unfinished = FileNames.path(folder, FileNames.unfinishedRoot)
        if try fileSystem.info(unfinished) != nil { return .unfinished }
        let names = try fileSystem.list(folder)
        let ours = Set(FileNames.folders.filter { !$0.contains("/") } + [FileNames.lock])
        let hasOnlyOurs = names.allSatisfy { ours.contains($0.name) }
        if hasOnlyOurs {
            let isInterrupted = try filesAreThoseOfACreation()
            if isInterrupted { return .creatable }
        }
        return try holdsStoreFiles() ? .rootless : .foreign("a folder of other things")
    }

    private func filesAreThoseOfACreation() throws(FileError) -> Bool {
        for name in [FileNames.logFolder, FileNames.spareLogFolder, FileNames.segmentFolder] {
            let entries = try list(name)
            if entries.contains(where: { !$0.isDirectory }) { return false }
        }
        let manifests = try list(FileNames.manifestFolder)
        let temporary = try list(FileNames.temporaryFolder)
        return manifests.allSatisfy { "manifest/" + $0.name == FileNames.manifest(1) }
            && temporary.allSatisfy { "tmp/" + $0.name == FileNames.temporaryRoot }
    }

    private func list(_ name: String) throws(FileError) -> [DirectoryEntry] {
        let path = FileNames.path(folder, name)
        guard try fileSystem.info(path) != nil else { return [] }
        return try fileSystem.list(path)
    }

    private func holdsStoreFiles() throws(FileError) -> Bool {
        for name in FileNames.folders {
            for entry in try list(name) where FileNames.parse(name + "/" + entry.name) != nil {
                return true
            }
        }
        return false
    }

    /// Makes an empty store.
    func create() throws(StoreError) {
        let storeID = StoreID(low: options.random.next(), high: options.random.next())
        let incarnation = options.random.next()
        try call {
            () throws(FileError) in
            try makeFolders()
            try removeIfThere(FileNames.manifest(1))
        }
        let manifest = try ManifestWriter(
            fileSystem,
            folder: folder,
            header: LogHeader(
                kind: .manifest,
                storeID: storeID,
                fileID: 1,
                createdLSN: 0,
                epoch: 0,
                incarnation: incarnation,
                firstNumber: 1
            ),
            state: StoreState()
        )
        let root = Root(
            storeID: storeID,
            sequence: 1,
            incarnation: incarnation,
            parentIncarnation: 0,
            epoch: 0,
            manifestID: 1,
            manifestEnd: manifest.end,
            manifestEdit: 1,
            durableLSN: 0,
            state: .closed,
            logSequence: 0,
            logEnd: 0,
            createdTime: UInt64(max(0, options.clock.wallMilliseconds()))
        )
        manifest.close()
        try call {
            () throws(FileError) in
            try fileSystem.syncDirectory(FileNames.path(folder, FileNames.manifestFolder))
            try placeRoot(root)
        }
    }

    private func call(_ body: () throws(FileError) -> Void) throws(StoreError) {
        do throws(FileError) { try body() } catch {
            throw StoreError(error, doing: "make a store")
        }
    }

    private func removeIfThere(_ name: String) throws(FileError) {
        let path = FileNames.path(folder, name)
        if try fileSystem.info(path) != nil { try fileSystem.remove(path) }
    }

    /// Makes the folders that are missing, outermost first, and their names durable.
    private func makeFolders() throws(FileError) {
        if try fileSystem.info(folder) == nil {
            try fileSystem.createDirectory(folder)
        }
        try fileSystem.syncDirectory(parent)
        for name in FileNames.folders {
            let path = FileNames.path(folder, name)
            if try fileSystem.info(path) == nil { try fileSystem.createDirectory(path) }
        }
        try fileSystem.syncDirectory(FileNames.path(folder, FileNames.logFolder))
        try fileSystem.syncDirectory(folder)
    }

    private var parent: String {
        var path = Substring(folder)
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private func placeRoot(_ root: Root) throws(FileError) {
        let temporary = FileNames.path(folder, FileNames.temporaryRoot)
        try removeIfThere(FileNames.temporaryRoot)
        let file = try fileSystem.open(temporary, .createNew)
        defer { file.close() }
        try RootFile.write(root, over: nil, to: file)
        try fileSystem.rename(temporary, to: FileNames.path(folder, FileNames.root))
        // DURABLE: the store exists once its ROOT's name does; until then a crash leaves what
        // `contents()` calls creatable.
        try fileSystem.syncDirectory(folder)
        try fileSystem.syncDirectory(FileNames.path(folder, FileNames.temporaryFolder))
    }
}
