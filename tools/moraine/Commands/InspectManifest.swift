// moraine inspect manifest: the edits of every manifest. Bytes: format-spec/manifest.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let inspectManifest = inspector(
        "manifest",
        "show the edits of the manifest",
        options: Option.records,
        notes: [
            """
            With --json one object a manifest; there is more than one only after a crash, or beside
            a writer. --record and --offset show one record only.
            """
        ],
        examples: [
            ("moraine inspect manifest notes.moraine", "segments, deletions, logs, floor"),
            ("moraine inspect manifest notes.moraine --record 1", "the state that it began with"),
            (
                "moraine inspect manifest notes.moraine --json | jq '.edits[].edits[].edit'",
                "the kinds of edits"
            ),
        ],
        run: { store, call throws(Failure) in
            let look = try call.recordLook { [:] }
            var files: [InspectedFile] = []
            for name in try store.names(in: FileNames.manifestFolder) {
                guard case .manifest? = FileNames.parse(name),
                    let file = try store.openIfThere(name)
                else { continue }
                files.append(file)
            }
            guard !files.isEmpty else {
                let path = FileNames.path(store.folder, FileNames.manifestFolder)
                throw Failure(.damage, "\(path): there is no manifest")
            }
            try call.printManifests(files, look, store)
        }
    )
}

extension Call {
    /// Prints the edits of manifests; none of those that were asked for is exit code 1.
    func printManifests(_ files: [InspectedFile], _ look: RecordLook, _ store: InspectedStore)
        throws(Failure)
    {
        var found = 0
        for (index, file) in files.enumerated() {
            if index > 0, !isJSON { output.write("\n") }
            found += inspect(file, look, store, self)
        }
        guard found > 0 || !look.isNarrow || store.exit != .fine else {
            throw Failure(.absent, "there is no such record in what was looked at")
        }
    }
}

/// Prints a manifest; returns how many records it showed.
private func inspect(
    _ file: InspectedFile,
    _ look: RecordLook,
    _ store: InspectedStore,
    _ call: Call
) -> Int {
    var fields: Description.Fields = [
        ("file", .text(file.name)), ("byteCount", .number(file.byteCount)),
    ]
    var edits: [Description] = []
    do throws(StoreError) {
        let records = try RecordFile(file, kind: .manifest)
        let isCurrent = store.root.map { $0.manifestID == records.header.fileID }
        fields.append(("current", isCurrent.map { .bool($0) } ?? .null))
        fields.append(("header", .object(records.fields)))
        var fault: StoreError?
        let (limit, promise) = try store.bounds(of: records)
        let end = try records.walk(to: limit, promise: promise) { record, payload, offset in
            guard record.kind == .edit, look.wants(record, at: offset) else { return }
            do throws(FormatError) {
                let list = try describeEdits(payload, count: record.operationCount)
                edits.append(
                    .object([
                        ("offset", .number(offset)), ("number", .number(record.number)),
                        ("promised", .number(record.promised)), ("edits", .list(list)),
                    ])
                )
            } catch {
                fault =
                    fault
                    ?? StoreError(
                        error,
                        path: file.file.path,
                        base: offset + UInt64(LogRecord.headerByteCount)
                    )
            }
        }
        fields.append(("edits", .list(edits)))
        fields.append(("end", .number(end.offset)))
        fields.append(("endMeaning", .text(end.meaning)))
        if let damage = fault ?? end.damage { throw damage }
    } catch {
        fields.append(("error", store.damage(error)))
    }
    if call.isJSON {
        if !look.isNarrow {
            call.print(.object(fields))
        } else {
            for case .object(let edit) in edits {
                call.print(.object([("file", .text(file.name))] + edit))
            }
        }
    } else {
        if !look.isNarrow {
            call.print(.object(fields.filter { $0.name != "edits" }))
            call.output.write("\n")
        }
        printEdits(edits, call)
    }
    return edits.count
}

