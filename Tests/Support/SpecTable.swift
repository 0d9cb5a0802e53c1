// The byte tables of format-spec, read from the pages themselves.

import Foundation
package import MoraineFormat

/// A table of fields on a page of format-spec.
package enum SpecTable {
    /// The fields of the first table under a heading: `| Offset | Size | Type | Name | Meaning |`.
    ///
    /// Empty when page, heading or table are not there, so that comparing it with a layout fails.
    ///
    /// - Parameters:
    ///   - page: a file of format-spec: "file-header.md".
    ///   - heading: the text of the heading without its number signs: "Footer".
    package static func fields(page: String, heading: String) -> [ByteField] {
        guard
            let text = try? String(contentsOf: folder.appendingPathComponent(page), encoding: .utf8)
        else { return [] }
        var isUnderHeading = false
        var fields: [ByteField] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#") {
                if isUnderHeading { break }
                isUnderHeading = line.drop { $0 == "#" }.dropFirst() == heading
                continue
            }
            guard isUnderHeading else { continue }
            let cells = cells(line)
            guard cells.count >= 4 else {
                if fields.isEmpty { continue }
                break
            }
            // Titles and the line of dashes have no number in front.
            guard let offset = Int(cells[0]) else { continue }
            fields.append(
                ByteField(cells[3], offset: offset, size: Int(cells[1]), type: cells[2])
            )
        }
        return fields
    }

    /// The repository's format-spec folder.
    private static var folder: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("format-spec")
    }

    private static func cells(_ line: Substring) -> [String] {
        guard line.hasPrefix("|") else { return [] }
        return line.dropFirst().split(separator: "|", omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }
}
