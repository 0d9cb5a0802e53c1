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
        try Self.checkSource(file, vectors)
        let entries = try Self.readTable(file)
        try Self.checkSections(file, spaceCount: entries.count)
        var spaces: [CodeSpace] = []
        for (index, entry) in entries.enumerated() {
            guard let space = vectors.space(ofCollection: entry.collectionID),
                entry.describes(space.entry)
            else {
                throw file.damage(
                    "a coded space is not one of the vector file",
                    at: Self.firstOffset,
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
        spaces.first { $0.collectionID == id }
    }

    /// Checks the frame, every chunk, and that the codes stand for the vectors.
    ///
    /// Errors bound what they must, sums of squares are right, bytes behind a code are 128. Goes
    /// on after a finding; chunks whose checksum is wrong are reported once, their content is not
    /// looked at.
    ///
    /// - Parameter vectors: the file that this one was opened with.
    package func verify(against vectors: VectorFile, _ report: (Finding) -> Void) {
        file.verifyAll(report)
        for space in spaces {
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

    /// Where the first section starts.
    private static let firstOffset: UInt64 = 4096

    private static func checkSource(_ file: SealedFile, _ vectors: VectorFile) throws(StoreError) {
        let section = try file.requiredSection(SectionType.source)
        let wanted = DerivedSource(vectors.reference)
        var reader = ByteReader(try section.allBytes())
        do throws(FormatError) {
            let source = try DerivedSource(decoding: &reader)
            try reader.expectEnd("source")
            guard source == wanted else {
                throw FormatError(
                    .mismatch,
                    at: 0,
                    field: "source",
                    expected: "file \(wanted.fileID), \(hex(wanted.footerChecksum))",
                    found: "file \(source.fileID), \(hex(source.footerChecksum))"
                )
            }
        } catch {
            throw StoreError(error, path: file.path, base: section.entry.offset)
        }
    }

    private static func readTable(_ file: SealedFile) throws(StoreError) -> [CodeSpaceEntry] {
        let section = try file.requiredSection(SectionType.codeSpaces)
        guard section.byteCount > 0, section.byteCount % CodeSpaceEntry.byteCount == 0 else {
            throw file.damage(
                "the table of coded spaces has a wrong length",
                at: section.entry.offset,
                expected: "a multiple of \(CodeSpaceEntry.byteCount) bytes",
                found: "\(section.byteCount)"
            )
        }
        var reader = ByteReader(try section.allBytes())
        var entries: [CodeSpaceEntry] = []
        while !reader.isAtEnd {
            let at = section.entry.offset + UInt64(reader.position)
            let entry: CodeSpaceEntry
            do throws(FormatError) {
                entry = try CodeSpaceEntry(decoding: &reader)
            } catch {
                throw StoreError(error, path: file.path, base: section.entry.offset)
            }
            if let last = entries.last, last.collectionID >= entry.collectionID {
                throw file.damage(
                    "coded spaces do not ascend",
                    at: at,
                    expected: "above \(last.collectionID)",
                    found: "\(entry.collectionID)"
                )
            }
            entries.append(entry)
        }
        return entries
    }

    /// The sections are those of the spaces, in their order, and no others.
    private static func checkSections(_ file: SealedFile, spaceCount: Int) throws(StoreError) {
        var expected: [(type: UInt32, ordinal: UInt32)] = [(SectionType.source, 0)]
        for ordinal in 0..<UInt32(truncatingIfNeeded: spaceCount) {
            expected.append((SectionType.codes, ordinal))
            expected.append((SectionType.codeErrors, ordinal))
            expected.append((SectionType.codeSquareSums, ordinal))
        }
        expected.append((SectionType.codeSpaces, 0))
        expected.append((SectionType.checksumTable, 0))
        let found = file.layout.entries.map { (type: $0.type, ordinal: $0.ordinal) }
        guard found.elementsEqual(expected, by: ==), file.layout.entries[0].offset == firstOffset
        else {
            throw file.damage(
                "the sections are not those of the table of coded spaces",
                at: file.footer.directoryOffset,
                expected: "\(expected.count) sections from \(firstOffset) on, three a space",
                found: "\(found.count) sections"
            )
        }
    }
}
