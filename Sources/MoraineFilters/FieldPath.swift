// Which field of a document's metadata a test looks at.

import MoraineBytes

/// The names that lead from the outermost object to a field.
package struct FieldPath: Sendable, Hashable {
    /// UTF-8, outermost first; at least one, each may be any text.
    package let names: [[UInt8]]

    /// A path of at least one name.
    package init(names: [[UInt8]]) {
        precondition(!names.isEmpty, "a path has a name")
        self.names = names
    }

    /// Reads a path as it stands in JSON and in Swift: names with dots between them.
    ///
    /// A name in backticks may hold dots; within them `\` escapes as in JSON, and a backtick.
    /// Other names may hold anything but dots and backticks: there are no operators to be told
    /// from.
    package init(_ text: String) throws(FilterError) {
        var names: [[UInt8]] = []
        let bytes = Array(text.utf8)
        var at = 0
        repeat {
            if !names.isEmpty { at += 1 }
            if at < bytes.count, bytes[at] == UInt8(ascii: "`") {
                let name = try bytes.withUnsafeBufferPointer { buffer throws(FilterError) in
                    try FieldPath.readQuotedName(UnsafeRawBufferPointer(buffer), at: &at)
                }
                names.append(name)
            } else {
                let name = bytes[at...].prefix {
                    $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "`")
                }
                guard !name.isEmpty else {
                    throw FilterError(
                        expected: "a name",
                        found: FilterError.found(bytes, at: at),
                        in: bytes,
                        at: at
                    )
                }
                names.append(Array(name))
                at += name.count
            }
        } while at < bytes.count && bytes[at] == UInt8(ascii: ".")
        guard at == bytes.count else {
            throw FilterError(
                expected: "\".\" or the end of the path",
                found: FilterError.found(bytes, at: at),
                in: bytes,
                at: at
            )
        }
        self.names = names
    }

    /// The path as it stands in a filter's text.
    package var text: String {
        String(decoding: FilterPrinter.bytes(of: self), as: UTF8.self)
    }

    /// Each name with its length in front: what paths are sorted and found by on disk.
    var encoded: [UInt8] {
        var writer = ByteWriter()
        for name in names {
            name.withUnsafeBufferPointer { writer.writePrefixed(UnsafeRawBufferPointer($0)) }
        }
        return writer.finish()
    }
}
