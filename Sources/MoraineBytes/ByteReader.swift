// A cursor over untrusted bytes: every read is checked against what is left, nothing traps.

/// Reads little-endian values from borrowed bytes.
///
/// The bytes must outlive the reader. Offsets in errors count from the start of `bytes`.
package struct ByteReader {
    package let bytes: UnsafeRawBufferPointer
    /// The next byte to read.
    @usableFromInline package internal(set) var position: Int = 0

    @inlinable package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Bytes not yet read.
    @inlinable @inline(__always) package var remaining: Int { bytes.count &- position }
    @inlinable @inline(__always) package var isAtEnd: Bool { position == bytes.count }

    @inlinable @inline(__always)
    mutating func advance(_ count: Int, _ field: StaticString) throws(FormatError) -> Int {
        guard count >= 0, count <= remaining else { throw truncated(count, field) }
        let start = position
        position = start &+ count
        return start
    }

    @usableFromInline @inline(never)
    func truncated(_ count: Int, _ field: StaticString) -> FormatError {
        FormatError(
            .truncated,
            at: UInt64(position),
            field: "\(field)",
            expected: "\(count) bytes",
            found: "\(remaining) bytes"
        )
    }

    @inlinable @inline(__always)
    package mutating func readUInt8(_ field: StaticString) throws(FormatError) -> UInt8 {
        bytes[try advance(1, field)]
    }

    @inlinable @inline(__always)
    package mutating func readUInt16(_ field: StaticString) throws(FormatError) -> UInt16 {
        let at = try advance(2, field)
        return UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
    }

    @inlinable @inline(__always)
    package mutating func readUInt32(_ field: StaticString) throws(FormatError) -> UInt32 {
        let at = try advance(4, field)
        return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    @inlinable @inline(__always)
    package mutating func readUInt64(_ field: StaticString) throws(FormatError) -> UInt64 {
        let at = try advance(8, field)
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    @inlinable @inline(__always)
    package mutating func readInt64(_ field: StaticString) throws(FormatError) -> Int64 {
        Int64(bitPattern: try readUInt64(field))
    }

    /// The next `count` bytes, borrowed.
    @inlinable @inline(__always)
    package mutating func readBytes(_ count: Int, _ field: StaticString) throws(FormatError)
        -> UnsafeRawBufferPointer
    {
        let at = try advance(count, field)
        return UnsafeRawBufferPointer(rebasing: bytes[at..<(at &+ count)])
    }

    /// An unsigned LEB128 varint in its shortest form, at most ten bytes.
    @inlinable @inline(__always)
    package mutating func readVarint(_ field: StaticString) throws(FormatError) -> UInt64 {
        if position < bytes.count, bytes[position] < 0x80 {
            defer { position &+= 1 }
            return UInt64(bytes[position])
        }
        return try readLongVarint(field)
    }

    @usableFromInline
    mutating func readLongVarint(_ field: StaticString) throws(FormatError) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try readUInt8(field)
            let bits = UInt64(byte & 0x7F)
            guard shift < 63 || (shift == 63 && bits <= 1) else {
                throw FormatError(
                    .range,
                    at: UInt64(start),
                    field: "\(field)",
                    expected: "at most 64 bits",
                    found: "a longer varint"
                )
            }
            value |= bits << shift
            if byte < 0x80 {
                guard byte != 0 || shift == 0 else {
                    throw FormatError(
                        .range,
                        at: UInt64(start),
                        field: "\(field)",
                        expected: "the shortest varint",
                        found: "trailing zero bits"
                    )
                }
                return value
            }
            shift += 7
        }
    }

    /// A varint that counts bytes or items which must still fit into what is left.
    @inlinable @inline(__always)
    package mutating func readCount(_ field: StaticString, unit: Int = 1) throws(FormatError)
        -> Int
    {
        let start = position
        let value = try readVarint(field)
        let most = remaining / unit
        guard value <= UInt64(most) else { throw tooMany(value, most, at: start, field) }
        return Int(value)
    }

    @usableFromInline @inline(never)
    func tooMany(_ count: UInt64, _ most: Int, at start: Int, _ field: StaticString) -> FormatError
    {
        FormatError(
            .truncated,
            at: UInt64(start),
            field: "\(field)",
            expected: "at most \(most)",
            found: "\(count)"
        )
    }

    /// A varint length and that many bytes, borrowed.
    @inlinable @inline(__always)
    package mutating func readPrefixed(_ field: StaticString) throws(FormatError)
        -> UnsafeRawBufferPointer
    {
        let count = try readCount(field)
        return try readBytes(count, field)
    }

    /// A varint length and that many bytes of UTF-8.
    package mutating func readString(_ field: StaticString) throws(FormatError) -> String {
        let start = position
        let text = try readPrefixed(field)
        guard let string = String(validating: text, as: UTF8.self) else {
            throw FormatError(
                .encoding,
                at: UInt64(start),
                field: "\(field)",
                expected: "UTF-8",
                found: "other bytes"
            )
        }
        return string
    }

    /// Skips `count` bytes that must all be zero.
    package mutating func readZeros(_ count: Int, _ field: StaticString) throws(FormatError) {
        let start = position
        let zeros = try readBytes(count, field)
        if let bad = zeros.firstIndex(where: { $0 != 0 }) {
            throw FormatError(
                .excess,
                at: UInt64(start + bad),
                field: "\(field)",
                expected: "0",
                found: "\(zeros[bad])"
            )
        }
    }

    /// Throws unless everything was read.
    package func expectEnd(_ field: StaticString) throws(FormatError) {
        guard isAtEnd else {
            throw FormatError(
                .excess,
                at: UInt64(position),
                field: "\(field)",
                expected: "the end",
                found: "\(remaining) more bytes"
            )
        }
    }
}
