// Numbers of JSON text. Integers and doubles are told apart by how they are written.

/// A number that keeps which of the two it was.
package enum JSONNumber: Sendable {
    /// Written without point and exponent.
    case integer(Int64)
    /// Written with one; finite.
    case double(Double)
}

extension JSONReader {
    /// Reads an integer from -2^63 to 2^63 - 1, written without point and exponent.
    package mutating func readInt64() throws(JSONError) -> Int64 {
        let number = try scanNumber()
        guard let value = number.int64 else { throw notAnInteger(number, "a 64-bit integer") }
        return value
    }

    /// Reads an integer from 0 to 2^64 - 1, written without point and exponent.
    package mutating func readUInt64() throws(JSONError) -> UInt64 {
        let number = try scanNumber()
        guard let value = number.uint64(leadingDigit: bytes[tokenOffset]) else {
            throw notAnInteger(number, "an unsigned 64-bit integer")
        }
        return value
    }

    /// Reads a number as the nearest finite double; `-0` keeps its sign.
    package mutating func readDouble() throws(JSONError) -> Double { try readFloating() }

    /// Reads a number as the nearest finite Float32, rounded once; `-0` keeps its sign.
    package mutating func readFloat() throws(JSONError) -> Float { try readFloating() }

    /// Reads an array of numbers into `values`, which it replaces.
    ///
    /// Each is read as ``readFloat()`` does.
    package mutating func readFloatArray(into values: inout [Float]) throws(JSONError) {
        values.removeAll(keepingCapacity: true)
        try beginArray()
        while try nextElement() { values.append(try readFloating()) }
    }

    /// Reads a string with the base64 of little-endian Float32 into `values`, which it replaces.
    ///
    /// Values that are not finite are refused.
    package mutating func readBase64Floats(into values: inout [Float]) throws(JSONError) {
        let text = try readString()
        let byteCount: Int
        do throws(Base64Error) {
            byteCount = try Base64.decodedByteCount(text)
        } catch { throw base64Fault(error) }
        guard byteCount % 4 == 0 else {
            throw JSONError(
                .numberRange,
                "\(byteCount) bytes are not a whole number of Float32",
                at: tokenOffset
            )
        }
        values.removeAll(keepingCapacity: true)
        values.append(contentsOf: repeatElement(0, count: byteCount / 4))
        do throws(Base64Error) {
            try values.withUnsafeMutableBufferPointer { buffer throws(Base64Error) in
                try Base64.decode(text, into: UnsafeMutableRawBufferPointer(buffer))
            }
        } catch { throw base64Fault(error) }
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw JSONError(.numberRange, "value \(index) is not finite", at: tokenOffset)
        }
    }

    private func base64Fault(_ error: Base64Error) -> JSONError {
        JSONError(.encoding, error.message, at: tokenOffset)
    }

    /// Reads a number and keeps whether it was written as an integer.
    package mutating func readNumber() throws(JSONError) -> JSONNumber {
        let number = try scanNumber()
        if number.isInteger {
            guard let value = number.int64 else { throw notAnInteger(number, "a 64-bit integer") }
            return .integer(value)
        }
        return .double(try finite(number))
    }

    @inline(__always)
    private mutating func readFloating<T: BinaryFloat>() throws(JSONError) -> T {
        try finite(try scanNumber())
    }

    @inline(__always)
    private func finite<T: BinaryFloat>(_ number: DecimalNumber) throws(JSONError) -> T {
        guard let value = number.nearest(T.self) ?? parsed(), value.isFinite else {
            throw JSONError(.numberRange, "the number is too large", at: tokenOffset)
        }
        return value
    }

    /// The standard library's reading of the number just scanned: slow, right for any digits.
    @inline(never)
    private func parsed<T: BinaryFloat>() -> T? {
        T(String(decoding: bytes[tokenOffset..<position], as: UTF8.self))
    }

    private func notAnInteger(_ number: DecimalNumber, _ expected: StaticString) -> JSONError {
        number.isInteger
            ? JSONError(.numberRange, "the number is not \(expected)", at: tokenOffset)
            : JSONError(
                .typeMismatch,
                "expected an integer, without point and exponent",
                at: tokenOffset
            )
    }

    // MARK: Grammar

    /// Reads a number; its text is `tokenOffset..<position` afterwards.
    @inline(__always)
    mutating func scanNumber() throws(JSONError) -> DecimalNumber {
        var number = DecimalNumber()
        let first = try nextToken()
        number.isNegative = first == UInt8(ascii: "-")
        guard number.isNegative || Self.isDigit(first) else { throw mismatch("a number") }
        if number.isNegative { position &+= 1 }

        let start = position
        number.digitCount = scanDigits(&number)
        guard number.digitCount > 0 else { throw unexpected("a digit") }
        if bytes[start] == UInt8(ascii: "0"), number.digitCount > 1 {
            throw JSONError(.syntax, "a number begins with a needless zero", at: tokenOffset)
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position &+= 1
            let fractionDigits = scanDigits(&number)
            guard fractionDigits > 0 else { throw unexpected("a digit") }
            number.isInteger = false
            number.digitCount &+= fractionDigits
            number.exponent = 0 &- fractionDigits
        }
        if number.digitCount > 19 {
            number.digitCount &-= leadingZeros(from: start)
        } else if number.mantissa == 0 {
            number.digitCount = 0
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            try scanExponent(&number)
        }
        return number
    }

    /// Reads digits into the mantissa, eight at a time; returns how many.
    @inline(__always)
    private mutating func scanDigits(_ number: inout DecimalNumber) -> Int {
        let start = position
        var index = start
        var mantissa = number.mantissa
        while bytes.count &- index >= 8 {
            let word = ByteScan.word(bytes, index)
            let marks = ByteScan.nonDigits(word)
            let count = marks == 0 ? 8 : ByteScan.bytesBefore(marks)
            mantissa =
                mantissa &* DecimalNumber.powerOfTen(count) &+ ByteScan.decimal(word, count)
            index &+= count
            if marks != 0 { break }
        }
        if bytes.count &- index < 8 {
            while index < bytes.count, Self.isDigit(bytes[index]) {
                mantissa = mantissa &* 10 &+ UInt64(bytes[index] &- 0x30)
                index &+= 1
            }
        }
        number.mantissa = mantissa
        position = index
        return index &- start
    }

    private mutating func scanExponent(_ number: inout DecimalNumber) throws(JSONError) {
        position &+= 1
        var isNegative = false
        if position < bytes.count {
            isNegative = bytes[position] == UInt8(ascii: "-")
            if isNegative || bytes[position] == UInt8(ascii: "+") { position &+= 1 }
        }
        let start = position
        var power = 0
        while position < bytes.count, Self.isDigit(bytes[position]) {
            // Far beyond every type's range: more digits change nothing.
            if power < 1_000_000 { power = power &* 10 &+ Int(bytes[position] &- 0x30) }
            position &+= 1
        }
        guard position > start else { throw unexpected("a digit") }
        number.isInteger = false
        number.exponent &+= isNegative ? 0 &- power : power
    }

    /// The zeros before the first other digit of the number at `start`.
    private func leadingZeros(from start: Int) -> Int {
        var count = 0
        for index in start..<position where bytes[index] != UInt8(ascii: ".") {
            guard bytes[index] == UInt8(ascii: "0") else { break }
            count &+= 1
        }
        return count
    }

    @inline(__always)
    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 <= 9 }
}
