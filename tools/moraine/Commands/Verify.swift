// moraine verify: reads every byte of a store and compares it with its checksums.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let verify = Command(
        "verify",
        "check every byte of a store",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [.json] + Option.reading,
        notes: [
            "Findings go to standard output, with file and offset; exit code 4 when there is one. "
                + "Changes\nnothing, and may run beside a writer."
        ],
        examples: [
            ("moraine verify notes.moraine", "\"ok\" or a list of damage"),
            ("moraine verify notes.moraine --json | jq .findings", "the damage as JSON"),
        ],
        run: { call throws(Failure) in
            let options = try call.engineOptions(.read)
            let limit = try call.readLimit()
            let progress = Progress(call.console.error)
            let report = try engineCall { () throws(StoreError) in
                defer { progress.clear() }
                return try Engine.verify(
                    PosixFileSystem.folder(linkedBy: call[0]),
                    options: options,
                    within: limit,
                    progress: { done, total in
                        progress.show("verified \(byteText(done)) of \(byteText(total))")
                    }
                )
            }
            for note in report.notes { call.console.note(note) }
            if call.isJSON {
                printJSON(report, call.output)
            } else {
                printText(report, call.output)
            }
            return report.isOK ? .fine : .damage
        }
    )
}

private func printJSON(_ report: VerifyReport, _ output: Output) {
    var json = JSONWriter()
    json.writeRaw("{\"ok\":")
    json.writeBool(report.isOK)
    json.writeRaw(",\"files\":")
    json.writeUInt(UInt64(report.fileCount))
    json.writeRaw(",\"bytes\":")
    json.writeUInt(report.byteCount)
    json.writeRaw(",\"findings\":[")
    for (index, finding) in report.findings.enumerated() {
        if index > 0 { json.writeRaw(",") }
        json.writeRaw("{\"file\":")
        json.writeString(finding.file)
        json.writeRaw(",\"offset\":")
        json.writeUInt(finding.offset)
        json.writeRaw(",\"kind\":")
        json.writeString(finding.kind.rawValue)
        json.writeRaw(",\"expected\":")
        json.writeString(finding.expected)
        json.writeRaw(",\"found\":")
        json.writeString(finding.found)
        json.writeRaw("}")
    }
    json.writeRaw("],\"unchecked\":[")
    for (index, text) in report.unchecked.enumerated() {
        if index > 0 { json.writeRaw(",") }
        json.writeString(text)
    }
    json.writeRaw("]}")
    output.writeLine(&json)
}

private func printText(_ report: VerifyReport, _ output: Output) {
    for finding in report.findings {
        output.writeLine(
            visible(
                "\(finding.file): byte \(finding.offset): \(finding.kind.rawValue): "
                    + "expected \(finding.expected), found \(finding.found)"
            )
        )
    }
    for text in report.unchecked { output.writeLine("not checked: \(visible(text))") }
    let read = "\(grouped(report.fileCount)) files, \(byteText(report.byteCount))"
    if report.isOK {
        output.writeLine("\(output.styled("ok", .green)): \(read)")
    } else {
        let count = report.findings.count
        output.writeLine(
            "\(output.styled("damaged", .red)): \(grouped(count)) "
                + "\(count == 1 ? "finding" : "findings") in \(read)"
        )
    }
}
