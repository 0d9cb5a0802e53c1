// What is wrong with a filter, and where.

package import MoraineStorage

/// A filter that cannot be read.
package struct FilterError: Error, Sendable, Equatable {
    /// A sentence without its full stop and without the place.
    package let message: String
    /// The character of the text that it is about, from 1; `nil` for a filter in JSON.
    package var column: Int?
    /// The value that it is about, from the outermost, `$.and[1].op`; `nil` for a filter in text.
    package var path: String?
    package let expected: String
    package let found: String

    package init(_ message: String, expected: String, found: String) {
        self.message = message
        self.expected = expected
        self.found = found
    }

    /// An error at a byte of a text.
    init(expected: String, found: String, in text: some Collection<UInt8>, at offset: Int) {
        self.init("expected \(expected), found \(found)", expected: expected, found: found)
        column = FilterError.column(of: offset, in: text)
    }

    /// The character that starts at a byte, counted from 1.
    static func column(of offset: Int, in text: some Collection<UInt8>) -> Int {
        String(decoding: text.prefix(offset), as: UTF8.self).count + 1
    }

    /// What stands at a byte: a word, a run of signs, or a character, in quotes.
    static func found(_ text: some RandomAccessCollection<UInt8>, at offset: Int) -> String {
        let rest = text.dropFirst(offset)
        guard let first = rest.first else { return "the end" }
        if first < 0x20 || first == 0x7F { return "byte \(first)" }
        let limit = 40
        let token: [UInt8]
        if isWord(first) {
            token = Array(rest.prefix(limit + 1).prefix(while: isWord))
        } else if signs.contains(first) {
            token = Array(rest.prefix(limit + 1).prefix { signs.contains($0) })
        } else {
            token = [first]
        }
        let shown = String(decoding: token.prefix(limit), as: UTF8.self)
        return "\"\(shown)\(token.count > limit ? "…" : "")\""
    }

    private static let signs = Array("=!<>&|~+*/%".utf8)

    /// Letters, digits, underscores and what is not ASCII.
    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    /// The same as the one error of everything above, with code `invalid-filter`.
    package var storeError: StoreError {
        let place = column.map { "column \($0): " } ?? path.map { "\($0): " } ?? ""
        return StoreError(
            .invalidFilter,
            place + message,
            expected: expected,
            found: found
        )
    }
}
