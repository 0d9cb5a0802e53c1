// A pull parser for one JSON text (RFC 8259, strict): the caller asks for what it expects.
// Strings and numbers: JSONReader+Strings.swift, JSONReader+Numbers.swift.

import MoraineFormat

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads one JSON text from borrowed bytes, such as a line of JSON Lines.
///
/// The bytes must outlive the reader. What it hands out, borrowed from the bytes or from the
/// reader's own memory, holds until `restart` or the end of the reader. Nothing in the text can
/// make it trap or recurse; it throws at the first fault and is of no use afterwards.
///
///     try reader.beginObject()
///     while let key = try reader.nextKey() { … one read for the value … }
///     try reader.expectEnd()
package struct JSONReader: ~Copyable {
    /// What a value is, by its first byte.
    package enum Kind: Sendable {
        case object, array, string, number, bool, null
    }

    /// The levels that ``skipValue()`` follows.
    package static let depthLimit = FormatLimits.metadataDepth

    private(set) var bytes: UnsafeRawBufferPointer
    /// The next byte to read.
    package internal(set) var position = 0
    /// Where the key or value read last starts.
    package internal(set) var tokenOffset = 0
    /// True between `[` or `{` and what follows: only there no comma is due.
    private var isFresh = false

    /// Room for strings with escapes, made when the first one of a text is met.
    ///
    /// Unescaping never lengthens, so as many bytes as the text has are enough for all its strings.
    private var scratch: UnsafeMutableRawPointer?
    private var scratchCapacity = 0
    /// The bytes of `scratch` that were handed out.
    var scratchCount = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    deinit { free(scratch) }

    /// Begins another text, keeps the memory.
    package mutating func restart(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        position = 0
        tokenOffset = 0
        isFresh = false
        scratchCount = 0
    }

    /// Where the next unescaped string goes.
    ///
    /// It lies no further on than `position`, so that words read there can be stored whole.
    mutating func scratchEnd() -> UnsafeMutableRawPointer {
        if let scratch, scratchCapacity >= bytes.count { return scratch + scratchCount }
        // Only before the first escape of a text: nothing handed out can be lost.
        free(scratch)
        guard let fresh = malloc(bytes.count) else { preconditionFailure("out of memory") }
        scratch = fresh
        scratchCapacity = bytes.count
        return fresh
    }

    // MARK: Objects and arrays

    /// Reads `{`.
    package mutating func beginObject() throws(JSONError) {
        guard try nextToken() == UInt8(ascii: "{") else { throw mismatch("an object") }
        position &+= 1
        isFresh = true
    }

    /// The next key, unescaped, or nil at the end of the object, which is read too.
    ///
    /// Says nothing about keys that repeat.
    package mutating func nextKey() throws(JSONError) -> UnsafeRawBufferPointer? {
        let token = try nextToken()
        if token == UInt8(ascii: "}") {
            position &+= 1
            isFresh = false
            return nil
        }
        if isFresh {
            isFresh = false
        } else {
            guard token == UInt8(ascii: ",") else { throw unexpected("\",\" or \"}\"") }
            position &+= 1
            _ = try nextToken()
        }
        guard bytes[position] == UInt8(ascii: "\"") else { throw unexpected("a key") }
        let offset = tokenOffset
        let key = try readStringBody()
        guard try nextToken() == UInt8(ascii: ":") else { throw unexpected("\":\"") }
        position &+= 1
        tokenOffset = offset
        return key
    }

    /// The number of the next key in `names`, or nil at the end of the object.
    ///
    /// Keys that are not in `names`, or whose bit in `seen` is set, are refused by name.
    /// - Parameters:
    ///   - names: at most 64.
    ///   - seen: bit i is set when key i is met; 0 at first.
    package mutating func nextKey(of names: [StaticString], seen: inout UInt64) throws(JSONError)
        -> Int?
    {
        guard let key = try nextKey() else { return nil }
        for index in names.indices where key.equals(names[index]) {
            let bit = UInt64(1) << UInt64(index)
            guard seen & bit == 0 else { throw .duplicateKey(key, at: tokenOffset) }
            seen |= bit
            return index
        }
        throw .unknownKey(key, at: tokenOffset)
    }

    /// Reads `[`.
    package mutating func beginArray() throws(JSONError) {
        guard try nextToken() == UInt8(ascii: "[") else { throw mismatch("an array") }
        position &+= 1
        isFresh = true
    }

    /// True if another element follows; false at the end of the array, which is read too.
    package mutating func nextElement() throws(JSONError) -> Bool {
        let token = try nextToken()
        if token == UInt8(ascii: "]") {
            position &+= 1
            isFresh = false
            return false
        }
        if isFresh {
            isFresh = false
        } else {
            guard token == UInt8(ascii: ",") else { throw unexpected("\",\" or \"]\"") }
            position &+= 1
        }
        return true
    }

    // MARK: Values

    /// What the next value is, without reading it.
    package mutating func peekKind() throws(JSONError) -> Kind {
        guard let kind = Self.kind(try nextToken()) else { throw unexpected("a value") }
        return kind
    }

    /// Reads `true` or `false`.
    package mutating func readBool() throws(JSONError) -> Bool {
        switch try nextToken() {
        case UInt8(ascii: "t"):
            try readLiteral("true")
            return true
        case UInt8(ascii: "f"):
            try readLiteral("false")
            return false
        default: throw mismatch("true or false")
        }
    }

    /// Reads `null`.
    package mutating func readNull() throws(JSONError) {
        guard try nextToken() == UInt8(ascii: "n") else { throw mismatch("null") }
        try readLiteral("null")
    }

    /// Reads any value, at most ``depthLimit`` levels deep, and forgets it.
    ///
    /// It is checked like everything else, except for repeated keys.
    package mutating func skipValue() throws(JSONError) {
        var depth = 0
        // One bit a level, the innermost lowest: 1 is an object.
        var objects: UInt128 = 0
        repeat {
            let kind = try peekKind()
            switch kind {
            case .object, .array:
                guard depth < Self.depthLimit else { throw tooDeep() }
                depth += 1
                objects <<= 1
                if kind == .object {
                    objects |= 1
                    try beginObject()
                } else {
                    try beginArray()
                }
            case .string: _ = try readString()
            case .number: _ = try scanNumber()
            case .bool: _ = try readBool()
            case .null: try readNull()
            }
            while depth > 0 {
                if objects & 1 == 1 {
                    if try nextKey() != nil { break }
                } else if try nextElement() {
                    break
                }
                depth -= 1
                objects >>= 1
            }
        } while depth > 0
    }

    /// Throws if anything but white space is left.
    package mutating func expectEnd() throws(JSONError) {
        skipWhiteSpace()
        guard position == bytes.count else {
            tokenOffset = position
            throw unexpected("the end")
        }
    }

    // MARK: Tokens

    @inline(__always)
    mutating func skipWhiteSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position &+= 1
            default: return
            }
        }
    }

    /// Skips white space; the byte that follows stays unread.
    @inline(__always)
    mutating func nextToken() throws(JSONError) -> UInt8 {
        skipWhiteSpace()
        tokenOffset = position
        guard position < bytes.count else { throw endOfText() }
        return bytes[position]
    }

    private mutating func readLiteral(_ literal: StaticString) throws(JSONError) {
        guard has(literal) else { throw JSONError(.syntax, "expected \(literal)", at: position) }
        position &+= literal.utf8CodeUnitCount
    }

    private func has(_ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        return count <= bytes.count &- position
            && UnsafeRawBufferPointer(rebasing: bytes[position..<(position &+ count)])
                .equals(literal)
    }

    private static func kind(_ byte: UInt8) -> Kind? {
        switch byte {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
        case UInt8(ascii: "n"): .null
        default: nil
        }
    }

    // MARK: Errors

    /// The token is a value of another type than `expected`, or no value at all.
    @inline(never)
    func mismatch(_ expected: StaticString) -> JSONError {
        guard position < bytes.count, let kind = Self.kind(bytes[position]),
            // Another word may begin with the letter of a literal.
            kind != .bool && kind != .null || has("true") || has("false") || has("null")
        else { return unexpected(expected) }
        let found: StaticString =
            switch kind {
            case .object: "an object"
            case .array: "an array"
            case .string: "a string"
            case .number: "a number"
            case .bool: "true or false"
            case .null: "null"
            }
        return JSONError(.typeMismatch, "expected \(expected), found \(found)", at: tokenOffset)
    }

    /// The byte at `position` may not stand there.
    @inline(never)
    func unexpected(_ expected: StaticString) -> JSONError {
        guard position < bytes.count else { return endOfText() }
        let byte = bytes[position]
        let found =
            switch byte {
            case 0xEF where position == 0: "a byte order mark"
            case 0x21...0x7E: "\"\(Character(UnicodeScalar(byte)))\""
            default: "byte \(byte)"
            }
        return JSONError(.syntax, "expected \(expected), found \(found)", at: position)
    }

    @inline(never)
    func endOfText() -> JSONError {
        JSONError(.syntax, "the text ends too early", at: bytes.count)
    }

    @inline(never)
    func tooDeep() -> JSONError {
        JSONError(.depth, "nested deeper than \(Self.depthLimit) levels", at: tokenOffset)
    }
}

extension UnsafeRawBufferPointer {
    /// True if these are the bytes of `text`.
    @inline(__always)
    package func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount, let baseAddress else {
            return count == 0 && text.utf8CodeUnitCount == 0
        }
        return memcmp(baseAddress, text.utf8Start, count) == 0
    }
}
