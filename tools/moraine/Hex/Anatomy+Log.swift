// The structures of log files and manifests. Bytes: format-spec/log.md, manifest.md.

import MoraineBytes
import MoraineFormat
import MoraineStorage

extension Anatomy {
    /// Head, records, and what stands behind them.
    func walkLog() throws(StoreError) {
        try walkHeader()
        let headEnd = UInt64(LogHeader.byteCount)
        let header = try file.header.get()
        let records = Result { () throws(StoreError) in try RecordFile(file, kind: header.kind) }
        try add(at: 64, count: 64) { bytes in
            Structure(
                "log header",
                at: 64,
                bytes,
                layout: LogHeader.layout.map {
                    ByteField($0.name, offset: $0.offset - 64, size: $0.size, type: $0.type)
                }
            )
        }
        unnamed("zeros", from: 128, to: headEnd)
        let log: RecordFile
        do throws(StoreError) {
            log = try records.get()
        } catch {
            _ = store.damage(error)
            unnamed("bytes", from: headEnd, to: file.byteCount)
            return
        }
        let (limit, promise) = try store.bounds(of: log)
        let end = try log.walk(to: limit, promise: promise) { _, _, _ in }
        var offset = try walkRecords(log, from: headEnd, to: end.offset)
        if let damage = end.damage {
            _ = store.damage(damage)
            // What still looks like a record keeps its names.
            offset = try walkRecords(log, from: offset, to: file.byteCount)
            unnamed("bytes that are no record", from: offset, to: file.byteCount)
        } else {
            unnamed("behind the records: \(end.meaning)", from: offset, to: file.byteCount)
        }
    }

    /// Shows records as their heads claim them; returns where they end.
    private func walkRecords(_ log: RecordFile, from start: UInt64, to end: UInt64)
        throws(StoreError) -> UInt64
    {
        var offset = start
        let headCount = UInt64(LogRecord.headerByteCount)
        while offset < end, !isBehind(offset), end - offset >= headCount {
            let claim = try file.decode(at: offset, count: LogRecord.headerByteCount) {
                bytes throws(FormatError) in LogRecord.claimedFrameByteCount(bytes)
            }
            guard let claim, UInt64(claim) <= end - offset else { return offset }
            let place = offset
            try add(at: place, count: UInt64(claim)) { bytes in
                Self.record(bytes, at: place, log.header)
            }
            offset += UInt64(claim)
        }
        return offset
    }

    private static func record(_ bytes: [UInt8], at offset: UInt64, _ header: LogHeader)
        -> Structure
    {
        do throws(FormatError) {
            let record = try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                try LogRecord.decode(
                    UnsafeRawBufferPointer(buffer),
                    at: offset,
                    seed: header.recordSeed
                )
            }
            let title = "record \(record.number): \(record.typeName)"
            var structure = Structure(title, at: offset, bytes)
            structure.add(LogRecord.layout.filter { $0.size != nil })
            name(record, &structure)
            return structure
        } catch {
            var structure = Structure("record that does not verify", at: offset, bytes)
            structure.add(LogRecord.layout)
            return structure
        }
    }

    /// Names the fields of a payload.
    private static func name(_ record: LogRecord, _ structure: inout Structure) {
        let start = LogRecord.headerByteCount
        let end = start + record.payloadByteCount
        var position: Int? = start
        switch record.kind {
        case .marker: break
        case .part:
            structure.add("index", "u32", at: start, count: 4)
            structure.add("count", "u32", at: start + 4, count: 4)
            position = start + 8
        case .commit:
            structure.add("commitTime", "u64", at: start, count: 8)
            position = start + 8
            for _ in 0..<record.operationCount {
                guard let at = position else { break }
                position = nameTagged(FieldGrammar.operations, &structure, from: at, to: end)
            }
        case .edit:
            for _ in 0..<record.operationCount {
                guard let at = position else { break }
                position = nameTagged(FieldGrammar.edits, &structure, from: at, to: end)
            }
        }
        // What the grammar could not follow is shown without names.
        let named = structure.spans.last.map { Int($0.offset - structure.offset) + $0.byteCount }
        let rest = position ?? named ?? start
        structure.add("payload", "u8[]", at: rest, count: end - rest)
        structure.add("padding", "u8[]", at: end, count: structure.bytes.count - end)
    }

    private static func nameTagged(
        _ grammars: [UInt8: (name: String, fields: FieldGrammar)],
        _ structure: inout Structure,
        from start: Int,
        to end: Int
    ) -> Int? {
        guard start < end, let grammar = grammars[structure.bytes[start]] else { return nil }
        structure.add("tag", "u8", at: start, count: 1, value: grammar.name)
        return grammar.fields.name(&structure, from: start + 1, to: end)
    }
}

extension LogRecord {
    var typeName: String {
        switch kind {
        case .commit: "commit"
        case .part: "part"
        case .marker: "marker"
        case .edit: "edit"
        }
    }
}

extension InspectedStore {
    /// Where the records of a log file or manifest must end, when something says so, and up to
    /// which number they were acknowledged.
    func bounds(of records: RecordFile) throws(StoreError) -> (limit: UInt64?, promise: UInt64) {
        guard isStore, let root else { return (nil, 0) }
        let header = records.header
        if header.kind == .manifest {
            guard root.manifestID == header.fileID else { return (nil, 0) }
            return (root.state == .closed ? root.manifestEnd : nil, root.manifestEdit)
        }
        let headers = logHeaders()
        if let successor = headers.first(where: { $0.predecessor == header.fileID }) {
            return (successor.predecessorEnd, 0)
        }
        // ROOT speaks of the newest file.
        guard headers.allSatisfy({ $0.fileID <= header.fileID }) else { return (nil, 0) }
        let isEnd = root.state == .closed && root.logSequence == header.fileID
        return (isEnd ? root.logEnd : nil, root.durableLSN)
    }

    /// The heads of all log files that can be read.
    private func logHeaders() -> [LogHeader] {
        var headers: [LogHeader] = []
        for name in (try? names(in: FileNames.logFolder)) ?? [] {
            guard case .log? = FileNames.parse(name), let file = try? InspectedFile(self, name),
                let records = try? RecordFile(file, kind: .log)
            else { continue }
            headers.append(records.header)
        }
        return headers
    }
}
