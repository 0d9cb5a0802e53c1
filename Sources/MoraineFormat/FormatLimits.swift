// The limits of format-spec/conventions.md and the small enumerations that stand on disk.

import MoraineBytes

/// What a store can hold at most.
///
/// The numbers are part of the format.
package enum FormatLimits {
    /// Bytes of a document's id, at least one.
    package static let idByteCount = 1024
    /// Bytes of a collection's name, at least one.
    package static let nameByteCount = 255
    /// Bytes of a document's text and metadata, encoded, together.
    package static let documentByteCount = 64 << 20
    /// Levels of metadata; the outermost object is level 1.
    package static let metadataDepth = 128
    /// Numbers in a vector.
    package static let dimensions = 16_384
    /// Ids of collections.
    package static let collectionIDs: ClosedRange<UInt32> = 1...(UInt32.max - 1)
    /// Rows of a segment.
    package static let segmentRowCount = UInt64(UInt32.max - 1)
    /// Bytes of the payload of a log record.
    package static let recordPayloadByteCount = 64 << 20
    /// Bytes of one commit.
    package static let commitByteCount = 256 << 20
    /// Raw bytes of records at which a block of documents is closed.
    package static let blockByteCount = 16 << 10
    /// Raw bytes of a block at most, as its header can declare.
    package static let rawBlockByteCount = 128 << 20
    /// What is counted through a store's life: commits, edits, files, epochs, versions of ROOT.
    ///
    /// Half of what 64 bits hold and more, so that counting on from a number of a file, whatever
    /// it says, never overflows.
    package static let numbers: ClosedRange<UInt64> = 0...(1 << 62)
    /// Numbers that a writer starts from; counting from there to the end of `numbers` takes longer
    /// than anything lasts.
    package static let startNumbers: Range<UInt64> = 0..<(1 << 61)
}

/// Throws unless a number of commits, edits, files, epochs or versions of ROOT can be one.
func expectNumber(_ value: UInt64, at offset: UInt64, _ field: String) throws(FormatError) {
    guard FormatLimits.numbers.contains(value) else {
        throw FormatError(
            .range,
            at: offset,
            field: field,
            expected: "at most 2^62",
            found: "\(value)"
        )
    }
}

extension ByteReader {
    /// A varint that numbers a commit, an edit, a file or an epoch.
    mutating func readNumber(_ field: StaticString) throws(FormatError) -> UInt64 {
        let at = UInt64(position)
        let value = try readVarint(field)
        try expectNumber(value, at: at, "\(field)")
        return value
    }
}

/// How two vectors are compared.
///
/// On disk: never renumber.
package enum Metric: UInt8, Sendable, CaseIterable {
    case cosine = 1
    case dot = 2
    case l2 = 3

    /// The word for it: "cosine", "dot", "l2".
    package var name: String {
        switch self {
        case .cosine: "cosine"
        case .dot: "dot"
        case .l2: "l2"
        }
    }

    package init?(name: String) {
        guard let metric = Metric.allCases.first(where: { $0.name == name }) else { return nil }
        self = metric
    }
}
