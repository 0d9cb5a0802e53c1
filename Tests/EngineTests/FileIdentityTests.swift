// Files that are sound in themselves and not the ones that they stand for: each of the checks that
// stand one behind the other has a damage that only it sees.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineSimulation
import MoraineStorage
import Testing

@testable import MoraineEngine

struct FileIdentityTests {
    /// Stores of one layout, with other words in the same number of bytes.
    private func make(_ word: String, seed: UInt64 = 7) throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem()
        var options = options(disk)
        options.random = SeededRandom(seed: seed)
        options.codec = .none
        let engine = try Engine.open(at: "store", options: options)
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        for part in 0..<2 {
            for number in 0..<5 {
                try engine.put(
                    "notes",
                    "\(part)k\(number)",
                    text: word,
                    vector: [Float(word.utf8.first ?? 0), Float(number)]
                )
            }
            try engine.checkpoint()
        }
        for part in 0..<2 { try engine.delete("notes", "\(part)k3") }
        try engine.checkpoint()
        try engine.close()
        return disk
    }

    private func sealedFiles(_ disk: SimulatedFileSystem) -> [String] {
        disk.filePaths.filter { $0.contains("store/seg/") }
    }

    private func isFound(_ disk: SimulatedFileSystem) throws -> Bool {
        try !Engine.verify("store", options: options(disk)).findings.isEmpty
    }

    private func bytes(_ disk: SimulatedFileSystem, _ path: String) throws -> [UInt8] {
        try #require(disk.contents(of: path))
    }

    @Test func theStoresAreSound() throws {
        let disk = try make("one")
        #expect(try !isFound(disk))
        #expect(Set(sealedFiles(disk).map { $0.suffix(4) }) == [".doc", ".key", ".vec", ".del"])
        #expect(sealedFiles(disk).count == 10)
    }

    /// A sector of headers that went to another file: nothing else in it is different.
    @Test func aHeaderOfAnotherFileIsFound() throws {
        let disk = try make("one")
        let files = sealedFiles(disk)
        for path in files {
            let others = files.filter { $0 != path && $0.suffix(4) == path.suffix(4) }
            let other = try #require(others.first)
            let copy = disk.copy()
            let head = try bytes(disk, other).prefix(FileHeader.byteCount)
            copy.replace(
                path: path,
                bytes: Array(head) + (try bytes(disk, path)).dropFirst(head.count)
            )
            #expect(try isFound(copy), "\(path)")
        }
    }

    @Test func aHeaderOfAnotherStoreIsFound() throws {
        let disk = try make("one")
        let other = try make("one", seed: 8)
        for path in sealedFiles(disk) {
            let copy = disk.copy()
            let head = try bytes(other, path).prefix(FileHeader.byteCount)
            copy.replace(
                path: path,
                bytes: Array(head) + (try bytes(disk, path)).dropFirst(head.count)
            )
            #expect(try isFound(copy), "\(path)")
        }
    }

    /// As from a backup: same store, same name, same length, sound in every checksum.
    @Test func aFileOfAnotherHistoryIsFound() throws {
        let disk = try make("one")
        let other = try make("two")
        for path in sealedFiles(disk) where !path.hasSuffix(".del") && !path.hasSuffix(".key") {
            let copy = disk.copy()
            let file = try bytes(other, path)
            #expect(try file.count == bytes(disk, path).count)
            // A segment of tombstones has no words.
            if try file == bytes(disk, path) { continue }
            copy.replace(path: path, bytes: file)
            #expect(try isFound(copy), "\(path)")
        }
    }

    @Test func bytesBehindTheEndAreFound() throws {
        let disk = try make("one")
        for path in sealedFiles(disk) {
            for count in [1, 64, 4096] {
                let copy = disk.copy()
                copy.replace(
                    path: path,
                    bytes: try bytes(disk, path) + [UInt8](repeating: 0, count: count)
                )
                #expect(try isFound(copy), "\(path)")
            }
        }
    }

    @Test func everyByteOfAFooterCounts() throws {
        let disk = try make("one")
        for kind in [".doc", ".key", ".vec", ".del"] {
            let path = try #require(sealedFiles(disk).first { $0.hasSuffix(kind) })
            let count = try bytes(disk, path).count
            for offset in (count - FileFooter.byteCount)..<count {
                let copy = disk.copy()
                copy.corrupt(path: path, offset: offset, xor: 1)
                #expect(try isFound(copy), "\(path) \(offset - count)")
            }
        }
    }

    /// Footers under checksums that are right, and a manifest that means them.
    @Test func aFooterThatSaysWhatCannotBeIsAnError() throws {
        let disk = try make("one")
        let fields: [WritableKeyPath<FileFooter, UInt64>] = [
            \.directoryOffset, \.fileByteCount, \.rowCount, \.fileID,
        ]
        let root = try RootFile.read(disk, folder: "store").chosen()
        for path in sealedFiles(disk) {
            let file = try bytes(disk, path)
            for field in fields {
                for edge in [0, 39, 1 << 63, .max] as [UInt64] {
                    var footer = try file.suffix(FileFooter.byteCount).withUnsafeBytes {
                        try FileFooter(decoding: $0, storeID: root.storeID)
                    }
                    if footer[keyPath: field] == edge { continue }
                    footer[keyPath: field] = edge
                    let (encoded, checksum) = footer.encode(storeID: root.storeID)
                    let copy = disk.copy()
                    copy.replace(
                        path: path,
                        bytes: file.dropLast(FileFooter.byteCount) + encoded
                    )
                    let name = String(path.trimmingPrefix("/").trimmingPrefix("store/"))
                    try EditedManifest(copy).write([name: checksum])
                    #expect(try isFound(copy), "\(path) \(edge)")
                }
            }
        }
    }
}
