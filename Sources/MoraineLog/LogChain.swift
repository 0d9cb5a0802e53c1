// Reads a chain of log files as one, and tells a torn tail from damage.
// Bytes and rules: format-spec/log.md, "The chain" and "Torn tail or damage".

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The files of a log, in order, and what is known about them from elsewhere.
package struct LogChain {
    /// One file, opened, with its header read.
    package struct Link {
        package let file: any File
        package let header: LogHeader
        package let byteCount: UInt64

        package init(file: any File, header: LogHeader, byteCount: UInt64) {
            self.file = file
            self.header = header
            self.byteCount = byteCount
        }
    }

    package let links: [Link]
    /// Commits up to here are in segments: they are checked, and not handed out.
    package let floor: UInt64
    /// Everything up to here was acknowledged, as ROOT says.
    package let promise: UInt64
    /// Where the last file must end, when the store was closed cleanly.
    package let exactEnd: UInt64?
    /// Commit kind, or edit kind for a manifest.
    package let kind: LogRecord.Kind

    package init(
        links: [Link],
        kind: LogRecord.Kind,
        floor: UInt64,
        promise: UInt64,
        exactEnd: UInt64?
    ) {
        self.links = links
        self.kind = kind
        self.floor = floor
        self.promise = promise
        self.exactEnd = exactEnd
    }

    /// One whole commit or edit.
    package struct Entry {
        package let number: UInt64
        package let operationCount: UInt32
        /// Borrowed until the visitor returns.
        package let payload: UnsafeRawBufferPointer
        package let path: String
        package let linkIndex: Int
        /// Where its first record starts.
        package let offset: UInt64
        /// Where in the file the payload's bytes start, for errors; of the first part.
        package var payloadOffset: UInt64 { offset + UInt64(LogRecord.headerByteCount) }
    }

    /// What reading found.
    package struct Outcome {
        /// The last commit or edit that verified.
        package var lastNumber: UInt64
        /// The highest promise seen anywhere.
        package var promise: UInt64
        /// Where the records of the last file end.
        package var end: UInt64
        /// A tail that was never acknowledged, when there is one.
        package var torn: StoreError?
        /// For each link, the offset behind its last commit, markers after it not counted: a
        /// marker is never synced for its own sake.
        package var linkEnds: [UInt64]
        /// For each link, the last number in it.
        package var linkNumbers: [UInt64]
    }

    /// Reads everything, calling `visit` for each commit above the floor, at most `limit`.
    ///
    /// - Throws: `corrupted` when an acknowledged record is damaged; what `visit` throws.
    package func read(
        upTo limit: UInt64 = .max,
        _ visit: (Entry) throws(StoreError) -> Void
    ) throws(StoreError) -> Outcome {
        var state = ChainState(chain: self, limit: limit)
        for index in links.indices {
            if index < firstIndex {
                state.skip(index)
            } else {
                try state.read(index, isFirst: index == firstIndex, visit)
            }
        }
        return try state.finish()
    }
}

extension LogChain {
    /// The first file that is read: files before one that does not continue its predecessor hold
    /// nothing above the floor.
    fileprivate var firstIndex: Int {
        var first = 0
        for index in links.indices.dropFirst()
        where links[index].header.predecessor != links[index - 1].header.fileID
            && links[index].header.firstNumber &- 1 <= floor
        {
            first = index
        }
        return first
    }
}

/// Where reading a chain stands.
private struct ChainState {
    let chain: LogChain
    let limit: UInt64
    var outcome: LogChain.Outcome
    /// The number that the next commit must have.
    var expected: UInt64
    /// The highest promise of a record.
    var recordPromise: UInt64 = 0

    init(chain: LogChain, limit: UInt64) {
        self.chain = chain
        self.limit = limit
        expected = chain.floor &+ 1
        outcome = LogChain.Outcome(
            lastNumber: expected &- 1,
            promise: chain.promise,
            end: UInt64(LogHeader.byteCount),
            torn: nil,
            linkEnds: [],
            linkNumbers: []
        )
    }

    /// Passes over a file that holds nothing above the floor.
    mutating func skip(_ index: Int) {
        outcome.linkEnds.append(UInt64(LogHeader.byteCount))
        outcome.linkNumbers.append(chain.floor)
    }

