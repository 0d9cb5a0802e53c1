// The command line: long options, `-k N`, `--` ends options, `-` is an ordinary argument.

import MoraineFormat

/// An option that a command knows.
struct Option: Sendable {
    /// With its dashes: `--limit`, `-k`.
    let name: String
    /// What to call the value in help, `nil` for a flag.
    let value: String?
    let summary: String
    /// May be given several times.
    let repeats: Bool

    init(_ name: String, _ value: String? = nil, _ summary: String, repeats: Bool = false) {
        self.name = name
        self.value = value
        self.summary = summary
        self.repeats = repeats
    }
}

/// A positional argument that a command knows.
struct Positional: Sendable {
    enum Count: Sendable {
        case one, optional, oneOrMore, any
    }

    let name: String
    let count: Count
    let summary: String

    init(_ name: String, _ summary: String, count: Count = .one) {
        self.name = name
        self.summary = summary
        self.count = count
    }
}

/// The arguments of one command, taken apart.
struct Arguments {
    private(set) var positionals: [String] = []
    private var values: [String: String] = [:]
    private var lists: [String: [String]] = [:]

    /// Takes `words` apart.
    init(_ words: [String], for command: Command) throws(Failure) {
        var index = 0
        var takesOptions = true
        while index < words.count {
            let word = words[index]
            index += 1
            guard takesOptions, word.hasPrefix("-"), word != "-" else {
                positionals.append(word)
                continue
            }
            if word == "--" {
                takesOptions = false
                continue
            }
            let (name, attached) = Self.split(word)
            guard let option = command.options.first(where: { $0.name == name }) else {
                throw command.misuse(
                    "there is no option \(visible(name))",
                    hint: didYouMean(name, command.options.map(\.name))
                )
            }
            var value = attached
            if option.value == nil {
                if attached != nil { throw command.misuse("\(name) takes no value") }
                value = ""
            } else if attached == nil {
                guard index < words.count else {
                    throw command.misuse("\(name) needs a value")
                }
                value = words[index]
                index += 1
            }
            if let others = lists[name] {
                lists[name] = others + [value ?? ""]
            } else if option.repeats {
                lists[name] = [value ?? ""]
            } else if values.updateValue(value ?? "", forKey: name) != nil {
                throw command.misuse("\(name) is given twice")
            }
        }
    }

    /// `--name=value` and `-k10` in their two parts.
    private static func split(_ word: String) -> (name: String, value: String?) {
        if word.hasPrefix("--") {
            guard let equals = word.firstIndex(of: "=") else { return (word, nil) }
            return (String(word[..<equals]), String(word[word.index(after: equals)...]))
        }
        guard word.count > 2 else { return (word, nil) }
        let rest = word.dropFirst(2)
        return (String(word.prefix(2)), String(rest.first == "=" ? rest.dropFirst() : rest))
    }

    func has(_ name: String) -> Bool { values[name] != nil }

    subscript(_ name: String) -> String? { values[name] }

    /// The values of an option that may be given several times, in order.
    func all(_ name: String) -> [String] { lists[name] ?? [] }

    /// The option's value as a whole number in `range`; `nil` when it is not given.
    func number(_ name: String, in range: ClosedRange<UInt64>) throws(Failure) -> UInt64? {
        guard let text = values[name] else { return nil }
        return try wholeNumber(text, of: name, in: range)
    }

    /// Throws unless there are as many positionals as the command wants.
    func check(for command: Command) throws(Failure) {
        let least = command.positionals.filter { [.one, .oneOrMore].contains($0.count) }.count
        if positionals.count < least {
            let missing = command.positionals[positionals.count].name
            throw command.misuse("\(missing) is missing")
        }
        let isOpen = command.positionals.contains { [.oneOrMore, .any].contains($0.count) }
        if !isOpen, positionals.count > command.positionals.count {
            let extra = positionals[command.positionals.count]
            throw command.misuse("\"\(visible(extra))\" is one argument too many")
        }
    }
}

/// Reads decimal digits.
func wholeNumber(_ text: String, of name: String, in range: ClosedRange<UInt64>) throws(Failure)
    -> UInt64
{
    let isDigits = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    guard isDigits, let value = UInt64(text), range.contains(value) else {
        let bounds =
            range.upperBound >= UInt64(Int64.max)
            ? "a whole number, at least \(range.lowerBound)"
            : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        throw Failure(.usage, "\(name) must be \(bounds), not \"\(visible(text))\"")
    }
    return value
}

/// The candidate that is nearest to a mistyped word, as a question; `nil` when none is near.
func didYouMean(_ word: String, _ candidates: [String]) -> String? {
    let near = candidates.map { (distance: editDistance(word, $0), name: $0) }
        .filter { $0.distance <= max(1, min(3, word.count / 3)) || $0.name.hasPrefix(word) }
        .min { $0.distance < $1.distance }
    return near.map { "did you mean \($0.name)?" }
}

/// Insertions, removals, replacements and swaps of neighbours between two short words.
private func editDistance(_ a: String, _ b: String) -> Int {
    // A long word is no mistyped command, and the table would grow with it.
    let a = Array(a.unicodeScalars.prefix(64))
    let b = Array(b.unicodeScalars.prefix(64))
    var rows = [Array(0...b.count)]
    for i in 1..<(a.count + 1) {
        var row = [i]
        for j in 1..<(b.count + 1) {
            var best = min(rows[i - 1][j], row[j - 1]) + 1
            best = min(best, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                best = min(best, rows[i - 2][j - 2] + 1)
            }
            row.append(best)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
