// The log as one chain: what is read back, what is a torn tail, and what is damage.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage
import Testing

struct LogChainTests {
    private let disk = SimulatedFileSystem()
    private let storeID = StoreID(low: 1, high: 2)

    private func header(_ id: UInt64, first: UInt64, predecessor: (UInt64, UInt64)? = nil)
        -> LogHeader
    {
        LogHeader(
            kind: .log,
            storeID: storeID,
            fileID: id,
            createdLSN: first - 1,
            epoch: 1,
            incarnation: 99,
            predecessor: predecessor?.0 ?? 0,
            predecessorEnd: predecessor?.1 ?? 0,
            firstNumber: first
        )
    }

    /// Makes a log file of zeros with a head.
    private func make(_ header: LogHeader, byteCount: Int = 1 << 16) throws -> LogWriter {
        disk.replace(path: "w\(header.fileID)", bytes: [UInt8](repeating: 0, count: byteCount))
        let file = try disk.open("w\(header.fileID)", .readWrite)
        try header.encode().withUnsafeBytes { try file.writeAll($0, at: 0) }
        return LogWriter(
            file: file,
            header: header,
            lastNumber: header.firstNumber - 1,
            promised: header.firstNumber - 1
        )
    }

    private func append(_ numbers: ClosedRange<UInt64>, to log: LogWriter) {
        for number in numbers {
            [UInt8](repeating: UInt8(number), count: Int(number) * 7).withUnsafeBytes {
                log.append(.commit, number: number, operationCount: 1, payload: $0)
            }
        }
    }

    private func chain(_ headers: [LogHeader], floor: UInt64 = 0, promise: UInt64 = 0) throws
        -> LogChain
    {
        let links = try headers.map { header in
            let file = try disk.open("w\(header.fileID)", .read)
            return LogChain.Link(file: file, header: header, byteCount: try file.byteCount())
        }
        return LogChain(
            links: links,
            kind: .commit,
            floor: floor,
            promise: promise,
            exactEnd: nil
        )
    }

    private func numbers(_ chain: LogChain) throws -> ([UInt64], LogChain.Outcome) {
        var seen: [UInt64] = []
        let outcome = try chain.read { entry throws(StoreError) in
            #expect(entry.payload.allSatisfy { $0 == UInt8(entry.number) })
            #expect(entry.payload.count == Int(entry.number) * 7)
            seen.append(entry.number)
        }
        return (seen, outcome)
    }

