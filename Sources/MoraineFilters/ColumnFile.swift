// A file of columns, mapped for reading. Bytes: format-spec/columns.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The metadata of a segment's documents as columns.
///
/// Opening reads 16 bytes and keeps nothing of the tables: they are looked up where they are
/// mapped. Any thread.
package final class ColumnFile: Sendable {
    /// Rows of the segment.
    package let rowCount: UInt32
    let file: SealedFile
    let values: Section
    private let paths: Section
    private let columns: Section
    private let fields: Section
    private let collections: Section

    /// Opens and maps `seg/<segment>.<file id>.col`.
    ///
    /// - Parameters:
    ///   - documents: the segment's `.doc` file; the columns must have been made from it.
    ///   - rowCount: rows of the segment.
    /// - Throws: `corrupted`, `newerFormat`, or what the operating system refused.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        reference: SealedFileReference,
        documents: SealedFileReference,
        rowCount: UInt32
    ) throws(StoreError) {
        file = try SealedFile(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.derived(.columns, segment, fileID: reference.fileID),
            kind: .columns,
            storeID: storeID,
            reference: reference,
            access: .mapped
        )
        self.rowCount = rowCount
        values = try file.requiredSection(SectionType.columnValues)
        paths = try file.requiredSection(SectionType.columnPaths)
        columns = try file.requiredSection(SectionType.columns)
        fields = try file.requiredSection(SectionType.columnFields)
        collections = try file.requiredSection(SectionType.columnCollections)
        let section = try file.requiredSection(SectionType.source)
        let source = try Self.decode(section, 0, file, DerivedSource.byteCount) {
            reader throws(FormatError) in
            try DerivedSource(decoding: &reader)
        }
        guard source == DerivedSource(documents), file.footer.rowCount == UInt64(rowCount) else {
            throw file.damage(
                "the columns were made from other documents",
                at: section.entry.offset,
                expected: "\(rowCount) rows of file \(documents.fileID), footer "
                    + hex(documents.footerChecksum),
                found: "\(file.footer.rowCount) rows of file \(source.fileID), footer "
                    + hex(source.footerChecksum)
            )
        }
        for (table, unit) in [
            (section, DerivedSource.byteCount), (collections, ColumnCollection.byteCount),
            (fields, ColumnField.byteCount), (columns, ColumnEntry.byteCount),
        ] where table.byteCount % unit != 0 {
            throw file.damage(
                "a table of columns has a wrong length",
                at: table.entry.offset,
                expected: "a multiple of \(unit) bytes",
                found: "\(table.byteCount)"
            )
        }
    }

    /// What the manifest remembers of the file.
    package var reference: SealedFileReference { file.reference }

    /// The path of the file, for errors.
    package var path: String { file.path }

    // MARK: Tables

    var collectionCount: Int { collections.byteCount / ColumnCollection.byteCount }

    func collection(at index: Int) throws(StoreError) -> ColumnCollection {
        let entry = try Self.decode(collections, index, file, ColumnCollection.byteCount) {
            reader throws(FormatError) in
            try ColumnCollection(decoding: &reader)
        }
        let fieldCount = fields.byteCount / ColumnField.byteCount
        guard entry.rows.upperBound <= rowCount, entry.fields.upperBound <= fieldCount else {
            throw file.damage(
                "a collection has rows or fields that are not there",
                at: collections.entry.offset + UInt64(index * ColumnCollection.byteCount),
                expected: "up to row \(rowCount) and field \(fieldCount)",
                found: "rows \(entry.rows), fields \(entry.fields)"
            )
        }
        return entry
    }

    /// The collection with that id; `nil` when the segment has no rows of it.
    func collection(_ id: UInt32) throws(StoreError) -> ColumnCollection? {
        var low = 0
        var high = collectionCount
        while low < high {
            let middle = (low + high) / 2
            let entry = try collection(at: middle)
            if entry.collectionID == id { return entry }
            if entry.collectionID < id { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    func field(at index: Int) throws(StoreError) -> ColumnField {
        let entry = try Self.decode(fields, index, file, ColumnField.byteCount) {
            reader throws(FormatError) in
            try ColumnField(decoding: &reader)
        }
        let columnCount = columns.byteCount / ColumnEntry.byteCount
        guard entry.columns.upperBound <= columnCount else {
            throw file.damage(
                "a field has columns that are not there",
                at: fields.entry.offset + UInt64(index * ColumnField.byteCount),
                expected: "up to column \(columnCount)",
                found: "columns \(entry.columns)"
            )
        }
        return entry
    }

    func pathBytes(of field: ColumnField) throws(StoreError) -> UnsafeRawBufferPointer {
        try paths.bytes(field.path)
    }

    /// The field of a collection at that path; `nil` when it has none.
    func field(_ path: FieldPath, of collection: ColumnCollection) throws(StoreError)
        -> ColumnField?
    {
        let wanted = path.encoded
        var low = collection.fields.lowerBound
        var high = collection.fields.upperBound
        while low < high {
            let middle = (low + high) / 2
            let entry = try field(at: middle)
            let found = try pathBytes(of: entry)
            let order = wanted.withUnsafeBufferPointer {
                KeyBytes.compare(found, UnsafeRawBufferPointer($0))
            }
            if order == 0 { return entry }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// A column, whose bytes are known to lie in the section of values.
    func column(at index: Int) throws(StoreError) -> ColumnEntry {
        let entry = try Self.decode(columns, index, file, ColumnEntry.byteCount) {
            reader throws(FormatError) in
            try ColumnEntry(decoding: &reader)
        }
        let count = UInt64(entry.valueCount)
        let least: UInt64
        switch entry.kind {
        case .present, .composite, .null, .false, .true: least = 1
        case .integers, .doubles: least = UInt64(ColumnLeaves.byteCount(Int(entry.valueCount)))
        case .strings: least = count * 8
        }
        let all = UInt64(values.byteCount)
        guard entry.offset <= all, entry.byteCount <= all - entry.offset, least <= entry.byteCount,
            entry.stringByteCount <= entry.byteCount - least, count > 0
        else {
            throw file.damage(
                "a column does not lie among the values",
                at: columns.entry.offset + UInt64(index * ColumnEntry.byteCount),
                expected: "\(least) to \(all) bytes",
                found: "\(entry.byteCount) bytes at \(entry.offset), \(count) values"
            )
        }
        return entry
    }

    /// The column of a kind among those of a field; `nil` when it has no such values.
    func column(
        _ kind: ColumnEntry.Kind,
        _ domain: ColumnEntry.Domain,
        of field: ColumnField
    ) throws(StoreError) -> ColumnEntry? {
        for index in field.columns {
            let entry = try column(at: index)
            if entry.kind == kind, entry.domain == domain { return entry }
        }
        return nil
    }

    /// Decodes an entry of a table.
    private static func decode<Entry>(
        _ section: Section,
        _ index: Int,
        _ file: SealedFile,
        _ byteCount: Int,
        _ body: (inout ByteReader) throws(FormatError) -> Entry
    ) throws(StoreError) -> Entry {
        var reader = ByteReader(try section.bytes(at: index * byteCount, count: byteCount))
        do throws(FormatError) {
            return try body(&reader)
        } catch {
            let base = section.entry.offset + UInt64(index * byteCount)
            throw StoreError(error, path: file.path, base: base)
        }
    }
}
