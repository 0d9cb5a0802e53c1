// Base64 with the standard alphabet and padding (RFC 4648), strict.

/// Text that is not base64.
package struct Base64Error: Error, Sendable, Equatable {
    /// For a person.
    package let message: String
    /// The first wrong byte of the text.
    package let offset: UInt64

    fileprivate init(_ message: String, at offset: Int) {
        self.message = message
        self.offset = UInt64(offset)
    }
}

/// Encodes and decodes base64.
package enum Base64 {
    /// The number of bytes that `text` stands for, from its length and padding alone.
    package static func decodedByteCount(_ text: UnsafeRawBufferPointer) throws(Base64Error)
        -> Int
    {
        guard text.count % 4 == 0 else {
            throw Base64Error("base64 comes in groups of four characters", at: text.count)
        }
        guard text.count > 0 else { return 0 }
        return text.count / 4 * 3 - padding(text)
    }

    /// Decodes all of `text`.
    ///
    /// White space, missing padding and bits that stand for nothing are refused.
    ///
    /// - Parameter out: as long as ``decodedByteCount(_:)`` says; half written after an error.
    package static func decode(
        _ text: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawBufferPointer
    ) throws(Base64Error) {
        let byteCount = try decodedByteCount(text)
        precondition(out.count == byteCount, "the room is not what the text needs")
        guard byteCount > 0, let target = out.baseAddress else { return }
        var read = 0
        var written = 0
        let isValid = values.withUnsafeBufferPointer { table in
            // Eight characters are six bytes; the store of eight must still fit.
            while byteCount &- written >= 8 {
                guard let first = group(text, read, table),
                    let second = group(text, read &+ 4, table)
                else { return false }
                let word = UInt64(first) << 40 | UInt64(second) << 16
                target.storeBytes(of: word.bigEndian, toByteOffset: written, as: UInt64.self)
                read &+= 8
                written &+= 6
            }
            while byteCount &- written >= 3 {
                guard let bits = group(text, read, table) else { return false }
                store(bits, target + written, count: 3)
                read &+= 4
                written &+= 3
            }
            return true
        }
        guard isValid else { throw invalid(text, from: read) }
        if written < byteCount {
            try decodeLastGroup(text, at: read, to: target + written, count: byteCount &- written)
        }
    }

    /// The number of characters for `byteCount` bytes.
    package static func encodedByteCount(_ byteCount: Int) -> Int { (byteCount + 2) / 3 * 4 }

    /// Encodes `bytes`; `out` is as long as ``encodedByteCount(_:)`` says.
    package static func encode(
        _ bytes: UnsafeRawBufferPointer,
        into out: UnsafeMutableRawBufferPointer
    ) {
        precondition(out.count == encodedByteCount(bytes.count), "the room is not what is needed")
        alphabet.withUTF8Buffer { letters in
            var written = 0
            var read = 0
            while read < bytes.count {
                let left = min(bytes.count &- read, 3)
                var bits: UInt32 = 0
                for index in 0..<3 {
                    bits = bits << 8 | (index < left ? UInt32(bytes[read &+ index]) : 0)
                }
                for index in 0..<4 {
                    let value = Int(bits >> UInt32(18 &- 6 &* index)) & 63
                    out[written &+ index] = index <= left ? letters[value] : UInt8(ascii: "=")
                }
                read &+= 3
                written &+= 4
            }
        }
    }

    private static func padding(_ text: UnsafeRawBufferPointer) -> Int {
        guard text[text.count - 1] == UInt8(ascii: "=") else { return 0 }
        return text[text.count - 2] == UInt8(ascii: "=") ? 2 : 1
    }

    /// The 24 bits of four characters, nil if one is not of the alphabet.
    @inline(__always)
    private static func group(
        _ text: UnsafeRawBufferPointer,
        _ offset: Int,
        _ table: UnsafeBufferPointer<UInt8>
    ) -> UInt32? {
        let a = table[Int(text[offset])]
        let b = table[Int(text[offset &+ 1])]
        let c = table[Int(text[offset &+ 2])]
        let d = table[Int(text[offset &+ 3])]
        guard (a | b | c | d) & 0x80 == 0 else { return nil }
        return UInt32(a) << 18 | UInt32(b) << 12 | UInt32(c) << 6 | UInt32(d)
    }

    @inline(__always)
    private static func store(_ bits: UInt32, _ target: UnsafeMutableRawPointer, count: Int) {
        for index in 0..<count {
            let byte = UInt8(truncatingIfNeeded: bits >> UInt32(16 &- 8 &* index))
            target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
    }

    /// The group with padding: two or three characters for one or two bytes.
    private static func decodeLastGroup(
        _ text: UnsafeRawBufferPointer,
        at offset: Int,
        to target: UnsafeMutableRawPointer,
        count: Int
    ) throws(Base64Error) {
        var bits: UInt32 = 0
        for index in 0...count {
            let value = values[Int(text[offset &+ index])]
            guard value < 64 else { throw invalid(text, from: offset) }
            bits |= UInt32(value) << UInt32(18 &- 6 &* index)
        }
        guard bits & (0xFF_FFFF >> UInt32(8 &* count)) == 0 else {
            throw Base64Error(
                "the last character of the base64 has bits to spare",
                at: offset &+ count
            )
        }
        store(bits, target, count: count)
    }

    private static func invalid(_ text: UnsafeRawBufferPointer, from offset: Int) -> Base64Error {
        var index = offset
        while index < text.count, values[Int(text[index])] < 64 { index += 1 }
        return Base64Error("byte \(index) is not a character of base64", at: index)
    }

    private static let alphabet: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    /// The value of each character; 255: not of the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        alphabet.withUTF8Buffer { letters in
            for (value, letter) in letters.enumerated() { values[Int(letter)] = UInt8(value) }
        }
        return values
    }()
}