    private func code(_ body: () throws -> Void) -> StoreError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? StoreError)?.code
        }
    }

    @Test func commitsComeBackInOrderAboveTheFloor() throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...9, to: log)
        try log.flush()
        try log.sync()
        try log.mark()
        let (seen, outcome) = try numbers(try chain([head], floor: 4))
        #expect(seen == [5, 6, 7, 8, 9])
        #expect(outcome.promise == 9)
        #expect(outcome.torn == nil)
    }

    /// Puts other bytes into a record and its checksum right.
    private func forge(_ head: LogHeader, at offset: UInt64, _ place: Int, _ value: UInt8) throws {
        var bytes = try #require(disk.contents(of: "w\(head.fileID)"))
        let start = Int(offset)
        bytes[start + place] = value
        let count = try #require(
            bytes.withUnsafeBytes {
                LogRecord.claimedFrameByteCount(UnsafeRawBufferPointer(rebasing: $0[start...]))
            }
        )
        let checksum = bytes.withUnsafeBytes {
            head.recordSeed.mixed(offset)
                .checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 8)..<(start + count)]))
        }
        for index in 0..<4 {
            bytes[start + 4 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index)))
        }
        disk.replace(path: "w\(head.fileID)", bytes: bytes)
    }

    @Test(arguments: [(36, 9), (36, 0), (38, 1), (28, 1)])
    func aRecordOfALaterFormatIsNoTornTail(place: Int, value: UInt8) throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...3, to: log)
        try log.flush()
        try log.sync()
        let last = log.position
        append(4...4, to: log)
        try log.flush()
        #expect(try numbers(try chain([head])).0 == [1, 2, 3, 4])
        try forge(head, at: last, place, value)
        #expect(code { _ = try numbers(try chain([head])) } == .newerFormat)
    }

    @Test func aMarkerOfOperationsIsNone() throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...3, to: log)
        try log.flush()
        try log.sync()
        let marker = log.position
        try log.mark()
        append(4...4, to: log)
        try log.flush()
        try log.sync()
        try log.mark()
        #expect(try numbers(try chain([head])).0 == [1, 2, 3, 4])
        try forge(head, at: marker, 32, 1)
        #expect(code { _ = try numbers(try chain([head])) } == .corrupted)
    }

    @Test func anUnpromisedTailIsCutAtEveryLength() throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...3, to: log)
        try log.flush()
        try log.sync()
        let whole = Int(log.position)
        append(4...4, to: log)
        try log.flush()
        let bytes = try #require(disk.contents(of: "w5"))
        for end in stride(from: whole + 1, to: Int(log.position) - 8, by: 3) {
            var torn = bytes
            for index in end..<torn.count { torn[index] = 0 }
            disk.replace(path: "w5", bytes: torn)
            let (seen, outcome) = try numbers(try chain([head]))
            #expect(seen == [1, 2, 3], "cut at \(end)")
            #expect(outcome.end == UInt64(whole), "cut at \(end)")
        }
    }

    @Test func aFlipInAPromisedRecordIsDamageAndNeverATail() throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...4, to: log)
        try log.flush()
        try log.sync()
        let end = Int(log.position)
        try log.mark()
        for offset in LogHeader.byteCount..<end {
            disk.corrupt(path: "w5", offset: offset, xor: 0x20)
            #expect(code { _ = try numbers(try chain([head])) } == .corrupted, "byte \(offset)")
            disk.corrupt(path: "w5", offset: offset, xor: 0x20)
        }
        // ROOT's promise does what the marker does.
        disk.corrupt(path: "w5", offset: end + 8, xor: 1)
        disk.corrupt(path: "w5", offset: LogHeader.byteCount + 44, xor: 1)
        #expect(code { _ = try numbers(try chain([head], promise: 4)) } == .corrupted)
        #expect(try numbers(try chain([head])).0.isEmpty)
    }

    @Test(arguments: [1, 7, 8, 39, 40, 512, 4096])
    func zerosBehindTheRecordsAreNoRecord(byteCount: Int) throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...3, to: log)
        try log.flush()
        try log.sync()
        let end = Int(log.position)
        let records = try #require(disk.contents(of: "w5")).prefix(end)
        disk.replace(path: "w5", bytes: records + [UInt8](repeating: 0, count: byteCount))
        for promise in [0, 3] as [UInt64] {
            let (seen, outcome) = try numbers(try chain([head], promise: promise))
            #expect(seen == [1, 2, 3])
            #expect(outcome.end == UInt64(end))
            #expect(outcome.torn == nil)
        }
        // A commit that was promised is no zeros.
        #expect(code { _ = try numbers(try chain([head], promise: 4)) } == .corrupted)
        // What a closed store says of the end must be so.
        let file = try disk.open("w5", .read)
        let closed = LogChain(
            links: [LogChain.Link(file: file, header: head, byteCount: try file.byteCount())],
            kind: .commit,
            floor: 0,
            promise: 3,
            exactEnd: UInt64(end)
        )
        #expect(code { _ = try numbers(closed) } == .corrupted)
    }

    @Test func aSuccessorVouchesForItsPredecessor() throws {
        let first = header(5, first: 1)
        let log = try make(first)
        append(1...3, to: log)
        try log.flush()
        try log.sync()
        let second = header(6, first: 4, predecessor: (5, log.position))
        let next = try make(second)
        append(4...6, to: next)
        try next.flush()
        #expect(try numbers(try chain([first, second])).0 == [1, 2, 3, 4, 5, 6])
        disk.corrupt(path: "w5", offset: Int(log.position) - 9, xor: 1)
        #expect(code { _ = try numbers(try chain([first, second])) } == .corrupted)
        disk.corrupt(path: "w5", offset: Int(log.position) - 9, xor: 1)
        let stranger = header(6, first: 4, predecessor: (3, log.position))
        #expect(code { _ = try numbers(try chain([first, stranger])) } == .corrupted)
        // Also where the files seem to fit, since nothing stands behind the first one's records.
        disk.replace(
            path: "w5",
            bytes: Array(try #require(disk.contents(of: "w5")).prefix(Int(log.position)))
        )
        #expect(try numbers(try chain([first, second])).0 == [1, 2, 3, 4, 5, 6])
        #expect(code { _ = try numbers(try chain([first, stranger])) } == .corrupted)
    }

    @Test func recordsOfAnotherIncarnationOrFileAreNotBelieved() throws {
        let head = header(5, first: 1)
        let log = try make(head)
        append(1...3, to: log)
        try log.flush()
        let other = LogHeader(
            kind: .log,
            storeID: storeID,
            fileID: 5,
            createdLSN: 0,
            epoch: 1,
            incarnation: 100,
            firstNumber: 1
        )
        #expect(try numbers(try chain([other])).0.isEmpty)
        let bytes = try #require(disk.contents(of: "w5"))
        disk.replace(path: "w7", bytes: bytes)
        #expect(try numbers(try chain([header(7, first: 1)])).0.isEmpty)
    }

    @Test(arguments: [0, 40, 127, 4095, 4096] as [Int])
    func aFileThatEndsInItsHeadHoldsNoRecords(byteCount: Int) throws {
        let header = header(1, first: 1)
        disk.replace(path: "w1", bytes: Array(header.encode().prefix(byteCount)))
        let file = try disk.open("w1", .read)
        var reader = LogReader(file: file, header: header, to: UInt64(byteCount))
        guard case .end = try reader.next() else {
            Issue.record("a record in \(byteCount) bytes")
            return
        }
        #expect(try !reader.skipToRecord())
        #expect(try reader.promiseBeyond() == 0)
    }

    @Test(arguments: [1 << 30, 1 << 31, 1 << 32, 5 << 30] as [UInt64])
    func recordsAcrossTheEdgesOfLargeFilesReadBack(edge: UInt64) throws {
        let head = header(5, first: 1)
        let file = try disk.open("w5", .createNew)
        let start = edge - 200
        let log = LogWriter(
            file: file,
            header: head,
            position: start,
            lastNumber: 0,
            promised: 0
        )
        append(1...9, to: log)
        try log.flush()
        #expect(log.position > edge)
        var reader = LogReader(file: file, header: head, from: start, to: log.position)
        for number in UInt64(1)...9 {
            guard case .record(let record, let payload, _) = try reader.next() else {
                Issue.record("no record \(number)")
                return
            }
            #expect(record.number == number && payload.count == Int(number) * 7)
        }
        guard case .end = try reader.next() else {
            Issue.record("more than was written")
            return
        }
        #expect(disk.corrupt(path: "w5", offset: Int(edge), xor: 1))
        reader = LogReader(file: file, header: head, from: start, to: log.position)
        var count = 0
        while case .record = try reader.next() { count += 1 }
        #expect((1..<9).contains(count))
        // What stands behind the damage is found.
        #expect(try reader.skipToRecord())
        #expect(reader.position > edge)
    }

    @Test func aCommitLargerThanARecordTravelsInParts() throws {
        let head = header(5, first: 1)
        let payload = [UInt8](repeating: 3, count: FormatLimits.recordPayloadByteCount + 1000)
        let size = LogHeader.byteCount + Int(LogWriter.frameByteCount(payload: payload.count))
        let log = try make(head, byteCount: size + 64)
        payload.withUnsafeBytes {
            log.append(.commit, number: 1, operationCount: 2, payload: $0)
        }
        #expect(Int(log.position) == size)
        try log.flush()
        var found = 0
        _ = try chain([head]).read { entry in
            found = entry.payload.count
            #expect(entry.operationCount == 2)
        }
        #expect(found == payload.count)
        disk.corrupt(path: "w5", offset: size - 20, xor: 1)
        let outcome = try chain([head]).read { _ in Issue.record("half a commit was read") }
        #expect(outcome.lastNumber == 0)
    }
}
