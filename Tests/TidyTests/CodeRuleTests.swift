// Holds every file against the house rules, and every rule against a file that breaks it.

import Testing

@Suite struct CodeRuleTests {
    @Test(arguments: Rule.all)
    func everyFileKeepsTheRule(_ rule: Rule) {
        for file in SourceTree.files where rule.applies(file) {
            for (line, what) in rule.find(file) {
                Issue.record("\(file.path):\(line): \(rule.description): \(what)")
            }
        }
    }

    @Test(arguments: Rule.all)
    func everyRuleSeesWhatBreaksItAndOnlyThat(_ rule: Rule) {
        #expect(rule.applies(rule.bad))
        #expect(!rule.find(rule.bad).isEmpty)
        #expect(rule.find(rule.good).isEmpty)
    }

    @Test func theTreeIsRead() {
        for folder in ["Sources", "Tests", "Benchmarks", "tools", "format-spec"] {
            #expect(SourceTree.files.contains { $0.isUnder(folder) }, "nothing read in \(folder)")
        }
        #expect(SourceTree.file("Package.swift") != nil)
        #expect(SourceTree.file("tools/quickstart") != nil)
    }

    @Test(arguments: [
        (#"a("x\"y") // z"#, #"a("    ")     "#),
        (#"a /* b /* c */ d */ e"#, #"a                   e"#),
        (#"f("a\(g("b")!)c")"#, #"f(" \(g(" ")!) ")"#),
        (##"f(#"a"b\"#)"##, ##"f(#"    "#)"##),
        ("f(\"\"\"\n  try!\n  \"\"\")", "f(\"\"\"\n      \n  \"\"\")"),
    ])
    func maskingBlanksProseAndKeepsCode(_ text: String, _ expected: String) {
        #expect(SwiftMask.masked(text) == expected)
    }
}
