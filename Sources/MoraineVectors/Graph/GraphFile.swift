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
        try file.expectSources([vectors.reference, codes.reference])
        let entries: [GraphSpaceEntry] = try file.spaceTable(SectionType.graphSpaces, "graphs")
        try file.expectSections(Self.sections(entries), "graphs")
        var spaces: [GraphSpace] = []
        for (index, entry) in entries.enumerated() {
            guard let space = codes.space(ofCollection: entry.collectionID),
                entry.vectorCount == space.count
            else {
                throw file.damage(
                    "a graph is not of codes that are there",
                    at: SealedFile.firstSectionOffset,
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
        spaces.element(withKey: id) { $0.collectionID }
    }

    /// Checks the frame, every chunk, and every id; goes on after a finding.
    ///
    /// - Parameter limit: ends it early, without a word.
    package func verify(within limit: ReadLimit? = nil, _ report: (Finding) -> Void) {
        var isWhole = true
        file.verifyAll(within: limit) { finding in
            isWhole = false
            report(finding)
        }
        guard isWhole, limit?.isOver != true else { return }
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

    /// The sections of the graphs, in their order.
    private static func sections(_ entries: [GraphSpaceEntry]) -> [(type: UInt32, ordinal: UInt32)]
    {
        var sections: [(type: UInt32, ordinal: UInt32)] = [(SectionType.source, 0)]
        for (index, entry) in entries.enumerated() {
            let ordinal = UInt32(index)
            sections.append((SectionType.links, ordinal))
            sections.append((SectionType.graphEntries, ordinal))
            if entry.hasDuplicates { sections.append((SectionType.duplicates, ordinal)) }
        }
        sections.append((SectionType.graphSpaces, 0))
        return sections
    }
}
