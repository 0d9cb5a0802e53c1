// moraine inspect wal: the records of every log file. Bytes: format-spec/log.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Option {
    /// For inspectors of logs and manifests.
    static let records = [
        Option("--record", "N", "only the record of this number, an LSN in the log, and all of it"),
        Option("--offset", "N", "only the record at this byte, and all of it"),
    ]
    static let logKey = Option(
        "--key",
        "COLLECTION/ID",
        "only operations on this document; a name or a collection id"
    )
}

/// Which records of a log or manifest to show.
struct RecordLook {
    var number: UInt64?
    var offset: UInt64?
    var keys: KeyRange?

    /// True when all of a record is to be shown.
    var isNarrow: Bool { number != nil || offset != nil || keys != nil }

    func wants(_ record: LogRecord, at offset: UInt64) -> Bool {
        if let number, record.number != number || record.kind == .marker { return false }
        if let wanted = self.offset {
            // A byte inside a record means that record.
            guard offset <= wanted, wanted - offset < UInt64(record.frameByteCount) else {
                return false
            }
        }
        return keys == nil || record.kind == .commit
    }
}

extension Call {
    /// The records that the options ask for.
    func recordLook(_ collections: () -> [String: UInt32]) throws(Failure) -> RecordLook {
        let names = ["--record", "--offset", "--key"].filter { arguments.has($0) }
        guard names.count <= 1 else {
            throw command.misuse("\(names[0]) and \(names[1]) exclude each other")
        }
        return RecordLook(
            number: try arguments.number("--record", in: 1...UInt64.max),
            offset: try byteNumber("--offset"),
            keys: arguments.has("--key") ? try keyRange(collections()) : nil
        )
    }
}

extension Command {
    static let inspectLog = inspector(
        "wal",
        "show the records of the log files",
        options: Option.records + [.logKey],
        notes: [
            """
            With --json: for each file an object with its header, one for each record, and one with
            its end. --record, --offset and --key show whole operations, with text, metadata and
            vector, and only them.
            """
        ],
        examples: [
            ("moraine inspect wal notes.moraine", "a table of records for each log file"),
            ("moraine inspect wal notes.moraine --record 17", "all of commit 17"),
            (
                "moraine inspect wal notes.moraine --key notes/some-id",
                "what happened to a document"
            ),
            (
                "moraine inspect wal notes.moraine --json | jq 'select(.type == \"commit\")'",
                "the commits with their operations"
            ),
        ],
        run: { store, call throws(Failure) in
            let look = try call.recordLook { store.collectionIDs() }
            var files: [InspectedFile] = []
            for name in try store.names(in: FileNames.logFolder) {
                guard case .log? = FileNames.parse(name), let file = try store.openIfThere(name)
                else { continue }
                files.append(file)
            }
            // Names hold the epoch first; the sequence alone is the order of the chain.
            files.sort { sequence($0.name) < sequence($1.name) }
            try call.printLogs(files, look, store)
        }
    )
}

private func sequence(_ name: String) -> UInt64 {
    if case .log(_, let sequence)? = FileNames.parse(name) { return sequence }
    return 0
}

extension Call {
    /// Prints the records of log files; none of those that were asked for is exit code 1.
    func printLogs(_ files: [InspectedFile], _ look: RecordLook, _ store: InspectedStore)
        throws(Failure)
    {
        var found = 0
        for (index, file) in files.enumerated() {
            do throws(StoreError) {
                let records = try RecordFile(file, kind: .log)
                if look.isNarrow {
                    found += printFound(records, look, store)
                } else {
                    if index > 0, !isJSON { output.write("\n") }
                    inspect(records, store, self)
                }
            } catch {
                let damage = store.damage(error)
                if look.isNarrow { continue }
                print(
                    .object([
                        ("file", .text(file.name)), ("byteCount", .number(file.byteCount)),
                        ("error", damage),
                    ])
                )
            }
        }
        guard found > 0 || !look.isNarrow || store.exit != .fine else {
            throw Failure(.absent, "there is no such record in what was looked at")
        }
    }

