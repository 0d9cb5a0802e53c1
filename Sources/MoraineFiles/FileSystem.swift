// The one interface through which the engine reaches files. `PosixFileSystem` is the real one;
// `SimulatedFileSystem` lives in memory and can crash, tear, fail and reorder.
//
// Paths are plain strings, absolute or relative to the working directory, parts joined by "/".

/// What the engine needs of an operating system's files.
///
/// Every method may be called from any thread. Errors say operation, path and errno.
package protocol FileSystem: Sendable {
    /// Opens a file. Never follows a symbolic link in the last part of the path.
    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File

    /// The names in a folder, sorted by their UTF-8 bytes, without "." and "..".
    func list(_ path: String) throws(FileError) -> [DirectoryEntry]

    /// What stands at a path; `nil` when there is nothing.
    func info(_ path: String) throws(FileError) -> FileInfo?

    /// Makes one folder with permissions 0700. An existing folder is an error (`EEXIST`).
    func createDirectory(_ path: String) throws(FileError)

    /// Renames a file within the file system, replacing what stands at `target`.
    func rename(_ source: String, to target: String) throws(FileError)

    /// Removes a file's name. Open handles and mappings stay valid.
    func remove(_ path: String) throws(FileError)

    /// Makes the names in a folder durable.
    func syncDirectory(_ path: String) throws(FileError)

    /// Takes the exclusive lock of a store, creating the file (0600) if absent, and writes the
    /// process id into it. Throws `FileError` with `errorNumber == EWOULDBLOCK` and `holder` set
    /// when another open file description holds it, in this or any process.
    func lock(_ path: String) throws(FileError) -> any FileLock

    /// The process id of the lock's holder, `nil` when nobody holds it. Takes and writes nothing.
    func lockHolder(_ path: String) throws(FileError) -> Int32?

    /// What kind of file system holds a path, for reports and for refusing network mounts.
    func volume(_ path: String) throws(FileError) -> VolumeInfo
}

/// How a file is opened.
package enum OpenMode: Sendable, Equatable {
    /// For reading; the file must exist.
    case read
    /// For reading and writing; the file must exist.
    case readWrite
    /// For reading and writing, made new with permissions 0600; an existing file is an error.
    case createNew
}

/// One open file.
///
/// Offsets are bytes from its start. Safe to use from several threads.
///
/// `read` and `write` may move fewer bytes than asked and may fail with `EINTR`, as the system
/// calls do; callers use `readFully`, `readUpTo` and `writeAll`, which carry on.
package protocol File: AnyObject, Sendable {
    /// The path the file was opened by, for error messages.
    var path: String { get }

    /// Reads up to `buffer.count` bytes at `offset`; returns how many, 0 at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int

    /// Writes up to `bytes.count` bytes at `offset`, extending the file; returns how many.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int

    /// The file's length in bytes.
    func byteCount() throws(FileError) -> UInt64

    /// Sets the file's length. Never called on a file that may be mapped.
    func truncate(to byteCount: UInt64) throws(FileError)

    /// Makes the file's bytes and length durable (fdatasync; F_FULLFSYNC on Apple systems).
    /// After a failure nothing written since the last success may be believed.
    func sync() throws(FileError)

    /// A hint that nobody will write these bytes again: the system may begin to move them to the
    /// disk, so that a later `sync` has less to wait for. Promises nothing and cannot fail.
    func startWriteback(at offset: UInt64, count: Int)

    /// Maps the first `byteCount` bytes for reading. Fails with `EINVAL` when the file is shorter.
    /// The mapping outlives the file handle.
    func map(byteCount: UInt64) throws(FileError) -> Mapping

    /// Closes the handle; later calls fail with `EBADF`. Closing twice is harmless.
    func close()
}

extension File {
    package func startWriteback(at offset: UInt64, count: Int) {}
}

/// A lock that is held until `release()`, the object's end, or the end of the process.
package protocol FileLock: AnyObject, Sendable {
    /// Empties the lock file and gives the lock back. The file itself stays.
    func release()
}

/// A name in a folder.
package struct DirectoryEntry: Sendable, Equatable {
    package let name: String
    package let isDirectory: Bool

    package init(name: String, isDirectory: Bool) {
        self.name = name
        self.isDirectory = isDirectory
    }
}

/// What stands at a path.
package struct FileInfo: Sendable, Equatable {
    package let byteCount: UInt64
    package let isDirectory: Bool

    package init(byteCount: UInt64, isDirectory: Bool) {
        self.byteCount = byteCount
        self.isDirectory = isDirectory
    }
}

/// The file system under a path.
package struct VolumeInfo: Sendable, Equatable {
    /// Its kind as people call it: "ext4", "xfs", "tmpfs", "nfs", "simulated".
    package let kind: String
    /// True for file systems reached over a network, where locks and syncs are not to be trusted.
    package let isNetwork: Bool
    /// Bytes in all, free and in use.
    package let byteCount: UInt64
    /// Bytes that may still be written.
    package let freeByteCount: UInt64

    package init(kind: String, isNetwork: Bool, byteCount: UInt64, freeByteCount: UInt64) {
        self.kind = kind
        self.isNetwork = isNetwork
        self.byteCount = byteCount
        self.freeByteCount = freeByteCount
    }
}

/// Read-only bytes of a file at a fixed address, until the last reference goes.
package final class Mapping: Sendable {
    /// The bytes, valid while this object lives.
    package nonisolated(unsafe) let bytes: UnsafeRawBufferPointer  // never written, freed in deinit
    private let unmap: @Sendable (UnsafeRawBufferPointer) -> Void

    /// Wraps `bytes`; `unmap` frees them when the object goes.
    package init(
        bytes: UnsafeRawBufferPointer,
        unmap: @escaping @Sendable (UnsafeRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.unmap = unmap
    }

    deinit { unmap(bytes) }
}
