// What is wrong with bytes that should have been one of our structures.

/// Bytes that do not follow the format.
package struct FormatError: Error, Sendable, Equatable {
    /// The kinds of fault.
    package enum Kind: String, Sendable {
        /// The bytes end before the structure does.
        case truncated
        /// A checksum does not match.
        case checksum
        /// A magic number, tag or fixed value is not what it must be.
        case mismatch
        /// A number is outside its range.
        case range
        /// Text is not valid UTF-8.
        case encoding
        /// Compressed bytes do not decompress to what was declared.
        case compression
        /// Bytes were left over or reserved bytes are not zero.
        case excess
        /// Written by a newer version.
        case newer
    }

    package let kind: Kind
    /// Where, in bytes from the start of what was being read.
    package var offset: UInt64
    /// The name of the field, as the format's pages have it.
    package let field: String
    package let expected: String
    package let found: String

    package init(
        _ kind: Kind,
        at offset: UInt64,
        field: String,
        expected: String,
        found: String
    ) {
        self.kind = kind
        self.offset = offset
        self.field = field
        self.expected = expected
        self.found = found
    }

    /// The same error seen from a frame in which these bytes start at `base`.
    package func shifted(by base: UInt64) -> FormatError {
        var copy = self
        copy.offset &+= base
        return copy
    }
}
