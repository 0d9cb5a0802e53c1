// All commits that can still be read from log files, whichever of them are left.
// Rules: format-spec/log.md; ARCHITECTURE.md, "Salvage".

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

/// A commit's payload, verified; freed with this object.
final class LogPayload {
    let bytes: UnsafeRawBufferPointer
    let operationCount: UInt32

    init(copying source: UnsafeRawBufferPointer, operationCount: UInt32) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: source.count,
            alignment: 8
        )
        memory.copyMemory(from: source)
        bytes = UnsafeRawBufferPointer(memory)
        self.operationCount = operationCount
    }

    deinit { bytes.deallocate() }
}

/// The commits of the log.
struct LogSource {
    /// Commits above the floor by LSN.
    private(set) var commits: [UInt64: LogPayload] = [:]
    /// Commits at or below the floor, which count only where segments are damaged.
    private(set) var oldCommits: [UInt64: LogPayload] = [:]
    /// Acknowledged commits that cannot be read.
    private(set) var lost: [ClosedRange<UInt64>] = []
    /// The newest commit, or the floor.
    private(set) var lastLSN: UInt64
    private(set) var findings: [Finding] = []
    private(set) var notes: [String] = []

    private let inventory: Inventory
    private let facts: ManifestFacts
    private let floor: UInt64
    private let limit: ReadLimit?
    /// Writers that are named anywhere, other log files included.
    private var incarnations: Set<UInt64> = []
    /// Everything up to here was acknowledged, as far as anything says so.
    private var promise: UInt64 = 0
    /// From this commit on, nobody knows how many are missing.
    private var openEnd: UInt64?

    /// A log file whose records can be told from others.
    private struct Link {
        let found: FoundFile
        let header: LogHeader
        /// Its head verifies: what it says about other files counts.
        let isWhole: Bool
        let holdsRecords: Bool

        /// True when it goes on from `older`, so that what it says of older commits counts.
        ///
        /// A file without a record may never have been used, and its maker may have gone on in
        /// the file before; a later writer appends to no file of an earlier one.
        func succeeds(_ older: Link) -> Bool {
            isWhole && (holdsRecords || header.incarnation != older.header.incarnation)
        }

        /// The newest commit of older files that counts.
        ///
        /// A file that carries commits over was made for all up to its creation. They may stand
        /// only in the older files yet, when the writer did not get to the end of its start.
        var lastTakenOver: UInt64 {
            carries ? header.createdLSN : header.firstNumber &- 1
        }

        var carries: Bool { header.carriedEnd > UInt64(LogHeader.byteCount) }
    }

    /// Reads the log.
    ///
    /// - Parameters:
    ///   - floor: commits up to here are in segments.
    ///   - wantsOld: read those at or below the floor as well, also from files to be recycled.
    ///   - limit: ends it early, without a word.
    init(
        _ inventory: Inventory,
        _ facts: ManifestFacts,
        floor: UInt64,
        wantsOld: Bool,
        within limit: ReadLimit?
    ) {
        self.limit = limit
        self.inventory = inventory
        self.facts = facts
        // Bounded: what a hostile file says is counted on from.
        let floor = min(floor, commitNumbers.upperBound)
        self.floor = floor
        lastLSN = floor
        promise = min(facts.root?.durableLSN ?? 0, commitNumbers.upperBound)
        incarnations = facts.incarnations
        for found in inventory.files(.log) {
            guard let file = try? inventory.open(found) else { continue }
            defer { file.close() }
            if let header = try? head(of: found, file) { incarnations.insert(header.incarnation) }
        }
        var links: [Link] = []
        for found in inventory.files(.log) where isWanted(found) {
            if let link = link(found) { links.append(link) }
        }
        links.sort { ($0.header.epoch, $0.header.fileID) < ($1.header.epoch, $1.header.fileID) }
        for link in links where link.isWhole {
            // Made after everything before its first commit was synced.
            let first = min(link.header.firstNumber, commitNumbers.upperBound)
            promise = max(promise, first > 0 ? first - 1 : 0)
        }
        noteMissing(links)
        for index in links.indices {
            read(links[index], before: links[(index + 1)...])
        }
        if wantsOld {
            for found in inventory.files(.log) {
                guard case .spareLog = found.place else { continue }
                if let link = link(found) { readOld(link) }
            }
        } else {
            oldCommits = [:]
        }
        closeGaps()
    }

