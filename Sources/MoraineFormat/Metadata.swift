// The binary form of metadata. Bytes: format-spec/document.md, "Metadata".

package import MoraineBytes

/// Metadata as it stands in logs and records.
package enum Metadata {
    /// Tags of values.
    ///
    /// On disk: never renumber.
    package enum Tag: UInt8, Sendable {
        case null = 1
        case `false` = 2
        case `true` = 3
        case integer = 4
        case double = 5
        case string = 6
        case array = 7
        case object = 8
    }

    /// No metadata: the empty object.
    package static let empty: [UInt8] = [0]

    /// An array or object of which some items are still to come.
    private struct Level {
        var itemCount: Int
        let isObject: Bool
        /// The key before, where `hasKey`.
        var key: UnsafeRawBufferPointer
        var hasKey = false
    }

    /// Throws unless `bytes` are one metadata object in its only form.
    ///
    /// Keys ascend and are unique, doubles are finite, texts are UTF-8, nothing is left over, and
    /// no level is deeper than the limit. Never recurses: depth costs memory of the heap, and only
    /// up to the limit.
    package static func validate(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes)
        var levels = [
            Level(
                itemCount: try reader.readCount("count", unit: 2),
                isObject: true,
                key: bytes
            )
        ]
        while let last = levels.indices.last {
            guard levels[last].itemCount > 0 else {
                levels.removeLast()
                continue
            }
            levels[last].itemCount -= 1
            if levels[last].isObject { try readKey(&reader, &levels[last]) }
            let at = UInt64(reader.position)
            let isObject: Bool
            switch try readTag(&reader) {
            case .null, .false, .true: continue
            case .integer:
                _ = try reader.readVarint("integer")
                continue
            case .double:
                guard Double(bitPattern: try reader.readUInt64("double")).isFinite else {
                    throw FormatError(
                        .range,
                        at: at,
                        field: "double",
                        expected: "a finite number",
                        found: "infinity or NaN"
                    )
                }
                continue
            case .string:
                try expectUTF8(try reader.readPrefixed("string"), at, "string")
                continue
            case .array: isObject = false
            case .object: isObject = true
            }
            guard levels.count < FormatLimits.metadataDepth else {
                throw FormatError(
                    .range,
                    at: at,
                    field: "metadata",
                    expected: "at most \(FormatLimits.metadataDepth) levels",
                    found: "more"
                )
            }
            let count = try reader.readCount("count", unit: isObject ? 2 : 1)
            levels.append(Level(itemCount: count, isObject: isObject, key: bytes))
        }
        try reader.expectEnd("metadata")
    }

    /// The tag of the next value.
    @inline(__always)
    package static func readTag(_ reader: inout ByteReader) throws(FormatError) -> Tag {
        let at = UInt64(reader.position)
        let byte = try reader.readUInt8("tag")
        guard let tag = Tag(rawValue: byte) else {
            throw FormatError(
                .mismatch,
                at: at,
                field: "tag",
                expected: "1 to 8",
                found: "\(byte)"
            )
        }
        return tag
    }

    private static func readKey(_ reader: inout ByteReader, _ level: inout Level)
        throws(FormatError)
    {
        let at = UInt64(reader.position)
        let key = try reader.readPrefixed("key")
        try expectUTF8(key, at, "key")
        if level.hasKey, KeyBytes.compare(level.key, key) >= 0 {
            throw FormatError(
                .range,
                at: at,
                field: "key",
                expected: "a key above the one before",
                found: "one that is not"
            )
        }
        level.key = key
        level.hasKey = true
    }

    private static func expectUTF8(
        _ text: UnsafeRawBufferPointer,
        _ at: UInt64,
        _ field: StaticString
    ) throws(FormatError) {
        guard isUTF8(text) else {
            throw FormatError(
                .encoding,
                at: at,
                field: "\(field)",
                expected: "UTF-8",
                found: "other bytes"
            )
        }
    }
}
