// A code file, mapped for reading. Bytes: format-spec/codes.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The codes of a segment's vectors.
///
/// Any thread.
package final class CodeFile: Sendable {
    /// In ascending order of their collection ids; at least one.
    package let spaces: [CodeSpace]
    private let file: SealedFile

    /// Opens and maps `seg/<segment>.<file id>.q8`.
    ///
    /// Reads the table of spaces and compares it with the vectors; codes are checked when they are
    /// touched.
    ///
    /// - Parameter vectors: the file of the same segment.
    /// - Throws: `corrupted`, also when the codes were made from another vector file;
    ///   `newerFormat`; what the operating system refused.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        reference: SealedFileReference,
        vectors: VectorFile
    ) throws(StoreError) {
        let file = try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.derived(.codes, segment, fileID: reference.fileID),
            kind: .codes,
            storeID: storeID,
            reference: reference,
            access: .mapped
        )
        self.file = file
        try file.expectSources([vectors.reference])
        let entries: [CodeSpaceEntry] = try file.spaceTable(SectionType.codeSpaces, "coded spaces")
        try file.expectSections(Self.sections(spaceCount: entries.count), "coded spaces")
        var spaces: [CodeSpace] = []
        for (index, entry) in entries.enumerated() {
            guard let space = vectors.space(ofCollection: entry.collectionID),
                entry.describes(space.entry)
            else {
                throw file.damage(
                    "a coded space is not one of the vector file",
                    at: SealedFile.firstSectionOffset,
                    expected: "a space of \(vectors.path)",
                    found: "\(entry.vectorCount) codes for collection \(entry.collectionID)"
                )
            }
            spaces.append(try CodeSpace(entry, index: index, in: file))
        }
        self.spaces = spaces
    }

    /// The path of the file, for errors.
    package var path: String { file.path }

    /// What the manifest remembers of the file.
    package var reference: SealedFileReference { file.reference }

    /// The codes of a collection's vectors; `nil` when they are not coded.
    package func space(ofCollection id: UInt32) -> CodeSpace? {
        spaces.element(withKey: id) { $0.collectionID }
    }

    /// Checks the frame, every chunk, and that the codes stand for the vectors.
    ///
    /// Errors bound what they must, sums of squares are right, numbers behind a code are 128. Goes
    /// on after a finding; chunks whose checksum is wrong are reported once, their content is not
    /// looked at.
    ///
    /// - Parameters:
    ///   - vectors: the file that this one was opened with.
    ///   - limit: ends it early, without a word.
    package func verify(
        against vectors: VectorFile,
        within limit: ReadLimit? = nil,
        _ report: (Finding) -> Void
    ) {
        file.verifyAll(within: limit, report)
        for space in spaces where limit?.isOver != true {
            guard let source = vectors.space(ofCollection: space.collectionID) else { continue }
            for ordinal in 0..<space.count {
                // Only a chunk's checksum can fail here, and `verifyAll` of its file reports it.
                guard let fault = try? space.fault(at: ordinal, of: source) else { continue }
                report(
                    Finding(
                        .mismatch,
                        file: file.name,
                        offset: space.offset(ofCode: ordinal),
                        expected: fault,
                        found: "another"
                    )
                )
            }
        }
    }

    /// Checks the next portion of the frame and the chunks; see `SealedFile.verifyPortion`.
    package func verifyPortion(
        _ place: inout VerifyPlace,
        _ buffer: UnsafeMutableRawBufferPointer,
        _ report: (Finding) -> Void
    ) -> Int? {
        file.verifyPortion(&place, buffer, report)
    }

    /// The sections of the spaces, in their order.
    private static func sections(spaceCount: Int) -> [(type: UInt32, ordinal: UInt32)] {
        var sections: [(type: UInt32, ordinal: UInt32)] = [(SectionType.source, 0)]
        for ordinal in 0..<UInt32(truncatingIfNeeded: spaceCount) {
            for type in [
                SectionType.codeHighHalves, SectionType.codeLowHalves, SectionType.codeErrors,
                SectionType.codeSquareSums, SectionType.coarseErrors, SectionType.coarseSquareSums,
            ] { sections.append((type, ordinal)) }
        }
        sections.append((SectionType.codeSpaces, 0))
        return sections
    }
}
