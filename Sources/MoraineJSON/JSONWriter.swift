// JSON text into memory that grows. The text forms: format-spec/conventions.md.

/// Appends JSON text to bytes of its own.
///
/// Punctuation between values is the caller's: `writeRaw("{\"id\":")`.
package struct JSONWriter: ~Copyable {
    /// An object or array of metadata that is being written.
    struct MetadataFrame {
        let isObject: Bool
        var remaining: Int
        /// Nothing was written yet, so no comma is due.
        var isFirst = true
    }

    var buffer: GrowableBytes
    /// For ``writeMetadata(_:)``; empty between its calls.
    var metadataFrames: [MetadataFrame] = []

    /// An empty text with room for `capacity` bytes.
    package init(capacity: Int = 4096) { buffer = GrowableBytes(capacity: max(capacity, 64)) }

    /// The bytes written.
    package var count: Int { buffer.count }

    /// The text so far; it holds until the next write.
    package borrowing func withBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(buffer.bytes)
    }

    /// Forgets the text; without `keepingCapacity` the memory too.
    package mutating func removeAll(keepingCapacity: Bool = true) {
        if keepingCapacity {
            buffer.count = 0
        } else {
            buffer = GrowableBytes()
        }
    }

    /// Appends text that is JSON already.
    @inline(__always)
    package mutating func writeRaw(_ text: StaticString) {
        buffer.append(
            UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        )
    }

    /// Appends a byte of punctuation.
    @inline(__always)
    package mutating func writeRaw(_ byte: UInt8) { buffer.append(byte) }

    /// Appends `null`.
    package mutating func writeNull() { writeRaw("null") }

    /// Appends `true` or `false`.
    package mutating func writeBool(_ value: Bool) { writeRaw(value ? "true" : "false") }

    // MARK: Numbers

    /// Appends an integer: plain digits.
    package mutating func writeInt(_ value: Int64) {
        if value < 0 { buffer.append(UInt8(ascii: "-")) }
        writeUInt(value.magnitude)
    }

    /// Appends an unsigned integer: plain digits.
    package mutating func writeUInt(_ value: UInt64) {
        buffer.reserve(20)
        var rest = value
        // From the last digit, so into the far end of the room first.
        var start = 20
        repeat {
            start &-= 1
            let digit = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
            buffer.end.storeBytes(of: digit, toByteOffset: start, as: UInt8.self)
            rest /= 10
        } while rest != 0
        buffer.end.copyMemory(from: buffer.end + start, byteCount: 20 &- start)
        buffer.count &+= 20 &- start
    }

    /// Appends the shortest text that reads back to the same double.
    ///
    /// JSON has no word for values that are not finite; they print as `null`.
    package mutating func writeDouble(_ value: Double) {
        if value.isFinite { writeNumber(value.description) } else { writeNull() }
    }

    /// Appends the shortest text that reads back to the same Float32; not finite: `null`.
    package mutating func writeFloat(_ value: Float) {
        if value.isFinite { writeNumber(value.description) } else { writeNull() }
    }

    /// Appends an array of numbers, as ``writeFloat(_:)`` prints them.
    package mutating func writeFloatArray(_ values: UnsafeBufferPointer<Float>) {
        writeRaw(UInt8(ascii: "["))
        for index in values.indices {
            if index > 0 { writeRaw(UInt8(ascii: ",")) }
            writeFloat(values[index])
        }
        writeRaw(UInt8(ascii: "]"))
    }

    /// Appends Swift's text of a number, the exponent without the plus sign and the leading zero
    /// that Swift gives it: `1e30`, `1e-5`.
    @inline(__always)
    private mutating func writeNumber(_ text: String) {
        var copy = text
        copy.withUTF8 {
            let text = UnsafeRawBufferPointer($0)
            // An exponent has a sign and two or three digits.
            for mark in [text.count - 4, text.count - 5]
            where mark > 0 && text[mark] == UInt8(ascii: "e") {
                buffer.append(UnsafeRawBufferPointer(rebasing: text[...mark]))
                if text[mark + 1] == UInt8(ascii: "-") { buffer.append(UInt8(ascii: "-")) }
                let zero = text[mark + 2] == UInt8(ascii: "0") ? 1 : 0
                buffer.append(UnsafeRawBufferPointer(rebasing: text[(mark + 2 + zero)...]))
                return
            }
            buffer.append(text)
        }
    }

    // MARK: Strings

    /// Appends a string, in quotes and escaped.
    package mutating func writeString(_ text: String) {
        var copy = text
        copy.withUTF8 { writeString(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a string, in quotes and escaped.
    ///
    /// - Parameter text: UTF-8; other bytes pass unchanged.
    package mutating func writeString(_ text: UnsafeRawBufferPointer) {
        // Always room for what is left of the text and one short escape: a word is stored only
        // where eight bytes are left, and takes no more even if an escape cuts it short.
        let slack = 2
        buffer.append(UInt8(ascii: "\""))
        buffer.reserve(text.count &+ slack)
        var index = 0
        while index < text.count {
            if text.count &- index >= 8 {
                let word = ByteScan.word(text, index)
                buffer.end.storeBytes(of: word.littleEndian, as: UInt64.self)
                var marks = ByteScan.stringStops(word)
                if word & ByteScan.tops != 0 {
                    // First bytes of U+0085, U+2028 and U+2029.
                    marks |= ByteScan.matches(word, 0xC2) | ByteScan.matches(word, 0xE2)
                }
                let plain = marks == 0 ? 8 : ByteScan.bytesBefore(marks)
                index &+= plain
                buffer.count &+= plain
                if marks == 0 { continue }
            }
            index &+= writeCharacter(of: text, at: index)
            buffer.reserve(text.count &- index &+ slack)
        }
        buffer.append(UInt8(ascii: "\""))
    }

    /// Appends the byte at `index`, or the escape of the character that starts there.
    ///
    /// Returns how many bytes of `text` that were. There is room for two.
    @inline(__always)
    private mutating func writeCharacter(of text: UnsafeRawBufferPointer, at index: Int) -> Int {
        let byte = text[index]
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): writeEscape(byte)
        case 0x0A: writeEscape(UInt8(ascii: "n"))
        case 0x0D: writeEscape(UInt8(ascii: "r"))
        case 0x09: writeEscape(UInt8(ascii: "t"))
        case 0x08: writeEscape(UInt8(ascii: "b"))
        case 0x0C: writeEscape(UInt8(ascii: "f"))
        case 0..<0x20: writeUnicodeEscape(UInt16(byte))
        case 0xC2 where text.count &- index >= 2 && text[index &+ 1] == 0x85:
            writeUnicodeEscape(0x85)
            return 2
        case 0xE2
        where text.count &- index >= 3 && text[index &+ 1] == 0x80
            && text[index &+ 2] & 0xFE == 0xA8:
            writeUnicodeEscape(0x2028 | UInt16(text[index &+ 2] & 1))
            return 3
        default: buffer.append(byte)
        }
        return 1
    }

    @inline(__always)
    private mutating func writeEscape(_ letter: UInt8) {
        buffer.end.storeBytes(of: UInt8(ascii: "\\"), as: UInt8.self)
        buffer.end.storeBytes(of: letter, toByteOffset: 1, as: UInt8.self)
        buffer.count &+= 2
    }

    @inline(never)
    private mutating func writeUnicodeEscape(_ code: UInt16) {
        writeEscape(UInt8(ascii: "u"))
        var rest = code
        for _ in 0..<4 {
            let digit = UInt8(rest >> 12)
            buffer.append(digit < 10 ? digit &+ 0x30 : digit &+ 0x57)
            rest <<= 4
        }
    }

    /// Appends the base64 of `bytes` as a string.
    package mutating func writeBase64(_ bytes: UnsafeRawBufferPointer) {
        let count = Base64.encodedByteCount(bytes.count)
        buffer.append(UInt8(ascii: "\""))
        buffer.reserve(count)
        Base64.encode(
            bytes,
            into: UnsafeMutableRawBufferPointer(start: buffer.end, count: count)
        )
        buffer.count &+= count
        buffer.append(UInt8(ascii: "\""))
    }

    /// Appends a time as a string, such as `"2026-11-22T21:43:07.123Z"`.
    package mutating func writeTimestamp(milliseconds: UInt64) {
        buffer.append(UInt8(ascii: "\""))
        buffer.reserve(Timestamp.maximumByteCount)
        buffer.count &+= Timestamp.write(
            milliseconds: milliseconds,
            to: UnsafeMutableRawBufferPointer(
                start: buffer.end,
                count: Timestamp.maximumByteCount
            )
        )
        buffer.append(UInt8(ascii: "\""))
    }
}
