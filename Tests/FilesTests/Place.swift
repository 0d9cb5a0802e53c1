// A fresh folder on each kind of file system, and short ways to say what the tests say often.

import MoraineFiles
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

enum Kind: CaseIterable, Sendable { case posix, simulated }

/// An empty folder to test in; what the operating system holds of it goes with the object.
final class Place {
    let files: any FileSystem
    let root: String

    init(_ kind: Kind) {
        switch kind {
        case .posix:
            root = "/tmp/moraine-files-\(String(SystemRandom().next(), radix: 16))"
            mkdir(root, 0o700)
            files = PosixFileSystem()
        case .simulated:
            root = "/place"
            files = SimulatedFileSystem()
            try? files.createDirectory(root)
        }
    }

    deinit {
        guard files is PosixFileSystem else { return }
        removeTree(root)
    }

    func path(_ name: String) -> String { "\(root)/\(name)" }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = try files.open(path(name), .createNew)
        try file.put(bytes, at: 0)
        file.close()
    }

    func bytes(_ name: String) throws -> [UInt8] {
        let file = try files.open(path(name), .read)
        defer { file.close() }
        return try file.readBytes(at: 0, count: Int(file.byteCount()))
    }

    private func removeTree(_ path: String) {
        for entry in (try? files.list(path)) ?? [] {
            let child = "\(path)/\(entry.name)"
            if entry.isDirectory { removeTree(child) } else { _ = unlink(child) }
        }
        rmdir(path)
    }
}

extension File {
    func put(_ bytes: [UInt8], at offset: UInt64) throws(FileError) {
        try bytes.withUnsafeBufferPointer { buffer throws(FileError) in
            try writeAll(UnsafeRawBufferPointer(buffer), at: offset)
        }
    }
}

/// The errno of the `FileError` that `body` throws; `nil` when it throws none.
func errorNumber(_ body: () throws -> Void) -> Int32? {
    do {
        try body()
        return nil
    } catch {
        return (error as? FileError)?.errorNumber
    }
}
