// damages: seeded damages to every kind of file, each to be found by the check of the store.

import MoraineFiles
import MoraineSimulation

extension Command {
    static let damages = Command(
        "damages",
        "seeded damages to every kind of file are found",
        about: """
            Makes stores in memory with several collections and segments and files of every kind,
            and damages a copy once a seed: a bit, blocks swapped in a file, between files and with
            another store, misdirected blocks, zeros, cut, missing, foreign and older files. Verify
            must find it, and reading must answer right or refuse. Impossible fields under right
            checksums must do no harm. The exit code is 1 when a damage went unnoticed or a wrong
            answer came back.
            """,
        options: [Option("--seeds", "N", "how many; 3000 by default, 100 with --quick")],
        takesData: false,
        examples: [
            ("damages --seeds 3000", "seeds 1 to 3000"),
            ("damages --seeds 1 --seed 77", "one seed again"),
        ],
        run: runDamages
    )
}

private func runDamages(_ arguments: Arguments) throws {
    let count =
        try arguments.number("--seeds", in: 1...1_000_000_000) ?? (arguments.isQuick ? 100 : 3000)
    let seed = try arguments.seed()
    guard case let (end, overflow) = seed.addingReportingOverflow(UInt64(count)), !overflow else {
        throw Failure.usage("--seed is too large for so many damages")
    }
    let report = Report("damages", arguments, machine: [:])
    report.setting("seeds", "\(seed) to \(end - 1)")
    let start = SystemClock().steadyNanoseconds()
    let result = try DamageTrial.run(seeds: seed..<end)
    let time = Double(SystemClock().steadyNanoseconds() - start) / 1e9
    for (kind, counts) in result.kinds.sorted(by: { $0.key < $1.key }) {
        report.figure(kind, "in all", [Double(counts.count)])
        report.figure("\(kind): reported", "in all", [Double(counts.reportedCount)])
    }
    for (file, number) in result.files.sorted(by: { $0.key < $1.key }) {
        report.figure("in \(file)", "in all", [Double(number)])
    }
    report.figure("damages", "a second", [Double(result.count) / time])
    for failure in result.failures { report.setting("failed", failure) }
    let failed = result.failures.count
    report.setting("passed", "\(result.count - failed)")
    try report.finish()
    if !arguments.has("--json") { print("\(result.count - failed) passed, \(failed) failed") }
    if failed > 0 { throw Failure.failed("\(failed) damages went unnoticed or gave wrong answers") }
}
