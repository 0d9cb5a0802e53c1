// simulate: random histories with crashes and faults, each recovery compared with a model.

import MoraineFiles
import MoraineSimulation

extension Command {
    static let simulate = Command(
        "simulate",
        "random histories with crashes and faults, against a model",
        about: """
            Runs one history per seed, all in memory; threads change nothing but the time. Prints
            how often each kind of step was done and each kind of sync was crashed at. Seeds below
            20000 lack what came later: derived files below 10000; purges, followers, salvages and
            lying syncs below 20000. A failure prints its seed and the end of its trace; then the
            exit code is 1.
            """,
        options: [
            Option("--histories", "N", "how many; 2000 by default"),
            Option("--threads", "N", "side by side; one for each processor by default"),
        ],
        takesData: false,
        examples: [
            ("simulate --histories 2000", "seeds 20000 to 21999"),
            ("simulate --histories 1 --seed 77", "one seed again"),
        ],
        run: runSimulate
    )
}

private func runSimulate(_ arguments: Arguments) throws {
    let count =
        try arguments.number("--histories", in: 1...1_000_000_000)
        ?? (arguments.isQuick ? 20 : 2000)
    let seed = arguments.has("--seed") ? try arguments.seed() : HistorySimulator.firstFullSeed
    guard case let (end, overflow) = seed.addingReportingOverflow(UInt64(count)), !overflow else {
        throw Failure.usage("--seed is too large for so many histories")
    }
    let width = try arguments.number("--threads", in: 1...1024) ?? WorkerThread.processorCount
    let report = Report("simulate", arguments, machine: [:])
    report.setting("seeds", "\(seed) to \(end - 1)")
    let start = SystemClock().steadyNanoseconds()
    let result = HistorySimulator.run(seeds: seed..<end, width: width)
    let time = Double(SystemClock().steadyNanoseconds() - start) / 1e9
    report.figure("operations", "in all", [Double(result.operationCount)])
    report.figure("commits", "in all", [Double(result.commitCount)])
    report.figure("crashes", "in all", [Double(result.crashCount)])
    report.figure("crashes in a recovery", "in all", [Double(result.recoveryCrashCount)])
    report.figure("faults", "in all", [Double(result.faultCount)])
    for (kind, steps) in result.kinds.sorted(by: { $0.key < $1.key }) {
        report.figure(kind, "in all", [Double(steps)])
    }
    for (site, crashes) in result.syncSites.sorted(by: { $0.key < $1.key }) {
        report.figure("crashes at \(site)", "in all", [Double(crashes)])
    }
    report.figure("histories", "a second", [Double(result.historyCount) / time])
    report.setting("fingerprint", String(result.fingerprint, radix: 16))
    for failure in result.failures { report.setting("failed", failure.description) }
    let failed = result.failures.count
    report.setting("passed", "\(result.historyCount - failed)")
    try report.finish()
    if !arguments.has("--json") {
        print("\(result.historyCount - failed) passed, \(failed) failed")
    }
    if let failure = result.failures.first {
        throw Failure.failed("the history of seed \(failure.seed) failed")
    }
}