/// One row an edit, so that a long record is readable.
private func printEdits(_ records: [Description], _ call: Call) {
    var table = Table(
        call.output,
        [("number", .right), ("offset", .right), ("edit", .left), ("", .left)]
    )
    for case .object(let record) in records {
        guard case .list(let edits)? = record.first(where: { $0.name == "edits" })?.value else {
            continue
        }
        for case .object(let edit) in edits {
            table.add([
                record[1].value.cell, record[0].value.cell, edit[0].value.cell,
                Description.object(Array(edit.dropFirst())).cell,
            ])
        }
    }
    table.finish()
}

private func describeEdits(_ payload: UnsafeRawBufferPointer, count: UInt32)
    throws(FormatError) -> [Description]
{
    var reader = ByteReader(payload)
    var edits: [Description] = []
    for _ in 0..<count { edits.append(describe(try ManifestEdit.decode(&reader))) }
    try reader.expectEnd("edits")
    return edits
}

private func describe(_ edit: ManifestEdit) -> Description {
    func named(_ name: String, _ fields: Description.Fields) -> Description {
        .object([("edit", .text(name))] + fields)
    }
    func kind(_ segmentID: UInt64, _ number: UInt8) -> Description.Fields {
        let name = DerivedKind(rawValue: number)?.name
        return [
            ("segmentID", .number(segmentID)),
            ("kind", name.map { .text($0) } ?? .number(number)),
        ]
    }
    switch edit {
    case .counters(let nextFileID, let nextCollectionID):
        return named(
            "counters",
            [
                ("nextFileID", .number(nextFileID)),
                ("nextCollectionID", .number(nextCollectionID)),
            ]
        )
    case .collection(let shape, let createdLSN):
        return named("collection", shape.fields + [("createdLSN", .number(createdLSN))])
    case .segment(let entry):
        var files = [("document", entry.document), ("key", entry.key)]
        if let vector = entry.vector { files.append(("vector", vector)) }
        return named(
            "segment",
            [
                ("segmentID", .number(entry.id)), ("rowCount", .number(entry.rowCount)),
                ("tombstoneCount", .number(entry.tombstoneCount)),
                ("minLSN", .number(entry.minLSN)), ("maxLSN", .number(entry.maxLSN)),
                ("inputs", .list(entry.inputs.map { .number($0) })),
            ] + files.map { ($0.0, describe($0.1)) }
        )
    case .deletions(let entry):
        return named(
            "deletions",
            [
                ("segmentID", .number(entry.segmentID)), ("file", describe(entry.file)),
                ("deadRowCount", .number(entry.deadRowCount)),
            ]
        )
    case .log(let entry):
        return named(
            "log",
            [
                ("sequence", .number(entry.sequence)), ("epoch", .number(entry.epoch)),
                ("firstLSN", .number(entry.firstLSN)),
                ("incarnation", .text(hexadecimal(entry.incarnation, count: 16))),
            ]
        )
    case .logDropped(let sequence):
        return named("logDropped", [("sequence", .number(sequence))])
    case .floor(let lsn, let commitTime):
        return named("floor", [("LSN", .number(lsn)), ("commitTime", .time(commitTime))])
    case .collectionRenamed(let id, let name):
        return named("collectionRenamed", [("collectionID", .number(id)), ("name", .text(name))])
    case .collectionDropped(let id):
        return named("collectionDropped", [("collectionID", .number(id))])
    case .segmentDropped(let id):
        return named("segmentDropped", [("segmentID", .number(id))])
    case .derived(let entry):
        return named(
            "derived",
            kind(entry.segmentID, entry.kindNumber) + [("file", describe(entry.file))]
        )
    case .derivedDropped(let segmentID, let kindNumber):
        return named("derivedDropped", kind(segmentID, kindNumber))
    }
}

private func describe(_ file: SealedFileReference) -> Description {
    .object([
        ("fileID", .number(file.fileID)), ("byteCount", .number(file.byteCount)),
        ("footerChecksum", .checksum(file.footerChecksum)),
    ])
}
