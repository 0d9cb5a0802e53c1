// Reads the files of the store again and again, slowly, and says what no longer is as it was
// written: damage that nobody touches is found before it is needed. It changes nothing.

import MoraineFiles
import MoraineFormat
import MoraineSegments
package import MoraineStorage
import MoraineVectors
import Synchronization

/// How far the scrubber is and what it found.
package struct ScrubStatistics: Sendable, Equatable {
    package var isPaused = false
    /// Bytes checked since the store was opened.
    package var byteCount: UInt64 = 0
    /// Bytes checked in this pass, and those of the segments that it goes over.
    package var passByteCount: UInt64 = 0
    package var passTotalByteCount: UInt64 = 0
    /// Passes that came to their end.
    package var passCount: UInt64 = 0
    /// When the last pass ended, in milliseconds since 1970.
    package var lastPassMilliseconds: Int64?
    /// What is wrong with files that the store has, each place once, at most 1,000.
    package var findings: [Finding] = []
}

/// Checks the sealed files of an engine's newest version, segment by segment, file by file.
///
/// Between steps it holds neither version nor file, only its place.
final class Scrubber: Sendable {
    private enum Part { case documents, keys, vectors, derived(Int), deletions }

    private struct Work {
        var isInPass = false
        /// The last segment of the pass: those that come later are for the next.
        var lastSegment: UInt64 = 0
        var segment: UInt64 = 0
        var part = Part.documents
        var place = VerifyPlace()
    }

    /// Findings that are kept; a file that is damaged all over would fill the memory.
    private static let findingLimit = 1_000
    /// The pause after opening, so that a short-lived process reads nothing for this.
    static let firstPauseMilliseconds: UInt64 = 60_000
    /// The pause between passes.
    static let restMilliseconds: UInt64 = 86_400_000
    /// Bytes of a step that runs in the background: short, so that other stores have their turn.
    private static let stepByteCount = 1 << 20

    private let options: EngineOptions
    private let folder: String
    private let storeID: StoreID
    /// Held over a step's reads: one step at a time.
    private let work = Mutex(Work())
    private let results = Mutex(ScrubStatistics())
    /// Steady nanoseconds before which the next step in the background is not due.
    private let due: Atomic<UInt64>

    init(options: EngineOptions, folder: String, storeID: StoreID) {
        self.options = options
        self.folder = folder
        self.storeID = storeID
        due = Atomic(
            options.clock.steadyNanoseconds() + Scrubber.firstPauseMilliseconds * 1_000_000
        )
    }

    var statistics: ScrubStatistics { results.withLock { $0 } }

    /// Stops or lets go on; a step that is under way ends first.
    func setPaused(_ isPaused: Bool) { results.withLock { $0.isPaused = isPaused } }

    /// True when it runs by itself.
    private var isOn: Bool {
        options.scrubBytesPerSecond > 0 && !results.withLock { $0.isPaused }
    }

    /// Milliseconds until a step is due; `nil` when it is off.
    var millisecondsToStep: UInt64? {
        guard isOn else { return nil }
        let now = options.clock.steadyNanoseconds()
        let due = due.load(ordering: .relaxed)
        return now < due ? (due - now) / 1_000_000 + 1 : 0
    }

    /// Does a step if one is due; returns the milliseconds to the next, `nil` when it is off.
    func tick(_ engine: Engine) -> UInt64? {
        guard let rest = millisecondsToStep, let version = engine.current.withLock({ $0 }) else {
            return nil
        }
        if rest > 0 { return rest }
        let now = options.clock.steadyNanoseconds()
        let rate = options.scrubBytesPerSecond
        let (count, isOver) = step(
            byteCount: min(Scrubber.stepByteCount, max(rate / 8, 1)),
            version: version,
            deletions: { engine.deletions(of: $0) }
        )
        let pause =
            isOver ? Scrubber.restMilliseconds : max(1, UInt64(count) * 1_000 / UInt64(rate))
        due.store(now + pause * 1_000_000, ordering: .relaxed)
        return pause
    }

