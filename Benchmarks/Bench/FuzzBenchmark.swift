// fuzz: damaged stores that are worked with.

import MoraineFiles
import MoraineSimulation

extension Command {
    static let fuzz = Command(
        "fuzz",
        "damaged stores that are read, written, merged, checked and salvaged",
        about: """
            Makes a store in memory once a seed, damages any of its files as `damages` does, and does
            a few things with it that chance chooses: opens it to read or to write, gets, scans,
            counts, searches, commits, merges, makes indexes, purges, verifies, salvages, closes it,
            loses it in a crash, and damages it again. Errors will do; what is answered must be right
            as long as checksums tell the damage. Fields that cannot be, under right checksums, must
            not end the process. The exit code is 1 when a seed fails.
            """,
        options: [
            Option("--seeds", "N", "how many; 2000 by default, 40 with --quick"),
            Option("--threads", "N", "that run at once; all cores by default"),
            Option("--verbose", nil, "say each seed before its run, for one that ends the process"),
        ],
        takesData: false,
        examples: [
            ("fuzz --seeds 100000", "seeds 1 to 100000"),
            ("fuzz --seeds 1 --seed 77", "one seed again"),
        ],
        run: runFuzz
    )
}

private func runFuzz(_ arguments: Arguments) throws {
    let count =
        try arguments.number("--seeds", in: 1...1_000_000_000) ?? (arguments.isQuick ? 40 : 2000)
    let seed = try arguments.seed()
    guard case let (end, overflow) = seed.addingReportingOverflow(UInt64(count)), !overflow else {
        throw Failure.usage("--seed is too large for so many runs")
    }
    let width = try arguments.number("--threads", in: 1...1024) ?? WorkerThread.processorCount
    let isVerbose = arguments.has("--verbose")
    let report = Report("fuzz", arguments, machine: [:])
    report.setting("seeds", "\(seed) to \(end - 1)")
    let start = SystemClock().steadyNanoseconds()
    let result = try StoreFuzz.run(seeds: seed..<end, width: width) { seed in
        if isVerbose { print("seed \(seed)") }
    }
    let time = Double(SystemClock().steadyNanoseconds() - start) / 1e9
    let tables = [
        ("", result.damages), ("in ", result.files), ("", result.operations),
        ("error ", result.errors),
    ]
    for (prefix, counts) in tables {
        for (name, number) in counts.sorted(by: { $0.key < $1.key }) {
            report.figure(prefix + name, "in all", [Double(number)])
        }
    }
    report.figure("slowest run", "ms", [Double(result.slowest.nanoseconds) / 1e6])
    report.setting("slowest seed", "\(result.slowest.seed)")
    report.figure("runs", "a second", [Double(result.runCount) / time])
    for failure in result.failures { report.setting("failed", failure) }
    let failed = result.failures.count
    report.setting("passed", "\(result.runCount - failed)")
    try report.finish()
    if !arguments.has("--json") { print("\(result.runCount - failed) passed, \(failed) failed") }
    if failed > 0 { throw Failure.failed("\(failed) damaged stores gave wrong answers") }
}
