// What is wrong with JSON text, said for a person, with the byte it is about.

/// JSON text that cannot be accepted.
package struct JSONError: Error, Sendable, Equatable {
    /// The kinds of fault.
    package enum Kind: String, Sendable, CaseIterable {
        /// Not JSON: RFC 8259 does not allow this byte here, or the text ends too early.
        case syntax
        /// Not UTF-8, or half of a surrogate pair.
        case encoding
        /// A value of another type than the one asked for.
        case typeMismatch
        /// A number outside the range of its type, or a value that is not finite.
        case numberRange
        /// Nested deeper than allowed.
        case depth
        /// A key that occurs twice in one object.
        case duplicateKey
        /// A key that the object may not have.
        case unknownKey
        /// A key that the object must have and has not.
        case missingKey
    }

    package let kind: Kind
    /// A sentence without its full stop: `duplicate key "id"`.
    package let message: String
    /// The byte it is about, from the start of the text.
    package let offset: UInt64

    package init(_ kind: Kind, _ message: String, at offset: Int) {
        self.kind = kind
        self.message = message
        self.offset = UInt64(clamping: offset)
    }

    /// A key that occurred before in the same object.
    package static func duplicateKey(_ key: UnsafeRawBufferPointer, at offset: Int) -> JSONError {
        JSONError(.duplicateKey, "duplicate key \(quoted(key))", at: offset)
    }

    /// A key that the object may not have.
    package static func unknownKey(_ key: UnsafeRawBufferPointer, at offset: Int) -> JSONError {
        JSONError(.unknownKey, "unknown key \(quoted(key))", at: offset)
    }

    /// A key that the object must have; `offset` is where the object starts.
    package static func missingKey(_ key: StaticString, at offset: Int) -> JSONError {
        JSONError(.missingKey, "missing key \"\(key)\"", at: offset)
    }

    /// The text in quotes, cut after 80 bytes: keys come from outside and may be of any length.
    private static func quoted(_ text: UnsafeRawBufferPointer) -> String {
        let limit = 80
        guard text.count > limit else { return "\"\(String(decoding: text, as: UTF8.self))\"" }
        // Back to the first byte of a character, so that no half of one is shown.
        var end = limit
        while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
        let head = UnsafeRawBufferPointer(rebasing: text[..<end])
        return "\"\(String(decoding: head, as: UTF8.self))…\""
    }
}
