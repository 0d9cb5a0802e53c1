// Blanks out comments and string literals, so that rules about code do not read prose.

/// A small lexer: it knows comments, nested comments, strings, raw and multi-line strings, and
/// interpolation.
struct SwiftMask {
    private let bytes: [UInt8]
    private var output: [UInt8]
    private var position = 0

    /// The same text with the bytes of comments and string contents replaced by spaces.
    ///
    /// Line breaks and the quotes of strings stay.
    static func masked(_ text: String) -> String {
        var mask = SwiftMask(text)
        mask.code(untilClosing: false)
        return String(decoding: mask.output, as: UTF8.self)
    }

    private init(_ text: String) {
        bytes = Array(text.utf8)
        output = bytes
    }

    private func at(_ offset: Int) -> UInt8 {
        position + offset < bytes.count ? bytes[position + offset] : 0
    }

    private func startsWith(_ text: String, at offset: Int = 0) -> Bool {
        var index = position + offset
        for byte in text.utf8 {
            guard index < bytes.count, bytes[index] == byte else { return false }
            index += 1
        }
        return true
    }

    private mutating func blank(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] != UInt8(ascii: "\n") { output[position] = UInt8(ascii: " ") }
            position += 1
        }
    }

    /// Walks over code; in an interpolation up to its closing parenthesis.
    private mutating func code(untilClosing: Bool) {
        var depth = 0
        while position < bytes.count {
            if startsWith("//") {
                while position < bytes.count, at(0) != UInt8(ascii: "\n") { blank() }
            } else if startsWith("/*") {
                comment()
            } else if let hashes = stringStart() {
                string(hashes: hashes)
            } else {
                if at(0) == UInt8(ascii: "(") { depth += 1 }
                if at(0) == UInt8(ascii: ")") {
                    if untilClosing, depth == 0 { return }
                    depth -= 1
                }
                position += 1
            }
        }
    }

    private mutating func comment() {
        var depth = 0
        repeat {
            if startsWith("/*") {
                depth += 1
                blank(2)
            } else if startsWith("*/") {
                depth -= 1
                blank(2)
            } else {
                blank()
            }
        } while depth > 0 && position < bytes.count
    }

    /// The number of `#` before the quote of a string that starts here.
    private func stringStart() -> Int? {
        var hashes = 0
        while at(hashes) == UInt8(ascii: "#") { hashes += 1 }
        return at(hashes) == UInt8(ascii: "\"") ? hashes : nil
    }

    private mutating func string(hashes: Int) {
        let guards = String(repeating: "#", count: hashes)
        let quote = startsWith("\"\"\"", at: hashes) ? "\"\"\"" : "\""
        let escape = "\\" + guards
        position += hashes + quote.utf8.count
        while position < bytes.count, !startsWith(quote + guards) {
            if quote == "\"", at(0) == UInt8(ascii: "\n") { return }
            if startsWith(escape + "(") {
                position += escape.utf8.count + 1
                code(untilClosing: true)
                position += 1
            } else if startsWith(escape) {
                blank(escape.utf8.count + 1)
            } else {
                blank()
            }
        }
        position += quote.utf8.count + hashes
    }
}