    /// With a manifest, only the files that it names, and those of which it cannot know.
    private func isWanted(_ found: FoundFile) -> Bool {
        if case .spareLog = found.place { return false }
        guard let state = facts.state else { return true }
        return state.logs.contains { $0.sequence == found.fileID }
            || found.fileID >= state.nextFileID
    }

    // MARK: Heads

    private func head(of found: FoundFile, _ file: any File) throws(StoreError) -> LogHeader {
        try LogFiles.link(
            file,
            kind: .log,
            storeID: inventory.storeID,
            fileID: found.fileID
        ).header
    }

    /// Reads a file's head; a damaged one is made anew from what others say, if records prove it.
    private mutating func link(_ found: FoundFile) -> Link? {
        guard let file = try? inventory.open(found) else { return nil }
        defer { file.close() }
        do throws(StoreError) {
            let header = try head(of: found, file)
            if let entry = facts.logs[found.fileID], entry.incarnation != header.incarnation {
                throw StoreError(
                    .corrupted,
                    "the log file is of a copy of the store that went on by itself",
                    path: found.name,
                    offset: 72,
                    expected: "incarnation \(hexadecimal(entry.incarnation, count: 16))",
                    found: hexadecimal(header.incarnation, count: 16)
                )
            }
            return Link(
                found: found,
                header: header,
                isWhole: true,
                holdsRecords: Self.holdsRecords(found, file, header)
            )
        } catch {
            if case .spareLog = found.place { return nil }
            findings.append(Finding(error, .structure, file: found.name))
        }
        var epoch: UInt64 = 0
        if case .log(let named, _) = found.place { epoch = named }
        let named = facts.logs[found.fileID].map { [$0.incarnation] }
        for incarnation in named ?? incarnations.sorted() {
            let header = LogHeader(
                kind: .log,
                storeID: inventory.storeID,
                fileID: found.fileID,
                createdLSN: 0,
                epoch: epoch,
                incarnation: incarnation,
                firstNumber: facts.state?.logs.first { $0.sequence == found.fileID }?.firstLSN ?? 1
            )
            if Self.holdsRecords(found, file, header) {
                return Link(found: found, header: header, isWhole: false, holdsRecords: true)
            }
        }
        return nil
    }

    private static func holdsRecords(_ found: FoundFile, _ file: any File, _ header: LogHeader)
        -> Bool
    {
        var reader = LogReader(file: file, header: header, to: found.byteCount)
        if case .record? = try? reader.next() { return true }
        return (try? reader.skipToRecord()) ?? false
    }

    /// Finds log files that the manifest names and that are not there, or hold nothing readable.
    private mutating func noteMissing(_ links: [Link]) {
        guard let state = facts.state else { return noteMissingUnguided(links) }
        for (index, entry) in state.logs.enumerated()
        where !links.contains(where: { $0.header.fileID == entry.sequence }) {
            noteMissing(entry)
            if index == state.logs.count - 1 {
                // A store that was closed says how far its log went.
                if facts.root?.state != .closed { openEnd = max(entry.firstLSN, floor + 1) }
            } else {
                // The commits of the next file prove that those before it were.
                promise = max(promise, state.logs[index + 1].firstLSN &- 1)
            }
        }
    }

    /// Finds that the newest log file of which any edit knows is not there, and no later one is:
    /// then nobody knows how many commits are missing.
    private mutating func noteMissingUnguided(_ links: [Link]) {
        guard let newest = facts.logs.values.max(by: { $0.sequence < $1.sequence }),
            facts.root?.state != .closed
        else { return }
        let isCovered = links.contains { link in
            guard link.header.fileID != newest.sequence else { return true }
            return link.isWhole && link.header.fileID > newest.sequence
                && (link.holdsRecords || link.header.firstNumber > newest.firstLSN)
        }
        guard !isCovered else { return }
        noteMissing(newest)
        openEnd = max(newest.firstLSN, floor + 1)
    }

    private mutating func noteMissing(_ entry: LogEntry) {
        findings.append(
            Finding(
                .missing,
                file: FileNames.log(epoch: entry.epoch, sequence: entry.sequence),
                offset: 0,
                expected: "a log file with commits from \(entry.firstLSN) on",
                found: "no readable file"
            )
        )
    }

