// A file system in memory, for stores that need no disk and for tests that need a bad one.
//
// Invariants:
// - All state is in `state`, and no call leaves the mutex half done.
// - A file's bytes are durable after its `sync`, its name after `syncDirectory` of its folder.
// - A rename is one change: after a crash the file has its old name or its new one, never both or
//   none. The sync of the target's folder makes it durable, that of the source's does not.

import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Files in memory that can crash, tear, fail and reorder.
///
/// Paths start at its root, which exists.
package final class SimulatedFileSystem: FileSystem {
    /// The errno of every operation between the stop set by `crashAt` and `crash`.
    package static let shutDownErrorNumber: Int32 = ESHUTDOWN

    /// The largest file, in bytes; more is `EFBIG`.
    static let maximumByteCount = 1 << 36

    let state: Mutex<SimulatedState>

    /// An empty file system without faults.
    package convenience init() { self.init(SimulatedState()) }

    init(_ initial: SimulatedState) { state = Mutex(initial) }

    package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let (node, generation) = try state.withLock { state throws(FileError) in
            let isNew = mode == .createNew
            _ = try state.plan.begin(.open, path, isChange: isNew)
            let (directory, name) = try state.place(path, .open, rootError: EISDIR)
            let found = directory.entries[name]
            if isNew {
                guard found == nil else {
                    throw FileError(.open, path: path, errorNumber: EEXIST)
                }
                let node = Node(isDirectory: false)
                state.insert(node, in: directory, as: name)
                return (node, state.generation)
            }
            guard let found else { throw FileError(.open, path: path, errorNumber: ENOENT) }
            guard !found.isDirectory else {
                throw FileError(.open, path: path, errorNumber: EISDIR)
            }
            if mode == .readWrite, state.plan.deniesWrites {
                throw FileError(.open, path: path, errorNumber: EROFS)
            }
            return (found, state.generation)
        }
        return SimulatedFile(
            system: self,
            path: path,
            node: node,
            generation: generation,
            isWritable: mode != .read
        )
    }

    package func list(_ path: String) throws(FileError) -> [DirectoryEntry] {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.list, path, isChange: false)
            let node = try state.node(path, .list)
            guard node.isDirectory else {
                throw FileError(.list, path: path, errorNumber: ENOTDIR)
            }
            return node.entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map {
                DirectoryEntry(
                    name: String(decoding: $0.key, as: UTF8.self),
                    isDirectory: $0.value.isDirectory
                )
            }
        }
    }

    package func info(_ path: String) throws(FileError) -> FileInfo? {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.info, path, isChange: false)
            do throws(FileError) {
                let node = try state.node(path, .info)
                return FileInfo(
                    byteCount: UInt64(node.content.byteCount),
                    isDirectory: node.isDirectory
                )
            } catch {
                if error.isNotFound { return nil }
                throw error
            }
        }
    }

    package func createDirectory(_ path: String) throws(FileError) {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.createDirectory, path, isChange: true)
            let (directory, name) = try state.place(path, .createDirectory, rootError: EEXIST)
            guard directory.entries[name] == nil else {
                throw FileError(.createDirectory, path: path, errorNumber: EEXIST)
            }
            state.insert(Node(isDirectory: true), in: directory, as: name)
        }
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.rename, source, isChange: true)
            try state.rename(source, to: target)
        }
    }

    package func remove(_ path: String) throws(FileError) {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.remove, path, isChange: true)
            let (directory, name) = try state.place(path, .remove, rootError: EISDIR)
            guard let node = directory.entries[name] else {
                throw FileError(.remove, path: path, errorNumber: ENOENT)
            }
            guard !node.isDirectory else {
                throw FileError(.remove, path: path, errorNumber: EISDIR)
            }
            state.remove(name, from: directory)
        }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        try state.withLock { state throws(FileError) in
            let outcome = try state.plan.begin(.syncDirectory, path, isChange: true)
            let node = try state.node(path, .syncDirectory)
            guard node.isDirectory else {
                throw FileError(.syncDirectory, path: path, errorNumber: ENOTDIR)
            }
            if outcome != .lyingSync { state.makeNamesDurable(in: node) }
        }
    }

    package func volume(_ path: String) throws(FileError) -> VolumeInfo {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.volume, path, isChange: false)
            _ = try state.node(path, .volume)
            return VolumeInfo(
                kind: "simulated",
                isNetwork: false,
                byteCount: UInt64(state.byteCount),
                freeByteCount: UInt64(state.freeByteCount)
            )
        }
    }

    /// The parts of a path, with "." and ".." resolved.
    static func parts(of path: [UInt8]) -> [Name] {
        var parts: [Name] = []
        for part in path.split(separator: UInt8(ascii: "/")) {
            if part.elementsEqual(".".utf8) { continue }
            if part.elementsEqual("..".utf8) {
                _ = parts.popLast()
            } else {
                parts.append(Name(part))
            }
        }
        return parts
    }

    /// The last two parts of a path with its numbers as "#", so that files of a kind look alike.
    ///
    /// A number is a run of hexadecimal digits with a decimal one among them; the extension of the
    /// last part stays: "/s/wal/W-12-03.mwal" gives "wal/W-#-#.mwal".
    static func pattern(of path: String) -> String {
        let parts = parts(of: Array(path.utf8)).suffix(2)
            .map { String(decoding: $0, as: UTF8.self) }
        guard let last = parts.last else { return "/" }
        let stemEnd = last.lastIndex(of: ".") ?? last.endIndex
        let name = masked(last[..<stemEnd]) + last[stemEnd...]
        return parts.count == 2 ? "\(masked(parts[0][...]))/\(name)" : name
    }

    private static func masked(_ text: Substring) -> String {
        var result = ""
        var rest = text
        while let first = rest.first {
            let run = rest.prefix { $0.isASCII && $0.isHexDigit }
            if run.isEmpty {
                result.append(first)
                rest = rest.dropFirst()
            } else {
                result += run.contains(where: \.isNumber) ? "#" : run
                rest = rest[run.endIndex...]
            }
        }
        return result
    }
}
