// A vector file, mapped for reading. Bytes: format-spec/vector.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The vectors of a segment.
///
/// Any thread.
package final class VectorFile: Sendable {
    /// In ascending order of their collection ids; at least one.
    package let spaces: [VectorSpace]
    let file: SealedFile
    package var header: FileHeader { file.layout.header }

    /// Opens and maps `seg/<segment>.vec`.
    ///
    /// Reads the table of spaces and checks that the sections agree with it; vectors, row maps and
    /// norms are checked when they are touched.
    ///
    /// - Throws: `corrupted`, `newerFormat`, or what the operating system refused.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        reference: SealedFileReference
    ) throws(StoreError) {
        file = try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.vector(segment),
            kind: .vector,
            storeID: storeID,
            reference: reference,
            access: .mapped
        )
        guard let rowCount = UInt32(exactly: file.footer.rowCount), rowCount < .max else {
            throw file.damage(
                "the row count is out of range",
                at: reference.byteCount - 40,
                expected: "at most \(FormatLimits.segmentRowCount)",
                found: "\(file.footer.rowCount)"
            )
        }
        let entries: [VectorSpaceEntry] = try file.spaceTable(SectionType.spaces, "spaces")
        try file.expectSections(Self.sections(spaceCount: entries.count), "spaces")
        var spaces: [VectorSpace] = []
        for (index, entry) in entries.enumerated() {
            guard entry.vectorCount <= Int(rowCount) else {
                throw file.damage(
                    "a space has more vectors than the segment has rows",
                    at: SealedFile.firstSectionOffset,
                    expected: "at most \(rowCount)",
                    found: "\(entry.vectorCount)"
                )
            }
            spaces.append(
                try VectorSpace(entry, index: index, rowCount: rowCount, in: file)
            )
        }
        self.spaces = spaces
    }

    /// Rows of the segment, with and without vectors.
    package var rowCount: Int { Int(file.footer.rowCount) }

    /// The path of the file, for errors.
    package var path: String { file.path }

    /// What the manifest remembers of the file.
    package var reference: SealedFileReference { file.reference }

    /// The vectors of a collection; `nil` when none of its rows has one.
    package func space(ofCollection id: UInt32) -> VectorSpace? {
        spaces.element(withKey: id) { $0.collectionID }
    }

    /// The sections of the spaces, in their order.
    private static func sections(spaceCount: Int) -> [(type: UInt32, ordinal: UInt32)] {
        var sections: [(type: UInt32, ordinal: UInt32)] = [(SectionType.spaces, 0)]
        for ordinal in 0..<UInt32(truncatingIfNeeded: spaceCount) {
            sections.append((SectionType.vectors, ordinal))
            sections.append((SectionType.rowMap, ordinal))
            sections.append((SectionType.norms, ordinal))
        }
        return sections
    }
}