    /// Checks about so many bytes.
    ///
    /// - Returns: the bytes read, and whether the pass has come to its end.
    func step(
        byteCount: Int,
        version: Version,
        deletions: (UInt64) -> DeletionsEntry?
    ) -> (byteCount: Int, isOver: Bool) {
        work.withLock { work in
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: SectionEntry.chunkByteCount,
                alignment: 64
            )
            defer { buffer.deallocate() }
            if !work.isInPass { begin(&work, version) }
            var done = 0
            while done < byteCount {
                guard let view = next(&work, version) else {
                    end(&work)
                    return (done, true)
                }
                done += portion(&work, view, deletions, buffer)
            }
            return (done, false)
        }
    }

    // MARK: Passes

    private func begin(_ work: inout Work, _ version: Version) {
        work = Work()
        work.isInPass = true
        work.lastSegment = version.segments.map(\.segment.id).max() ?? 0
        let total = version.segments.reduce(0) {
            $0 + $1.segment.byteCount + $1.indexes.byteCount
        }
        let live = Set(version.segments.map(\.segment.id))
        results.withLock { results in
            results.passByteCount = 0
            results.passTotalByteCount = total
            // What was wrong with files that are gone is nobody's trouble any more, and what could
            // not be read may be readable again.
            results.findings.removeAll { finding in
                finding.kind == .unreadable
                    || Self.segment(of: finding.file).map { !live.contains($0) } ?? false
            }
        }
    }

    private func end(_ work: inout Work) {
        work.isInPass = false
        let now = options.clock.wallMilliseconds()
        results.withLock { results in
            results.passCount += 1
            results.lastPassMilliseconds = now
        }
    }

    private static func segment(of file: String) -> UInt64? {
        switch FileNames.parse(file) {
        case .document(let id)?, .vector(let id)?: id
        case .key(let id, _)?, .deletions(let id, _)?, .derived(_, let id, _)?: id
        default: nil
        }
    }

    /// The segment of the place, or the next one where that is gone; `nil` at the pass's end.
    private func next(_ work: inout Work, _ version: Version) -> SegmentView? {
        let views = version.segments.filter {
            $0.segment.id >= work.segment && $0.segment.id <= work.lastSegment
        }
        guard let view = views.min(by: { $0.segment.id < $1.segment.id }) else { return nil }
        if view.segment.id != work.segment {
            work.segment = view.segment.id
            work.part = .documents
            work.place = VerifyPlace()
        }
        return view
    }

    // MARK: Portions

    /// Checks the next portion of the segment and moves the place; returns the bytes read.
    private func portion(
        _ work: inout Work,
        _ view: SegmentView,
        _ deletions: (UInt64) -> DeletionsEntry?,
        _ buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        let segment = view.segment
        let count: Int?
        switch work.part {
        case .documents:
            count = segment.files.documents.verifyPortion(&work.place, buffer, report)
            if count == nil { work.part = .keys }
        case .keys:
            count = segment.files.keys.verifyPortion(&work.place, buffer, report)
            if count == nil { work.part = .vectors }
        case .vectors:
            count = segment.vectors?.verifyPortion(&work.place, buffer, report)
            if count == nil { work.part = .derived(0) }
        case .derived(let number):
            // A file that takes another's place between two steps ends its check or begins in its
            // middle: the next pass sees it whole.
            let files = view.indexes.all
            if number < files.count {
                count = files[number].reader.verifyPortion(&work.place, buffer, report)
                if count == nil { work.part = .derived(number + 1) }
            } else {
                count = nil
                work.part = .deletions
            }
        case .deletions:
            count = checkDeletions(of: segment, deletions)
            work.segment = segment.id + 1
            work.part = .documents
            work.place = VerifyPlace()
        }
        guard let count else {
            work.place = VerifyPlace()
            return 0
        }
        results.withLock { results in
            results.byteCount += UInt64(count)
            results.passByteCount += UInt64(count)
        }
        return count
    }

    /// Checks the deletion file whole: it is small, and a newer one may take its place at any
    /// time, which must not look like damage.
    private func checkDeletions(of segment: Segment, _ deletions: (UInt64) -> DeletionsEntry?)
        -> Int
    {
        guard let entry = deletions(segment.id) else { return 0 }
        var found: [Finding] = []
        DeletionFile.verify(
            fileSystem: options.fileSystem,
            root: folder,
            segmentID: segment.id,
            storeID: storeID,
            reference: entry.file,
            rowCount: segment.files.rowCount
        ) { found.append($0) }
        if !found.isEmpty, deletions(segment.id) == entry {
            for finding in found { report(finding) }
        }
        return Int(clamping: entry.file.byteCount)
    }

    private func report(_ finding: Finding) {
        results.withLock { results in
            guard results.findings.count < Self.findingLimit,
                !results.findings.contains(where: {
                    $0.file == finding.file && $0.offset == finding.offset
                        && $0.kind == finding.kind
                })
            else { return }
            results.findings.append(finding)
        }
    }
}

extension Engine {
    /// Checks about so many bytes of the store's files where the scrubber stands; changes nothing.
    ///
    /// - Returns: true when a pass has come to its end.
    /// - Throws: `closed`.
    @discardableResult
    package func scrubStep(byteCount: Int) throws(StoreError) -> Bool {
        let version = try version()
        return scrubber.step(byteCount: byteCount, version: version) { deletions(of: $0) }.isOver
    }

    /// Stops the scrubber or lets it go on.
    package func setScrubPaused(_ isPaused: Bool) {
        scrubber.setPaused(isPaused)
        if !isPaused { scheduleMaintenance() }
    }

    /// The deletion file of a segment as the manifest has it; a reader does not know.
    func deletions(of segmentID: UInt64) -> DeletionsEntry? {
        guard writer != nil else { return nil }
        return withWriter { $0.state.deletions[segmentID] }
    }
}
