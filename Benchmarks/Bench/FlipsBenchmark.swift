// flips: every bit of every file of a small store, flipped one at a time.

import MoraineFiles
import MoraineSimulation

extension Command {
    static let flips = Command(
        "flips",
        "every single-bit flip of a small store is reported or harmless",
        about: """
            Makes a small store in memory, with every kind of file, and flips each bit of each file
            on a copy. A flip must be reported by verify, and reading must answer right or refuse.
            The exit code is 1 when a flip went unnoticed or a wrong answer came back.
            """,
        options: [Option("--step", "N", "every N-th bit only; 1 by default, 97 with --quick")],
        takesData: false,
        examples: [
            ("flips", "all of them"),
            ("flips --step 97", "a sample"),
        ],
        run: runFlips
    )
}

private func runFlips(_ arguments: Arguments) throws {
    let step =
        try arguments.number("--step", in: 1...1_000_000) ?? (arguments.isQuick ? 97 : 1)
    let report = Report("flips", arguments, machine: [:])
    report.setting("step", "\(step)")
    let start = SystemClock().steadyNanoseconds()
    let result = try BitFlips.run(step: step)
    let time = Double(SystemClock().steadyNanoseconds() - start) / 1e9
    for (kind, counts) in result.kinds.sorted(by: { $0.key < $1.key }) {
        report.figure("flips in \(kind)", "in all", [Double(counts.flipCount)])
        report.figure("reported in \(kind)", "in all", [Double(counts.reportedCount)])
    }
    report.figure("flips", "a second", [Double(result.flipCount) / time])
    for failure in result.failures.prefix(20) { report.setting("failed", failure) }
    try report.finish()
    let failed = result.failures.count
    if !arguments.has("--json") { print("\(result.flipCount - failed) passed, \(failed) failed") }
    if failed > 0 { throw Failure.failed("\(failed) flips went unnoticed or gave a wrong answer") }
}
