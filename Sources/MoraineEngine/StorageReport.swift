// What a version is made of, by collection and by segment.

package import MoraineFormat
import MoraineSegments
import MoraineVectors

/// One segment of a version.
package struct SegmentReport: Sendable {
    package let entry: SegmentEntry
    package let deadRowCount: Int
    /// Documents before and after compression.
    package let rawByteCount: UInt64
    package let storedByteCount: UInt64
    package let vectorCount: Int
    /// Numbers of vectors, without padding.
    package let vectorByteCount: UInt64

    package var liveShare: Double {
        entry.rowCount == 0 ? 0 : 1 - Double(deadRowCount) / Double(entry.rowCount)
    }

    /// Bytes of documents and vectors, uncompressed, that are live; dead rows count as average.
    package var liveByteCount: UInt64 {
        UInt64(Double(rawByteCount + vectorByteCount) * liveShare)
    }

    /// Bytes of its files, without deletions.
    package var fileByteCount: UInt64 {
        entry.document.byteCount + entry.key.byteCount + (entry.vector?.byteCount ?? 0)
    }
}

/// One collection of a version.
package struct CollectionReport: Sendable {
    package let shape: CollectionShape
    package var documentCount = 0
    /// Rows of segments, dead ones included.
    package var rowCount = 0
    package var deadRowCount = 0
    package var segmentCount = 0
    /// Documents that are in memory and the log only.
    package var memoryRowCount = 0
    /// Their bytes.
    package var memoryByteCount: UInt64 = 0
    /// Documents in segments before and after compression, dead ones included.
    package var rawByteCount: UInt64 = 0
    package var storedByteCount: UInt64 = 0
    package var vectorCount = 0
    /// Numbers of vectors in segments, without padding.
    package var vectorByteCount: UInt64 = 0
}

extension Version {
    /// Every segment, oldest first.
    package func segmentReports() -> [SegmentReport] {
        segments.map { view in
            let files = view.segment.files
            let bytes = files.documents.byteCounts(of: 0..<files.rowCount)
            var vectorCount = 0
            var vectorByteCount: UInt64 = 0
            for collection in files.collections {
                guard let space = view.segment.vectors?.space(ofCollection: collection.shape.id)
                else { continue }
                vectorCount += space.vectorCount
                vectorByteCount += UInt64(space.vectorCount * space.dimensions * 4)
            }
            return SegmentReport(
                entry: view.segment.entry,
                deadRowCount: view.dead.count,
                rawByteCount: bytes.raw,
                storedByteCount: bytes.stored,
                vectorCount: vectorCount,
                vectorByteCount: vectorByteCount
            )
        }
    }

    /// Every collection, by the bytes of its name.
    package func collectionReports() -> [CollectionReport] {
        collections.map { shape in
            var report = CollectionReport(shape: shape)
            for memtable in memtables {
                memtable.forEachRow(collectionID: shape.id) { _, row in
                    guard row.pointee.isLive(at: lsn) else { return }
                    report.memoryRowCount += 1
                    let vector = row.pointee.vector == nil ? 0 : shape.dimensions * 4
                    report.memoryByteCount += UInt64(
                        row.pointee.id.count + row.pointee.body.count + vector
                    )
                }
            }
            for view in segments { add(view, to: &report) }
            report.documentCount =
                report.memoryRowCount + report.rowCount - report.deadRowCount
            return report
        }
    }

    private func add(_ view: SegmentView, to report: inout CollectionReport) {
        let rows = view.segment.files.rows(of: report.shape.id)
        guard !rows.isEmpty else { return }
        report.segmentCount += 1
        report.rowCount += rows.count
        report.deadRowCount += view.dead.count(in: rows)
        let bytes = view.segment.files.documents.byteCounts(of: rows)
        report.rawByteCount += bytes.raw
        report.storedByteCount += bytes.stored
        if let space = view.segment.vectors?.space(ofCollection: report.shape.id) {
            report.vectorCount += space.vectorCount
            report.vectorByteCount += UInt64(space.vectorCount * space.dimensions * 4)
        }
    }
}
