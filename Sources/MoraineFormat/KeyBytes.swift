// Keys: what rows are sorted and found by. Bytes: format-spec/key.md.

package import MoraineBytes

/// A key is the collection's id, big-endian, then the document id's bytes.
package enum KeyBytes {
    /// Bytes of the collection's id in front.
    package static let prefixByteCount = 4
    /// Bytes of the longest key.
    package static let maximumByteCount = 4 + FormatLimits.idByteCount

    /// Calls `body` with the key, made in memory of the stack.
    ///
    /// - Parameter id: at most 1,024 bytes.
    @inlinable @inline(__always)
    package static func with<R: ~Copyable, E: Error>(
        collection: UInt32,
        id: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        precondition(id.count <= FormatLimits.idByteCount)
        let count = prefixByteCount &+ id.count
        return try withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) {
            buffer throws(E) -> R in
            buffer.storeBytes(of: collection.bigEndian, as: UInt32.self)
            UnsafeMutableRawBufferPointer(rebasing: buffer[prefixByteCount...])
                .copyMemory(from: id)
            return try body(UnsafeRawBufferPointer(buffer))
        }
    }

    /// Appends a key.
    package static func write(
        collection: UInt32,
        id: UnsafeRawBufferPointer,
        into writer: inout ByteWriter
    ) {
        writer.writeUInt32(collection.bigEndian)
        writer.writeBytes(id)
    }

    /// The collection that a key belongs to; 0, which is nobody's id, for what is no key.
    @inlinable @inline(__always)
    package static func collection(of key: UnsafeRawBufferPointer) -> UInt32 {
        guard key.count >= prefixByteCount else { return 0 }
        return UInt32(bigEndian: key.loadUnaligned(as: UInt32.self))
    }

    /// The document id in a key; empty for what is no key.
    @inlinable @inline(__always)
    package static func id(of key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: key.dropFirst(prefixByteCount))
    }

    /// Negative, zero or positive as `a` sorts before, with or after `b`: unsigned bytes, a prefix
    /// first.
    @inlinable @inline(__always)
    package static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        compare(a, b, from: 0)
    }

    /// The same for two keys of which the first `from` bytes are known to be equal.
    @inlinable @inline(__always)
    package static func compare(
        _ a: UnsafeRawBufferPointer,
        _ b: UnsafeRawBufferPointer,
        from start: Int
    ) -> Int {
        let count = min(a.count, b.count)
        var at = start
        while at &+ 8 <= count {
            let x = a.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let y = b.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            if x != y { return x.bigEndian < y.bigEndian ? -1 : 1 }
            at &+= 8
        }
        while at < count {
            let x = a[at]
            let y = b[at]
            if x != y { return x < y ? -1 : 1 }
            at &+= 1
        }
        return a.count &- b.count
    }

    /// The order of two rows: by collection, then by id.
    @inlinable @inline(__always)
    package static func compare(
        _ collectionA: UInt32,
        _ a: UnsafeRawBufferPointer,
        _ collectionB: UInt32,
        _ b: UnsafeRawBufferPointer
    ) -> Int {
        if collectionA != collectionB { return collectionA < collectionB ? -1 : 1 }
        return compare(a, b)
    }

    /// The first id behind all that begin with `prefix`; `nil` when there is none.
    package static func behind(prefix: [UInt8]) -> [UInt8]? {
        var next = prefix
        while next.last == 0xFF { next.removeLast() }
        guard let last = next.popLast() else { return nil }
        next.append(last + 1)
        return next
    }

    /// 1 to 1,024 bytes of UTF-8 without NUL.
    package static func isValidID(_ id: UnsafeRawBufferPointer) -> Bool {
        !id.isEmpty && id.count <= FormatLimits.idByteCount && !id.contains(0) && isUTF8(id)
    }
}

/// True when `bytes` are well-formed UTF-8.
package func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    // Most text is ASCII; looking eight bytes at a time is several times faster than decoding.
    var at = 0
    while at &+ 8 <= bytes.count {
        let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        if word & 0x8080_8080_8080_8080 != 0 { break }
        at &+= 8
    }
    while at < bytes.count, bytes[at] < 0x80 { at &+= 1 }
    let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
    if rest.isEmpty { return true }
    return rest.withMemoryRebound(to: UInt8.self) { (try? UTF8Span(validating: $0.span)) != nil }
}
