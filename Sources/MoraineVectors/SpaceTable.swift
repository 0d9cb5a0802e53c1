// What vector, code and graph files have in common: a table with an entry a space, sections in the
// table's order, and what a derived file was made from.

import MoraineBytes
import MoraineFormat
import MoraineStorage

/// An entry of a table of spaces.
protocol SpaceTableEntry {
    static var byteCount: Int { get }
    var collectionID: UInt32 { get }
    init(decoding reader: inout ByteReader) throws(FormatError)
}

extension VectorSpaceEntry: SpaceTableEntry {}
extension CodeSpaceEntry: SpaceTableEntry {}
extension GraphSpaceEntry: SpaceTableEntry {}

extension SealedFile {
    /// Where the first section of these files starts.
    static let firstSectionOffset: UInt64 = 4096

    /// Reads a table whose entries ascend by collection.
    ///
    /// - Parameters:
    ///   - type: of its section.
    ///   - name: what it is called in errors.
    func spaceTable<Entry: SpaceTableEntry>(_ type: UInt32, _ name: String) throws(StoreError)
        -> [Entry]
    {
        let section = try requiredSection(type)
        guard section.byteCount > 0, section.byteCount % Entry.byteCount == 0 else {
            throw damage(
                "the table of \(name) has a wrong length",
                at: section.entry.offset,
                expected: "a multiple of \(Entry.byteCount) bytes",
                found: "\(section.byteCount)"
            )
        }
        var reader = ByteReader(try section.allBytes())
        var entries: [Entry] = []
        while !reader.isAtEnd {
            let at = section.entry.offset + UInt64(reader.position)
            let entry: Entry
            do throws(FormatError) {
                entry = try Entry(decoding: &reader)
            } catch {
                throw StoreError(error, path: path, base: section.entry.offset)
            }
            if let last = entries.last, last.collectionID >= entry.collectionID {
                throw damage(
                    "\(name) do not ascend",
                    at: at,
                    expected: "above \(last.collectionID)",
                    found: "\(entry.collectionID)"
                )
            }
            entries.append(entry)
        }
        return entries
    }

    /// Throws unless the sections are exactly these, and the checksum table behind them.
    ///
    /// A derived file may have others, of types that came later.
    ///
    /// - Parameter name: whose table they belong to, in errors.
    func expectSections(_ sections: [(type: UInt32, ordinal: UInt32)], _ name: String)
        throws(StoreError)
    {
        let expected = sections + [(type: SectionType.checksumTable, ordinal: 0)]
        let kind = layout.header.kind
        let found = layout.entries.map { (type: $0.type, ordinal: $0.ordinal) }.filter {
            $0.type == SectionType.checksumTable || SectionType.isKnown($0.type, in: kind)
        }
        guard found.elementsEqual(expected, by: ==),
            layout.entries[0].offset == Self.firstSectionOffset
        else {
            throw damage(
                "the sections are not those of the table of \(name)",
                at: footer.directoryOffset,
                expected: "\(expected.count) sections from \(Self.firstSectionOffset) on",
                found: "\(found.count) sections"
            )
        }
    }

    /// Throws unless the file was made from exactly these.
    func expectSources(_ files: [SealedFileReference]) throws(StoreError) {
        let section = try requiredSection(SectionType.source)
        var reader = ByteReader(try section.allBytes())
        do throws(FormatError) {
            for file in files {
                let at = UInt64(reader.position)
                let source = try DerivedSource(decoding: &reader)
                let wanted = DerivedSource(file)
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
            throw StoreError(error, path: path, base: section.entry.offset)
        }
    }
}
