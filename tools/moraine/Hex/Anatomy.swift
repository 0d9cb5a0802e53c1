// Takes a file apart, structure by structure, by the pages of format-spec.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// A walk over the structures of a file, front to back, damaged ones too.
final class Anatomy {
    let file: InspectedFile
    let store: InspectedStore
    let window: Range<UInt64>
    private let visit: (Structure) -> Bool
    /// Nobody wants more.
    private(set) var isStopped = false

    /// Bytes without names in one structure at most.
    static let pieceByteCount = 65_536

    /// - Parameters:
    ///   - window: structures that do not touch it are left out.
    ///   - visit: takes a structure; false to stop.
    init(
        _ file: InspectedFile,
        _ store: InspectedStore,
        window: Range<UInt64>,
        _ visit: @escaping (Structure) -> Bool
    ) {
        self.file = file
        self.store = store
        self.window = window
        self.visit = visit
    }

    /// Walks the file; damage is told where it is met.
    func walk() {
        do throws(StoreError) {
            switch try file.header.get().kind {
            case .root: try walkRoot()
            case .log, .manifest: try walkLog()
            case .document, .key, .vector, .deletions, .codes, .graph, .columns:
                try walkSealed()
            }
        } catch {
            _ = store.damage(error)
            // The fields of a header stand where they stand, whatever is in them.
            let start = UInt64(FileHeader.byteCount)
            try? add(at: 0, count: min(start, file.byteCount)) { bytes in
                Structure("header that is not valid", at: 0, bytes, layout: FileHeader.layout)
            }
            unnamed("bytes", from: start, to: file.byteCount)
        }
    }

    /// True when bytes at `offset` are to be shown.
    func wants(_ offset: UInt64, _ count: UInt64) -> Bool {
        !isStopped && offset < window.upperBound && offset &+ count > window.lowerBound
    }

    /// True when what starts at `offset` lies behind all that is to be shown.
    func isBehind(_ offset: UInt64) -> Bool { isStopped || offset >= window.upperBound }

    /// Reads bytes and shows the structure that they make, when it is wanted.
    func add(
        at offset: UInt64,
        count: UInt64,
        _ make: ([UInt8]) -> Structure
    ) throws(StoreError) {
        guard count > 0, wants(offset, count) else { return }
        let bytes = try file.bytes(at: offset, count: Int(clamping: count))
        show(make(bytes))
    }

    /// Shows a structure; what is wrong with it is damage.
    func show(_ structure: Structure) {
        guard wants(structure.offset, UInt64(structure.bytes.count)) else { return }
        if let fault = structure.fault {
            _ = store.damage(StoreError(fault, path: file.file.path, base: structure.offset))
        }
        if !visit(structure) { isStopped = true }
    }

    /// Shows bytes that have no names, in pieces.
    func unnamed(_ title: String, from start: UInt64, to end: UInt64) {
        pieces(title, "bytes", "u8[]", from: start, to: end)
    }

    /// Shows a long run of equal fields, in pieces.
    func pieces(
        _ title: String,
        _ name: String,
        _ type: String,
        from start: UInt64,
        to end: UInt64
    ) {
        var offset = start
        let size = UInt64(Self.pieceByteCount)
        if window.lowerBound > start { offset += (window.lowerBound - start) / size * size }
        while offset < min(end, file.byteCount), !isBehind(offset) {
            let count = min(size, min(end, file.byteCount) - offset)
            do throws(StoreError) {
                let place = offset
                try add(at: place, count: count) { bytes in
                    var structure = Structure(title, at: place, bytes)
                    structure.add(name, type, at: 0, count: bytes.count)
                    return structure
                }
            } catch {
                _ = store.damage(error)
            }
            offset += count
        }
    }

    /// The header of the file, which was read before.
    func walkHeader() throws(StoreError) {
        try add(at: 0, count: UInt64(FileHeader.byteCount)) { bytes in
            Structure("header", at: 0, bytes, layout: FileHeader.layout)
        }
    }

    private func walkRoot() throws(StoreError) {
        for index in 0..<2 {
            let offset = UInt64(index * Root.copyByteCount)
            try add(at: offset, count: UInt64(Root.copyByteCount)) { bytes in
                var copy = Structure("copy \(index + 1)", at: offset, bytes)
                copy.add(FileHeader.layout)
                copy.add(Root.layout.filter { $0.name != "header" })
                do throws(FormatError) {
                    _ = try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                        try Root.decodeCopy(UnsafeRawBufferPointer(buffer), at: offset)
                    }
                } catch {
                    copy.fault = error
                }
                return copy
            }
        }
        unnamed("bytes behind the end", from: UInt64(Root.byteCount), to: file.byteCount)
    }
}
