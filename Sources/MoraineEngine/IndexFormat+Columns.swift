// Columns of metadata as derived files.

package import MoraineFilters
import MoraineFormat
import MoraineSegments
package import MoraineStorage

extension IndexFormat {
    /// Columns, for segments with rows enough; where no row has metadata the file says so.
    package static let columns = IndexFormat(
        kind: .columns,
        isWanted: { segment in segment.rowCount >= ColumnFileWriter.leastRowCount },
        open: { source, reference throws(StoreError) in
            try ColumnFile(
                fileSystem: source.fileSystem,
                root: source.folder,
                segment: source.segment.id,
                storeID: source.storeID,
                reference: reference,
                documents: source.segment.entry.document,
                rowCount: source.segment.files.rowCount
            )
        },
        write: { target throws(StoreError) in
            let source = target.source
            let documents = source.segment.files.documents
            let writer = try ColumnFileWriter(
                fileSystem: source.fileSystem,
                root: source.folder,
                segment: source.segment.id,
                storeID: source.storeID,
                fileID: target.fileID,
                createdLSN: target.createdLSN,
                documents: documents.reference,
                rowCount: documents.rowCount,
                step: target.step
            )
            try documents.forEachRecord(in: 0..<documents.rowCount) {
                row,
                record throws(StoreError) in
                // A few hundred rows take a millisecond.
                if row % 256 == 0 { try target.step() }
                try writer.append(collectionID: record.collectionID, metadata: record.metadata)
                return true
            }
            return try writer.finish(
                minLSN: documents.footer.minLSN,
                maxLSN: documents.footer.maxLSN
            )
        }
    )
}

extension ColumnFile: IndexReader {
    package func verify(
        _ source: IndexSource,
        within limit: ReadLimit?,
        _ report: (Finding) -> Void
    ) {
        verify(within: limit, report)
    }
}
