// A file of a store, opened to be looked at: nothing is believed, nothing is changed.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// One file and its header.
struct InspectedFile {
    /// Relative to the store's folder.
    let name: String
    let file: any File
    let fileSystem: any FileSystem
    /// The store's.
    let folder: String
    let byteCount: UInt64
    /// The header, or why it cannot be read.
    let header: Result<FileHeader, StoreError>

    init(_ store: InspectedStore, _ name: String) throws(Failure) {
        let path = FileNames.path(store.folder, name)
        let opened = try engineCall { () throws(StoreError) in
            try fileCall("open \(name)") { () throws(FileError) in
                let file = try store.fileSystem.open(path, .read)
                return (file, try file.byteCount())
            }
        }
        self.name = name
        fileSystem = store.fileSystem
        folder = store.folder
        file = opened.0
        byteCount = opened.1
        let file = file
        do throws(StoreError) {
            header = .success(
                try Self.decode(file, at: 0, count: FileHeader.byteCount) {
                    bytes throws(FormatError) in try FileHeader(decoding: bytes)
                }
            )
        } catch {
            header = .failure(error)
        }
    }

    /// Reads `count` bytes at `offset`.
    func bytes(at offset: UInt64, count: Int) throws(StoreError) -> [UInt8] {
        try decode(at: offset, count: count) { bytes throws(FormatError) in Array(bytes) }
    }

    /// Reads `count` bytes at `offset` and decodes them; errors say file and place.
    func decode<T>(
        at offset: UInt64,
        count: Int,
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> T
    ) throws(StoreError) -> T {
        try Self.decode(file, at: offset, count: count, body)
    }

    private static func decode<T>(
        _ file: any File,
        at offset: UInt64,
        count: Int,
        _ body: (UnsafeRawBufferPointer) throws(FormatError) -> T
    ) throws(StoreError) -> T {
        let byteCount = try fileCall("read a file") { () throws(FileError) in
            try file.byteCount()
        }
        // Before memory is taken: the count may come from damaged bytes.
        guard offset <= byteCount, count >= 0, UInt64(count) <= byteCount - offset else {
            throw StoreError(
                .corrupted,
                "the file ends before",
                path: file.path,
                offset: byteCount,
                expected: "\(count) bytes at \(offset)",
                found: "\(byteCount) bytes in all"
            )
        }
        let bytes = try fileCall("read a file") { () throws(FileError) in
            try file.readBytes(at: offset, count: count)
        }
        do throws(FormatError) {
            return try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                try body(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            throw StoreError(error, path: file.path, base: offset)
        }
    }
}

/// A folder of files to look at, and what was found wrong in them so far.
final class InspectedStore {
    let folder: String
    let fileSystem: any FileSystem
    /// False for the folder of a file that belongs to no store.
    let isStore: Bool
    private let call: Call
    private let limit: ReadLimit?
    private(set) var isDamaged = false
    /// Set when a file could not be read, or is of a newer format.
    private var operational: ExitCode?
    /// What was told, so that nothing is told twice.
    private var told: Set<String> = []
    /// The files that the manifest named when the look began; `nil` when it could not be read.
    private var firstNames: Set<String>?

    /// The folder around the file at `path`: its store's when it stands in one, else the one that
    /// it lies in; and the file's name in it.
    ///
    /// - Parameter limit: nothing is read after its end.
    static func around(_ path: String, _ call: Call, _ limit: ReadLimit?) throws(Failure)
        -> (store: InspectedStore, name: String)
    {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let files = PosixFileSystem()
        // ROOT itself, then the folders below: seg/x, then wal/free/x.
        for depth in 1...3 where parts.count >= depth {
            let name = parts.suffix(depth).joined(separator: "/")
            let folder = folder(parts.dropLast(depth))
            guard FileNames.parse(name) != nil else { continue }
            let root = try? files.info(FileNames.path(folder, FileNames.root))
            if root != nil {
                let store = InspectedStore(call, limit, folder: folder, isStore: true)
                return (store, name)
            }
        }
        let store = InspectedStore(
            call,
            limit,
            folder: folder(parts.dropLast(1)),
            isStore: false
        )
        return (store, parts.last ?? path)
    }

    private static func folder(_ parts: ArraySlice<String>) -> String {
        if parts.isEmpty { return "." }
        return parts == [""] ? "" : parts.joined(separator: "/")
    }

    private init(_ call: Call, _ limit: ReadLimit?, folder: String, isStore: Bool) {
        self.call = call
        self.limit = limit
        fileSystem = Self.fileSystem(limit)
        self.folder = folder
        self.isStore = isStore
        begin()
    }

    private static func fileSystem(_ limit: ReadLimit?) -> any FileSystem {
        let base: any FileSystem = limit.map(WatchedFileSystem.init(until:)) ?? PosixFileSystem()
        return DescriptorCache(
            base,
            limit: EngineOptions().openFileCount,
            namesMayGo: true,
            isKept: FileNames.isSegmentFile
        )
    }

