// moraine completion: scripts that complete the tool's command lines, made from its command table.

extension Command {
    static let completion = Command(
        "completion",
        "print a completion script for a shell",
        positionals: [Positional("SHELL", "bash, zsh or fish")],
        examples: [
            ("source <(moraine completion bash)", "for this bash; in ~/.bashrc for all"),
            ("moraine completion zsh > ~/.zfunc/_moraine", "where fpath has ~/.zfunc"),
            (
                "moraine completion fish > ~/.config/fish/completions/moraine.fish",
                "for every fish"
            ),
        ],
        run: { call throws(Failure) in
            switch call[0] {
            case "bash": call.output.write(CompletionScript(Tool.commands).bash)
            case "zsh": call.output.write(CompletionScript(Tool.commands).zsh)
            case "fish": call.output.write(CompletionScript(Tool.commands).fish)
            case let other:
                throw Failure(
                    .usage,
                    "there is no script for \"\(visible(other))\", only for bash, zsh and fish",
                    hint: didYouMean(other, ["bash", "zsh", "fish"])
                )
            }
            return .fine
        }
    )
}

/// Completion scripts for a table of commands.
private struct CompletionScript {
    private let commands: [Command]
    /// First words of commands, each once, with what they do.
    private let words: [(name: String, summary: String)]

    init(_ commands: [Command]) {
        self.commands = commands
        var words: [(name: String, summary: String)] = []
        for command in commands {
            let name = String(command.name.prefix { $0 != " " })
            if name == command.name {
                words.removeAll { $0.name == name }
                words.append((name, command.summary))
            } else if !words.contains(where: { $0.name == name }) {
                words.append((name, command.summary))
            }
        }
        self.words =
            words + [
                ("help", "explain the tool or a command"), ("version", "print the tool's version"),
            ]
    }

    /// The second words that may follow a first one.
    private func seconds(_ word: String) -> [(name: String, summary: String)] {
        switch word {
        case "help": return words
        case "completion": return ["bash", "zsh", "fish"].map { ($0, "") }
        default:
            return commands.filter { $0.name.hasPrefix(word + " ") }.map {
                (String($0.name.dropFirst(word.count + 1)), $0.summary)
            }
        }
    }

    private var groups: [String] { words.map(\.name).filter { !seconds($0).isEmpty } }

    // MARK: bash

    var bash: String {
        var text = """
            # bash completion for moraine; made by "moraine completion bash".
            _moraine() {
                local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
                local command=${COMP_WORDS[1]-} options="" files="" words=""
                COMPREPLY=()
                if ((COMP_CWORD == 1)); then
                    words="\(words.map(\.name).joined(separator: " "))"
                    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
                    return
                fi
                if ((COMP_CWORD == 2)); then
                    case $command in

            """
        for group in groups {
            let names = seconds(group).map(\.name).joined(separator: " ")
            text += "        \(group)) words=\"\(names)\" ;;\n"
        }
        text += """
                    esac
                else
                    case "$command ${COMP_WORDS[2]}" in

            """
        for command in commands where command.name.contains(" ") {
            text += "        \"\(command.name)\") command=\"\(command.name)\" ;;\n"
        }
        text += "        esac\n    fi\n    case $command in\n"
        for command in commands {
            let names = command.options.map(\.name).joined(separator: " ")
            let files = command.options.filter(\.takesFile).map(\.name).joined(separator: " ")
            let others = command.options.filter { $0.value != nil && !$0.takesFile }.map(\.name)
            text += "    \"\(command.name)\")\n        options=\"\(names)\"\n"
            if !files.isEmpty { text += "        files=\"\(files)\"\n" }
            if !others.isEmpty {
                // What cannot be guessed is not completed.
                text += "        [[ \" \(others.joined(separator: " ")) \" == *\" $prev \"* ]]"
                text += " && return\n"
            }
            text += "        ;;\n"
        }
        return text + """
                esac
                if [[ -n $files && " $files " == *" $prev "* ]]; then
                    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                elif [[ $cur == -* ]]; then
                    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
                else
                    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur"; compgen -f -- "$cur")
                fi
            }
            complete -o filenames -F _moraine moraine

            """
    }

