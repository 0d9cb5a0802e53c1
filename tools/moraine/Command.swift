// What a command is, and its help.

/// One command of the tool.
struct Command: Sendable {
    /// One word, or two for `inspect root`.
    let name: String
    /// A line for the list of commands.
    let summary: String
    let positionals: [Positional]
    let options: [Option]
    /// Paragraphs of help.
    let notes: [String]
    /// Command lines that work, each with what it does.
    let examples: [(line: String, does: String)]
    let run: @Sendable (Call) throws(Failure) -> ExitCode

    init(
        _ name: String,
        _ summary: String,
        positionals: [Positional],
        options: [Option] = [],
        notes: [String] = [],
        examples: [(line: String, does: String)],
        run: @escaping @Sendable (Call) throws(Failure) -> ExitCode
    ) {
        self.name = name
        self.summary = summary
        self.positionals = positionals
        self.options = options + [Option("--help", nil, "show this help")]
        self.notes = notes
        self.examples = examples
        self.run = run
    }

    /// `moraine scan STORE COLLECTION [OPTIONS]`.
    var usage: String {
        let names = positionals.map { positional in
            switch positional.count {
            case .one: positional.name
            case .optional: "[\(positional.name)]"
            case .oneOrMore: "\(positional.name)..."
            case .any: "[\(positional.name)...]"
            }
        }
        return (["moraine", name] + names + ["[OPTIONS]"]).joined(separator: " ")
    }

    /// A failure of whoever typed the command line.
    func misuse(_ message: String, hint: String? = nil) -> Failure {
        Failure(
            .usage,
            "\(name): \(message)",
            hint: hint ?? "see \"moraine \(name) --help\""
        )
    }

    /// The help of this command.
    var help: String {
        var text = "\(summary)\n\nusage: \(usage)\n"
        let rows: [(String, String)] =
            positionals.map { ($0.name, $0.summary) }
            + options.map { option in
                ([option.name, option.value ?? ""].joined(separator: " "), option.summary)
            }
        let width = rows.map(\.0.count).max() ?? 0
        text += "\n"
        for (name, summary) in rows {
            text += "  \(name)\(String(repeating: " ", count: width - name.count))  \(summary)\n"
        }
        for note in notes { text += "\n\(note)\n" }
        text += "\nexamples:\n"
        for example in examples { text += "  \(example.line)\n      \(example.does)\n" }
        return text
    }
}

/// One call of a command.
struct Call {
    let command: Command
    let arguments: Arguments
    let console: Console

    var output: Output { console.output }
    var isJSON: Bool { arguments.has("--json") }

    /// The positional argument of that number, which the command demands.
    subscript(_ index: Int) -> String { arguments.positionals[index] }

    /// The positional argument of that number when it is given.
    func optional(_ index: Int) -> String? {
        index < arguments.positionals.count ? arguments.positionals[index] : nil
    }
}
