// Files that are made from a segment's documents and vectors and can be made again.
// Bytes of the edits that name them: format-spec/manifest.md.

/// What a derived file is for.
///
/// On disk: never renumber. A number that is not here is of a later version and is left alone.
package enum DerivedKind: UInt8, Sendable, CaseIterable {
    /// Vectors as one byte a number.
    case codes = 1
    /// Neighbours of vectors, for approximate search.
    case graph = 2
    /// Values of metadata, for filters.
    case columns = 3

    /// The derived file of the segment that one of this kind is made from and opened with.
    package var base: DerivedKind? { self == .graph ? .codes : nil }

    /// How the names of its files end.
    package var suffix: String {
        switch self {
        case .codes: ".q8"
        case .graph: ".gr"
        case .columns: ".col"
        }
    }

    /// What the header of its files says.
    package var fileKind: FileKind {
        switch self {
        case .codes: .codes
        case .graph: .graph
        case .columns: .columns
        }
    }

    /// Its word in reports.
    package var name: String { "\(self)" }
}

/// A derived file of a segment, as the manifest names it.
package struct DerivedEntry: Sendable, Equatable {
    package let segmentID: UInt64
    /// One of ``DerivedKind``, or a number of a later version.
    package let kindNumber: UInt8
    package let file: SealedFileReference

    package init(segmentID: UInt64, kindNumber: UInt8, file: SealedFileReference) {
        self.segmentID = segmentID
        self.kindNumber = kindNumber
        self.file = file
    }

    /// `nil` for a kind of a later version.
    package var kind: DerivedKind? { DerivedKind(rawValue: kindNumber) }

    /// Its path in the store's folder; `nil` for a kind of a later version.
    package var name: String? {
        kind.map { FileNames.derived($0, segmentID, fileID: file.fileID) }
    }
}
