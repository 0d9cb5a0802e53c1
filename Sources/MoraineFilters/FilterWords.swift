// The words and names of a filter's text.

import MoraineJSON

/// What may stand as a name without backticks.
enum FilterWords {
    /// Words that are no names.
    private static let keywords = [
        "and", "or", "not", "in", "contains", "startswith", "exists", "true", "false", "null",
    ].map { Array($0.utf8) }

    static func isKeyword(_ word: some Collection<UInt8>) -> Bool {
        keywords.contains { word.elementsEqual($0) }
    }

    /// True for a name that needs no backticks.
    static func isPlainName(_ name: [UInt8]) -> Bool {
        guard !name.isEmpty, !isKeyword(name) else { return false }
        return name.withUnsafeBufferPointer {
            end(of: UnsafeRawBufferPointer($0), from: 0) == name.count
        }
    }

    /// Where the word that starts at a byte ends; the same byte when none does.
    ///
    /// A word is letters, of any script, digits and underscores, and starts with no digit.
    static func end(of text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var at = start
        while at < text.count {
            let byte = text[at]
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                at += 1
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                guard at > start else { return at }
                at += 1
            case 0x80...:
                guard let count = letter(text, at: at) else { return at }
                at += count
            default: return at
            }
        }
        return at
    }

    /// The bytes of the letter beyond ASCII at a byte; `nil` when there is none.
    private static func letter(_ text: UnsafeRawBufferPointer, at start: Int) -> Int? {
        var decoder = UTF8()
        var bytes = text[start...].prefix(4).makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&bytes),
            scalar.properties.isAlphabetic
        else { return nil }
        return UTF8.width(scalar)
    }
}

extension FieldPath {
    /// Reads a name in backticks, whose first one stands at `at`; moves behind the second.
    static func readQuotedName(_ text: UnsafeRawBufferPointer, at: inout Int)
        throws(FilterError) -> [UInt8]
    {
        let start = at
        // The same name as a string of JSON: quotes get a backslash, backticks lose theirs.
        var quoted = [UInt8(ascii: "\"")]
        at += 1
        while at < text.count, text[at] != UInt8(ascii: "`") {
            switch text[at] {
            case UInt8(ascii: "\""): quoted += [UInt8(ascii: "\\"), text[at]]
            case UInt8(ascii: "\\") where at + 1 < text.count:
                at += 1
                if text[at] != UInt8(ascii: "`") { quoted.append(UInt8(ascii: "\\")) }
                quoted.append(text[at])
            default: quoted.append(text[at])
            }
            at += 1
        }
        guard at < text.count else {
            throw FilterError(
                expected: "a \"`\" that ends the name",
                found: "the end",
                in: text,
                at: text.count
            )
        }
        at += 1
        quoted.append(UInt8(ascii: "\""))
        do throws(JSONError) {
            return try quoted.withUnsafeBufferPointer { buffer throws(JSONError) in
                var reader = JSONReader(UnsafeRawBufferPointer(buffer))
                return Array(try reader.readString())
            }
        } catch {
            throw FilterError(
                expected: "a name in backticks",
                found: error.message,
                in: text,
                at: start
            )
        }
    }
}
