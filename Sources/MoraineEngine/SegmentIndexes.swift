// The derived files of a segment as a version has them: what makes searches quicker and may be
// missing at any time. They belong to the version, so that the same version answers the same way.

import MoraineFiles
package import MoraineFilters
package import MoraineFormat
import MoraineStorage
package import MoraineVectors
import Synchronization

/// A derived file, open for reading.
///
/// Any thread.
package final class DerivedFile: Sendable {
    package let entry: DerivedEntry
    /// What knows its bytes.
    package let reader: any IndexReader
    private let name: String
    /// Kept, so that the segment's own files go after this one.
    private let segment: Segment
    /// Set once the file is no longer part of the store.
    private let reaper = Mutex<FileReaper?>(nil)

    init(
        _ kind: DerivedKind,
        _ file: SealedFileReference,
        of segment: Segment,
        reader: any IndexReader
    ) {
        entry = DerivedEntry(segmentID: segment.id, kindNumber: kind.rawValue, file: file)
        name = FileNames.derived(kind, segment.id, fileID: file.fileID)
        self.segment = segment
        self.reader = reader
    }

    package var byteCount: UInt64 { entry.file.byteCount }

    /// Has the file removed when the last version that has it goes.
    func retire(_ reaper: FileReaper) { self.reaper.withLock { $0 = reaper } }

    deinit { reaper.withLock { $0 }?.add([name]) }
}

/// The derived files of a segment, one of a kind at most.
package struct SegmentIndexes: Sendable {
    private var files: [DerivedKind: DerivedFile] = [:]

    package init() {}

    package subscript(kind: DerivedKind) -> DerivedFile? {
        get { files[kind] }
        set { files[kind] = newValue }
    }

    package var codes: CodeFile? { files[.codes]?.reader as? CodeFile }
    package var columns: ColumnFile? { files[.columns]?.reader as? ColumnFile }

    /// `nil` while they are not there.
    package var graph: GraphFile? { files[.graph]?.reader as? GraphFile }

    /// In the order of their kinds.
    package var all: [DerivedFile] { DerivedKind.allCases.compactMap { files[$0] } }

    package var byteCount: UInt64 { files.values.reduce(0) { $0 + $1.byteCount } }

    /// Has the files removed when the last version that has them goes.
    func retire(_ reaper: FileReaper) { for file in files.values { file.retire(reaper) } }
}
