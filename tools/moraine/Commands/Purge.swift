// moraine purge: deletes documents and removes their bytes from every file of the store.

import MoraineEngine
import MoraineJSON
import MoraineStorage

extension Command {
    static let purge = Command(
        "purge",
        "remove documents and every trace of their bytes",
        positionals: [
            Positional("STORE", "the folder of the store"),
            Positional("COLLECTION", "their collection"),
            Positional("ID", "their ids", count: .oneOrMore),
        ],
        options: [
            Option("--prove", nil, "look for their bytes afterwards, and say where"),
            .json,
        ] + Option.writing,
        notes: [
            "Deletes, then rewrites each segment that holds something of the ids, and drops the log "
                + "files that\nheld them. Ids that were deleted before are purged as well. With "
                + "--prove every record of every\nsegment and the bytes of every file are searched; "
                + "exit code 4 when something is found.\nWith --json: {\"documents\":1,"
                + "\"segments\":2,\"proof\":null} or with --prove\n\"proof\":{\"files\":N,\"bytes\":N,"
                + "\"records\":N,\"samples\":N,\"findings\":[{\"file\",\"offset\",\"found\"}]}."
        ],
        examples: [
            ("moraine purge notes.moraine notes some-id", "one document"),
            ("moraine purge notes.moraine notes some-id --prove", "and look for it afterwards"),
        ],
        run: { call throws(Failure) in
            call.console.cancellation.hold()
            let ids = Array(call.arguments.positionals.dropFirst(2))
            let proves = call.arguments.has("--prove")
            return try call.withStore(call[0], .write(creates: false, durability: .full)) {
                engine throws(Failure) in
                let progress = SharedProgress(call.console.error)
                let cancellation = call.console.cancellation
                let report = try engineCall { () throws(StoreError) in
                    defer { progress.clear() }
                    return try engine.purge(
                        call[1],
                        ids: ids.map { Array($0.utf8) },
                        waitMilliseconds: 10_000,
                        proves: proves
                    ) { made in
                        progress.show(made.text("rewrote"))
                        return !cancellation.isRequested
                    }
                }
                if call.isJSON { printJSON(report, call.output) } else { printText(report, call) }
                return report.proof?.findings.isEmpty ?? true ? .fine : .damage
            }
        }
    )
}

private func printJSON(_ report: PurgeReport, _ output: Output) {
    var json = JSONWriter()
    json.writeRaw("{\"documents\":")
    json.writeUInt(UInt64(report.documentCount))
    json.writeRaw(",\"segments\":")
    json.writeUInt(UInt64(report.segmentCount))
    json.writeRaw(",\"proof\":")
    if let proof = report.proof {
        json.writeRaw("{\"files\":")
        json.writeUInt(UInt64(proof.fileCount))
        json.writeRaw(",\"bytes\":")
        json.writeUInt(proof.byteCount)
        json.writeRaw(",\"records\":")
        json.writeUInt(UInt64(proof.recordCount))
        json.writeRaw(",\"samples\":")
        json.writeUInt(UInt64(proof.sampleCount))
        json.writeRaw(",\"findings\":[")
        for (index, finding) in proof.findings.enumerated() {
            if index > 0 { json.writeRaw(",") }
            json.writeRaw("{\"file\":")
            json.writeString(finding.file)
            json.writeRaw(",\"offset\":")
            json.writeUInt(finding.offset)
            json.writeRaw(",\"found\":")
            json.writeString(finding.found)
            json.writeRaw("}")
        }
        json.writeRaw("]}")
    } else {
        json.writeNull()
    }
    json.writeRaw("}")
    output.writeLine(&json)
}

private func printText(_ report: PurgeReport, _ call: Call) {
    let output = call.output
    output.writeLine(
        "purged \(grouped(report.documentCount)) "
            + "\(report.documentCount == 1 ? "document" : "documents"), "
            + "rewrote \(grouped(report.segmentCount)) "
            + "\(report.segmentCount == 1 ? "segment" : "segments")"
    )
    guard let proof = report.proof else { return }
    for finding in proof.findings {
        output.writeLine(visible("\(finding.file): byte \(finding.offset): \(finding.found)"))
    }
    output.writeLine(
        "searched \(grouped(proof.fileCount)) files, \(byteText(proof.byteCount)), for "
            + "\(grouped(proof.sampleCount)) samples of bytes; compared the ids of "
            + "\(grouped(proof.recordCount)) records"
    )
    if proof.findings.isEmpty { output.writeLine("no trace was found") }
}