    // MARK: Records

    private mutating func read(_ link: Link, before later: ArraySlice<Link>) {
        var end = link.found.byteCount
        // A later writer's file goes on from what it took over: what else an earlier file holds
        // behind that is void, unless it was promised.
        var last = UInt64.max
        for next in later where next.succeeds(link) {
            last = min(last, next.lastTakenOver)
            if next.header.predecessor == link.header.fileID, !next.carries {
                end = min(end, next.header.predecessorEnd)
            }
        }
        var found: [UInt64: LogPayload] = [:]
        let promised = readRecords(link, to: end) { found[$0] = $1 }
        promise = max(promise, promised)
        for (lsn, payload) in found {
            if lsn > last, lsn > promised { continue }
            if lsn > floor { commits[lsn] = payload } else { oldCommits[lsn] = payload }
        }
    }

    private mutating func readOld(_ link: Link) {
        var found: [UInt64: LogPayload] = [:]
        let promised = readRecords(link, to: link.found.byteCount) { found[$0] = $1 }
        for (lsn, payload) in found where lsn <= floor && lsn <= promised {
            oldCommits[lsn] = payload
        }
    }

    /// Reads every commit of a file that verifies, and returns the highest promise in it.
    private mutating func readRecords(
        _ link: Link,
        to end: UInt64,
        _ take: (UInt64, LogPayload) -> Void
    ) -> UInt64 {
        guard let file = try? inventory.open(link.found) else { return 0 }
        defer { file.close() }
        var reader = LogReader(file: file, header: link.header, to: min(end, link.found.byteCount))
        var parts = PartAssembler()
        var promised: UInt64 = 0
        do throws(StoreError) {
            loop: while limit?.isOver != true {
                switch try reader.next() {
                case .end: break loop
                case .invalid(let reason):
                    parts = PartAssembler()
                    let at = reader.position
                    guard try reader.skipToRecord() else { break loop }
                    findings.append(
                        Finding(
                            .checksum,
                            file: link.found.name,
                            offset: at,
                            expected: "a record",
                            found: reason.found
                        )
                    )
                case .record(let record, let payload, let offset):
                    guard commitNumbers.contains(max(record.number, record.promised)) else {
                        parts = PartAssembler()
                        continue
                    }
                    promised = max(promised, record.promised)
                    switch record.kind {
                    case .commit:
                        parts = PartAssembler()
                        take(
                            record.number,
                            LogPayload(copying: payload, operationCount: record.operationCount)
                        )
                    case .part:
                        switch parts.add(record, payload, at: offset) {
                        case .incomplete: break
                        case .refused: parts = PartAssembler()
                        case .complete:
                            try parts.withPayload { bytes in
                                take(
                                    record.number,
                                    LogPayload(
                                        copying: bytes,
                                        operationCount: record.operationCount
                                    )
                                )
                            }
                            parts = PartAssembler()
                        }
                    case .marker, .edit: parts = PartAssembler()
                    }
                }
            }
        } catch {
            findings.append(Finding(error, .unreadable, file: link.found.name))
        }
        return promised
    }

    // MARK: Gaps

    /// Finds the acknowledged commits that are missing, and cuts a tail that nobody promised.
    private mutating func closeGaps() {
        let numbers = commits.keys.sorted()
        var expected = floor + 1
        for number in numbers {
            if number > expected {
                guard expected <= promise else {
                    cut(from: expected)
                    break
                }
                // A gap that was promised in part is lost up to the promise; what lies behind it
                // was never acknowledged.
                lost.append(expected...min(number - 1, promise))
                if number - 1 > promise {
                    cut(from: promise + 1)
                    expected = promise + 1
                    break
                }
            }
            expected = number + 1
        }
        if let openEnd, openEnd >= expected {
            lost.append(expected...UInt64.max)
        } else if expected <= promise {
            lost.append(expected...promise)
        }
        lastLSN = max(floor, commits.keys.max() ?? 0)
    }

    private mutating func cut(from number: UInt64) {
        let count = commits.keys.filter { $0 >= number }.count
        commits = commits.filter { $0.key < number }
        notes.append(
            "the log ends before commit \(number), which was never acknowledged; \(count) later "
                + "commits in the same torn end are void"
        )
    }
}
