// What a check of a store's files finds wrong.

/// One place in a file where the bytes are not what they must be.
package struct Finding: Sendable, Equatable {
    /// What is wrong.
    ///
    /// The raw value is the word that tools print.
    package enum Kind: String, Sendable, CaseIterable {
        /// The file is not there.
        case missing
        /// The operating system would not read it.
        case unreadable
        /// The file is shorter or longer than its referrer says.
        case length
        /// Header, footer, directory or checksum table.
        case structure
        /// Bytes that do not match their checksum.
        case checksum
        /// Bytes that must be zero and are not.
        case padding
        /// A block, its header or its index entry.
        case block
        /// A record or an entry.
        case record
        /// Keys or rows that do not ascend.
        case order
        /// Two places that must agree and do not.
        case mismatch
    }

    package let kind: Kind
    /// The path relative to the store's folder.
    package let file: String
    /// The byte in that file.
    package let offset: UInt64
    package let expected: String
    package let found: String
    /// The code of an error that says of no damage: this process may not read the file, has no
    /// descriptor left, or does not know what is in it.
    package let refusal: StoreError.Code?

    package init(
        _ kind: Kind,
        file: String,
        offset: UInt64,
        expected: String,
        found: String,
        refusal: StoreError.Code? = nil
    ) {
        self.kind = kind
        self.file = file
        self.offset = offset
        self.expected = expected
        self.found = found
        self.refusal = refusal
    }

    private static let refusals: Set<StoreError.Code> = [
        .permissionDenied, .tooManyFiles, .newerFormat,
    ]

    /// An error that reading `file` met.
    package init(_ error: StoreError, _ kind: Kind, file: String) {
        let isSystem = error.errorNumber != nil
        self.init(
            isSystem ? .unreadable : kind,
            file: file,
            offset: error.offset ?? 0,
            expected: error.expected ?? "readable bytes",
            found: error.found ?? error.message,
            refusal: Self.refusals.contains(error.code) ? error.code : nil
        )
    }
}