    /// Prints the records that are asked for, whole; returns how many there were.
    private func printFound(_ log: RecordFile, _ look: RecordLook, _ store: InspectedStore) -> Int {
        var found = 0
        do throws(StoreError) {
            var fault: StoreError?
            let (limit, promise) = try store.bounds(of: log)
            let end = try log.walk(to: limit, promise: promise) { record, payload, offset in
                guard look.wants(record, at: offset) else { return }
                var fields = [("file", .text(log.file.name))] + record.fields(at: offset)
                if record.kind == .commit {
                    do throws(FormatError) {
                        let commit = try describeCommit(payload, record, look: look)
                        if look.keys != nil, commit.operations.isEmpty { return }
                        fields += [
                            ("commitTime", commit.time), ("operations", .list(commit.operations)),
                        ]
                    } catch {
                        fault = fault ?? payloadFault(error, log, at: offset)
                    }
                }
                if found > 0, !isJSON { output.write("\n") }
                found += 1
                print(.object(fields))
            }
            if let damage = fault ?? end.damage { throw damage }
        } catch {
            _ = store.damage(error)
        }
        return found
    }
}

private func payloadFault(_ error: FormatError, _ log: RecordFile, at offset: UInt64) -> StoreError
{
    let base = offset + UInt64(LogRecord.headerByteCount)
    return StoreError(error, path: log.file.file.path, base: base)
}

private func inspect(_ log: RecordFile, _ store: InspectedStore, _ call: Call) {
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
                    let commit = try describeCommit(payload, record, look: nil)
                    frame += [
                        ("commitTime", commit.time), ("operations", .list(commit.operations)),
                    ]
                } catch {
                    fault = fault ?? payloadFault(error, log, at: offset)
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
///
/// - Parameter look: with one, only the operations that it asks for, and all of them.
private func describeCommit(
    _ payload: UnsafeRawBufferPointer,
    _ record: LogRecord,
    look: RecordLook?
) throws(FormatError) -> (time: Description, operations: [Description]) {
    var reader = try CommitReader(payload)
    var operations: [Description] = []
    for _ in 0..<record.operationCount {
        let operation = try reader.next()
        if let keys = look?.keys {
            guard let key = operation.key, keys.contains(collectionID: key.0, id: key.1) else {
                continue
            }
        }
        operations.append(try describe(operation, isWhole: look != nil))
    }
    return (.time(reader.time), operations)
}

extension Operation {
    /// The document that it is about.
    fileprivate var key: (UInt32, UnsafeRawBufferPointer)? {
        switch self {
        case .put(let put): (put.collectionID, put.id)
        case .delete(let collectionID, let id): (collectionID, id)
        case .createCollection, .renameCollection, .dropCollection, .deletePrefix: nil
        }
    }
}

private func describe(_ operation: Operation, isWhole: Bool) throws(FormatError) -> Description {
    switch operation {
    case .put(let put):
        var reader = ByteReader(put.body)
        let body = try DocumentBody(decoding: &reader)
        var fields: Description.Fields = [
            ("op", .text("put")), ("collectionID", .number(put.collectionID)),
            ("id", .bytes(put.id)), ("expiry", .number(put.expiry)),
            ("dimensions", .number((put.vector?.count ?? 0) / 4)),
            ("textByteCount", .number(body.text.count)),
            ("metadataByteCount", .number(body.metadata.count)),
        ]
        if isWhole {
            try body.validate()
            fields += [
                ("metadata", .json(try jsonText(metadata: body.metadata))),
                ("text", .bytes(body.text)),
                ("vector", put.vector.map { .json(jsonText(vector: $0)) } ?? .null),
            ]
        }
        return .object(fields)
    case .delete(let collectionID, let id):
        return .object([
            ("op", .text("delete")), ("collectionID", .number(collectionID)), ("id", .bytes(id)),
        ])
    case .createCollection(let shape):
        return .object([("op", .text("create"))] + shape.fields)
    case .renameCollection(let id, let name):
        return .object([
            ("op", .text("rename")), ("collectionID", .number(id)), ("to", .text(name)),
        ])
    case .dropCollection(let id):
        return .object([("op", .text("drop")), ("collectionID", .number(id))])
    case .deletePrefix(let collectionID, let prefix):
        return .object([
            ("op", .text("delete_prefix")), ("collectionID", .number(collectionID)),
            ("prefix", .bytes(prefix)),
        ])
    }
}
