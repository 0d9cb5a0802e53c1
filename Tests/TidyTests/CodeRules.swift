// The house rules about single files, each with what it finds.

/// A rule that looks at one file.
struct Rule: Sendable, CustomStringConvertible {
    let description: String
    let applies: @Sendable (SourceFile) -> Bool
    /// The lines that break the rule, with what is wrong there.
    let find: @Sendable (SourceFile) -> [(line: Int, what: String)]
    /// A file that breaks it, so that the rule is known to see.
    let bad: SourceFile
    /// A file that only looks like it.
    let good: SourceFile

    /// A rule against a pattern in masked code.
    init(
        against description: String,
        _ pattern: String,
        in applies: @escaping Applies = isSource,
        bad: String,
        good: String
    ) {
        self.init(
            description,
            in: applies,
            bad: bad,
            good: good
        ) { file in
            matches(pattern, in: file.code).map { ($0.line, $0.groups[0]) }
        }
    }

    init(
        _ description: String,
        in applies: @escaping Applies,
        at path: String = Rule.samplePath,
        bad: String,
        good: String,
        find: @escaping @Sendable (SourceFile) -> [(line: Int, what: String)]
    ) {
        self.description = description
        self.applies = applies
        self.find = find
        self.bad = SourceFile(path: path, text: bad)
        self.good = SourceFile(path: path, text: good)
    }

    typealias Applies = @Sendable (SourceFile) -> Bool
    static let samplePath = "Sources/MoraineBytes/Sample.swift"

    static let isSource: Applies = { $0.isSwift && $0.isUnder("Sources") }
    static let isSourceOrC: Applies = { ($0.isSwift || $0.isC) && $0.isUnder("Sources") }
    static let isProgram: Applies = {
        ($0.isSwift || $0.isC)
            && ($0.isUnder("Sources") || $0.isUnder("tools") || $0.isUnder("Benchmarks"))
    }

    static let all: [Rule] = [
        Rule(
            against: "no try!",
            #"\btry!"#,
            bad: "let a = try! f()",
            good: "let a = try f()  // not try!\nlet b = \"try!\""
        ),
        Rule(
            against: "no as!",
            #"\bas!"#,
            bad: "let a = b as! Int",
            good: "let a = b as? Int"
        ),
        Rule(
            against: "no fatalError",
            #"\bfatalError\b"#,
            bad: "fatalError()",
            good: "preconditionFailure(\"fatalError\")"
        ),
        Rule(
            against: "no forced unwrapping and no implicitly unwrapped types",
            #"(?<!\btry)(?<!\bas)(?<=[\w)\]}>?"])!(?!=)"#,
            bad: "let a = b[0]!.c",
            good: "let a = !b[0], c = d != e, f = a != b // c!"
        ),
        Rule(
            against: "public only in the module Moraine",
            #"\bpublic\b|\bopen\s+(class|func|var|let)\b"#,
            in: { isSource($0) && !$0.isUnder("Sources/Moraine") },
            bad: "public struct A {}",
            good: "package struct A {}  // not public yet"
        ),
        Rule(
            against: "no machine-width encodings in MoraineFormat",
            #"\bMemoryLayout\b"#,
            in: { $0.isUnder("Sources/MoraineFormat") || $0.path == samplePath },
            bad: "let a = MemoryLayout<Int>.size",
            good: "let a = 8"
        ),
        Rule(
            "a comment names what protects unchecked sharing",
            in: isSource,
            bad: "let a = 1\n@unchecked Sendable",
            good: "// The lock.\n@unchecked Sendable",
            find: findUnprotected
        ),
        Rule(
            "no file of Sources over 500 lines",
            in: isSourceOrC,
            bad: String(repeating: "a\n", count: 501),
            good: String(repeating: "a\n", count: 500)
        ) { file in
            let count = file.text.count { $0 == "\n" }
            return count > 500 ? [(501, "\(count) lines")] : []
        },
        Rule(
            "a file says at its head what it is for",
            in: { $0.isSwift && ($0.isUnder("Sources") || $0.isUnder("Tests")) },
            bad: "import A",
            good: "// Reads bytes.\n\nimport A"
        ) { file in
            file.text.hasPrefix("// ") ? [] : [(1, "no comment in the first line")]
        },
        Rule(
            "a file is named after what it declares",
            in: isSource,
            bad: "struct Other {}",
            good: "package struct SampleReader {}",
            find: findNames
        ),
        Rule(
            "no marks of unfinished work",
            in: { _ in true },
            bad: "// TO" + "DO later",
            good: "// all done, mktemp x.XX" + "XXXX"
        ) { file in
            let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"].joined(separator: "|")
            return matches("\\b(\(marks))\\b", in: file.text).map { ($0.line, $0.groups[0]) }
        },
        Rule(
            "no folders of one machine",
            in: { _ in true },
            bad: "let a = \"/wo" + "rk/data\"",
            good: "let a = \"seg/wo" + "rk/data\""
        ) { file in
            let folders = ["wo" + "rk", "ro" + "ot", "ho" + "me"].joined(separator: "|")
            return matches("(?<![\\w.:/)}>-])/(\(folders))/", in: file.text)
                .map { ($0.line, $0.groups[0]) }
        },
        Rule(
            "no fixed temporary folder",
            in: isProgram,
            bad: "let a = \"/tm" + "p/a\"",
            good: "let a = \"store/tm" + "p/a\""
        ) { file in
            matches("(?<![\\w.)}>-])/tm" + "p\\b", in: file.text).map { ($0.line, $0.groups[0]) }
        },
    ]
}

/// Unchecked sharing without a comment on the line or the one above.
private func findUnprotected(_ file: SourceFile) -> [(line: Int, what: String)] {
    let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false)
    return matches(#"@unchecked\s+Sendable|nonisolated\(unsafe\)"#, in: file.code)
        .filter { match in
            let above = match.line > 1 ? lines[match.line - 2] : ""
            let isExplained =
                lines[match.line - 1].contains("// ")
                || above.drop { $0 == " " }.hasPrefix("//")
            return !isExplained
        }
        .map { ($0.line, $0.groups[0]) }
}

/// Files whose declarations go by other words than the file's name.
private let gatherings = [
    "NameTree": "SimulatedState",
    "HeldSources": "ManualClock and SeededRandom",
]

/// A file of which no declaration shares the beginning of a word with the name, `Type+Aspect` taken apart.
private func findNames(_ file: SourceFile) -> [(line: Int, what: String)] {
    let stem = String(file.name.dropLast(".swift".count).prefix { $0 != "+" })
    let pattern =
        #"\b(?:struct|class|enum|protocol|actor|extension|typealias|func|macro)\s+([\w.]+)"#
    let declared = Set(matches(pattern, in: file.code).map { $0.groups[1] })
    guard !declared.isEmpty, gatherings[stem] == nil else { return [] }
    func words(_ name: String) -> Set<Substring> {
        Set(
            matches(#"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])"#, in: name)
                .map { $0.groups[0].lowercased().prefix(4) }
        )
    }
    let isNamed = declared.contains { !words($0).isDisjoint(with: words(stem)) }
    return isNamed ? [] : [(1, "declares \(declared.sorted().joined(separator: ", "))")]
}
