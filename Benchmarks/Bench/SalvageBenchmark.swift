// salvage: seeded damages to seeded stores, each salvaged and held against a model.

import MoraineFiles
import MoraineSimulation

extension Command {
    static let salvage = Command(
        "salvage",
        "seeded damages, salvaged, against a model",
        about: """
            Makes one store a seed, in memory, damages it (a bit, a cut, zeros, a missing file, two
            files swapped, no ROOT, no manifest, impossible fields under right checksums, and two of
            these) and salvages it. What is whole must come back; nothing may come back that was not
            the newest, unless it is called doubtful; the damaged store must stay as it was. The
            exit code is 1 when a seed fails.
            """,
        options: [Option("--seeds", "N", "how many; 500 by default")],
        takesData: false,
        examples: [
            ("salvage --seeds 500", "seeds 1 to 500"),
            ("salvage --seeds 1 --seed 77", "one seed again"),
        ],
        run: runSalvage
    )
}

private func runSalvage(_ arguments: Arguments) throws {
    let count =
        try arguments.number("--seeds", in: 1...1_000_000_000) ?? (arguments.isQuick ? 20 : 500)
    let seed = try arguments.seed()
    guard case let (end, overflow) = seed.addingReportingOverflow(UInt64(count)), !overflow else {
        throw Failure.usage("--seed is too large for so many damages")
    }
    let report = Report("salvage", arguments, machine: [:])
    report.setting("seeds", "\(seed) to \(end - 1)")
    let start = SystemClock().steadyNanoseconds()
    let result = SalvageTrial.run(seeds: seed..<end)
    let time = Double(SystemClock().steadyNanoseconds() - start) / 1e9
    for (kind, number) in result.kinds.sorted(by: { $0.key < $1.key }) {
        report.figure("damages: \(kind)", "in all", [Double(number)])
    }
    report.figure("documents recovered", "in all", [Double(result.recovered)])
    report.figure("documents doubtful", "in all", [Double(result.doubtful)])
    report.figure("documents lost", "in all", [Double(result.lost)])
    report.figure("refused", "in all", [Double(result.refusedCount)])
    report.figure("complete", "in all", [Double(result.completeCount)])
    report.figure("salvages", "a second", [Double(result.trialCount) / time])
    for failure in result.failures { report.setting("failed", failure) }
    let failed = result.failures.count
    report.setting("passed", "\(result.trialCount - failed)")
    try report.finish()
    if !arguments.has("--json") { print("\(result.trialCount - failed) passed, \(failed) failed") }
    if failed > 0 { throw Failure.failed("\(failed) salvages were wrong") }
}
