// moraine salvage: a new store from whatever can still be read of a damaged one.

import MoraineEngine
import MoraineFiles
import MoraineJSON
import MoraineSalvage
import MoraineStorage

extension Command {
    static let salvage = Command(
        "salvage",
        "rebuild a store from what is left of it",
        positionals: [Positional("DAMAGED", "the folder of the damaged store; only read")],
        options: [
            Option("--into", "NEW", "the folder of the new store: nothing, or empty"),
            Option("--list", "FILE", "write what became of every document there, as JSON Lines"),
            Option("--json", nil, "print what became of every document, then the sum, as JSON"),
            .timeout,
        ] + Option.writing,
        notes: [
            """
            Reads segments and log records that verify, with or without ROOT and manifest; the
            newest version of each document wins and keeps its version and times. No writer may
            have DAMAGED open. A document is

              recovered  verified, and nothing newer can have been
              doubtful   in NEW, but a damaged place may have held something newer, or a part
                         of it is missing: the reasons say which
              lost       not in NEW, though something intact names it

            Exit code 0: all that was ever acknowledged is in NEW. 4: something is lost or
            doubtful, or ROOT or manifest are gone, so that nobody knows what else there was.
            1: nothing came back.

            NEW becomes a store at the very end. What a signal, --timeout, a full disk or a crash
            leaves of it does not open, and says why: remove it and begin anew. What was printed
            of documents is then as far as it got.
            """
        ],
        examples: [
            ("moraine salvage broken.moraine --into rescued.moraine", "what came back, in sum"),
            (
                "moraine salvage broken.moraine --into rescued.moraine --list documents.jsonl",
                "and every document in a file"
            ),
            (
                "moraine salvage broken.moraine --into rescued.moraine --json | grep '\"lost\"'",
                "what is missing"
            ),
        ],
        run: { call throws(Failure) in
            guard let target = call.arguments["--into"] else {
                throw call.command.misuse("say where the new store goes: --into NEW")
            }
            call.console.cancellation.hold()
            guard call.arguments.has("--list") else {
                return try salvageStore(call, target, list: nil)
            }
            return try call.withOutput("--list") { list throws(Failure) in
                try salvageStore(call, target, list: list)
            }
        }
    )
}

/// Documents of each outcome that are printed for people.
private let shownCount = 20

private func salvageStore(_ call: Call, _ target: String, list: Output?) throws(Failure) -> ExitCode
{
    let limit = try call.readLimit(orAt: call.console.cancellation)
    let options = try call.engineOptions(.write(creates: true, durability: .bulk))
    let output = call.output
    let progress = Progress(call.console.error)
    var shown: [SalvagedItem.Outcome: [SalvagedItem]] = [:]
    var json = JSONWriter()
    var count = 0
    let report = try engineCall { () throws(StoreError) in
        defer { progress.clear() }
        return try Salvager.salvage(
            PosixFileSystem.folder(linkedBy: call[0]),
            into: PosixFileSystem.folder(linkedBy: target),
            options: options,
            within: limit
        ) { item in
            count += 1
            progress.show("\(grouped(count)) documents")
            if item.outcome != .recovered, shown[item.outcome, default: []].count < shownCount {
                shown[item.outcome, default: []].append(item)
            }
            if let list {
                write(item, into: &json)
                list.writeLine(&json)
            }
            if call.isJSON {
                write(item, into: &json)
                output.writeLine(&json)
            }
        }
    }
    for note in report.notes { call.console.note(note) }
    if call.isJSON {
        write(report, into: &json)
        output.writeLine(&json)
    } else {
        printText(report, shown, target, output)
    }
    if report.isComplete { return .fine }
    return report.recovered + report.doubtful == 0 ? .absent : .damage
}

// MARK: JSON

private func write(_ item: SalvagedItem, into json: inout JSONWriter) {
    json.writeRaw("{\"outcome\":")
    json.writeString(item.outcome.rawValue)
    json.writeRaw(",\"collection\":")
    json.writeString(item.collection)
    json.writeRaw(",\"id\":")
    if let id = item.id { json.writeString(id) } else { json.writeRaw("null") }
    json.writeRaw(",\"version\":")
    json.writeUInt(item.version)
    if item.id == nil {
        json.writeRaw(",\"count\":")
        json.writeUInt(item.count)
    }
    if !item.reasons.isEmpty {
        json.writeRaw(",\"reasons\":[")
        for (index, reason) in item.reasons.enumerated() {
            if index > 0 { json.writeRaw(",") }
            json.writeString(reason.rawValue)
        }
        json.writeRaw("]")
    }
    if item.doubtUpTo > 0 {
        json.writeRaw(",\"doubt_up_to\":")
        json.writeUInt(item.doubtUpTo)
    }
    json.writeRaw("}")
}

