// The project's own files, as the rules of this folder read them.

import Foundation

/// One text file of the project.
struct SourceFile: Sendable {
    /// Relative to the project's folder: "Sources/MoraineBytes/CRC32C.swift".
    let path: String
    let text: String
    /// Swift text with comments and the contents of string literals blanked out, byte for byte;
    /// other files' text as it is.
    let code: String

    init(path: String, text: String) {
        self.path = path
        self.text = text
        code = path.hasSuffix(".swift") ? SwiftMask.masked(text) : text
    }

    var name: String { String(path.split(separator: "/").last ?? "") }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isC: Bool { path.hasSuffix(".c") || path.hasSuffix(".h") }
    var isMarkdown: Bool { path.hasSuffix(".md") }
    func isUnder(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }
}

enum SourceTree {
    /// The project's folder.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every text file of the project, by path.
    static let files: [SourceFile] = {
        var files: [SourceFile] = []
        for folder in ["Sources", "Tests", "Benchmarks", "tools", "format-spec", ".ci"] {
            collect(folder, into: &files)
        }
        for name in names(in: "") where !name.hasPrefix(".") { read(name, into: &files) }
        return files.sorted { $0.path < $1.path }
    }()

    static func file(_ path: String) -> SourceFile? { files.first { $0.path == path } }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
    }

    private static func names(in folder: String) -> [String] {
        let path = root.appendingPathComponent(folder).path
        return (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    }

    private static func collect(_ folder: String, into files: inout [SourceFile]) {
        for name in names(in: folder) where name != "__pycache__" {
            let path = folder + "/" + name
            var isFolder: ObjCBool = false
            let full = root.appendingPathComponent(path).path
            _ = FileManager.default.fileExists(atPath: full, isDirectory: &isFolder)
            if isFolder.boolValue {
                collect(path, into: &files)
            } else {
                read(path, into: &files)
            }
        }
    }

    /// Data sets and goldens are no text of ours: only these kinds, and scripts without a suffix.
    private static func read(_ path: String, into files: inout [SourceFile]) {
        let suffix = path.split(separator: "/").last.map(String.init)?.split(separator: ".").last
        let isScript = suffix.map { !path.hasSuffix("." + $0) } ?? false
        let kinds: [Substring] = ["swift", "c", "h", "md", "py", "modulemap"]
        guard isScript || kinds.contains(suffix ?? ""),
            let data = FileManager.default.contents(
                atPath: root.appendingPathComponent(path).path
            ),
            let text = String(data: data, encoding: .utf8)
        else { return }
        files.append(SourceFile(path: path, text: text))
    }
}

/// A place in a string where a pattern matched.
struct Match {
    /// From 1.
    let line: Int
    /// The whole match, then the groups; "" for a group that took no part.
    let groups: [String]
}

/// All matches of a regular expression; `^` and `$` match at lines.
func matches(_ pattern: String, in text: String) -> [Match] {
    guard let expression = try? NSRegularExpression(pattern: pattern, options: .anchorsMatchLines)
    else {
        preconditionFailure("not a regular expression: \(pattern)")
    }
    let whole = text as NSString
    var line = 1
    var counted = 0
    return expression.matches(in: text, range: NSRange(location: 0, length: whole.length)).map {
        match in
        while counted < match.range.location {
            if whole.character(at: counted) == 10 { line += 1 }
            counted += 1
        }
        return Match(
            line: line,
            groups: (0..<match.numberOfRanges).map { index in
                let range = match.range(at: index)
                return range.location == NSNotFound ? "" : whole.substring(with: range)
            }
        )
    }
}
