// Reads the records of one log file or manifest, front to back, checking each.
// Bytes: format-spec/log.md.

package import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The reading end of one log file.
package struct LogReader: ~Copyable {
    package let file: any File
    package let header: LogHeader
    /// Where the next record starts.
    package private(set) var position: UInt64
    /// Records count up to here.
    package let end: UInt64

    private let seed: ChecksumSeed
    private var window: Window
    /// What `skipToRecord` may still check.
    private var budget: UInt64

    /// Reads records of `file` from `position` to `end`, which is not behind the file's end and may
    /// be before `position`: then there are none.
    package init(
        file: any File,
        header: LogHeader,
        from position: UInt64 = UInt64(LogHeader.byteCount),
        to end: UInt64
    ) {
        self.file = file
        self.header = header
        self.position = position
        self.end = end
        seed = header.recordSeed
        window = Window(file: file, end: end)
        budget = LogReader.budget(end)
    }

    /// What stands at the reader's position.
    package enum Step {
        /// A record that verifies; the payload is borrowed until the next call.
        case record(LogRecord, payload: UnsafeRawBufferPointer, offset: UInt64)
        /// `end` was reached.
        case end
        /// The bytes at `position` are no valid record of this file.
        case invalid(FormatError)
    }

    /// Reads the next record.
    ///
    /// Throws only when the file cannot be read.
    package mutating func next() throws(StoreError) -> Step {
        guard position < end else { return .end }
        let offset = position
        switch window.record(at: offset) {
        case .failure(let error):
            if let failure = window.failure { throw failure }
            return .invalid(error)
        case .success(let bytes):
            do throws(FormatError) {
                let record = try LogRecord.decode(bytes, at: offset, seed: seed)
                position += UInt64(record.frameByteCount)
                let payload = UnsafeRawBufferPointer(
                    rebasing: bytes[
                        LogRecord
                            .headerByteCount..<(LogRecord.headerByteCount
                            + record.payloadByteCount)
                    ]
                )
                return .record(record, payload: payload, offset: offset)
            } catch {
                return .invalid(error)
            }
        }
    }

    /// Goes to the next record that verifies behind the invalid place at `position`; false when
    /// there is none, or looking for it takes as long as `promiseBeyond` may.
    package mutating func skipToRecord() throws(StoreError) -> Bool {
        guard let (_, offset) = try recordBeyondHere() else {
            return false
        }
        position = offset
        return true
    }

    /// The highest promise of any record that verifies behind the invalid place at `position`.
    ///
    /// Looks at every multiple of 8 up to the file's end. Hostile bytes can make many places
    /// look like long records; when checking them would take more than 16 times the file's
    /// bytes, the answer is the largest number there is, which callers take for damage.
    package mutating func promiseBeyond() throws(StoreError) -> UInt64 {
        var highest: UInt64 = 0
        var budget = Self.budget(end)
        var offset = (position &+ 8) & ~7
        while let (record, found) = try recordBeyond(from: offset, &budget) {
            highest = max(highest, record.promised)
            offset = found + UInt64(record.frameByteCount)
        }
        return budget == 0 ? .max : highest
    }

    /// Bytes that may be checked in search of records.
    private static func budget(_ end: UInt64) -> UInt64 {
        // A file that is being salvaged may end within its head.
        let head = UInt64(LogHeader.byteCount)
        return min(end > head ? end - head : 0, 1 << 56) * 16 + (1 << 20)
    }

    private mutating func recordBeyondHere() throws(StoreError) -> (LogRecord, UInt64)? {
        var left = budget
        defer { budget = left }
        return try recordBeyond(from: (position &+ 8) & ~7, &left)
    }

    /// The first record that verifies at a multiple of 8 from `start` on.
    ///
    /// - Parameter budget: what is left of it, 0 when it was not enough.
    private mutating func recordBeyond(from start: UInt64, _ budget: inout UInt64)
        throws(StoreError) -> (LogRecord, UInt64)?
    {
        var offset = start
        while offset &+ UInt64(LogRecord.headerByteCount) <= end {
            guard let next = window.magic(from: offset) else { break }
            offset = next
            let bytes = window.record(at: offset)
            if let failure = window.failure { throw failure }
            if case .success(let bytes) = bytes {
                guard budget > UInt64(bytes.count) else {
                    budget = 0
                    return nil
                }
                budget -= UInt64(bytes.count)
                if let record = try? LogRecord.decode(bytes, at: offset, seed: seed) {
                    return (record, offset)
                }
            }
            offset += 8
        }
        if let failure = window.failure { throw failure }
        return nil
    }
}

