// Strings of JSON text: borrowed from the text, or unescaped into the reader's memory.

extension JSONReader {
    /// Reads a string: its unescaped, valid UTF-8.
    package mutating func readString() throws(JSONError) -> UnsafeRawBufferPointer {
        guard try nextToken() == UInt8(ascii: "\"") else { throw mismatch("a string") }
        return try readStringBody()
    }

    /// Reads a string whose opening quote stands at `position`.
    mutating func readStringBody() throws(JSONError) -> UnsafeRawBufferPointer {
        let start = position &+ 1
        var index = start
        var seen: UInt64 = 0
        while true {
            guard bytes.count &- index >= 8 else {
                while index < bytes.count, !Self.stops(bytes[index]) {
                    seen |= UInt64(bytes[index])
                    index &+= 1
                }
                break
            }
            let word = ByteScan.word(bytes, index)
            let marks = ByteScan.stringStops(word)
            seen |= word
            if marks != 0 {
                index &+= ByteScan.bytesBefore(marks)
                break
            }
            index &+= 8
        }
        if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
            position = index &+ 1
            if seen & ByteScan.tops != 0 { try checkUTF8(start..<index) }
            return UnsafeRawBufferPointer(rebasing: bytes[start..<index])
        }
        return try readEscapedString(from: start, plainUntil: index)
    }

    /// Reads on from `stop`, the first byte of the string that is not plain.
    private mutating func readEscapedString(from start: Int, plainUntil stop: Int)
        throws(JSONError) -> UnsafeRawBufferPointer
    {
        let out = scratchEnd()
        var count = stop &- start
        out.copyMemory(
            from: UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped + start),
            byteCount: count
        )
        var index = stop
        // Bytes before `stop` may have been of any kind.
        var seen: UInt64 = ByteScan.tops
        while true {
            while bytes.count &- index >= 8 {
                let word = ByteScan.word(bytes, index)
                out.storeBytes(of: word.littleEndian, toByteOffset: count, as: UInt64.self)
                seen |= word
                let marks = ByteScan.stringStops(word)
                let plain = marks == 0 ? 8 : ByteScan.bytesBefore(marks)
                index &+= plain
                count &+= plain
                if marks != 0 { break }
            }
            guard index < bytes.count else { throw endOfText() }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\\") {
                position = index
                count &+= try readEscape(to: out + count)
                index = position
            } else if byte == UInt8(ascii: "\"") {
                break
            } else if byte < 0x20 {
                throw JSONError(.syntax, "control character \(byte) in a string", at: index)
            } else {
                out.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
                index &+= 1
                count &+= 1
            }
        }
        position = index &+ 1
        try checkUTF8(start..<index)
        scratchCount &+= count
        return UnsafeRawBufferPointer(start: out, count: count)
    }

    /// Reads the escape at `position`; says how many bytes of UTF-8 it stands for.
    private mutating func readEscape(to out: UnsafeMutableRawPointer) throws(JSONError) -> Int {
        guard bytes.count &- position >= 2 else { throw endOfText() }
        let plain: UInt8
        switch bytes[position &+ 1] {
        case UInt8(ascii: "n"): plain = 0x0A
        case UInt8(ascii: "\""): plain = 0x22
        case UInt8(ascii: "\\"): plain = 0x5C
        case UInt8(ascii: "/"): plain = 0x2F
        case UInt8(ascii: "t"): plain = 0x09
        case UInt8(ascii: "r"): plain = 0x0D
        case UInt8(ascii: "b"): plain = 0x08
        case UInt8(ascii: "f"): plain = 0x0C
        case UInt8(ascii: "u"): return try readUnicodeEscape(to: out)
        default: throw JSONError(.syntax, "unknown escape in a string", at: position)
        }
        out.storeBytes(of: plain, as: UInt8.self)
        position &+= 2
        return 1
    }

    private mutating func readUnicodeEscape(to out: UnsafeMutableRawPointer) throws(JSONError)
        -> Int
    {
        let start = position
        var code = try readHexDigits()
        if code & 0xFC00 == 0xD800 {
            // The other half must follow at once.
            guard bytes.count &- position >= 2, bytes[position] == UInt8(ascii: "\\"),
                bytes[position &+ 1] == UInt8(ascii: "u")
            else { throw loneSurrogate(start) }
            let low = try readHexDigits()
            guard low & 0xFC00 == 0xDC00 else { throw loneSurrogate(start) }
            code = 0x10000 &+ ((code & 0x3FF) << 10) &+ (low & 0x3FF)
        }
        guard let scalar = UnicodeScalar(code) else { throw loneSurrogate(start) }
        var count = 0
        for byte in UTF8.encode(scalar) ?? .init() {
            out.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
            count &+= 1
        }
        return count
    }

    /// Reads `\u` and four hexadecimal digits at `position`.
    private mutating func readHexDigits() throws(JSONError) -> UInt32 {
        guard bytes.count &- position >= 6 else { throw endOfText() }
        var code: UInt32 = 0
        for index in (position &+ 2)..<(position &+ 6) {
            let digit: UInt8
            switch bytes[index] {
            case let byte where byte >= 0x30 && byte <= 0x39: digit = byte &- 0x30
            case let byte where byte | 0x20 >= 0x61 && byte | 0x20 <= 0x66:
                digit = (byte | 0x20) &- 0x57
            default: throw JSONError(.syntax, "expected four hexadecimal digits", at: position)
            }
            code = code << 4 | UInt32(digit)
        }
        position &+= 6
        return code
    }

    private func checkUTF8(_ range: Range<Int>) throws(JSONError) {
        if let offset = ByteScan.firstInvalidUTF8(bytes, range) {
            throw JSONError(.encoding, "not valid UTF-8", at: offset)
        }
    }

    private func loneSurrogate(_ offset: Int) -> JSONError {
        JSONError(.encoding, "half of a surrogate pair", at: offset)
    }

    @inline(__always)
    private static func stops(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20
    }
}
