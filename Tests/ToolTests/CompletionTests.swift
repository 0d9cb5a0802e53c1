// Completion scripts and the manual page: all that help shows stands in each.

import Foundation
import Testing
import moraine_cli

@Suite struct CompletionTests {
    private let place = Place()

    /// Every command that help lists, with the options that its own help lists.
    private func table() throws -> [(name: String, options: [String])] {
        let list = place.run("help").lines.drop { !$0.hasPrefix("  ") }.prefix {
            $0.hasPrefix("  ")
        }
        let names = list.map { line in
            line.dropFirst(2).components(separatedBy: "  ")[0].trimmingCharacters(in: .whitespaces)
        }
        try #require(names.count > 20 && names.contains("inspect root"))
        return names.map { name in
            let help = place.run(name.split(separator: " ").map(String.init) + ["--help"])
            let options = help.lines.filter { $0.hasPrefix("  -") }.map {
                String($0.dropFirst(2).prefix { $0 != " " })
            }
            #expect(options.last == "--help", "\(name)")
            return (name, options)
        }
    }

    /// Runs a shell over a script; `nil` when there is no such shell.
    private func check(_ shell: [String], _ script: String) throws -> Int32? {
        try runProgram(shell + [place.file("script", script)])?.code
    }

    @Test func bashKnowsEveryCommandAndOption() throws {
        let script = place.run("completion", "bash").output
        for (name, options) in try table() {
            let start = try #require(script.range(of: "    \"\(name)\")\n"), "\(name)")
            let part = script[start.upperBound...].components(separatedBy: ";;")[0]
            for option in options {
                let words = part.split { " \"\n".contains($0) }
                #expect(words.contains(Substring(option)), "\(name) \(option)")
            }
            let words = name.split(separator: " ")
            #expect(script.contains(words.last.map(String.init) ?? ""))
        }
        #expect(try check(["bash", "-n"], script) ?? 0 == 0)
    }

    @Test func bashCompletesWhatIsTyped() throws {
        let script = place.file("moraine.bash", place.run("completion", "bash").output)
        func complete(_ words: [String]) throws -> Set<String>? {
            let line = words.map { "'\($0)'" }.joined(separator: " ")
            let program = """
                source '\(script)'; COMP_WORDS=(moraine \(line)); COMP_CWORD=\(words.count)
                _moraine; printf '%s\\n' "${COMPREPLY[@]}"
                """
            guard let run = try runProgram(["bash", "-c", program]) else { return nil }
            #expect(run.code == 0)
            return Set(run.output.split(separator: "\n").map(String.init))
        }
        guard let first = try complete(["ve"]) else { return }
        #expect(first == ["verify", "version"])
        #expect(try complete(["inspect", "se"]) == ["segment"])
        #expect(try complete(["help", "sc"]) == ["scan"])
        #expect(try complete(["scan", "s", "--p"]) == ["--prefix"])
        #expect(try complete(["inspect", "wal", "s", "--re"]) == ["--record"])
        #expect(try complete(["scan", "s", "--prefix", ""]) == [])
        let files = try complete(["verify", place.path + "/mor"])
        #expect(files == [script])
        #expect(try complete(["dump", "s", "--out", place.path + "/mor"]) == [script])
    }

    @Test func zshKnowsEveryCommandAndOption() throws {
        let script = place.run("completion", "zsh").output
        #expect(script.hasPrefix("#compdef moraine\n"))
        for (name, options) in try table() {
            let pattern = name.contains(" ") ? "    \"\(name)\")\n" : "    \"\(name) \"*)\n"
            let start = try #require(script.range(of: pattern), "\(name)")
            let part = script[start.upperBound...].components(separatedBy: ";;")[0]
            for option in options {
                #expect(part.contains("'\(option)["), "\(name) \(option)")
            }
        }
        #expect(try check(["zsh", "-n"], script) ?? 0 == 0)
    }

    @Test func fishKnowsEveryCommandAndOption() throws {
        let script = place.run("completion", "fish").output
        for (name, options) in try table() {
            let seen = name.split(separator: " ").map { "__fish_seen_subcommand_from \($0)" }
            let condition = "'\(seen.joined(separator: "; and "))'"
            for option in options {
                let flag =
                    option.hasPrefix("--")
                    ? "-l \(option.dropFirst(2)) " : "-s \(option.dropFirst(1)) "
                #expect(script.contains("-n \(condition) \(flag)"), "\(name) \(option)")
            }
        }
        #expect(try check(["fish", "--no-execute"], script) ?? 0 == 0)
    }

    @Test func theManualPageKnowsEveryCommandAndOption() throws {
        let page = place.run("man").output
        for (name, options) in try table() {
            let start = try #require(page.range(of: ".SS \"\(name)\"\n"), "\(name)")
            let part = page[start.upperBound...].components(separatedBy: "\n.SS ")[0]
            for option in options {
                let escaped = option.replacingOccurrences(of: "-", with: "\\-")
                #expect(part.contains(".B \(escaped)"), "\(name) \(option)")
            }
        }
        for word in ["NO_COLOR", "cancelled", ".SH NAME", ".SH SYNOPSIS"] {
            #expect(page.contains(word))
        }
        let file = place.file("moraine.1", page)
        // groff says nothing about a page that it understands.
        let program = "groff -ww -W break -man -Tutf8 '\(file)' 2>&1 >'\(file).txt'"
        if try runProgram(["groff", "--version"]) != nil {
            let run = try runProgram(["bash", "-c", program])
            #expect(run?.code == 0)
            #expect(run?.output == "")
            let text = try String(contentsOfFile: file + ".txt", encoding: .utf8)
            #expect(text.contains("inspect"))
        }
        #expect(place.run("completion", "tcsh").code == 16)
        #expect(place.run("completion", "bsh").error.contains("did you mean bash?"))
    }
}
