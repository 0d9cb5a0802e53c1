// From the JSON text of a document's metadata to its one binary form.
// Bytes: format-spec/document.md, "Metadata". The way back: JSONWriter+Metadata.swift.

package import MoraineBytes
import MoraineFormat

/// Turns JSON objects into binary metadata: keys sorted, each only once, integers and doubles
/// told apart.
///
/// Keeps its memory from one object to the next. Nesting costs no recursion.
///
/// A value is written as it is read. The count of an object or array, which stands before its
/// items, gets one byte at first, and more are made room for where it does not fit; an object
/// whose keys did not come in order is put in order at its end.
package struct MetadataTranscoder: ~Copyable {
    /// An object or array that is not closed yet.
    private struct Frame {
        let isObject: Bool
        /// Where its count goes in `work`.
        let start: Int
        /// An object's first in `entries`.
        let firstEntry: Int
        /// An array's elements so far.
        var elementCount = 0
        /// The keys so far came in order.
        var isInOrder = true
    }

    /// A key and its value, in `work`.
    private struct Entry {
        let start: Int
        let keyStart: Int
        let keyCount: Int
        var end: Int
        /// Where the key stands in the text.
        let textOffset: Int
    }

    private var work = GrowableBytes()
    private var sorted = GrowableBytes()
    private var frames: [Frame] = []
    private var entries: [Entry] = []

    /// A transcoder; one serves any number of objects, one after the other.
    package init() {}

    /// Reads an object and appends its binary form to `out`, which stays as it is on an error.
    ///
    /// - Throws: as ``JSONReader``, and `duplicateKey`, `depth` from the 129th level on, and
    ///   `numberRange` for integers beyond 64 bits and doubles that are not finite.
    package mutating func transcodeObject(
        _ reader: inout JSONReader,
        into out: inout ByteWriter
    ) throws(JSONError) {
        work.count = 0
        frames.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
        try reader.beginObject()
        open(isObject: true)
        while let frame = frames.last {
            if frame.isObject {
                guard let key = try reader.nextKey() else {
                    try closeObject(frame)
                    continue
                }
                try appendKey(key, textOffset: reader.tokenOffset)
            } else {
                guard try reader.nextElement() else {
                    close(frame, count: frame.elementCount)
                    continue
                }
                frames[frames.count - 1].elementCount += 1
            }
            try appendValue(&reader)
        }
        out.writeBytes(work.bytes)
    }

    private mutating func open(isObject: Bool) {
        frames.append(
            Frame(isObject: isObject, start: work.count, firstEntry: entries.count)
        )
        work.append(0)
    }

    /// Writes the count and goes back to what encloses the frame.
    private mutating func close(_ frame: Frame, count: Int) {
        var rest = UInt64(count)
        if rest >= 0x80 {
            let extra = (63 - rest.leadingZeroBitCount) / 7
            work.insertGap(extra, at: frame.start)
        }
        var offset = frame.start
        while rest >= 0x80 {
            work.base.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80,
                toByteOffset: offset,
                as: UInt8.self
            )
            rest >>= 7
            offset += 1
        }
        work.base.storeBytes(of: UInt8(rest), toByteOffset: offset, as: UInt8.self)
        frames.removeLast()
    }

    private mutating func appendValue(_ reader: inout JSONReader) throws(JSONError) {
        let kind = try reader.peekKind()
        switch kind {
        case .null:
            try reader.readNull()
            work.append(Metadata.Tag.null.rawValue)
        case .bool:
            work.append((try reader.readBool() ? Metadata.Tag.true : .false).rawValue)
        case .number:
            switch try reader.readNumber() {
            case .integer(let value):
                work.append(Metadata.Tag.integer.rawValue)
                work.appendVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
            case .double(let value):
                work.append(Metadata.Tag.double.rawValue)
                withUnsafeBytes(of: value.bitPattern.littleEndian) { work.append($0) }
            }
        case .string:
            work.append(Metadata.Tag.string.rawValue)
            work.appendPrefixed(try reader.readString())
        case .array, .object:
            guard frames.count < FormatLimits.metadataDepth else { throw reader.tooDeep() }
            if kind == .object {
                try reader.beginObject()
                work.append(Metadata.Tag.object.rawValue)
            } else {
                try reader.beginArray()
                work.append(Metadata.Tag.array.rawValue)
            }
            open(isObject: kind == .object)
        }
    }

    // MARK: Keys

    private func key(_ entry: Entry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: work.base + entry.keyStart, count: entry.keyCount)
    }

    private mutating func appendKey(_ key: UnsafeRawBufferPointer, textOffset: Int)
        throws(JSONError)
    {
        let start = work.count
        work.appendPrefixed(key)
        let frame = frames.count - 1
        if entries.count > frames[frame].firstEntry {
            let last = entries.count - 1
            entries[last].end = start
            if frames[frame].isInOrder, KeyBytes.compare(self.key(entries[last]), key) >= 0 {
                // Equal keys are found when they are sorted.
                frames[frame].isInOrder = false
            }
        }
        entries.append(
            Entry(
                start: start,
                keyStart: work.count - key.count,
                keyCount: key.count,
                end: start,
                textOffset: textOffset
            )
        )
    }

    private mutating func closeObject(_ frame: Frame) throws(JSONError) {
        let count = entries.count - frame.firstEntry
        if !frame.isInOrder {
            entries[entries.count - 1].end = work.count
            try sortEntries(from: frame.firstEntry)
            sorted.count = 0
            for entry in entries[frame.firstEntry...] {
                sorted.append(
                    UnsafeRawBufferPointer(rebasing: work.bytes[entry.start..<entry.end])
                )
            }
            // The same bytes in another order: they fill the place they came from.
            work.count = frame.start + 1
            work.append(sorted.bytes)
        }
        entries.removeSubrange(frame.firstEntry...)
        close(frame, count: count)
    }

    private mutating func sortEntries(from first: Int) throws(JSONError) {
        let base = UnsafeRawPointer(work.base)
        entries.withUnsafeMutableBufferPointer { all in
            var part = UnsafeMutableBufferPointer(rebasing: all[first...])
            part.sort { left, right in
                KeyBytes.compare(
                    UnsafeRawBufferPointer(start: base + left.keyStart, count: left.keyCount),
                    UnsafeRawBufferPointer(start: base + right.keyStart, count: right.keyCount)
                )
                    < 0
            }
        }
        for index in entries.indices.dropFirst(first + 1) {
            let (left, right) = (entries[index - 1], entries[index])
            if KeyBytes.compare(key(left), key(right)) == 0 {
                throw .duplicateKey(key(right), at: max(left.textOffset, right.textOffset))
            }
        }
    }
}
