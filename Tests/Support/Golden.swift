// The annotated bytes of format-spec/golden.

import Foundation

/// One part of a golden file: a structure, byte by byte.
package struct Golden: Sendable {
    /// A field and its bytes.
    package struct Field: Sendable, Equatable {
        package let name: String
        package let offset: Int
        package var size: Int
    }

    package let title: String
    package private(set) var bytes: [UInt8] = []
    package private(set) var fields: [Field] = []

    /// The part of a file that has this title; `nil` when file or part are not there or a line
    /// cannot be read.
    ///
    /// - Parameter file: below format-spec/golden: "v1/log.hex".
    package static func part(_ title: String, of file: String) -> Golden? {
        parts(of: file)?.first { $0.title == title }
    }

    /// All parts of a file, in order.
    package static func parts(of file: String) -> [Golden]? {
        let path = folder.appendingPathComponent(file)
        guard let text = try? String(contentsOf: path, encoding: .utf8) else { return nil }
        return parse(text)
    }

    /// Reads the text of a file; `nil` when a line cannot be read.
    package static func parse(_ text: String) -> [Golden]? {
        var parts: [Golden] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            if line.hasPrefix("== ") {
                parts.append(Golden(title: String(line.dropFirst(3))))
            } else {
                guard let last = parts.indices.last, parts[last].append(line) else { return nil }
            }
        }
        return parts
    }

    private init(title: String) { self.title = title }

    /// Adds a line; false when it is none.
    private mutating func append(_ line: Substring) -> Bool {
        let halves = line.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2, let new = Golden.readBytes(halves[0]) else { return false }
        let name = halves[1].prefix { $0 != ":" }.trimmingCharacters(in: .whitespaces)
        if !name.isEmpty {
            fields.append(Field(name: name, offset: bytes.count, size: new.count))
        } else if let last = fields.indices.last {
            fields[last].size += new.count
        } else {
            return false
        }
        bytes += new
        return true
    }

    private static func readBytes(_ text: Substring) -> [UInt8]? {
        let words = text.split(separator: " ")
        if words.count == 3, words[1] == "x" {
            guard let byte = UInt8(words[0], radix: 16), let count = Int(words[2]) else {
                return nil
            }
            return [UInt8](repeating: byte, count: count)
        }
        let bytes = words.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
        return bytes.count == words.count ? bytes : nil
    }

    private static var folder: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("format-spec/golden")
    }
}
