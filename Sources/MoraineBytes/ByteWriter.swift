// Builds little-endian bytes.

/// An array of bytes with writers for the sizes that the format knows.
package struct ByteWriter: Sendable {
    package internal(set) var bytes: [UInt8] = []

    package init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// An empty writer that uses the memory of an array that nobody needs any more.
    package init(reusing memory: consuming [UInt8]) {
        bytes = memory
        bytes.removeAll(keepingCapacity: true)
    }

    @inlinable @inline(__always) package var count: Int { bytes.count }

    @inlinable @inline(__always)
    package mutating func writeUInt8(_ value: UInt8) { bytes.append(value) }

    @inlinable @inline(__always)
    package mutating func writeUInt16(_ value: UInt16) { writeInteger(value) }

    @inlinable @inline(__always)
    package mutating func writeUInt32(_ value: UInt32) { writeInteger(value) }

    @inlinable @inline(__always)
    package mutating func writeUInt64(_ value: UInt64) { writeInteger(value) }

    @inlinable @inline(__always)
    package mutating func writeInt64(_ value: Int64) { writeUInt64(UInt64(bitPattern: value)) }

    @inlinable @inline(__always)
    mutating func writeInteger<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Unsigned LEB128, shortest form.
    @inlinable @inline(__always)
    package mutating func writeVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    @inlinable @inline(__always)
    package mutating func writeBytes(_ source: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: source)
    }

    @inlinable @inline(__always)
    package mutating func writeBytes(_ source: [UInt8]) { bytes.append(contentsOf: source) }

    /// A varint length and the bytes.
    @inlinable @inline(__always)
    package mutating func writePrefixed(_ source: UnsafeRawBufferPointer) {
        writeVarint(UInt64(source.count))
        bytes.append(contentsOf: source)
    }

    /// A varint length and the string's UTF-8.
    package mutating func writeString(_ string: String) {
        var copy = string
        copy.withUTF8 { writePrefixed(UnsafeRawBufferPointer($0)) }
    }

    package mutating func writeZeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Appends zeros until `count` is a multiple of `alignment`.
    package mutating func pad(to alignment: Int) {
        let over = bytes.count % alignment
        if over != 0 { writeZeros(alignment - over) }
    }

    /// Overwrites four bytes written before.
    package mutating func patchUInt32(_ value: UInt32, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { source in
            for index in 0..<4 { bytes[offset + index] = source[index] }
        }
    }

    /// Forgets the bytes, keeps the memory.
    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    /// Hands out the bytes.
    package consuming func finish() -> [UInt8] { bytes }

    @inlinable @inline(__always)
    package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E)
        -> R
    {
        try bytes.withUnsafeBufferPointer { buffer throws(E) -> R in
            try body(UnsafeRawBufferPointer(buffer))
        }
    }
}
