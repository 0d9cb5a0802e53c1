// The tool: from a command line to an exit code. Nothing here knows a process; see Main.swift.

/// The command line tool.
package struct Tool {
    static let version = "0.1.0"
    /// What the tool looks up in its environment.
    static let environmentNames = environment.map(\.name)

    static let commands: [Command] = [
        .create,
        .apply,
        .importDocuments,
        .get,
        .scan,
        .search,
        .count,
        .delete,
        .patch,
        .rename,
        .drop,
        .compact,
        .index,
        .recall,
        .purge,
        .collections,
        .stats,
        .verify,
        .salvage,
        .diff,
        .contentHash,
        .dump,
        .loadDump,
        .hex,
        .map,
        .inspectRoot,
        .inspectManifest,
        .inspectLog,
        .inspectSegment,
        .inspectVectors,
        .inspectFile,
        .completion,
        .man,
    ]

    package init() {}

    /// Runs one command line, without the tool's own name, and returns its exit code.
    ///
    /// - Parameter openInput: opens a file that the command line names.
    package func run(
        arguments: [String],
        environment: [String: String],
        input: any ByteSource,
        output: any ByteSink,
        error: any ByteSink,
        cancellation: any Cancellation,
        openInput: @escaping (String) -> Result<OpenedInput, SystemFailure>
    ) -> Int32 {
        let allowsColor = (environment["NO_COLOR"] ?? "").isEmpty
        let console = Console(
            input: input,
            output: Output(output, allowsColor: allowsColor),
            error: Output(error, allowsColor: allowsColor),
            environment: environment,
            cancellation: cancellation,
            openInput: {
                $0 == "-" ? .success(OpenedInput(source: input, byteCount: nil)) : openInput($0)
            }
        )
        var exit: ExitCode
        do throws(Failure) {
            exit = try run(arguments, console)
        } catch {
            // What was answered before stands in front of the reason why there is no more.
            console.output.flush()
            report(error, console)
            exit = error.exit
        }
        console.output.flush()
        if let failure = console.output.failure, !failure.isClosedPipe {
            report(
                Failure(.operational, "cannot write to standard output: \(failure.reason)"),
                console
            )
            if exit == .fine { exit = .operational }
        }
        console.error.flush()
        return exit.rawValue
    }

    private func run(_ words: [String], _ console: Console) throws(Failure) -> ExitCode {
        guard let first = words.first else {
            throw Failure(.usage, "a command is missing", hint: "see \"moraine help\"")
        }
        switch first {
        case "help", "--help", "-h":
            console.output.write(try help(Array(words.dropFirst())))
            return .fine
        case "version", "--version":
            guard words.count == 1 else {
                throw Failure(.usage, "version takes no arguments")
            }
            console.output.writeLine("moraine \(Tool.version) (format 1)")
            return .fine
        default: break
        }
        if words.dropFirst().first == "--help" {
            console.output.write(try help([first]))
            return .fine
        }
        let (command, rest) = try find(words)
        if rest.prefix(while: { $0 != "--" }).contains("--help") {
            console.output.write(command.help)
            return .fine
        }
        let arguments = try Arguments(rest, for: command)
        try arguments.check(for: command)
        return try command.run(Call(command: command, arguments: arguments, console: console))
    }

    /// The command that the line begins with, and the words behind it.
    private func find(_ words: [String]) throws(Failure) -> (Command, [String]) {
        let group = Tool.commands.filter { $0.name.hasPrefix("\(words[0]) ") }
        // "inspect" alone takes one file: with two arguments the first is a mistyped kind.
        let isMistyped =
            !group.isEmpty && words.dropFirst(2).first.map { !$0.hasPrefix("-") } ?? false
        for command in Tool.commands {
            let name = command.name.split(separator: " ").map(String.init)
            if name.count == 1, isMistyped { continue }
            if words.starts(with: name) { return (command, Array(words.dropFirst(name.count))) }
        }
        guard !group.isEmpty else {
            let names = Set(Tool.commands.map { String($0.name.prefix { $0 != " " }) })
            let all = names.sorted() + ["help", "version"]
            throw Failure(
                .usage,
                "there is no command \"\(visible(words[0]))\"",
                hint: didYouMean(words[0], all) ?? "see \"moraine help\""
            )
        }
        let parts = group.map { String($0.name.dropFirst(words[0].count + 1)) }
        guard words.count > 1 else {
            throw Failure(
                .usage,
                "\(words[0]): say what: \(parts.joined(separator: ", "))",
                hint: "see \"moraine help \(words[0])\""
            )
        }
        throw Failure(
            .usage,
            "there is no \"\(words[0]) \(visible(words[1]))\", only \(parts.joined(separator: ", "))",
            hint: didYouMean(words[1], parts)
        )
    }

    private func report(_ failure: Failure, _ console: Console) {
        let error = console.error
        error.writeLine("moraine: \(error.styled("error:", .red)) \(visible(failure.message))")
        for line in failure.excerpt { error.writeLine("  \(visible(line))") }
        if let hint = failure.hint { error.writeLine("moraine: \(visible(hint))") }
    }

    // MARK: Help

    private func help(_ words: [String]) throws(Failure) -> String {
        guard let first = words.first else { return overview(Tool.commands) }
        if ["help", "version"].contains(first) { return overview(Tool.commands) }
        let group = Tool.commands.filter { $0.name.hasPrefix("\(first) ") }
        if words.count == 1, !group.isEmpty {
            guard let own = Tool.commands.first(where: { $0.name == first }) else {
                return overview(group)
            }
            let rows = group.map { ($0.name, $0.summary) }
            return own.help + "\nfor the files of a store:\n" + Tool.columns(rows)
        }
        return try find(words).0.help
    }

    private func overview(_ commands: [Command]) -> String {
        var text = "usage: moraine COMMAND STORE ...\n\n"
        text += Tool.columns(commands.map { ($0.name, $0.summary) })
        text += "\n" + Tool.description.joined(separator: "\n") + "\n\nenvironment:\n"
        text += Tool.columns(Tool.environment)
        text += "\nexit codes:\n" + Tool.columns(Tool.exitCodes)
        text += "\nexamples:\n" + Tool.examples.map { "  \($0)\n" }.joined()
        return text
    }

    private static func columns(_ rows: [(name: String, summary: String)]) -> String {
        let width = rows.map(\.name.count).max() ?? 0
        return rows.map { row in
            let padding = String(repeating: " ", count: width - row.name.count)
            return "  \(row.name)\(padding)  \(row.summary)\n"
        }.joined()
    }

    static let description = [
        """
        "moraine COMMAND --help" tells more about a command. "-" is standard input, "--" ends
        the options. Data goes to standard output, everything else to standard error.
        """
    ]

    static let environment: [(name: String, summary: String)] = [
        ("MORAINE_MEMORY_BYTES", "budget for all memory of a store"),
        (
            "MORAINE_MEMTABLE_BYTES",
            "bytes of commits held before they become a segment, from 65536"
        ),
        ("MORAINE_WAL_FILE_BYTES", "the largest log file, from 65536"),
        ("NO_COLOR", "no colours on a terminal"),
    ]

    static let exitCodes: [(name: String, summary: String)] = [
        ("0", "fine"), ("1", "not there, a difference, or a refused line"), ("4", "damage"),
        (
            "8",
            "operational: input/output, permission, lock, space, not a store, newer format"
        ),
        ("16", "usage, bad settings, bad input file"), ("32", "cancelled"),
    ]

    static let examples = [
        "moraine import notes.moraine notes --docs docs.jsonl --vectors base.f32 --dimensions 384",
        "moraine search notes.moraine notes --like some-id -k 5",
        "moraine verify notes.moraine",
    ]
}
