// What the engine knows of a kind of derived file: how to tell whether a segment should have one,
// how to write it and how to open it. The bytes are the business of the modules below.

package import MoraineFiles
package import MoraineFormat
import MoraineSegments
package import MoraineStorage
package import MoraineVectors

/// What reads a derived file.
package protocol IndexReader: AnyObject, Sendable {
    /// Checks the next portion of the frame and the chunks; see `SealedFile.verifyPortion`.
    func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int?

    /// Checks the frame, every chunk, and what the chunks hold; goes on after a finding.
    ///
    /// - Parameters:
    ///   - source: what the file was opened with.
    ///   - limit: ends it early, without a word.
    func verify(_ source: IndexSource, within limit: ReadLimit?, _ report: (Finding) -> Void)
}

/// What a derived file is made from and opened with.
package struct IndexSource: Sendable {
    package let fileSystem: any FileSystem
    /// The store's folder.
    package let folder: String
    package let storeID: StoreID
    package let segment: Segment
    /// The derived files that are there already: a graph is made from codes.
    package let indexes: SegmentIndexes

    package init(
        fileSystem: any FileSystem,
        folder: String,
        storeID: StoreID,
        segment: Segment,
        indexes: SegmentIndexes
    ) {
        self.fileSystem = fileSystem
        self.folder = folder
        self.storeID = storeID
        self.segment = segment
        self.indexes = indexes
    }
}

/// A derived file to be written.
package struct IndexTarget: Sendable {
    package let source: IndexSource
    /// The id of the new file.
    package let fileID: UInt64
    package let createdLSN: UInt64
    /// Threads that may work on it.
    package let width: Int
    /// Graphs of what the segment was merged from, where one is to be gone on from.
    package let origins: [GraphOrigin]
    /// Hears how many vectors of a graph were linked since, and how many more there are to link.
    package let progress: @Sendable (_ linked: Int, _ toLink: Int) -> Void
    /// To be called at least once for each few milliseconds of work; throws to end it.
    package let step: @Sendable () throws(StoreError) -> Void
}

/// A kind of derived file.
package struct IndexFormat: Sendable {
    package let kind: DerivedKind
    /// True when a segment should have one once it has what the file is made from, as far as can be
    /// told without reading: a build that finds nothing to write is tried once in the life of an
    /// engine.
    package let isWanted: @Sendable (Segment) -> Bool
    /// Opens the file; throws `corrupted` when it is damaged or was not made from this segment.
    package let open:
        @Sendable (IndexSource, SealedFileReference) throws(StoreError) -> any IndexReader
    /// Writes and syncs the file, not its folder; `nil` when nothing is worth a file.
    ///
    /// On an error no file is left.
    package let write: @Sendable (IndexTarget) throws(StoreError) -> SealedFileReference?

    package init(
        kind: DerivedKind,
        isWanted: @escaping @Sendable (Segment) -> Bool,
        open:
            @escaping @Sendable (IndexSource, SealedFileReference) throws(StoreError)
            -> any IndexReader,
        write: @escaping @Sendable (IndexTarget) throws(StoreError) -> SealedFileReference?
    ) {
        self.kind = kind
        self.isWanted = isWanted
        self.open = open
        self.write = write
    }

    /// Every kind that this version makes, in the order in which a segment gets them.
    package static let all: [IndexFormat] = [.codes, .graph, .columns]
}

extension IndexFormat {
    /// Opens a file that the manifest names.
    package func file(_ file: SealedFileReference, _ source: IndexSource) throws(StoreError)
        -> DerivedFile
    {
        DerivedFile(kind, file, of: source.segment, reader: try open(source, file))
    }
}
