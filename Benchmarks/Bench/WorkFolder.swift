// A folder for the stores of one run, and what a run does with whole folders.

import Foundation
import MoraineFiles

/// Made for one run, removed at its end.
struct WorkFolder {
    let path: String

    /// - Parameter needsDisk: refuse a file system in memory: nothing is durable there.
    init(_ arguments: Arguments, needsDisk: Bool) throws {
        let parent = arguments.folder
        let kind: String
        do {
            kind = try PosixFileSystem().volume(parent).kind
        } catch {
            throw Failure.usage("\(parent): \(error.reason)")
        }
        if needsDisk, kind == "tmpfs" {
            throw Failure.usage(
                "\(parent) is a tmpfs, where a sync costs nothing; name another place with --folder"
            )
        }
        path = parent + "/moraine-bench-\(WorkerThread.processID)"
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false
        )
    }

    /// Runs `body` with a new folder and removes the folder.
    static func with(
        _ arguments: Arguments,
        needsDisk: Bool,
        _ body: (WorkFolder) throws -> Void
    ) throws {
        let folder = try WorkFolder(arguments, needsDisk: needsDisk)
        defer { try? FileManager.default.removeItem(atPath: folder.path) }
        try body(folder)
    }

    func path(_ name: String) -> String { path + "/" + name }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: path(name))
    }

    /// Copies a folder, which may be a store in use, and makes the copy durable.
    func copy(_ name: String, to copy: String) throws {
        try FileManager.default.copyItem(atPath: path(name), toPath: path(copy))
        for file in files(copy) {
            let handle = try PosixFileSystem().open(file, .readWrite)
            try handle.sync()
            handle.close()
        }
    }

    /// The paths of all files below a folder.
    func files(_ name: String) -> [String] {
        let root = path(name)
        let names = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
        return names.sorted().map { root + "/" + $0 }.filter {
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: $0, isDirectory: &isFolder)
                && !isFolder.boolValue
        }
    }

    /// Bytes of all files below a folder.
    func byteCount(_ name: String) throws -> Int {
        try files(name).reduce(0) {
            let size = try FileManager.default.attributesOfItem(atPath: $1)[.size]
            return $0 + ((size as? Int) ?? 0)
        }
    }
}