    mutating func read(
        _ index: Int,
        isFirst: Bool,
        _ visit: (LogChain.Entry) throws(StoreError) -> Void
    ) throws(StoreError) {
        let link = chain.links[index]
        try enter(index, isFirst: isFirst)
        let successor = index + 1 < chain.links.count ? chain.links[index + 1].header : nil
        let end = try end(of: link, successor: successor)
        var reader = LogReader(file: link.file, header: link.header, to: end)
        var parts = PartAssembler()
        var validEnd = reader.position
        var commitEnd = reader.position
        loop: while true {
            switch try reader.next() {
            case .end:
                if parts.isOpen || (validEnd < end && successor != nil) {
                    try stop(&reader, at: validEnd, isLast: successor == nil, reason: nil)
                }
                break loop
            case .invalid(let reason):
                // Its checksum is right: no torn tail, and not for this code to cut.
                if reason.kind == .newer { throw StoreError(reason, path: link.file.path, base: 0) }
                try stop(&reader, at: validEnd, isLast: successor == nil, reason: reason)
                break loop
            case .record(let record, let payload, let offset):
                recordPromise = max(recordPromise, record.promised)
                let accepted = try accept(
                    record,
                    payload,
                    at: offset,
                    in: index,
                    parts: &parts,
                    visit
                )
                guard accepted else {
                    let reason = FormatError(
                        .mismatch,
                        at: offset,
                        field: "record number",
                        expected: "\(expected)",
                        found: "\(record.kind) \(record.number)"
                    )
                    try stop(&reader, at: validEnd, isLast: successor == nil, reason: reason)
                    break loop
                }
                if !parts.isOpen {
                    validEnd = reader.position
                    if record.kind != .marker { commitEnd = reader.position }
                }
            }
        }
        outcome.end = validEnd
        outcome.linkEnds.append(commitEnd)
        outcome.linkNumbers.append(outcome.lastNumber)
    }

    /// Checks that a file follows the one before it, or that the floor covers what lies between.
    private mutating func enter(_ index: Int, isFirst: Bool) throws(StoreError) {
        let header = chain.links[index].header
        if !isFirst {
            let before = chain.links[index - 1].header
            guard header.predecessor == before.fileID else {
                throw damage(
                    link: index,
                    at: 80,
                    field: "predecessor",
                    expected: "\(before.fileID)",
                    found: "\(header.predecessor)"
                )
            }
        }
        let isCovered = header.firstNumber &- 1 <= chain.floor
        let isNext = !isFirst && header.firstNumber == expected
        let isGap = isFirst || header.firstNumber > expected
        guard header.firstNumber >= 1, isNext || (isGap && isCovered) else {
            throw damage(
                link: index,
                at: 96,
                field: "firstNumber",
                expected: "\(expected)",
                found: "\(header.firstNumber)"
            )
        }
        expected = header.firstNumber
        outcome.lastNumber = expected &- 1
    }

    private func end(of link: LogChain.Link, successor: LogHeader?) throws(StoreError) -> UInt64 {
        var wanted: UInt64?
        if let successor {
            if successor.predecessor == link.header.fileID { wanted = successor.predecessorEnd }
        } else {
            wanted = chain.exactEnd
        }
        guard let wanted else { return link.byteCount }
        let enough = successor == nil ? link.byteCount == wanted : link.byteCount >= wanted
        guard enough, wanted >= UInt64(LogHeader.byteCount) else {
            throw StoreError(
                .corrupted,
                "the log file has not the length that it must have",
                path: link.file.path,
                offset: link.byteCount,
                expected: "\(wanted) bytes",
                found: "\(link.byteCount) bytes"
            )
        }
        return wanted
    }

    /// Takes one record; false when it cannot stand here.
    private mutating func accept(
        _ record: LogRecord,
        _ payload: UnsafeRawBufferPointer,
        at offset: UInt64,
        in index: Int,
        parts: inout PartAssembler,
        _ visit: (LogChain.Entry) throws(StoreError) -> Void
    ) throws(StoreError) -> Bool {
        switch record.kind {
        case .marker:
            return !parts.isOpen && record.number == expected &- 1 && payload.isEmpty
                && record.operationCount == 0
        case .part:
            guard record.number == expected else { return false }
            switch parts.add(record, payload, at: offset) {
            case .refused: return false
            case .incomplete: return true
            case .complete(let start):
                try parts.withPayload { bytes throws(StoreError) in
                    try hand(record, bytes, start: start, index: index, visit)
                }
                parts = PartAssembler()
                return true
            }
        case .commit, .edit:
            guard record.kind == chain.kind, !parts.isOpen, record.number == expected else {
                return false
            }
            try hand(record, payload, start: offset, index: index, visit)
            return true
        }
    }