    /// Throws when there is no store in the folder.
    init(_ call: Call, _ limit: ReadLimit?) throws(Failure) {
        self.call = call
        self.limit = limit
        fileSystem = Self.fileSystem(limit)
        isStore = true
        folder = PosixFileSystem.folder(linkedBy: call[0])
        let fileSystem = fileSystem
        let folder = folder
        let info = try engineCall { () throws(StoreError) in
            try fileCall("look at the store") { () throws(FileError) in
                try fileSystem.info(folder)
            }
        }
        let hasFolder = info?.isDirectory ?? false
        guard hasFolder, try !names(in: "").isEmpty else {
            throw Failure(.operational, "\(folder): there is no store")
        }
        let known = [FileNames.root] + FileNames.folders
        guard try names(in: "").contains(where: known.contains) else {
            throw Failure(.operational, "\(folder): the folder is not a store")
        }
        begin()
    }

    /// The names in a folder of the store, sorted; none when it is missing.
    func names(in part: String) throws(Failure) -> [String] {
        do throws(FileError) {
            let path = part.isEmpty ? folder : FileNames.path(folder, part)
            return try fileSystem.list(path).map { part.isEmpty ? $0.name : "\(part)/\($0.name)" }
        } catch {
            if error.isNotFound { return [] }
            throw Failure(StoreError(error, doing: "list a folder"))
        }
    }

    /// Remembers damage, tells it on standard error, and describes it.
    ///
    /// What is wrong with a file that the manifest does not name is only noted: a writer may be
    /// making it just now, or have left it behind.
    func damage(_ error: StoreError) -> Description {
        // Not damage: there was no time to read it.
        if limit?.isOver ?? false { return Description(error) }
        let text = Failure.text(error)
        guard told.insert(text).inserted else { return Description(error) }
        if error.code != .corrupted {
            operational = operational ?? ExitCode(error.code)
            call.console.error.writeLine("moraine: \(visible(text))")
        } else if isUnlisted(error.path) {
            call.console.note("not part of the store: \(text)")
        } else {
            isDamaged = true
            call.console.error.writeLine("moraine: \(visible(text))")
        }
        return Description(error)
    }

    /// True for a file of segments or of the log that the manifest, which can be read, does not
    /// name, or did not when the look began: then it may have been looked at half made.
    private func isUnlisted(_ path: String?) -> Bool {
        guard isStore, let path, path.hasPrefix(folder + "/") else { return false }
        let name = String(path.dropFirst(folder.utf8.count + 1))
        let folders = [FileNames.segmentFolder, FileNames.logFolder]
        guard folders.contains(where: { name.hasPrefix($0 + "/") }), let state else { return false }
        return !state.allFileNames.contains(name) || !(firstNames?.contains(name) ?? true)
    }

    /// Takes note of what the manifest names when a look begins.
    private func begin() { firstNames = isStore ? state?.allFileNames : nil }

    /// Remembers a finding, as `damage` does.
    func damage(_ finding: Finding) -> Description {
        damage(
            StoreError(
                .corrupted,
                "\(finding.kind.rawValue)",
                path: FileNames.path(folder, finding.file),
                offset: finding.offset,
                expected: finding.expected,
                found: finding.found
            )
        )
    }

    var exit: ExitCode { isDamaged ? .damage : operational ?? .fine }
}

extension Command {
    /// An inspector; all look alike but for what they look at.
    static func inspector(
        _ what: String,
        _ summary: String,
        takesID: Bool = false,
        options: [Option] = [],
        notes: [String] = [],
        examples: [(line: String, does: String)],
        run: @escaping @Sendable (InspectedStore, Call) throws(Failure) -> Void
    ) -> Command {
        var positionals = [Positional("STORE", "the folder of the store")]
        if takesID {
            positionals.append(
                Positional(
                    "SEGMENT",
                    "its id, decimal, or 16 digits as in the file's name",
                    count: .optional
                )
            )
        }
        return Command(
            "inspect \(what)",
            summary,
            positionals: positionals,
            options: options + [.json, .timeout],
            notes: notes + [
                "Reads the files as they are, changes nothing, and shows as much of damaged ones "
                    + "as can be\nread; exit code 4 then. The names of fields are those of "
                    + "format-spec."
            ],
            examples: examples,
            run: { call throws(Failure) in
                try call.timed { limit throws(Failure) in
                    let store = try InspectedStore(call, limit)
                    try run(store, call)
                    return store.exit
                }
            }
        )
    }
}

extension StoreState {
    /// The files of segments and of the log that the state is made of.
    fileprivate var allFileNames: Set<String> {
        segmentFileNames.union(
            logs.map { FileNames.log(epoch: $0.epoch, sequence: $0.sequence) }
        )
    }
}
