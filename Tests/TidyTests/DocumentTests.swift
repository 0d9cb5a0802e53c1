// Holds the documents against the files and the code that they speak of.

import Testing

@Suite struct DocumentTests {
    /// The text without code blocks and code spans, line breaks kept.
    private static func prose(_ text: String) -> String {
        var isCode = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            if line.drop(while: { $0 == " " }).hasPrefix("```") {
                isCode.toggle()
                return ""
            }
            return isCode ? "" : String(line.replacing(/`[^`]*`/, with: ""))
        }.joined(separator: "\n")
    }

    /// The anchors that a renderer makes of a document's headings.
    private static func anchors(_ text: String) -> Set<String> {
        Set(
            matches(#"^#{1,6}\s+(.+)$"#, in: text).map { heading in
                String(
                    heading.groups[1].lowercased()
                        .filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) }
                        .map { $0 == " " ? "-" : $0 }
                )
            }
        )
    }

    /// The path of `link` seen from the folder of `path`; `nil` when it leaves the project.
    private static func resolve(_ link: String, from path: String) -> String? {
        var parts = path.split(separator: "/").dropLast().map(String.init)
        for part in link.split(separator: "/") where part != "." {
            if part != ".." {
                parts.append(String(part))
            } else if parts.popLast() == nil {
                return nil
            }
        }
        return parts.joined(separator: "/")
    }

    /// The links of a document that lead nowhere.
    private static func brokenLinks(in file: SourceFile) -> [String] {
        matches(#"\]\(([^)\s]+)\)"#, in: prose(file.text)).compactMap { match in
            let link = match.groups[1]
            guard !link.contains("://"), !link.hasPrefix("mailto:") else { return nil }
            let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            let target = parts[0].isEmpty ? file.path : resolve(String(parts[0]), from: file.path)
            var isThere = target.map(SourceTree.exists) ?? false
            let page = target == file.path ? file : target.flatMap(SourceTree.file)
            if let page, parts.count > 1, parts[0].isEmpty || isThere {
                isThere = anchors(page.text).contains(String(parts[1]))
            }
            return isThere ? nil : "\(file.path):\(match.line): \(link)"
        }
    }

    @Test func everyLinkToAFileLeadsSomewhere() {
        for file in SourceTree.files where file.isMarkdown {
            for link in Self.brokenLinks(in: file) { Issue.record("broken link: \(link)") }
        }
    }

    @Test func brokenLinksAreSeen() {
        let page = SourceFile(
            path: "format-spec/page.md",
            text: """
                # One
                [a](README.md) [b](../README.md) [c](#one) `[d](e.md)` [w](https://a.b/c)
                ```
                [x](y.md)
                ```
                [f](nowhere.md) [g](../../up.md) [h](README.md#no-such-heading)
                """
        )
        #expect(
            Self.brokenLinks(in: page) == [
                "format-spec/page.md:6: nowhere.md", "format-spec/page.md:6: ../../up.md",
                "format-spec/page.md:6: README.md#no-such-heading",
            ]
        )
    }

    @Test func theReadmeListsEveryErrorCodeAndNoOther() {
        let source = SourceTree.file("Sources/MoraineStorage/StoreError.swift")?.code ?? ""
        let text = SourceTree.file("Sources/MoraineStorage/StoreError.swift")?.text ?? ""
        #expect(source.contains("enum Code"))
        let codes = matches(#"^\s*case \w+ = "([a-z-]+)"$"#, in: text).map { $0.groups[1] }
        let readme = SourceTree.file("README.md")?.text ?? ""
        let section = readme.split(separator: "\n## ").first { $0.hasPrefix("Error codes") } ?? ""
        let listed = matches(#"^\| `([a-z-]+)` \|"#, in: String(section)).map { $0.groups[1] }
        #expect(codes.count >= 20)
        #expect(listed == codes)
    }
}
