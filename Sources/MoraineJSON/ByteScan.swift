// Looks at eight bytes at once in a UInt64, and the check that bytes are UTF-8.
// UInt64 arithmetic, because comparisons of SIMD vectors ran at a fiftieth of its speed.

/// Marks bytes of a little-endian word by their top bit.
///
/// A mark may be wrong above the lowest one, never at or below it: take only the lowest.
enum ByteScan {
    static let ones: UInt64 = 0x0101_0101_0101_0101
    static let tops: UInt64 = 0x8080_8080_8080_8080

    /// Marks the bytes equal to `byte`.
    @inline(__always)
    static func matches(_ word: UInt64, _ byte: UInt8) -> UInt64 {
        let difference = word ^ (ones &* UInt64(byte))
        return (difference &- ones) & ~difference & tops
    }

    /// Marks what ends a plain stretch of a JSON string: `"`, `\` and control characters.
    @inline(__always)
    static func stringStops(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        let control = (word &- (ones &* 0x20)) & ~word
        return (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | control) & tops
    }

    /// Marks what is not a decimal digit; every mark is right.
    @inline(__always)
    static func nonDigits(_ word: UInt64) -> UInt64 {
        // Digits become 0 to 9.
        let values = word ^ (ones &* 0x30)
        return (((values & ~tops) &+ (ones &* 0x76)) | values) & tops
    }

    /// The number that the first `count` bytes spell, 0 to 8 digits.
    @inline(__always)
    static func decimal(_ word: UInt64, _ count: Int) -> UInt64 {
        // Zeros in front make eight digits of them; pairs, then fours, then all are joined.
        var digits = (word ^ (ones &* 0x30)) << UInt64(64 &- 8 &* count)
        digits = digits &* 10 &+ (digits >> 8)
        let mask: UInt64 = 0x0000_00FF_0000_00FF
        let even = (digits & mask) &* 0x000F_4240_0000_0064
        let odd = ((digits >> 16) & mask) &* 0x0000_2710_0000_0001
        return (even &+ odd) >> 32
    }

    /// How many bytes stand before the lowest mark; `marks` is not zero.
    @inline(__always)
    static func bytesBefore(_ marks: UInt64) -> Int { marks.trailingZeroBitCount &>> 3 }

    /// The eight bytes at `offset`, first byte lowest.
    @inline(__always)
    static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The offset of the first byte in `range` that is not part of valid UTF-8, nil if all are.
    static func firstInvalidUTF8(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        let end = range.upperBound
        var index = range.lowerBound
        while index < end {
            if end &- index >= 8 {
                let marks = word(bytes, index) & tops
                guard marks != 0 else {
                    index &+= 8
                    continue
                }
                index &+= bytesBefore(marks)
            } else if bytes[index] < 0x80 {
                index &+= 1
                continue
            }
            let count = sequenceCount(bytes, index, end)
            guard count > 0 else { return index }
            index &+= count
        }
        return nil
    }

    /// The length of the valid sequence of two to four bytes at `index`, 0 if there is none.
    @inline(__always)
    private static func sequenceCount(
        _ bytes: UnsafeRawBufferPointer,
        _ index: Int,
        _ end: Int
    ) -> Int {
        let lead = bytes[index]
        let left = end &- index
        guard left >= 2 else { return 0 }
        let second = bytes[index &+ 1]
        if lead < 0xE0 {
            return lead >= 0xC2 && second & 0xC0 == 0x80 ? 2 : 0
        }
        // The second byte rules out overlong forms, surrogates and what is above U+10FFFF.
        let low: UInt8
        let high: UInt8
        switch lead {
        case 0xE0: (low, high) = (0xA0, 0xBF)
        case 0xED: (low, high) = (0x80, 0x9F)
        case 0xF0: (low, high) = (0x90, 0xBF)
        case 0xF4: (low, high) = (0x80, 0x8F)
        default: (low, high) = (0x80, 0xBF)
        }
        guard second >= low, second <= high, left >= 3, bytes[index &+ 2] & 0xC0 == 0x80 else {
            return 0
        }
        if lead < 0xF0 { return 3 }
        guard lead <= 0xF4, left >= 4, bytes[index &+ 3] & 0xC0 == 0x80 else { return 0 }
        return 4
    }
}
