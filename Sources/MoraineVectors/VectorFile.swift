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
        let entries = try Self.readTable(file)
        try Self.checkSections(file, spaceCount: entries.count)
        var spaces: [VectorSpace] = []
        for (index, entry) in entries.enumerated() {
            guard entry.vectorCount <= Int(rowCount) else {
                throw file.damage(
                    "a space has more vectors than the segment has rows",
                    at: Self.firstOffset,
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
        var low = 0
        var high = spaces.count
        while low < high {
            let middle = (low + high) / 2
            if spaces[middle].collectionID < id { low = middle + 1 } else { high = middle }
        }
        return low < spaces.count && spaces[low].collectionID == id ? spaces[low] : nil
    }

    /// Where the table of spaces starts.
    private static let firstOffset: UInt64 = 4096

    private static func readTable(_ file: SealedFile) throws(StoreError) -> [VectorSpaceEntry] {
        let section = try file.requiredSection(SectionType.spaces)
        guard section.byteCount > 0, section.byteCount % VectorSpaceEntry.byteCount == 0 else {
            throw file.damage(
                "the table of spaces has a wrong length",
                at: section.entry.offset,
                expected: "a multiple of \(VectorSpaceEntry.byteCount) bytes",
                found: "\(section.byteCount)"
            )
        }
        var reader = ByteReader(try section.allBytes())
        var entries: [VectorSpaceEntry] = []
        while !reader.isAtEnd {
            let at = section.entry.offset + UInt64(reader.position)
            let entry: VectorSpaceEntry
            do throws(FormatError) {
                entry = try VectorSpaceEntry(decoding: &reader)
            } catch {
                throw StoreError(error, path: file.path, base: section.entry.offset)
            }
            if let last = entries.last, last.collectionID >= entry.collectionID {
                throw file.damage(
                    "spaces do not ascend",
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
        var expected: [(type: UInt32, ordinal: UInt32)] = [(SectionType.spaces, 0)]
        for ordinal in 0..<UInt32(truncatingIfNeeded: spaceCount) {
            expected.append((SectionType.vectors, ordinal))
            expected.append((SectionType.rowMap, ordinal))
            expected.append((SectionType.norms, ordinal))
        }
        expected.append((SectionType.checksumTable, 0))
        let found = file.layout.entries.map { (type: $0.type, ordinal: $0.ordinal) }
        guard found.elementsEqual(expected, by: ==), file.layout.entries[0].offset == firstOffset
        else {
            throw file.damage(
                "the sections are not those of the table of spaces",
                at: file.footer.directoryOffset,
                expected: "\(expected.count) sections from \(firstOffset) on, three a space",
                found: "\(found.count) sections"
            )
        }
    }
}
