// A file system that tells of each call and passes it on: what ends reads when their time is over,
// makes calls fail by chance, notes them, holds them at a gate, or gives a file another name is a
// closure over it.

/// A file system that asks before each call and tells after it.
package struct WatchedFileSystem: FileSystem {
    /// May throw in place of the call.
    ///
    /// Called on the thread of the call, with the path that it is about: of a rename the old one.
    package typealias Before = @Sendable (FileError.Operation, String) throws(FileError) -> Void
    /// Called when the call went well.
    package typealias After = @Sendable (FileError.Operation, String) -> Void

    private let base: any FileSystem
    private let place: @Sendable (String) -> String
    private let watch: Watch

    /// - Parameters:
    ///   - place: the path on `base` of what stands at a path.
    package init(
        _ base: any FileSystem,
        place: @escaping @Sendable (String) -> String = { $0 },
        before: @escaping Before = { _, _ throws(FileError) in },
        after: @escaping After = { _, _ in }
    ) {
        self.base = base
        self.place = place
        watch = Watch(before: before, after: after)
    }

    package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        try watch.call(.open, path) { () throws(FileError) in
            WatchedFile(try base.open(place(path), mode), watch)
        }
    }

    package func list(_ path: String) throws(FileError) -> [DirectoryEntry] {
        try watch.call(.list, path) { () throws(FileError) in try base.list(place(path)) }
    }

    package func info(_ path: String) throws(FileError) -> FileInfo? {
        try watch.call(.info, path) { () throws(FileError) in try base.info(place(path)) }
    }

    package func createDirectory(_ path: String) throws(FileError) {
        try watch.call(.createDirectory, path) { () throws(FileError) in
            try base.createDirectory(place(path))
        }
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        try watch.call(.rename, source) { () throws(FileError) in
            try base.rename(place(source), to: place(target))
        }
    }

    package func remove(_ path: String) throws(FileError) {
        try watch.call(.remove, path) { () throws(FileError) in try base.remove(place(path)) }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        try watch.call(.syncDirectory, path) { () throws(FileError) in
            try base.syncDirectory(place(path))
        }
    }

    package func lock(_ path: String) throws(FileError) -> any FileLock {
        try watch.call(.lock, path) { () throws(FileError) in try base.lock(place(path)) }
    }

    package func lockHolder(_ path: String) throws(FileError) -> Int32? {
        try watch.call(.lockHolder, path) { () throws(FileError) in try base.lockHolder(place(path))
        }
    }

    package func volume(_ path: String) throws(FileError) -> VolumeInfo {
        try watch.call(.volume, path) { () throws(FileError) in try base.volume(place(path)) }
    }
}

/// What a file system and its files tell.
private struct Watch: Sendable {
    let before: WatchedFileSystem.Before
    let after: WatchedFileSystem.After

    func call<T>(
        _ operation: FileError.Operation,
        _ path: String,
        _ body: () throws(FileError) -> T
    ) throws(FileError) -> T {
        try before(operation, path)
        let result = try body()
        after(operation, path)
        return result
    }
}

private final class WatchedFile: File {
    private let base: any File
    private let watch: Watch

    init(_ base: any File, _ watch: Watch) {
        self.base = base
        self.watch = watch
    }

    var path: String { base.path }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        try watch.call(.read, path) { () throws(FileError) in
            try base.read(into: buffer, at: offset)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try watch.call(.write, path) { () throws(FileError) in try base.write(bytes, at: offset) }
    }

    func byteCount() throws(FileError) -> UInt64 {
        try watch.call(.byteCount, path) { () throws(FileError) in try base.byteCount() }
    }

    func truncate(to byteCount: UInt64) throws(FileError) {
        try watch.call(.truncate, path) { () throws(FileError) in
            try base.truncate(to: byteCount)
        }
    }

    func sync() throws(FileError) {
        try watch.call(.sync, path) { () throws(FileError) in try base.sync() }
    }

    func startWriteback(at offset: UInt64, count: Int) {
        base.startWriteback(at: offset, count: count)
    }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        try watch.call(.map, path) { () throws(FileError) in try base.map(byteCount: byteCount) }
    }

    func close() { base.close() }
}