/// A sliding view of a file, so that a long log is read in large pieces and bounded memory.
private struct Window: ~Copyable {
    private static let stride = 1 << 20

    private let file: any File
    private let end: UInt64
    /// Past the allocator: what opened a log for reading stays for long and holds little.
    private var memory = AnonymousPages.allocate(byteCount: Window.stride)
    private var start: UInt64 = 0
    private var count = 0
    /// Set when the file could not be read.
    private(set) var failure: StoreError?

    init(file: any File, end: UInt64) {
        self.file = file
        self.end = end
    }

    /// The bytes of the record that claims to start at `offset`.
    mutating func record(at offset: UInt64) -> Result<UnsafeRawBufferPointer, FormatError> {
        guard let head = bytes(at: offset, count: LogRecord.headerByteCount),
            let byteCount = LogRecord.claimedFrameByteCount(head)
        else {
            return .failure(
                FormatError(
                    .mismatch,
                    at: offset,
                    field: "record",
                    expected: "a record",
                    found: "other bytes"
                )
            )
        }
        guard let record = bytes(at: offset, count: byteCount) else {
            return .failure(
                FormatError(
                    .truncated,
                    at: offset,
                    field: "record",
                    expected: "\(byteCount) bytes",
                    found: "\(end &- offset)"
                )
            )
        }
        return .success(record)
    }

    /// The first multiple of 8 from `offset` on where a record's magic stands.
    mutating func magic(from offset: UInt64) -> UInt64? {
        var offset = offset
        while bytes(at: offset, count: 8) != nil {
            let available = Int(start &+ UInt64(count) &- offset)
            let base = Int(offset &- start)
            var index = 0
            while index &+ 8 <= available {
                let word = memory.loadUnaligned(fromByteOffset: base &+ index, as: UInt32.self)
                if word == LogRecord.magic.littleEndian { return offset &+ UInt64(index) }
                index &+= 8
            }
            offset &+= UInt64(index)
        }
        return nil
    }

    /// `byteCount` bytes at `offset`; `nil` when the file ends before or cannot be read.
    private mutating func bytes(at offset: UInt64, count byteCount: Int)
        -> UnsafeRawBufferPointer?
    {
        guard offset <= end, UInt64(byteCount) <= end &- offset else { return nil }
        if offset < start || offset &+ UInt64(byteCount) > start &+ UInt64(count) {
            guard load(offset, atLeast: byteCount) else { return nil }
        }
        let base = Int(offset &- start)
        return UnsafeRawBufferPointer(rebasing: memory[base..<(base + byteCount)])
    }

    private mutating func load(_ offset: UInt64, atLeast byteCount: Int) -> Bool {
        let wanted = Int(min(UInt64(max(byteCount, Self.stride)), end &- offset))
        if wanted > memory.count {
            AnonymousPages.free(memory)
            memory = AnonymousPages.allocate(byteCount: wanted)
        }
        start = offset
        count = 0
        do throws(FileError) {
            count = try file.readUpTo(
                UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted]),
                at: offset
            )
        } catch {
            failure = StoreError(error, doing: "read the log")
            return false
        }
        return count >= byteCount
    }

    deinit { AnonymousPages.free(memory) }
}
