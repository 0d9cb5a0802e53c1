// The bytes of a simulated file, in chunks that copies and mappings share until one is written.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Zeroed memory for one chunk, or for a whole file that was made contiguous.
///
/// It starts at a page, as a mapping of a real file does.
// SAFETY: written only by the one chunk that references it alone, under its file system's mutex;
// from the moment a second reference exists its bytes never change.
final class Storage: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int

    init(byteCount: Int) {
        base = .allocate(byteCount: byteCount, alignment: 4096)
        memset(base, 0, byteCount)
        self.byteCount = byteCount
    }

    deinit { base.deallocate() }
}

/// A value with the bytes of a file: copying it costs one reference.
struct Content {
    /// 64 KiB: small enough to copy for one write, large enough that a 64 MiB file has 1,024.
    static let chunkByteCount = 1 << 16

    /// Part of a storage.
    ///
    /// Bytes beyond the storage's end are zero, and so are all bytes of a chunk
    /// beyond the file's end.
    private struct Chunk {
        var storage: Storage?
        var start = 0

        var byteCount: Int {
            guard let storage else { return 0 }
            return min(storage.byteCount - start, Content.chunkByteCount)
        }
    }

    private var chunks: [Chunk] = []
    private(set) var byteCount = 0

    init() {}

    init(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write($0, at: 0) }
    }

    /// Copies what there is at `offset` into `buffer`; returns how many bytes.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = min(buffer.count, max(byteCount - offset, 0))
        guard let target = buffer.baseAddress else { return 0 }
        forEachPiece(of: offset, count: count) { index, inner, done, count in
            let chunk = chunks[index]
            let stored = max(min(chunk.byteCount - inner, count), 0)
            if stored > 0, let storage = chunk.storage {
                memcpy(target + done, storage.base + chunk.start + inner, stored)
            }
            memset(target + done + stored, 0, count - stored)
        }
        return count
    }

    /// The bytes of a range, zero beyond the file's end.
    func bytes(at offset: Int, count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        _ = bytes.withUnsafeMutableBytes { read(into: $0, at: offset) }
        return bytes
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        extendChunks(toCover: offset + bytes.count)
        forEachPiece(of: offset, count: bytes.count) { index, inner, done, count in
            memcpy(writable(index, upTo: inner + count) + inner, source + done, count)
        }
        byteCount = max(byteCount, offset + bytes.count)
    }

    mutating func write(_ bytes: [UInt8], at offset: Int) {
        bytes.withUnsafeBytes { write($0, at: offset) }
    }

    /// Cuts, or extends with zeros.
    mutating func truncate(to newByteCount: Int) {
        if newByteCount < byteCount {
            let inner = newByteCount % Self.chunkByteCount
            let kept = newByteCount / Self.chunkByteCount + (inner > 0 ? 1 : 0)
            if kept < chunks.count { chunks.removeSubrange(kept...) }
            if inner > 0, chunks[kept - 1].byteCount > inner {
                let end = chunks[kept - 1].byteCount
                memset(writable(kept - 1, upTo: end) + inner, 0, end - inner)
            }
        } else {
            extendChunks(toCover: newByteCount)
        }
        byteCount = newByteCount
    }

    /// The whole file in one piece, which stays where it is and as it is while it is referenced.
    ///
    /// Later copies of this value share it, so that mapping a file twice copies once.
    mutating func contiguous() -> ContiguousBytes? {
        guard byteCount > 0 else { return nil }
        if let first = chunks[0].storage, isContiguous(in: first) {
            return ContiguousBytes(storage: first, start: chunks[0].start)
        }
        let whole = Storage(byteCount: (byteCount + 4095) & ~4095)
        _ = read(into: UnsafeMutableRawBufferPointer(start: whole.base, count: byteCount), at: 0)
        for index in chunks.indices {
            chunks[index] = Chunk(storage: whole, start: index * Self.chunkByteCount)
        }
        return ContiguousBytes(storage: whole, start: 0)
    }

    private func isContiguous(in storage: Storage) -> Bool {
        let start = chunks[0].start
        guard storage.byteCount - start >= byteCount else { return false }
        return chunks.indices.allSatisfy {
            chunks[$0].storage === storage
                && chunks[$0].start == start + $0 * Self.chunkByteCount
        }
    }

    private mutating func extendChunks(toCover end: Int) {
        let needed = (end + Self.chunkByteCount - 1) / Self.chunkByteCount
        while chunks.count < needed { chunks.append(Chunk()) }
    }

    /// The start of a chunk that nobody else references and that holds at least `end` bytes.
    private mutating func writable(_ index: Int, upTo end: Int) -> UnsafeMutableRawPointer {
        // Asked before the storage is touched: a local reference would count as a second one.
        if isKnownUniquelyReferenced(&chunks[index].storage), chunks[index].byteCount >= end,
            let storage = chunks[index].storage
        {
            return storage.base + chunks[index].start
        }
        let old = chunks[index]
        var capacity = 4096
        while capacity < max(end, old.byteCount) { capacity *= 2 }
        let fresh = Storage(byteCount: capacity)
        if let storage = old.storage {
            memcpy(fresh.base, storage.base + old.start, old.byteCount)
        }
        chunks[index] = Chunk(storage: fresh)
        return fresh.base
    }
}

/// Cuts a range at the borders of chunks.
///
/// `body` gets the chunk, the offset in it, the bytes done before, and the bytes to do.
private func forEachPiece(of offset: Int, count: Int, _ body: (Int, Int, Int, Int) -> Void) {
    var done = 0
    while done < count {
        let inner = (offset + done) % Content.chunkByteCount
        let piece = min(Content.chunkByteCount - inner, count - done)
        body((offset + done) / Content.chunkByteCount, inner, done, piece)
        done += piece
    }
}

/// Memory of a file in one piece, with what keeps it.
struct ContiguousBytes {
    let storage: Storage
    let start: Int
}
