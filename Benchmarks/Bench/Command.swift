// The benchmarks' command line: options, help, and what is wrong with it.

import Foundation

/// Why a run ended early.
struct Failure: Error {
    let message: String
    let exitCode: Int32

    /// Bad usage.
    static func usage(_ message: String) -> Failure { Failure(message: message, exitCode: 16) }

    /// The run could not be done.
    static func failed(_ message: String) -> Failure { Failure(message: message, exitCode: 1) }
}

/// An option that a benchmark knows.
struct Option {
    let name: String
    /// What to call the value in help, `nil` for a flag.
    let value: String?
    let summary: String

    init(_ name: String, _ value: String? = nil, _ summary: String) {
        self.name = name
        self.value = value
        self.summary = summary
    }
}

/// One benchmark.
struct Command: Sendable {
    let name: String
    let summary: String
    /// What is measured, against which limit.
    let about: String
    let options: [Option]
    let takesData: Bool
    let examples: [(line: String, meaning: String)]
    let run: @Sendable (Arguments) throws -> Void

    private static let common = [
        Option("--folder", "DIR", "where to make the stores; the current folder by default"),
        Option("--seed", "S", "seed of everything random; 1 by default"),
        Option("--rounds", "N", "measured rounds; 7 by default"),
        Option("--quick", nil, "small sizes and 3 rounds: shows that it runs, measures little"),
        Option("--json", nil, "one JSON object instead of text"),
    ]

    private static let data = [
        Option("--data", "DIR", "a data set; the same as the argument DATA"),
        Option("--documents", "N", "generate N documents instead"),
        Option("--dimensions", "D", "numbers in a generated vector; 384 by default"),
        Option("--text-bytes", "N", "bytes of a generated text, about; 400 by default"),
    ]

    init(
        _ name: String,
        _ summary: String,
        about: String,
        options: [Option],
        takesData: Bool,
        examples: [(line: String, meaning: String)],
        run: @escaping @Sendable (Arguments) throws -> Void
    ) {
        self.name = name
        self.summary = summary
        self.about = about
        self.options = options + (takesData ? Self.data : []) + Self.common
        self.takesData = takesData
        self.examples = examples
        self.run = run
    }

    var help: String {
        let names = options.map { $0.name + ($0.value.map { " " + $0 } ?? "") }
        let width = names.map(\.count).max() ?? 0
        let rows = zip(names, options).map { name, option in
            "  " + name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + option.summary
        }
        let shown = examples.map { "  moraine-bench \($0.line)\n      \($0.meaning)" }
        return """
            Usage: moraine-bench \(name)\(takesData ? " [DATA]" : "") [options]

            \(about)

            Options:
            \(rows.joined(separator: "\n"))

            Examples:
            \(shown.joined(separator: "\n"))
            """
    }
}

/// The arguments of one benchmark, taken apart.
struct Arguments: Sendable {
    let isQuick: Bool
    /// The folder of a data set, when one is named.
    let data: String?
    private let values: [String: String]

    init(_ words: [String], for command: Command) throws {
        var values: [String: String] = [:]
        var positionals: [String] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-" else {
                positionals.append(word)
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let name = parts[0]
            guard let option = command.options.first(where: { $0.name == name }) else {
                throw Failure.usage(
                    "\(command.name) has no option \(name); see moraine-bench \(command.name) "
                        + "--help"
                )
            }
            var value = ""
            if option.value != nil {
                guard let given = parts.count > 1 ? parts[1] : rest.popFirst() else {
                    throw Failure.usage("\(name) needs a value")
                }
                value = given
            } else if parts.count > 1 {
                throw Failure.usage("\(name) takes no value")
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Failure.usage("\(name) is given twice")
            }
        }
        if let folder = values["--data"] { positionals.append(folder) }
        guard positionals.count <= (command.takesData ? 1 : 0) else {
            throw Failure.usage("\"\(positionals[positionals.count - 1])\" is one too many")
        }
        data = positionals.first
        isQuick = values["--quick"] != nil
        self.values = values
        if data != nil, values["--documents"] != nil {
            throw Failure.usage("a data set and --documents exclude each other")
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }

    /// An option's text; `nil` when it is not given.
    func word(_ name: String) -> String? { values[name] }

    /// The folder for stores.
    var folder: String { values["--folder"] ?? "." }

    func seed() throws -> UInt64 { UInt64(try number("--seed", in: 0...Int.max) ?? 1) }

    func rounds() throws -> Int {
        try number("--rounds", in: 1...1000) ?? (isQuick ? 3 : 7)
    }

    /// An option's whole number; `nil` when it is not given.
    func number(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw Failure.usage(
                "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound), "
                    + "not \"\(text)\""
            )
        }
        return number
    }

    /// An option's number of bytes: `1000`, `64KiB`, `32MiB`, `1GiB`.
    func byteCount(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = values[name] else { return nil }
        var digits = text[...]
        var unit = 1
        for (suffix, size) in [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        where text.hasSuffix(suffix) {
            digits = text.dropLast(suffix.count)
            unit = size
        }
        guard let number = Int(digits), number >= 0,
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit), !overflow,
            range.contains(bytes)
        else {
            throw Failure.usage("\(name) must be a size like 64KiB or 32MiB, not \"\(text)\"")
        }
        return bytes
    }
}
