// The operating system's files.
// Every call that a signal may interrupt is repeated here, except read and write, which the loops
// in File+Loops.swift carry on.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import CKernels

/// Files, folders and locks of the operating system.
package struct PosixFileSystem: FileSystem {
    private let maps: MapBudget

    /// - Parameter maps: counts the files that are mapped.
    package init(maps: MapBudget = .shared) { self.maps = maps }

    package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            }
        let descriptor = try openRegular(path, flags, for: .open)
        return PosixFile(path: path, descriptor: descriptor, maps: maps)
    }

    package func list(_ path: String) throws(FileError) -> [DirectoryEntry] {
        try refuseNul(in: path, .list)
        guard let stream = opendir(path) else {
            throw FileError(.list, path: path, errorNumber: errno)
        }
        defer { closedir(stream) }
        var entries: [DirectoryEntry] = []
        while true {
            errno = 0  // the only way to tell the end from a failure
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw FileError(.list, path: path, errorNumber: errno) }
                break
            }
            let name = String(cString: mk_entry_name(entry))
            if name == "." || name == ".." { continue }
            let isDirectory =
                switch mk_entry_is_directory(entry) {
                case 0: false
                case 1: true
                default: try info("\(path)/\(name)")?.isDirectory ?? false
                }
            entries.append(DirectoryEntry(name: name, isDirectory: isDirectory))
        }
        return entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    package func info(_ path: String) throws(FileError) -> FileInfo? {
        try refuseNul(in: path, .info)
        var status = stat()
        if lstat(path, &status) != 0 {
            let error = FileError(.info, path: path, errorNumber: errno)
            if error.isNotFound { return nil }
            throw error
        }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        // A folder's own length means nothing to anybody.
        let byteCount = isDirectory ? 0 : UInt64(clamping: status.st_size)
        return FileInfo(byteCount: byteCount, isDirectory: isDirectory)
    }

    package func createDirectory(_ path: String) throws(FileError) {
        try refuseNul(in: path, .createDirectory)
        try check(.createDirectory, path) { mkdir(path, 0o700) }
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        try refuseNul(in: source, .rename)
        try refuseNul(in: target, .rename)
        #if canImport(Glibc)
        try check(.rename, source) { Glibc.rename(source, target) }
        #else
        try check(.rename, source) { Darwin.rename(source, target) }
        #endif
    }

    package func remove(_ path: String) throws(FileError) {
        try refuseNul(in: path, .remove)
        try check(.remove, path) { unlink(path) }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        try refuseNul(in: path, .syncDirectory)
        // A folder that cannot be opened is not one whose sync failed.
        let descriptor = try check(.open, path) {
            systemOpen(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { _ = systemClose(descriptor) }
        try check(.syncDirectory, path) {
            #if canImport(Darwin)
            fcntl(descriptor, F_FULLFSYNC)
            #else
            fsync(descriptor)
            #endif
        }
    }
}

extension PosixFileSystem {
    /// The folder that a path means now: from the root, so that a later change of the working
    /// directory does not move it, and where a symbolic link in its last part leads.
    ///
    /// The path as it is where the system cannot tell: opening it says what is wrong.
    package static func folder(meantBy path: String) -> String {
        let folder = folder(linkedBy: path)
        guard let first = folder.utf8.first, first != UInt8(ascii: "/"),
            let current = getcwd(nil, 0)
        else { return folder }
        defer { free(current) }
        guard let base = String(validatingCString: current) else { return path }
        return base == "/" ? "/\(folder)" : "\(base)/\(folder)"
    }

    /// The path itself, or where a symbolic link in its last part leads, from the root.
    package static func folder(linkedBy path: String) -> String {
        guard !path.isEmpty, !path.utf8.contains(0) else { return path }
        var folder = path
        while folder.utf8.count > 1, folder.utf8.last == UInt8(ascii: "/") { folder.removeLast() }
        var status = stat()
        guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return folder }
        guard let target = realpath(folder, nil) else { return path }
        defer { free(target) }
        return String(validatingCString: target) ?? path
    }
}

/// Opens a regular file, never through a symbolic link in the last part, and refuses anything
/// else: a folder with `EISDIR`, a pipe or device with `EINVAL`.
func openRegular(
    _ path: String,
    _ flags: Int32,
    for operation: FileError.Operation
) throws(FileError) -> Int32 {
    try refuseNul(in: path, operation)
    // O_NONBLOCK: opening a pipe must not wait for its other end. Regular files ignore it.
    let descriptor = try check(operation, path) {
        systemOpen(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    }
    var status = stat()
    var failure: Int32 = 0
    if fstat(descriptor, &status) != 0 {
        failure = errno
    } else if status.st_mode & S_IFMT == S_IFDIR {
        failure = EISDIR
    } else if status.st_mode & S_IFMT != S_IFREG {
        failure = EINVAL
    }
    guard failure == 0 else {
        _ = systemClose(descriptor)
        throw FileError(operation, path: path, errorNumber: failure)
    }
    return descriptor
}

/// Repeats a call while signals interrupt it; a negative result becomes an error.
@discardableResult
func check(
    _ operation: FileError.Operation,
    _ path: String,
    _ call: () -> Int32
) throws(FileError) -> Int32 {
    while true {
        let result = call()
        if result >= 0 { return result }
        let number = errno
        if number != EINTR { throw FileError(operation, path: path, errorNumber: number) }
    }
}

/// A NUL inside a path would end it early and name another file.
private func refuseNul(in path: String, _ operation: FileError.Operation) throws(FileError) {
    if path.utf8.contains(0) { throw FileError(operation, path: path, errorNumber: EINVAL) }
}

// Free functions, because inside the types `open` and `close` mean their own methods.

/// `open(2)` with permissions 0600 for new files, which the process's umask can only narrow.
func systemOpen(_ path: String, _ flags: Int32) -> Int32 { open(path, flags, 0o600) }

/// `close(2)`, not repeated: the descriptor is gone even when a signal came.
func systemClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
