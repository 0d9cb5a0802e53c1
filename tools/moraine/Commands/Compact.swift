// moraine compact: merges segments and gives back the space of what was replaced or deleted.

import MoraineEngine
import MoraineJSON
import MoraineStorage

extension Command {
    static let compact = Command(
        "compact",
        "merge segments and give back space",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [
            Option(
                "--all",
                nil,
                "merge everything into as few segments as the memory budget allows"
            ),
            .json,
        ] + Option.writing,
        notes: [
            "Without --all only what there is reason to merge: eight segments of about the same "
                + "size, more than\na fifth of dead rows, deletes that nothing needs any more. "
                + "What it makes has its index files\nat once, where there is room for them. "
                + "Interrupted, it leaves the store as the\nfinished merges made it, and exits with "
                + "32. With --json: {\"merges\":1,\"inputSegments\":8,\n\"readBytes\":N,"
                + "\"writtenBytes\":N,\"bytesBefore\":N,\"bytesAfter\":N}."
        ],
        examples: [
            ("moraine compact notes.moraine", "what is due"),
            ("moraine compact notes.moraine --all", "everything, after many deletes"),
        ],
        run: { call throws(Failure) in
            call.console.cancellation.hold()
            let all = call.arguments.has("--all")
            return try call.withStore(call[0], .write(creates: false, durability: .full)) {
                engine throws(Failure) in
                let progress = SharedProgress(call.console.error)
                let cancellation = call.console.cancellation
                let summary = try engineCall { () throws(StoreError) in
                    defer { progress.clear() }
                    return try engine.compact(all: all) { made in
                        progress.show(made.text("compacted"))
                        return !cancellation.isRequested
                    }
                }
                report(summary, call)
                return .fine
            }
        }
    )
}

extension CompactionProgress {
    /// The line for people who wait.
    func text(_ verb: String) -> String {
        let bytes = "\(verb) \(byteText(doneByteCount)) of \(byteText(totalByteCount))"
        if vectorCount == 0 { return bytes }
        return bytes + ", linked \(grouped(linkedVectorCount)) of \(grouped(vectorCount)) vectors"
    }
}

private func report(_ summary: CompactionSummary, _ call: Call) {
    if call.isJSON {
        var json = JSONWriter()
        json.writeRaw("{\"merges\":")
        json.writeUInt(UInt64(summary.mergeCount))
        json.writeRaw(",\"inputSegments\":")
        json.writeUInt(UInt64(summary.inputSegmentCount))
        json.writeRaw(",\"readBytes\":")
        json.writeUInt(summary.readByteCount)
        json.writeRaw(",\"writtenBytes\":")
        json.writeUInt(summary.writtenByteCount)
        json.writeRaw(",\"bytesBefore\":")
        json.writeUInt(summary.byteCountBefore)
        json.writeRaw(",\"bytesAfter\":")
        json.writeUInt(summary.byteCountAfter)
        json.writeRaw("}")
        call.output.writeLine(&json)
    } else if summary.mergeCount == 0 {
        call.output.writeLine("nothing to merge: \(byteText(summary.byteCountAfter))")
    } else {
        call.output.writeLine(
            "merged \(grouped(summary.inputSegmentCount)) segments in \(grouped(summary.mergeCount)) "
                + "\(summary.mergeCount == 1 ? "merge" : "merges"): "
                + "\(byteText(summary.byteCountBefore)) before, \(byteText(summary.byteCountAfter)) after"
        )
    }
}
