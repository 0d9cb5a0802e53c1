// Writes the metadata of a segment as columns. Bytes: format-spec/columns.md.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// Writes `seg/<segment>.<file id>.col` from the metadata of a segment's rows, in row order.
///
/// One collection is gathered at a time and written when the next begins. Memory while gathering,
/// for each row: 16 bytes a number; 8 a string, and for each different one its bytes and 20; 1 to
/// 5 for each field that is there, and for null and Booleans. Sorting a field takes as much again
/// for that field. Above the limit the field with the most values is given up: it is listed as
/// not indexed, and filters on it look at documents. One thread at a time. A writer that goes
/// before `finish` removes its file; after an error every call throws it.
package final class ColumnFileWriter {
    /// Rows of a segment below which documents are read as quickly.
    package static let leastRowCount = 1024
    /// Fields of a collection in a segment that are listed at most.
    package static let fieldLimit = 1024
    /// Bytes of a path that is listed.
    package static let pathByteLimit = 1024
    /// Bytes of a string beyond which its field is not indexed.
    package static let stringByteLimit = 2048
    /// Bytes of values that are gathered at most, unless another limit is given.
    package static let memoryByteLimit = 256 << 20
    /// Bytes of metadata from one look at the memory to the next.
    private static let checkByteCount = 1 << 20

    private let rowCount: UInt32
    private let documents: SealedFileReference
    private let documentPath: String
    private let memoryByteLimit: Int
    private let step: () throws(StoreError) -> Void
    private let writer: SealedFileWriter
    private var collector: CollectionCollector?
    private var nextRow: UInt32 = 0
    private var uncheckedByteCount = 0
    /// The start of the section of values in the file.
    private let valueStart: UInt64
    private var paths = ByteWriter()
    private var columns = ByteWriter()
    private var fields = ByteWriter()
    private var collections = ByteWriter()

    /// Makes the file.
    ///
    /// - Parameters:
    ///   - documents: the segment's `.doc` file, which the columns are bound to.
    ///   - rowCount: rows of the segment.
    ///   - memoryByteLimit: 1 MiB to 1 GiB.
    ///   - step: called before each column is written; throws to end the work.
    package init(
        fileSystem: any FileSystem,
        root: String,
        segment: UInt64,
        storeID: StoreID,
        fileID: UInt64,
        createdLSN: UInt64,
        documents: SealedFileReference,
        rowCount: UInt32,
        memoryByteLimit: Int = ColumnFileWriter.memoryByteLimit,
        step: @escaping () throws(StoreError) -> Void = {}
    ) throws(StoreError) {
        precondition(UInt64(rowCount) <= FormatLimits.segmentRowCount)
        precondition((1 << 20...1 << 30).contains(memoryByteLimit))
        self.rowCount = rowCount
        self.documents = documents
        self.memoryByteLimit = memoryByteLimit
        self.step = step
        documentPath = FileNames.path(root, FileNames.document(segment))
        writer = try SealedFileWriter(
            fileSystem: fileSystem,
            root: root,
            name: FileNames.derived(.columns, segment, fileID: fileID),
            kind: .columns,
            storeID: storeID,
            fileID: fileID,
            createdLSN: createdLSN
        )
        try writer.beginSection(SectionType.columnValues)
        valueStart = writer.offset
    }

    /// Takes the next row, of a collection not below that of the row before.
    ///
    /// - Parameter metadata: the binary form.
    /// - Throws: `corrupted` for bytes that are no metadata, naming the segment's `.doc` file.
    package func append(collectionID: UInt32, metadata: UnsafeRawBufferPointer) throws(StoreError) {
        precondition(nextRow < rowCount, "more rows than were announced")
        if collector?.collectionID != collectionID {
            try endCollection()
            collector = CollectionCollector(collectionID: collectionID, firstRow: nextRow)
        }
        nextRow += 1
        do throws(FormatError) {
            try collector?.append(metadata)
        } catch {
            throw StoreError(error, path: documentPath)
        }
        uncheckedByteCount += metadata.count
        if uncheckedByteCount >= Self.checkByteCount { checkMemory() }
    }

    /// Seals and syncs the file, after the last row; the folder is the caller's to sync.
    ///
    /// - Parameters:
    ///   - minLSN, maxLSN: lowest and highest LSN of the segment's records.
    /// - Returns: what the manifest needs to know of the file. A segment without metadata gets
    ///   one too: it says that there are no fields, so that nobody looks again.
    package func finish(minLSN: UInt64, maxLSN: UInt64) throws(StoreError)
        -> SealedFileReference
    {
        precondition(nextRow == rowCount, "rows that were announced are missing")
        try endCollection()
        try writer.endSection()
        try writer.addSection(SectionType.columnPaths, paths)
        try writer.addSection(SectionType.columns, columns)
        try writer.addSection(SectionType.columnFields, fields)
        try writer.addSection(SectionType.columnCollections, collections)
        var source = ByteWriter()
        DerivedSource(documents).encode(into: &source)
        try writer.addSection(SectionType.source, source)
        return try writer.finish(rowCount: UInt64(rowCount), minLSN: minLSN, maxLSN: maxLSN)
    }

    /// Closes the file and removes it.
    ///
    /// Harmless after `finish` or an error.
    package func abandon() { writer.abandon() }

    private func checkMemory() {
        uncheckedByteCount = 0
        while let byteCount = collector?.byteCount, byteCount > memoryByteLimit {
            guard collector?.giveUpLargest() == true else { return }
        }
    }

    // MARK: A collection

    private func endCollection() throws(StoreError) {
        guard let collector else { return }
        self.collector = nil
        let rows = collector.rows
        let firstField = fields.count / ColumnField.byteCount
        var hasOtherFields = collector.hasOtherFields
        for field in collector.sortedFields {
            // Offsets of paths have 32 bits.
            guard paths.count + field.path.count <= Int(Int32.max) else {
                hasOtherFields = true
                break
            }
            let firstColumn = columns.count / ColumnEntry.byteCount
            if field.isIndexed { try write(field, rows) }
            ColumnField(
                path: paths.count..<(paths.count + field.path.count),
                columns: firstColumn..<(columns.count / ColumnEntry.byteCount)
            ).encode(into: &fields)
            paths.writeBytes(field.path)
        }
        ColumnCollection(
            collectionID: collector.collectionID,
            rows: rows,
            fields: firstField..<(fields.count / ColumnField.byteCount),
            hasOtherFields: hasOtherFields
        ).encode(into: &collections)
    }

    private func write(_ field: FieldCollector, _ rows: Range<UInt32>) throws(StoreError) {
        try write(field.present, .present, .value, rows)
        try write(field.composites, .composite, .value, rows)
        try write(&field.values, .value, rows)
        try write(&field.elements, .elements, rows)
    }

    private func write(
        _ values: inout ValueCollector,
        _ domain: ColumnEntry.Domain,
        _ rows: Range<UInt32>
    ) throws(StoreError) {
        try write(values.nulls, .null, domain, rows)
        try write(values.falses, .false, domain, rows)
        try write(values.trues, .true, domain, rows)
        values.integers.sort { $0.value != $1.value ? $0.value < $1.value : $0.row < $1.row }
        try write(&values.integers, .integers, domain) { UInt64(bitPattern: $0) }
        values.doubles.sort { $0.value != $1.value ? $0.value < $1.value : $0.row < $1.row }
        try write(&values.doubles, .doubles, domain) { $0.bitPattern }
        try writeStrings(values, domain, rows)
    }

    private func write(
        _ list: RowList,
        _ kind: ColumnEntry.Kind,
        _ domain: ColumnEntry.Domain,
        _ rows: Range<UInt32>
    ) throws(StoreError) {
        guard list.count > 0 else { return }
        var bytes = ByteWriter()
        list.encode(rows, into: &bytes)
        try append(bytes, kind, domain, valueCount: list.count)
    }

    /// Writes a column and its entry.
    private func append(
        _ bytes: ByteWriter,
        _ kind: ColumnEntry.Kind,
        _ domain: ColumnEntry.Domain,
        valueCount: UInt32,
        stringByteCount: Int = 0
    ) throws(StoreError) {
        try step()
        ColumnEntry(
            kind: kind,
            domain: domain,
            valueCount: valueCount,
            stringByteCount: UInt64(stringByteCount),
            offset: writer.offset - valueStart,
            byteCount: UInt64(bytes.count)
        ).encode(into: &columns)
        try writer.append(bytes)
    }

    // MARK: Columns

    /// Writes sorted numbers in leaves, in front of them the least and greatest of each.
    private func write<Value: Equatable>(
        _ numbers: inout [(value: Value, row: UInt32)],
        _ kind: ColumnEntry.Kind,
        _ domain: ColumnEntry.Domain,
        _ bits: (Value) -> UInt64
    ) throws(StoreError) {
        guard !numbers.isEmpty else { return }
        Self.removeRepetitions(&numbers)
        let leafCount = ColumnLeaves.leafCount(numbers.count)
        var bytes = ByteWriter(capacity: leafCount * 16 + numbers.count * 12)
        for leaf in 0..<leafCount {
            let part = ColumnLeaves.entries(ofLeaf: leaf, of: numbers.count)
            bytes.writeUInt64(bits(numbers[part.lowerBound].value))
            bytes.writeUInt64(bits(numbers[part.upperBound - 1].value))
        }
        for leaf in 0..<leafCount {
            let part = ColumnLeaves.entries(ofLeaf: leaf, of: numbers.count)
            for number in numbers[part] { bytes.writeUInt64(bits(number.value)) }
            for number in numbers[part] { bytes.writeUInt32(number.row) }
        }
        try append(bytes, kind, domain, valueCount: UInt32(numbers.count))
    }

    /// An array can hold a number twice: then they stand beside each other.
    private static func removeRepetitions<Value: Equatable>(
        _ numbers: inout [(value: Value, row: UInt32)]
    ) {
        var count = 0
        for index in numbers.indices {
            if count > 0, numbers[count - 1].row == numbers[index].row,
                numbers[count - 1].value == numbers[index].value
            {
                continue
            }
            numbers[count] = numbers[index]
            count += 1
        }
        numbers.removeLast(numbers.count - count)
    }

    private func writeStrings(
        _ values: ValueCollector,
        _ domain: ColumnEntry.Domain,
        _ rows: Range<UInt32>
    ) throws(StoreError) {
        guard values.strings.count > 0 else { return }
        // The rows of each string, in the order of their numbers.
        var starts = [Int](repeating: 0, count: values.strings.count + 1)
        for entry in values.stringRows { starts[Int(entry.number) + 1] += 1 }
        for number in 1..<starts.count { starts[number] += starts[number - 1] }
        var grouped = [UInt32](repeating: 0, count: values.stringRows.count)
        var next = starts
        for entry in values.stringRows {
            grouped[next[Int(entry.number)]] = entry.row
            next[Int(entry.number)] += 1
        }

        var table = ByteWriter(capacity: values.strings.count * 8 + values.strings.byteCount)
        var strings = ByteWriter(capacity: values.strings.byteCount)
        var lists = ByteWriter(capacity: grouped.count)
        var list = RowList(first: rows.lowerBound)
        for number in values.strings.sorted() {
            values.strings.withString(number) { strings.writeBytes($0) }
            list.restart(first: rows.lowerBound)
            for place in starts[number]..<starts[number + 1] { list.append(grouped[place]) }
            list.encode(rows, into: &lists)
            table.writeUInt32(UInt32(strings.count))
            table.writeUInt32(UInt32(lists.count))
        }
        table.writeBytes(strings.bytes)
        table.writeBytes(lists.bytes)
        try append(
            table,
            .strings,
            domain,
            valueCount: UInt32(values.strings.count),
            stringByteCount: strings.count
        )
    }
}
