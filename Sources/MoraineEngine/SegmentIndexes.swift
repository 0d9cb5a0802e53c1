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
    /// In the order of their kinds, which is that of their removal too: the same history of a store
    /// removes files in the same order.
    package private(set) var all: [DerivedFile] = []

    package init() {}

    package subscript(kind: DerivedKind) -> DerivedFile? {
        get { all.first { $0.entry.kindNumber == kind.rawValue } }
        set {
            all.removeAll { $0.entry.kindNumber == kind.rawValue }
            guard let newValue else { return }
            let place = all.firstIndex { $0.entry.kindNumber > kind.rawValue }
            all.insert(newValue, at: place ?? all.count)
        }
    }

    package var codes: CodeFile? { self[.codes]?.reader as? CodeFile }
    package var columns: ColumnFile? { self[.columns]?.reader as? ColumnFile }

    /// `nil` while they are not there.
    package var graph: GraphFile? { self[.graph]?.reader as? GraphFile }

    package var byteCount: UInt64 { all.reduce(0) { $0 + $1.byteCount } }

    /// Has the files removed when the last version that has them goes.
    func retire(_ reaper: FileReaper) { for file in all { file.retire(reaper) } }
}
