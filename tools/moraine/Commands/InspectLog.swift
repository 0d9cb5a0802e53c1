// moraine inspect wal: the records of every log file. Bytes: format-spec/log.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineLog
import MoraineStorage

extension Command {
    static let inspectLog = inspector(
        "wal",
        "show the records of the log files",
        notes: [
            "With --json: for each file an object with its header, one for each record, and one "
                + "with its end."
        ],
        examples: [
            ("moraine inspect wal notes.moraine", "a table of records for each log file"),
            (
                "moraine inspect wal notes.moraine --json | jq 'select(.type == \"commit\")'",
                "the commits with their operations"
            ),
        ],
        run: { store, call throws(Failure) in
            var files: [InspectedFile] = []
            for name in try store.names(in: FileNames.logFolder) {
                guard case .log? = FileNames.parse(name) else { continue }
                files.append(try InspectedFile(store, name))
            }
            // Names hold the epoch first; the sequence alone is the order of the chain.
            let logs = files.map { file in
                (file, Result { () throws(StoreError) in try RecordFile(file, kind: .log) })
            }.sorted { left, right in
                sequence(left.0.name) < sequence(right.0.name)
            }
            for (index, log) in logs.enumerated() {
                if index > 0, !call.isJSON { call.output.write("\n") }
                switch log.1 {
                case .failure(let error):
                    call.print(
                        .object([
                            ("file", .text(log.0.name)),
                            ("byteCount", .number(log.0.byteCount)),
                            ("error", store.damage(error)),
                        ])
                    )
                case .success(let records):
                    try inspect(records, store, call)
                }
            }
        }
    )
}

private func sequence(_ name: String) -> UInt64 {
    if case .log(_, let sequence)? = FileNames.parse(name) { return sequence }
    return 0
}

private func inspect(
    _ log: RecordFile,
    _ store: InspectedStore,
    _ call: Call
) throws(Failure) {
    let name = log.file.name
    call.print(
        .object([
            ("file", .text(name)), ("byteCount", .number(log.file.byteCount)),
            ("header", .object(log.fields)),
        ])
    )
    if !call.isJSON { call.output.write("\n") }
    var table = Table(
        call.output,
        [
            ("offset", .right), ("type", .left), ("number", .right), ("promised", .right),
            ("bytes", .right), ("ops", .right), ("commitTime", .left), ("operations", .left),
        ]
    )
    var fields: Description.Fields = [("file", .text(name))]
    var fault: StoreError?
    do throws(StoreError) {
        let (limit, promise) = try store.bounds(of: log)
        let end = try log.walk(to: limit, promise: promise) { record, payload, offset in
            var frame = record.fields(at: offset)
            if record.kind == .commit {
                do throws(FormatError) {
                    frame += try describeCommit(payload, count: record.operationCount)
                } catch {
                    fault =
                        fault
                        ?? StoreError(
                            error,
                            path: log.file.file.path,
                            base: offset + UInt64(LogRecord.headerByteCount)
                        )
                }
            }
            if call.isJSON {
                call.print(.object([("file", .text(name))] + frame))
            } else {
                table.add((frame.map(\.value.cell) + ["", ""]).prefix(8).map { $0 })
            }
        }
        table.finish()
        fields += [("end", .number(end.offset)), ("endMeaning", .text(end.meaning))]
        if let damage = fault ?? end.damage { throw damage }
    } catch {
        table.finish()
        fields.append(("error", store.damage(error)))
    }
    if !call.isJSON { call.output.write("\n") }
    call.print(.object(fields))
}

/// Time and operations of a commit.
private func describeCommit(_ payload: UnsafeRawBufferPointer, count: UInt32)
    throws(FormatError) -> Description.Fields
{
    var reader = try CommitReader(payload)
    var operations: [Description] = []
    for _ in 0..<count { operations.append(try describe(try reader.next())) }
    return [("commitTime", .time(reader.time)), ("operations", .list(operations))]
}

private func describe(_ operation: Operation) throws(FormatError) -> Description {
    switch operation {
    case .put(let put):
        var reader = ByteReader(put.body)
        let body = try DocumentBody(decoding: &reader)
        return .object([
            ("op", .text("put")), ("collectionID", .number(put.collectionID)),
            ("id", .bytes(put.id)), ("expiry", .number(put.expiry)),
            ("dimensions", .number((put.vector?.count ?? 0) / 4)),
            ("textByteCount", .number(body.text.count)),
            ("metadataByteCount", .number(body.metadata.count)),
        ])
    case .delete(let collectionID, let id):
        return .object([
            ("op", .text("delete")), ("collectionID", .number(collectionID)), ("id", .bytes(id)),
        ])
    case .createCollection(let shape):
        return .object([("op", .text("create"))] + shape.fields)
    }
}
