// moraine-bench: what the engine does beside what the machine itself can do in the same run.
//
// Each benchmark names its limit, measures both in interleaved rounds, and shows the ratio.

import Foundation

@main
struct MoraineBench {
    static let commands: [Command] = [
        .commit, .ingest, .get, .scan, .vectors, .search, .filter, .exact, .open, .compact, .churn,
        .decay, .tenants, .soak, .simulate, .flips, .damages, .fuzz, .salvage, .dataset,
    ]

    static func main() {
        do {
            try run(Array(CommandLine.arguments.dropFirst()))
        } catch let failure as Failure {
            complain(failure.message)
            exit(failure.exitCode)
        } catch {
            complain("\(error)")
            exit(1)
        }
    }

    private static func run(_ words: [String]) throws {
        guard let name = words.first else {
            throw Failure.usage("a benchmark is missing\n\n\(overview)")
        }
        if ["--help", "-h", "help"].contains(name) {
            print(overview)
            return
        }
        guard let command = commands.first(where: { $0.name == name }) else {
            throw Failure.usage("there is no benchmark \"\(name)\"; see moraine-bench --help")
        }
        let rest = Array(words.dropFirst())
        if rest.contains("--help") || rest.contains("-h") {
            print(command.help)
            return
        }
        try command.run(try Arguments(rest, for: command))
    }

    private static var overview: String {
        let width = commands.map(\.name.count).max() ?? 0
        let list = commands.map {
            "  " + $0.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + $0.summary
        }
        return """
            Usage: moraine-bench BENCHMARK [DATA] [options]

            \(list.joined(separator: "\n"))

            DATA is a folder with meta.json, docs.jsonl, base.f32 and queries.f32; without one, data
            is generated. moraine-bench BENCHMARK --help lists the options, with examples.
            """
    }

    private static func complain(_ message: String) {
        FileHandle.standardError.write(Data("moraine-bench: \(message)\n".utf8))
    }
}