    private mutating func hand(
        _ record: LogRecord,
        _ payload: UnsafeRawBufferPointer,
        start: UInt64,
        index: Int,
        _ visit: (LogChain.Entry) throws(StoreError) -> Void
    ) throws(StoreError) {
        if record.number > chain.floor, record.number <= limit {
            try visit(
                LogChain.Entry(
                    number: record.number,
                    operationCount: record.operationCount,
                    payload: payload,
                    path: chain.links[index].file.path,
                    linkIndex: index,
                    offset: start
                )
            )
        }
        outcome.lastNumber = record.number
        expected = record.number &+ 1
    }

    /// Tells a torn tail from damage where reading met bytes that do not continue the log.
    private mutating func stop(
        _ reader: inout LogReader,
        at offset: UInt64,
        isLast: Bool,
        reason: FormatError?
    ) throws(StoreError) {
        let beyond = try reader.promiseBeyond()
        recordPromise = max(recordPromise, beyond)
        let found = reason.map { "\($0.field): \($0.found)" } ?? "the end of the file"
        let mustBeWhole = !isLast || chain.exactEnd != nil
        if isPromised || mustBeWhole {
            throw StoreError(
                .corrupted,
                "an acknowledged record of the log is damaged",
                path: reader.file.path,
                offset: offset,
                expected: "record \(expected)",
                found: found
            )
        }
        if try reader.hasBytes(from: offset) {
            outcome.torn = StoreError(
                .corrupted,
                "an unacknowledged tail of the log was cut",
                path: reader.file.path,
                offset: offset,
                expected: "record \(expected)",
                found: found
            )
        }
    }

    /// True when the next commit was acknowledged.
    ///
    /// What ROOT promises may be in segments only, without ever having been in the log; what a
    /// record promises was in the log.
    private var isPromised: Bool {
        expected <= recordPromise || max(expected, chain.floor &+ 1) <= chain.promise
    }

    /// The end of the chain: nothing that was acknowledged may be missing.
    mutating func finish() throws(StoreError) -> LogChain.Outcome {
        outcome.promise = max(chain.promise, recordPromise)
        guard !isPromised else {
            throw StoreError(
                .corrupted,
                "the log ends before a commit that was acknowledged",
                path: chain.links.last?.file.path,
                offset: outcome.end,
                expected: "record \(outcome.promise)",
                found: "record \(outcome.lastNumber)"
            )
        }
        return outcome
    }

    private func damage(
        link: Int,
        at offset: UInt64,
        field: String,
        expected: String,
        found: String
    ) -> StoreError {
        StoreError(
            .corrupted,
            "\(field) of the log file does not continue the file before it",
            path: chain.links[link].file.path,
            offset: offset,
            expected: expected,
            found: found
        )
    }
}

/// Joins the parts of a commit.
package struct PartAssembler {
    package enum Result {
        case refused
        case incomplete
        case complete(start: UInt64)
    }

    private var bytes: [UInt8] = []
    private var next: UInt32 = 0
    private var count: UInt32 = 0
    private var operationCount: UInt32 = 0
    private var start: UInt64 = 0

    package init() {}

    /// True while a commit has begun and is not complete.
    package var isOpen: Bool { next > 0 }

    /// Adds the next part.
    package mutating func add(
        _ record: LogRecord,
        _ payload: UnsafeRawBufferPointer,
        at offset: UInt64
    )
        -> Result
    {
        guard payload.count >= 8 else { return .refused }
        let index = UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self))
        let total = UInt32(
            littleEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        )
        if next == 0 {
            count = total
            operationCount = record.operationCount
            start = offset
        }
        guard index == next, total == count, total >= 2,
            record.operationCount == operationCount,
            bytes.count + payload.count - 8 <= FormatLimits.commitByteCount
        else { return .refused }
        bytes.append(contentsOf: payload[8...])
        next += 1
        return next == count ? .complete(start: start) : .incomplete
    }

    /// Calls `body` with the joined payload, once it is complete.
    package func withPayload(_ body: (UnsafeRawBufferPointer) throws(StoreError) -> Void)
        throws(StoreError)
    {
        try bytes.withUnsafeBufferPointer { buffer throws(StoreError) in
            try body(UnsafeRawBufferPointer(buffer))
        }
    }
}

extension LogReader {
    /// True when a byte other than zero stands in the 64 KiB from `offset` on.
    ///
    /// A log file that was never recycled is zeros behind its records: that is no tail.
    fileprivate func hasBytes(from offset: UInt64) throws(StoreError) -> Bool {
        let count = Int(min(65_536, end &- min(offset, end)))
        do throws(FileError) {
            return try file.readBytes(at: offset, count: count).contains { $0 != 0 }
        } catch {
            throw StoreError(error, doing: "read the log")
        }
    }
}