    // MARK: zsh

    var zsh: String {
        var text = """
            #compdef moraine
            # zsh completion for moraine; made by "moraine completion zsh".
            _moraine() {
                local -a moraine_words
                if (( CURRENT == 2 )); then
                    moraine_words=(

            """
        text += words.map { "            \(zshWord($0))\n" }.joined()
        text += """
                    )
                    _describe -t commands 'command' moraine_words
                    return
                fi

            """
        for group in groups {
            text += "    if [[ $words[2] == \(group) ]] && (( CURRENT == 3 )); then\n"
            text += "        moraine_words=(\n"
            text += seconds(group).map { "            \(zshWord($0))\n" }.joined()
            text += "        )\n        _describe -t commands 'what' moraine_words\n    fi\n"
        }
        text += "    case \"$words[2] $words[3]\" in\n"
        for command in commands.sorted(by: { $0.name.count > $1.name.count }) {
            let count = command.name.split(separator: " ").count
            let pattern = count == 2 ? "\"\(command.name)\"" : "\"\(command.name) \"*"
            text += "    \(pattern))\n"
            // What _arguments sees begins with the command.
            text += "        shift \(count) words; (( CURRENT -= \(count) ))\n"
            text += "        _arguments"
            for option in command.options { text += " \\\n            \(zshOption(option))" }
            text += " \\\n            '*:file:_files'\n        ;;\n"
        }
        return text + """
                esac
            }
            if [[ $funcstack[1] == _moraine ]]; then
                _moraine "$@"
            else
                compdef _moraine moraine
            fi

            """
    }

    private func zshWord(_ word: (name: String, summary: String)) -> String {
        let summary = quoted(word.summary.replacing(":", with: "\\:"))
        return word.summary.isEmpty ? "'\(word.name)'" : "'\(word.name):\(summary)'"
    }

    private func zshOption(_ option: Option) -> String {
        var summary = quoted(option.summary)
        for mark in ["[", "]", ":"] { summary = summary.replacing(mark, with: "\\" + mark) }
        var text = "'\(option.name)[\(summary)]"
        if let value = option.value {
            text += ":\(value.replacing("/", with: " ")):" + (option.takesFile ? "_files" : " ")
        }
        return text + "'"
    }

    // MARK: fish

    var fish: String {
        var text = "# fish completion for moraine; made by \"moraine completion fish\".\n"
        for word in words {
            text += "complete -c moraine -n __fish_use_subcommand -f -a \(word.name)"
            text += " -d '\(fishText(word.summary))'\n"
        }
        for group in groups {
            let names = seconds(group).map(\.name).joined(separator: " ")
            for second in seconds(group) {
                text += "complete -c moraine -n '__fish_seen_subcommand_from \(group); "
                text += "and not __fish_seen_subcommand_from \(names)' -a \(second.name)"
                text += second.summary.isEmpty ? "\n" : " -d '\(fishText(second.summary))'\n"
            }
        }
        for command in commands {
            let parts = command.name.split(separator: " ")
            let seen = parts.map { "__fish_seen_subcommand_from \($0)" }
                .joined(separator: "; and ")
            text += "# \(command.name)\n"
            for option in command.options {
                let isLong = option.name.hasPrefix("--")
                let name = option.name.drop { $0 == "-" }
                text += "complete -c moraine -n '\(seen)' \(isLong ? "-l" : "-s") \(name)"
                if option.value != nil { text += option.takesFile ? " -r -F" : " -x" }
                text += " -d '\(fishText(option.summary))'\n"
            }
        }
        return text
    }

    private func fishText(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
    }

    /// Text between single quotes of a shell.
    private func quoted(_ text: String) -> String { text.replacing("'", with: "'\\''") }
}

extension Option {
    /// True when the value is the name of a file.
    fileprivate var takesFile: Bool { value?.contains("FILE") ?? false }
}
