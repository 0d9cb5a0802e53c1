// A graph file, mapped for reading. Bytes: format-spec/graph.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The graphs of a segment.
///
/// Any thread.
package final class GraphFile: Sendable {
    /// In ascending order of their collection ids; at least one.
    package let spaces: [GraphSpace]
    package let file: SealedFile
    /// Kept because the graphs search its codes.
    private let codes: CodeFile

    /// Opens and maps `seg/<segment>.<file id>.gr`.
    ///
    /// Reads the table of graphs and compares it with the codes; links are checked by the first
    /// search.
    ///
    /// - Parameters:
    ///   - vectors: the vector file of the same segment.
    ///   - codes: made from it.
    /// - Throws: `corrupted`, also when the graph was made from other files; `newerFormat`; what
    ///   the operating system refused.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        reference: SealedFileReference,
        vectors: VectorFile,
        codes: CodeFile
    ) throws(StoreError) {
        let file = try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.derived(.graph, segment, fileID: reference.fileID),
            kind: .graph,
            storeID: storeID,
            reference: reference,
            access: .mapped
        )
        self.file = file
        self.codes = codes
        try Self.checkSources(file, [vectors.reference, codes.reference])
        let entries = try Self.readTable(file)
        try Self.checkSections(file, entries)
        var spaces: [GraphSpace] = []
        for (index, entry) in entries.enumerated() {
            guard let space = codes.space(ofCollection: entry.collectionID),
                entry.vectorCount == space.count
            else {
                throw file.damage(
                    "a graph is not of codes that are there",
                    at: Self.firstOffset,
                    expected: "a space of \(codes.path)",
                    found: "\(entry.vectorCount) codes of collection \(entry.collectionID)"
                )
            }
            spaces.append(try GraphSpace(entry, index: index, codes: space, in: file))
        }
        self.spaces = spaces
    }

    /// The path of the file, for errors.
    package var path: String { file.path }

    /// The graph of a collection; `nil` when it has none.
    package func space(ofCollection id: UInt32) -> GraphSpace? {
        spaces.first { $0.collectionID == id }
    }

    /// Checks the frame, every chunk, and every id; goes on after a finding.
    package func verify(_ report: (Finding) -> Void) {
        var isWhole = true
        file.verifyAll { finding in
            isWhole = false
            report(finding)
        }
        guard isWhole else { return }
        for space in spaces {
            do throws(StoreError) {
                try space.requireSound()
            } catch {
                report(
                    Finding(
                        .mismatch,
                        file: file.name,
                        offset: error.offset ?? 0,
                        expected: error.expected ?? "a sound graph",
                        found: error.found ?? error.message
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

    private static func checkSources(_ file: SealedFile, _ wanted: [SealedFileReference])
        throws(StoreError)
    {
        let section = try file.requiredSection(SectionType.source)
        var reader = ByteReader(try section.allBytes())
        do throws(FormatError) {
            for reference in wanted {
                let at = UInt64(reader.position)
                let source = try DerivedSource(decoding: &reader)
                let wanted = DerivedSource(reference)
                guard source == wanted else {
                    throw FormatError(
                        .mismatch,
                        at: at,
                        field: "source",
                        expected: "file \(wanted.fileID), \(hex(wanted.footerChecksum))",
                        found: "file \(source.fileID), \(hex(source.footerChecksum))"
                    )
                }
            }
            try reader.expectEnd("source")
        } catch {
            throw StoreError(error, path: file.path, base: section.entry.offset)
        }
    }

    private static func readTable(_ file: SealedFile) throws(StoreError) -> [GraphSpaceEntry] {
        let section = try file.requiredSection(SectionType.graphSpaces)
        guard section.byteCount > 0, section.byteCount % GraphSpaceEntry.byteCount == 0 else {
            throw file.damage(
                "the table of graphs has a wrong length",
                at: section.entry.offset,
                expected: "a multiple of \(GraphSpaceEntry.byteCount) bytes",
                found: "\(section.byteCount)"
            )
        }
        var reader = ByteReader(try section.allBytes())
        var entries: [GraphSpaceEntry] = []
        while !reader.isAtEnd {
            let at = section.entry.offset + UInt64(reader.position)
            let entry: GraphSpaceEntry
            do throws(FormatError) {
                entry = try GraphSpaceEntry(decoding: &reader)
            } catch {
                throw StoreError(error, path: file.path, base: section.entry.offset)
            }
            if let last = entries.last, last.collectionID >= entry.collectionID {
                throw file.damage(
                    "graphs do not ascend",
                    at: at,
                    expected: "above \(last.collectionID)",
                    found: "\(entry.collectionID)"
                )
            }
            entries.append(entry)
        }
        return entries
    }

    /// The sections are those of the graphs, in their order, and no others.
    private static func checkSections(_ file: SealedFile, _ entries: [GraphSpaceEntry])
        throws(StoreError)
    {
        var expected: [(type: UInt32, ordinal: UInt32)] = [(SectionType.source, 0)]
        for (index, entry) in entries.enumerated() {
            let ordinal = UInt32(index)
            expected.append((SectionType.links, ordinal))
            expected.append((SectionType.graphEntries, ordinal))
            if entry.hasDuplicates { expected.append((SectionType.duplicates, ordinal)) }
        }
        expected.append((SectionType.graphSpaces, 0))
        expected.append((SectionType.checksumTable, 0))
        let found = file.layout.entries.map { (type: $0.type, ordinal: $0.ordinal) }
        guard found.elementsEqual(expected, by: ==), file.layout.entries[0].offset == firstOffset
        else {
            throw file.damage(
                "the sections are not those of the table of graphs",
                at: file.footer.directoryOffset,
                expected: "\(expected.count) sections from \(firstOffset) on",
                found: "\(found.count) sections"
            )
        }
    }
}
