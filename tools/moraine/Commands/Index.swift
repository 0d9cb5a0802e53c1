// moraine index: makes the files that make searches quick.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let index = Command(
        "index",
        "make the files that make searches quick",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [.json] + Option.writing,
        notes: [
            """
            A program that has the store open for writing makes them by itself, in the background;
            this is for after an import, or for copies that have none. What is only in the log is
            taken into a segment first. Small segments need none. Interrupted, it keeps what is
            finished, and exits with 32. With --json: {"files":3,"bytes":N,"seconds":S}.
            """
        ],
        examples: [
            ("moraine index notes.moraine", "codes, graphs and columns of all segments"),
            ("moraine inspect segment notes.moraine", "what files there are then"),
        ],
        run: { call throws(Failure) in
            call.console.cancellation.hold()
            let access = Access.write(creates: false, durability: .full)
            return try call.withStore(call[0], access) { engine throws(Failure) in
                let progress = SharedProgress(call.console.error)
                let cancellation = call.console.cancellation
                let clock = SystemClock()
                let start = clock.steadyNanoseconds()
                // Not what buildIndexes counts: some may have been under way in the background.
                let before = try indexFiles(engine)
                try engineCall { () throws(StoreError) in
                    defer { progress.clear() }
                    try engine.checkpoint()
                    try engine.buildIndexes { made in
                        progress.show(
                            "made \(made.doneCount) of \(made.totalCount) index files"
                        )
                        return !cancellation.isRequested
                    }
                }
                let seconds = Double(clock.steadyNanoseconds() - start) / 1e9
                let files = try indexFiles(engine)
                let byteCount = files.values.reduce(0, +)
                report(files.keys.count { before[$0] == nil }, byteCount, seconds, call)
                return .fine
            }
        }
    )
}

/// The index files of the newest state by their ids, with their bytes.
private func indexFiles(_ engine: Engine) throws(Failure) -> [UInt64: UInt64] {
    let version = try engineCall { () throws(StoreError) in try engine.version() }
    var files: [UInt64: UInt64] = [:]
    for file in version.segments.flatMap(\.indexes.all) {
        files[file.entry.file.fileID] = file.byteCount
    }
    return files
}

private func report(_ count: Int, _ byteCount: UInt64, _ seconds: Double, _ call: Call) {
    if call.isJSON {
        call.print(
            .object([
                ("files", .number(count)), ("bytes", .number(byteCount)),
                ("seconds", .json(decimal(seconds, digits: 3))),
            ])
        )
    } else if count == 0 {
        call.output.writeLine("nothing to make: index files have \(byteText(byteCount))")
    } else {
        call.output.writeLine(
            "made \(grouped(count)) index \(count == 1 ? "file" : "files") in "
                + "\(decimal(seconds, digits: 1)) s; all of them have \(byteText(byteCount))"
        )
    }
}
