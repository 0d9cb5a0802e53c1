// Appends records to a log file or manifest and makes them durable.
// Bytes: format-spec/log.md. Used by one thread at a time; the engine's commit lock sees to it.

import MoraineBytes
package import MoraineFiles
package import MoraineFormat
package import MoraineStorage

/// The writing end of one log file.
///
/// Invariants: `promised` <= `lastNumber`; bytes before `position` are records; nothing is
/// written behind `position` but zeros or leftovers that do not verify.
package final class LogWriter {
    package let file: any File
    package let header: LogHeader
    /// Where the next record goes, records in the buffer included.
    package private(set) var position: UInt64
    /// The last number appended.
    package private(set) var lastNumber: UInt64
    /// The last number known to be synced.
    package private(set) var promised: UInt64
    /// Syncs done through this object, for statistics.
    package private(set) var syncCount: UInt64 = 0

    private let seed: ChecksumSeed
    private var buffer = RecordBuffer()
    /// Bytes in the file, counted without those in the buffer.
    private var writtenEnd: UInt64

    /// Continues `file` at `position`, behind record `lastNumber`.
    package init(
        file: any File,
        header: LogHeader,
        position: UInt64 = UInt64(LogHeader.byteCount),
        lastNumber: UInt64,
        promised: UInt64
    ) {
        self.file = file
        self.header = header
        self.position = position
        self.lastNumber = lastNumber
        self.promised = promised
        seed = header.recordSeed
        writtenEnd = position
    }

    /// Records up to here are in the file, synced or not.
    package var flushedEnd: UInt64 { writtenEnd }

    /// Adds one commit or edit to the buffer, in parts when it is larger than a record may be.
    package func append(
        _ kind: LogRecord.Kind,
        number: UInt64,
        operationCount: UInt32,
        payload: UnsafeRawBufferPointer
    ) {
        let limit = FormatLimits.recordPayloadByteCount
        if payload.count <= limit {
            appendRecord(kind, number: number, operationCount: operationCount, payload)
        } else {
            let slice = limit - 8
            let count = (payload.count + slice - 1) / slice
            for index in 0..<count {
                let end = min(payload.count, (index + 1) * slice)
                appendRecord(
                    .part,
                    number: number,
                    operationCount: operationCount,
                    UnsafeRawBufferPointer(rebasing: payload[(index * slice)..<end]),
                    part: (UInt32(index), UInt32(count))
                )
            }
        }
        lastNumber = number
    }

    /// Bytes that a commit with this payload takes in a log file.
    package static func frameByteCount(payload: Int) -> UInt64 {
        let limit = FormatLimits.recordPayloadByteCount
        if payload <= limit { return UInt64(LogRecord.frameByteCount(payload: payload)) }
        let slice = limit - 8
        let full = payload / slice
        let rest = payload % slice
        let last = rest == 0 ? 0 : LogRecord.frameByteCount(payload: rest + 8)
        return UInt64(full * LogRecord.frameByteCount(payload: limit) + last)
    }

    private func appendRecord(
        _ kind: LogRecord.Kind,
        number: UInt64,
        operationCount: UInt32,
        _ payload: UnsafeRawBufferPointer,
        part: (index: UInt32, count: UInt32)? = nil
    ) {
        let prefix = part == nil ? 0 : 8
        let record = LogRecord(
            kind: kind,
            number: number,
            promised: promised,
            operationCount: operationCount,
            payloadByteCount: prefix + payload.count
        )
        let target = buffer.extend(by: record.frameByteCount)
        if let part {
            target.storeBytes(of: part.index.littleEndian, toByteOffset: 40, as: UInt32.self)
            target.storeBytes(of: part.count.littleEndian, toByteOffset: 44, as: UInt32.self)
        }
        if payload.count > 0 {
            UnsafeMutableRawBufferPointer(rebasing: target[(40 + prefix)...])
                .copyMemory(from: payload)
        }
        record.seal(target, at: position, seed: seed)
        position += UInt64(target.count)
    }

    /// Writes the buffer into the file.
    ///
    /// After an error the file must not be written again.
    package func flush() throws(StoreError) {
        guard buffer.count > 0 else { return }
        do throws(FileError) {
            try file.writeAll(buffer.bytes, at: writtenEnd)
        } catch {
            throw StoreError(error, doing: "write the log")
        }
        writtenEnd = position
        buffer.removeAll()
    }

    /// Forgets what is in the buffer, which a failed `flush` did not write, back to record
    /// `number`.
    ///
    /// Bytes that did reach the file are overwritten by the next record.
    package func discardBuffer(backTo number: UInt64) {
        buffer.removeAll()
        position = writtenEnd
        lastNumber = number
    }

    /// Syncs the file; afterwards every record flushed before the call is promised.
    package func sync() throws(StoreError) {
        let covered = lastNumber
        do throws(FileError) {
            // DURABLE: a crash before leaves the records of this group torn or absent, and none
            // of them was acknowledged; a crash after leaves them whole.
            try file.sync()
        } catch {
            throw StoreError(error, doing: "sync the log")
        }
        confirm(upTo: covered)
    }

    /// Notes that a sync which began after `number` was flushed has succeeded.
    package func confirm(upTo number: UInt64) {
        promised = max(promised, number)
        syncCount += 1
    }

    /// Writes a marker that promises what was synced.
    ///
    /// Not synced itself: it only helps to tell a torn tail from damage, and is lost without harm.
    package func mark() throws(StoreError) {
        appendRecord(
            .marker,
            number: lastNumber,
            operationCount: 0,
            UnsafeRawBufferPointer(start: nil, count: 0)
        )
        try flush()
    }
}

/// A growing buffer of records whose memory is used again.
private struct RecordBuffer: ~Copyable {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
    private(set) var count = 0

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    mutating func extend(by byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let needed = count + byteCount
        if needed > memory.count {
            grow(to: max(needed, memory.count * 2))
        }
        defer { count = needed }
        return UnsafeMutableRawBufferPointer(rebasing: memory[count..<needed])
    }

    private mutating func grow(to byteCount: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        larger.copyMemory(from: bytes)
        memory.deallocate()
        memory = larger
    }

    /// Forgets the records; gives back what a rare large group needed.
    mutating func removeAll() {
        count = 0
        if memory.count > 8 << 20 { grow(to: 1 << 16) }
    }

    deinit { memory.deallocate() }
}
