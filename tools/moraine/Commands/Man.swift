// moraine man: the manual page, in troff, made from the tool's command table.

extension Command {
    static let man = Command(
        "man",
        "print the manual page in troff",
        positionals: [],
        examples: [
            ("moraine man | man -l -", "read it"),
            ("moraine man > /usr/local/share/man/man1/moraine.1", "install it"),
        ],
        run: { call throws(Failure) in
            call.output.write(ManualPage(Tool.commands).text)
            return .fine
        }
    )
}

/// The manual page of a table of commands.
private struct ManualPage {
    private let commands: [Command]

    init(_ commands: [Command]) { self.commands = commands }

    var text: String {
        var page = Troff()
        page.raw(".TH MORAINE 1 \"\" \"moraine \(Tool.version)\" \"User Commands\"")
        // JSON has long words: lines are not stretched around them.
        page.raw(".ad l")
        page.section("NAME")
        page.paragraph("moraine - documents and embedding vectors in a store on disk")
        page.section("SYNOPSIS")
        for command in commands { page.line(command.usage, isBold: true) }
        page.section("DESCRIPTION")
        for paragraph in Tool.description { page.paragraph(paragraph) }
        page.section("COMMANDS")
        for command in commands { add(command, to: &page) }
        page.section("ENVIRONMENT")
        for (name, summary) in Tool.environment { page.item(name, summary) }
        page.section("EXIT STATUS")
        for (code, meaning) in Tool.exitCodes { page.item(code, meaning) }
        page.section("EXAMPLES")
        for example in Tool.examples { page.literal([example]) }
        return page.text
    }

    private func add(_ command: Command, to page: inout Troff) {
        page.subsection(command.name)
        page.line(command.usage, isBold: true)
        page.paragraph(command.summary + ".")
        for positional in command.positionals { page.item(positional.name, positional.summary) }
        for option in command.options {
            page.item([option.name, option.value ?? ""].joined(separator: " "), option.summary)
        }
        for note in command.notes { page.note(note) }
        page.raw(".PP")
        for example in command.examples {
            page.item("$ " + example.line, example.does)
        }
    }
}

/// Text for troff's man macros.
private struct Troff {
    private(set) var text = ""

    mutating func raw(_ line: String) { text += line + "\n" }
    mutating func section(_ name: String) { raw(".SH " + name) }
    mutating func subsection(_ name: String) { raw(".SS \"" + Self.escaped(name) + "\"") }

    mutating func paragraph(_ words: String) {
        raw(".PP")
        words.split(separator: "\n").forEach { raw(Self.protected(String($0))) }
    }

    mutating func line(_ words: String, isBold: Bool) {
        raw((isBold ? ".B " : "") + Self.escaped(words))
        raw(".br")
    }

    mutating func item(_ name: String, _ summary: String) {
        raw(".TP")
        raw(".B " + Self.escaped(name))
        raw(Self.protected(summary))
    }

    /// Lines as they are.
    mutating func literal(_ lines: [String]) {
        raw(".PP")
        raw(".nf")
        for line in lines { raw(Self.protected(line)) }
        raw(".fi")
    }

    /// A note of the help: lines that begin with spaces stay as they are.
    mutating func note(_ note: String) {
        var literals: [String] = []
        raw(".PP")
        for line in note.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("  ") {
                literals.append(String(line))
                continue
            }
            if !literals.isEmpty {
                literal(literals)
                raw(".PP")
                literals = []
            }
            if !line.isEmpty { raw(Self.protected(String(line))) }
        }
        if !literals.isEmpty { literal(literals) }
    }

    /// A line that begins with a dot or an apostrophe would be a macro.
    private static func protected(_ line: String) -> String {
        let isMacro = line.hasPrefix(".") || line.hasPrefix("'")
        return (isMacro ? "\\&" : "") + escaped(line)
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
            .replacing("\"", with: "\\(dq").replacing("'", with: "\\(aq")
            .replacing("`", with: "\\(ga").replacing("^", with: "\\(ha")
            .replacing("~", with: "\\(ti")
    }
}
