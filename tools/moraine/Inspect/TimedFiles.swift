// Files that give nothing more once the time of a command is over: inspectors walk over whatever
// they meet, and end there.

import MoraineFiles
import MoraineStorage

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension Call {
    /// Runs a command that reads files and has `--timeout`.
    ///
    /// From the end of the time on nothing is printed, as what is read then is not the whole.
    func timed(_ body: (ReadLimit?) throws(Failure) -> ExitCode) throws(Failure) -> ExitCode {
        let limit = try readLimit()
        output.limit = limit
        defer { output.limit = nil }
        let code: ExitCode
        do throws(Failure) {
            code = try body(limit)
        } catch {
            // The end of the time is what made it fail.
            try engineCall { () throws(StoreError) in try limit?.check() }
            throw error
        }
        try engineCall { () throws(StoreError) in try limit?.check() }
        return code
    }
}

/// A file system to read from until a limit.
struct TimedFileSystem: FileSystem {
    private let base = PosixFileSystem()
    private let limit: ReadLimit

    init(_ limit: ReadLimit) { self.limit = limit }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        TimedFile(try base.open(path, mode), limit)
    }

    func list(_ path: String) throws(FileError) -> [DirectoryEntry] {
        if limit.isOver { throw FileError(.list, path: path, errorNumber: ETIMEDOUT) }
        return try base.list(path)
    }

    func info(_ path: String) throws(FileError) -> FileInfo? { try base.info(path) }

    func createDirectory(_ path: String) throws(FileError) { try base.createDirectory(path) }

    func rename(_ source: String, to target: String) throws(FileError) {
        try base.rename(source, to: target)
    }

    func remove(_ path: String) throws(FileError) { try base.remove(path) }

    func syncDirectory(_ path: String) throws(FileError) { try base.syncDirectory(path) }

    func lock(_ path: String) throws(FileError) -> any FileLock { try base.lock(path) }

    func lockHolder(_ path: String) throws(FileError) -> Int32? { try base.lockHolder(path) }

    func volume(_ path: String) throws(FileError) -> VolumeInfo { try base.volume(path) }
}

private final class TimedFile: File {
    private let base: any File
    private let limit: ReadLimit

    init(_ base: any File, _ limit: ReadLimit) {
        self.base = base
        self.limit = limit
    }

    var path: String { base.path }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        if limit.isOver { throw FileError(.read, path: path, errorNumber: ETIMEDOUT) }
        return try base.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try base.write(bytes, at: offset)
    }

    func byteCount() throws(FileError) -> UInt64 { try base.byteCount() }

    func truncate(to byteCount: UInt64) throws(FileError) { try base.truncate(to: byteCount) }

    func sync() throws(FileError) { try base.sync() }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        if limit.isOver { throw FileError(.map, path: path, errorNumber: ETIMEDOUT) }
        return try base.map(byteCount: byteCount)
    }

    func close() { base.close() }
}