private func write(_ report: SalvageReport, into json: inout JSONWriter) {
    func counts(_ recovered: UInt64, _ doubtful: UInt64, _ lost: UInt64) {
        json.writeRaw("\"recovered\":")
        json.writeUInt(recovered)
        json.writeRaw(",\"doubtful\":")
        json.writeUInt(doubtful)
        json.writeRaw(",\"lost\":")
        json.writeUInt(lost)
    }
    json.writeRaw("{\"complete\":")
    json.writeBool(report.isComplete)
    json.writeRaw(",\"guide\":")
    json.writeString(report.guide.rawValue)
    json.writeRaw(",")
    counts(report.recovered, report.doubtful, report.lost)
    json.writeRaw(",\"collections\":[")
    for (index, share) in report.collections.enumerated() {
        if index > 0 { json.writeRaw(",") }
        json.writeRaw("{\"name\":")
        json.writeString(share.name)
        json.writeRaw(",")
        counts(share.recovered, share.doubtful, share.lost)
        json.writeRaw("}")
    }
    json.writeRaw("],\"lost_commits\":[")
    for (index, range) in report.lostCommits.enumerated() {
        if index > 0 { json.writeRaw(",") }
        json.writeRaw("{\"first\":")
        json.writeUInt(range.lowerBound)
        json.writeRaw(",\"last\":")
        if range.upperBound == .max {
            json.writeRaw("null")
        } else {
            json.writeUInt(range.upperBound)
        }
        json.writeRaw("}")
    }
    json.writeRaw("],\"findings\":[")
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
    json.writeRaw("]}")
}

// MARK: Text

private func printText(
    _ report: SalvageReport,
    _ shown: [SalvagedItem.Outcome: [SalvagedItem]],
    _ target: String,
    _ output: Output
) {
    var table = Table(
        output,
        [("COLLECTION", .left), ("RECOVERED", .right), ("DOUBTFUL", .right), ("LOST", .right)]
    )
    for share in report.collections {
        table.add([
            share.name, grouped(Int(clamping: share.recovered)),
            grouped(Int(clamping: share.doubtful)), grouped(Int(clamping: share.lost)),
        ])
    }
    table.finish()
    for (outcome, total) in [
        (SalvagedItem.Outcome.doubtful, report.doubtful), (.lost, report.lost),
    ] where total > 0 {
        output.writeLine("\(outcome.rawValue):")
        let items = shown[outcome] ?? []
        for item in items { output.writeLine("  " + visible(text(item))) }
        let rest = total - min(total, items.reduce(0) { $0 + $1.count })
        if rest > 0 {
            output.writeLine("  and \(grouped(Int(clamping: rest))) more, with --list or --json")
        }
    }
    for range in report.lostCommits {
        let last = range.upperBound == .max ? "nobody knows which" : "\(range.upperBound)"
        output.writeLine("lost commits: \(range.lowerBound) to \(last)")
    }
    for finding in report.findings.prefix(shownCount) {
        output.writeLine(
            visible(
                "\(finding.file): byte \(finding.offset): \(finding.kind.rawValue): "
                    + "expected \(finding.expected), found \(finding.found)"
            )
        )
    }
    if report.findings.count > shownCount {
        output.writeLine("and \(report.findings.count - shownCount) more findings, with --json")
    }
    let recovered = grouped(Int(clamping: report.recovered + report.doubtful))
    if report.isComplete {
        output.writeLine(
            "\(output.styled("complete", .green)): \(recovered) documents in \(visible(target))"
        )
    } else {
        output.writeLine(
            "\(output.styled("partial", .red)): \(recovered) documents in \(visible(target)), "
                + "\(grouped(Int(clamping: report.doubtful))) of them doubtful, "
                + "\(grouped(Int(clamping: report.lost))) lost; \(told(report.guide))"
        )
    }
}

private func text(_ item: SalvagedItem) -> String {
    let reasons = item.reasons.map(\.rawValue).joined(separator: ", ")
    guard let id = item.id else {
        return "\(item.collection): \(grouped(Int(clamping: item.count))) documents without a name"
    }
    var text = "\(item.collection) \(id), version \(item.version): \(reasons)"
    if item.doubtUpTo == .max {
        text += ", by any later commit"
    } else if item.doubtUpTo > item.version {
        text += ", up to commit \(item.doubtUpTo)"
    }
    return text
}

private func told(_ guide: SalvageReport.Guide) -> String {
    switch guide {
    case .root: "ROOT and manifest are whole"
    case .manifest: "without ROOT nobody knows where the log ended"
    case .files: "without a manifest nobody knows which segments there were"
    }
}
