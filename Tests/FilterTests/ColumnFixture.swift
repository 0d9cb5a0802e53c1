// Small files of columns in memory.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

@testable import MoraineFilters

/// A store's folder in memory with files of columns in it.
struct ColumnFixture {
    let files = SimulatedFileSystem()
    let storeID = StoreID(low: 0x0123_4567_89AB_CDEF, high: 0xFEDC_BA98_7654_3210)
    let documents = SealedFileReference(fileID: 7, byteCount: 1000, footerChecksum: 0xABCD_EF01)
    let root = "store"
    let path = FileNames.path("store", FileNames.derived(.columns, 7, fileID: 70))

    init() throws {
        try files.createDirectory("store")
        try files.createDirectory("store/seg")
    }

    func writer(rowCount: Int, memoryByteLimit: Int = ColumnFileWriter.memoryByteLimit)
        throws(StoreError) -> ColumnFileWriter
    {
        if files.contents(of: path) != nil { _ = files.removeForTest(path) }
        return try ColumnFileWriter(
            fileSystem: files,
            root: root,
            segment: 7,
            storeID: storeID,
            fileID: 70,
            createdLSN: 5,
            documents: documents,
            rowCount: UInt32(rowCount),
            memoryByteLimit: memoryByteLimit
        )
    }

    /// Writes rows that are sorted by collection.
    func write(
        _ rows: [(collection: UInt32, metadata: [UInt8])],
        memoryByteLimit: Int = ColumnFileWriter.memoryByteLimit
    ) throws(StoreError) -> SealedFileReference? {
        let writer = try writer(rowCount: rows.count, memoryByteLimit: memoryByteLimit)
        for row in rows { try append(row.metadata, of: row.collection, to: writer) }
        return try writer.finish(minLSN: 1, maxLSN: 5)
    }

    func append(_ metadata: [UInt8], of collection: UInt32, to writer: ColumnFileWriter)
        throws(StoreError)
    {
        try metadata.withUnsafeBufferPointer { buffer throws(StoreError) in
            try writer.append(collectionID: collection, metadata: UnsafeRawBufferPointer(buffer))
        }
    }

    func open(
        _ reference: SealedFileReference,
        rowCount: Int,
        documents: SealedFileReference? = nil
    ) throws(StoreError) -> ColumnFile {
        try ColumnFile(
            fileSystem: files,
            root: root,
            segment: 7,
            storeID: storeID,
            reference: reference,
            documents: documents ?? self.documents,
            rowCount: UInt32(rowCount)
        )
    }

    /// Writes any sections with right checksums, as an attacker could.
    func forge(_ sections: [(type: UInt32, bytes: [UInt8])], rowCount: Int)
        throws(StoreError) -> SealedFileReference
    {
        if files.contents(of: path) != nil { _ = files.removeForTest(path) }
        let writer = try SealedFileWriter(
            fileSystem: files,
            root: root,
            name: FileNames.derived(.columns, 7, fileID: 70),
            kind: .columns,
            storeID: storeID,
            fileID: 70,
            createdLSN: 5
        )
        for section in sections {
            try writer.beginSection(section.type)
            try writer.append(section.bytes)
            try writer.endSection()
        }
        return try writer.finish(rowCount: UInt64(rowCount), minLSN: 1, maxLSN: 5)
    }
}

/// The rows of a set, as many as it says.
func found(_ set: RowSet) -> [UInt32] {
    var rows: [UInt32] = []
    set.forEach { rows.append($0) }
    return rows
}

/// The code of the error that `body` throws.
func code(_ body: () throws -> Void) -> StoreError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? StoreError)?.code
    }
}
