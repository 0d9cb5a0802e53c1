// A section of a sealed file. Bytes: format-spec/file-header.md, "Sections".

import MoraineBytes
import MoraineFiles
package import MoraineFormat
package import Synchronization

/// A run of bytes in a sealed file. Borrows the ``SealedFile`` that it came from.
///
/// Copying it costs nothing: no counts are kept. Any thread.
// @unchecked: the pointers are to bytes that are never written and to atomics, both kept by the
// file, which the holder of a section keeps alive.
package struct Section: @unchecked Sendable {
    package let entry: SectionEntry
    package let byteCount: Int
    /// The section's first byte in the mapping; `nil` for files that are not mapped.
    @usableFromInline let base: UnsafeRawPointer?
    @usableFromInline let checked: UnsafeMutablePointer<Atomic<UInt64>>
    /// The index of the first chunk's bit.
    @usableFromInline let firstChunk: Int
    @usableFromInline let file: Unmanaged<SealedFile>

    init(
        entry: SectionEntry,
        byteCount: Int,
        base: UnsafeRawPointer?,
        checked: UnsafeMutablePointer<Atomic<UInt64>>,
        firstChunk: Int,
        file: Unmanaged<SealedFile>
    ) {
        self.entry = entry
        self.byteCount = byteCount
        self.base = base
        self.checked = checked
        self.firstChunk = firstChunk
        self.file = file
    }

    /// Mapped bytes of the section, checked; `range` counts from its start.
    ///
    /// - Throws: `corrupted` when a chunk does not match its checksum, or when the range, which
    ///   may come from the file, is not inside the section.
    @inlinable @inline(__always)
    package func bytes(_ range: Range<Int>) throws(StoreError) -> UnsafeRawBufferPointer {
        try bytes(at: range.lowerBound, count: range.upperBound &- range.lowerBound)
    }

    /// Mapped bytes of the section, checked.
    ///
    /// Both numbers may be anything.
    @inlinable @inline(__always)
    package func bytes(at start: Int, count: Int) throws(StoreError) -> UnsafeRawBufferPointer {
        guard let base, start >= 0, count >= 0, start <= byteCount, count <= byteCount &- start
        else { throw outside(start, count) }
        if count > 0 {
            let first = start &>> 16
            let last = (start &+ count &- 1) &>> 16
            if first != last || !isChecked(first) { try check(first, last) }
        }
        return UnsafeRawBufferPointer(start: base + start, count: count)
    }

    /// All of the section's mapped bytes, checked.
    package func allBytes() throws(StoreError) -> UnsafeRawBufferPointer {
        try bytes(at: 0, count: byteCount)
    }

    /// Mapped bytes without a check, for callers that have just had them from `bytes`.
    ///
    /// The range must lie inside the section.
    @inlinable @inline(__always)
    package func uncheckedBytes(at start: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base.map { $0 + start }, count: count)
    }

    @inlinable @inline(__always)
    func isChecked(_ chunk: Int) -> Bool {
        let bit = firstChunk &+ chunk
        // Relaxed: the bytes never change, so there is nothing that the bit must publish.
        let word = checked[bit &>> 6].load(ordering: .relaxed)
        return word & (1 &<< UInt64(truncatingIfNeeded: bit & 63)) != 0
    }

    /// Checks chunks `first` to `last` of a mapped section, those that are not yet.
    @usableFromInline @inline(never)
    func check(_ first: Int, _ last: Int) throws(StoreError) {
        for chunk in first...last where !isChecked(chunk) {
            let start = chunk * SectionEntry.chunkByteCount
            let count = min(SectionEntry.chunkByteCount, byteCount - start)
            try file.takeUnretainedValue().check(
                uncheckedBytes(at: start, count: count),
                chunk: chunk,
                of: entry
            )
            let bit = firstChunk + chunk
            checked[bit / 64].bitwiseOr(1 << UInt64(bit % 64), ordering: .relaxed)
        }
    }

    @usableFromInline @inline(never)
    func outside(_ start: Int, _ count: Int) -> StoreError {
        StoreError(
            .corrupted,
            "a place in a section lies outside it",
            path: file.takeUnretainedValue().path,
            offset: entry.offset,
            expected: "a place within \(byteCount) bytes",
            found: "\(count) bytes at \(start)"
        )
    }

    // MARK: Without a mapping

    /// Reads all of the section into memory and checks every chunk.
    ///
    /// For sections that are small.
    package func load() throws(StoreError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        try withMutable(&bytes) { buffer throws(StoreError) in
            try read(into: buffer, at: 0)
            guard !SectionType.isSelfChecked(entry.type) else { return }
            let file = file.takeUnretainedValue()
            for chunk in 0..<Int(entry.chunkCount) {
                let start = chunk * SectionEntry.chunkByteCount
                let end = min(start + SectionEntry.chunkByteCount, byteCount)
                try file.check(
                    UnsafeRawBufferPointer(rebasing: buffer[start..<end]),
                    chunk: chunk,
                    of: entry
                )
            }
        }
        return bytes
    }

    /// Fills `buffer` with the section's bytes from `start` on, unchecked.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at start: UInt64)
        throws(StoreError)
    {
        guard start <= entry.byteCount, UInt64(buffer.count) <= entry.byteCount - start else {
            throw outside(Int(clamping: start), buffer.count)
        }
        let file = file.takeUnretainedValue()
        try fileCall("read a sealed file") { () throws(FileError) in
            try file.file.readFully(buffer, at: entry.offset + start)
        }
    }
}

/// `withUnsafeMutableBytes` with a typed error.
private func withMutable<E: Error>(
    _ array: inout [UInt8],
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
) throws(E) {
    try array.withUnsafeMutableBufferPointer { buffer throws(E) in
        try body(UnsafeMutableRawBufferPointer(buffer))
    }
}
