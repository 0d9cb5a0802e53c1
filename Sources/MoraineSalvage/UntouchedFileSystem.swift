// The damaged store as salvage sees it: nothing can be changed, nothing is mapped, and a file that
// stands under another file's name is found by what its header says.

import MoraineFiles
import MoraineFormat

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A file system that only reads.
///
/// Every change is refused with `EROFS`. Mappings are copies in memory: a sector that cannot be
/// read is an error then, not a signal.
struct UntouchedFileSystem: FileSystem {
    private let base: any FileSystem
    /// The path of another file to open in place of a path.
    private let aliases: [String: String]
    /// What to read in place of a damaged header, by the path that the file has.
    private let headers: [String: [UInt8]]

    init(
        _ base: any FileSystem,
        aliases: [String: String] = [:],
        headers: [String: [UInt8]] = [:]
    ) {
        self.base = base
        self.aliases = aliases
        self.headers = headers
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        guard mode == .read else { throw FileError(.open, path: path, errorNumber: EROFS) }
        return try openAsNamed(aliases[path] ?? path)
    }

    /// The same without aliases: a path is what stands there.
    var asNamed: UntouchedFileSystem { UntouchedFileSystem(base, headers: headers) }

    /// Opens what stands at a path, whatever its header says.
    func openAsNamed(_ path: String) throws(FileError) -> any File {
        UntouchedFile(try base.open(path, .read), header: headers[path] ?? [])
    }

    func list(_ path: String) throws(FileError) -> [DirectoryEntry] { try base.list(path) }

    func info(_ path: String) throws(FileError) -> FileInfo? { try base.info(path) }

    func createDirectory(_ path: String) throws(FileError) {
        throw FileError(.createDirectory, path: path, errorNumber: EROFS)
    }

    func rename(_ source: String, to target: String) throws(FileError) {
        throw FileError(.rename, path: source, errorNumber: EROFS)
    }

    func remove(_ path: String) throws(FileError) {
        throw FileError(.remove, path: path, errorNumber: EROFS)
    }

    func syncDirectory(_ path: String) throws(FileError) {
        throw FileError(.syncDirectory, path: path, errorNumber: EROFS)
    }

    func lock(_ path: String) throws(FileError) -> any FileLock {
        throw FileError(.lock, path: path, errorNumber: EROFS)
    }

    func lockHolder(_ path: String) throws(FileError) -> Int32? { try base.lockHolder(path) }

    func volume(_ path: String) throws(FileError) -> VolumeInfo { try base.volume(path) }
}

/// A file that is only read.
private final class UntouchedFile: File {
    private let base: any File
    /// The first bytes, where those of the file are damaged.
    private let header: [UInt8]

    init(_ base: any File, header: [UInt8]) {
        self.base = base
        self.header = header
    }

    var path: String { base.path }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        let count = try base.read(into: buffer, at: offset)
        guard offset < UInt64(header.count) else { return count }
        let start = Int(offset)
        for index in 0..<min(count, header.count - start) { buffer[index] = header[start + index] }
        return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        throw FileError(.write, path: path, errorNumber: EROFS)
    }

    func byteCount() throws(FileError) -> UInt64 { try base.byteCount() }

    func truncate(to byteCount: UInt64) throws(FileError) {
        throw FileError(.truncate, path: path, errorNumber: EROFS)
    }

    func sync() throws(FileError) { throw FileError(.sync, path: path, errorNumber: EROFS) }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        // Compared first: nothing larger than the file is allocated.
        guard byteCount <= (try base.byteCount()), let count = Int(exactly: byteCount) else {
            throw FileError(.map, path: path, errorNumber: EINVAL)
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        do throws(FileError) {
            try readFully(memory, at: 0)
        } catch {
            memory.deallocate()
            throw error
        }
        return Mapping(bytes: UnsafeRawBufferPointer(memory)) { $0.deallocate() }
    }

    func close() { base.close() }
}
