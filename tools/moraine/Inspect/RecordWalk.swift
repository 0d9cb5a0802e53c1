// Walks over the records of a log file or manifest, for the inspectors. Bytes: format-spec/log.md.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

/// One log file or manifest with its head.
struct RecordFile {
    let file: InspectedFile
    let header: LogHeader

    /// Reads the head; the ids in it are believed, as nothing else says them.
    init(_ file: InspectedFile, kind: FileKind) throws(StoreError) {
        self.file = file
        let common = try file.header.get()
        header = try file.decode(at: 0, count: LogHeader.byteCount) {
            bytes throws(FormatError) in
            try LogHeader.decode(
                bytes,
                kind: kind,
                storeID: common.storeID,
                fileID: common.fileID
            )
        }
    }

    var fields: Description.Fields {
        [
            ("storeID", .text(header.storeID.text)), ("fileID", .number(header.fileID)),
            ("createdLSN", .number(header.createdLSN)), ("epoch", .number(header.epoch)),
            ("incarnation", .pattern(header.incarnation)),
            ("predecessor", .number(header.predecessor)),
            ("predecessorEnd", .number(header.predecessorEnd)),
            ("firstNumber", .number(header.firstNumber)),
            ("carriedEnd", .number(header.carriedEnd)),
        ]
    }

    /// Where the records of a file end, and what it means.
    struct End {
        let offset: UInt64
        /// What stands there: nothing, zeros, or a tail that does not count.
        let meaning: String
        /// Set when an acknowledged record should stand there.
        let damage: StoreError?
    }

    /// Visits the records up to the first place that holds none.
    ///
    /// - Parameters:
    ///   - limit: records count up to here at most.
    ///   - promise: everything up to this number was acknowledged, as others say.
    func walk(
        to limit: UInt64?,
        promise: UInt64,
        _ visit: (LogRecord, UnsafeRawBufferPointer, UInt64) -> Void
    ) throws(StoreError) -> End {
        let end = min(limit ?? file.byteCount, file.byteCount)
        var reader = LogReader(file: file.file, header: header, to: end)
        var next = header.firstNumber
        var promised = promise
        var reason: FormatError?
        walk: while true {
            switch try reader.next() {
            case .record(let record, let payload, let offset):
                visit(record, payload, offset)
                promised = max(promised, record.promised)
                switch record.kind {
                case .commit, .edit: next = record.number &+ 1
                case .part where Self.isLastPart(payload): next = record.number &+ 1
                default: break
                }
            case .invalid(let error):
                reason = error
                break walk
            case .end: break walk
            }
        }
        let offset = reader.position
        guard let reason else {
            let isShort = limit.map { $0 > file.byteCount } ?? false
            return End(
                offset: offset,
                meaning: "the end of the records",
                damage: isShort ? damage(at: offset, next, "the end of the file") : nil
            )
        }
        promised = max(promised, try reader.promiseBeyond())
        if limit != nil || next <= promised {
            return End(
                offset: offset,
                meaning: "damage",
                damage: damage(at: offset, next, "\(reason.field): \(reason.found)")
            )
        }
        let isZero = try file.decode(
            at: offset,
            count: Int(min(65_536, end - offset))
        ) { bytes throws(FormatError) in bytes.allSatisfy { $0 == 0 } }
        return End(
            offset: offset,
            meaning: isZero ? "zeros follow" : "bytes that were never acknowledged follow",
            damage: nil
        )
    }

    private static func isLastPart(_ payload: UnsafeRawBufferPointer) -> Bool {
        guard payload.count >= 8 else { return false }
        let index = UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self))
        let count = UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        return index &+ 1 == count
    }

    private func damage(at offset: UInt64, _ number: UInt64, _ found: String) -> StoreError {
        StoreError(
            .corrupted,
            "an acknowledged record is damaged",
            path: file.file.path,
            offset: offset,
            expected: "record \(number)",
            found: found
        )
    }
}

extension LogRecord {
    /// The frame's fields.
    func fields(at offset: UInt64) -> Description.Fields {
        [
            ("offset", .number(offset)), ("type", .text(typeName)), ("number", .number(number)),
            ("promised", .number(promised)), ("payloadByteCount", .number(payloadByteCount)),
            ("operationCount", .number(operationCount)),
        ]
    }
}

extension InspectedStore {
    /// The copy of ROOT to follow, when one can be read.
    var root: Root? {
        guard isStore, let copies = try? RootFile.read(fileSystem, folder: folder) else {
            return nil
        }
        return try? copies.chosen()
    }
}
