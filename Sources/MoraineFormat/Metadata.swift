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

    /// An object with some of its keys set and others removed.
    ///
    /// Of the outermost object only: a value that is set replaces the old one whole. All objects
    /// are valid; so is the result, but for its length.
    ///
    /// - Parameter removed: keys; those that are not there are fine.
    package static func patched(
        _ base: UnsafeRawBufferPointer,
        setting changes: UnsafeRawBufferPointer,
        removing removed: [[UInt8]]
    ) throws(FormatError) -> [UInt8] {
        let old = try items(base)
        let new = try items(changes)
        let gone = Set(removed)
        var merged: [UnsafeRawBufferPointer] = []
        var next = 0
        for item in old {
            while next < new.count, KeyBytes.compare(new[next].key, item.key) < 0 {
                merged.append(new[next].whole)
                next += 1
            }
            if next < new.count, KeyBytes.compare(new[next].key, item.key) == 0 {
                merged.append(new[next].whole)
                next += 1
            } else if gone.isEmpty || !gone.contains(Array(item.key)) {
                merged.append(item.whole)
            }
        }
        merged += new[next...].map(\.whole)
        var writer = ByteWriter(capacity: base.count + changes.count)
        writer.writeVarint(UInt64(merged.count))
        for item in merged { writer.writeBytes(item) }
        return writer.finish()
    }

    /// The first key of an object that is among `keys`.
    package static func firstKey(of object: UnsafeRawBufferPointer, in keys: Set<[UInt8]>)
        throws(FormatError) -> [UInt8]?
    {
        if keys.isEmpty { return nil }
        return try items(object).lazy.map { Array($0.key) }.first { keys.contains($0) }
    }

    /// The keys of an object, each with its bytes and those of its value.
    private static func items(_ object: UnsafeRawBufferPointer) throws(FormatError)
        -> [(key: UnsafeRawBufferPointer, whole: UnsafeRawBufferPointer)]
    {
        var reader = ByteReader(object)
        var items: [(key: UnsafeRawBufferPointer, whole: UnsafeRawBufferPointer)] = []
        for _ in 0..<(try reader.readCount("count", unit: 2)) {
            let start = reader.position
            let key = try reader.readPrefixed("key")
            try skipValue(&reader)
            items.append((key, UnsafeRawBufferPointer(rebasing: object[start..<reader.position])))
        }
        try reader.expectEnd("metadata")
        return items
    }

    /// Goes past a value.
    ///
    /// Never recurses.
    package static func skipValue(_ reader: inout ByteReader) throws(FormatError) {
        // Values that are still to come, the keys of objects before theirs.
        var levels = [(itemCount: 1, isObject: false)]
        while let last = levels.indices.last {
            guard levels[last].itemCount > 0 else {
                levels.removeLast()
                continue
            }
            levels[last].itemCount -= 1
            if levels[last].isObject { _ = try reader.readPrefixed("key") }
            switch try readTag(&reader) {
            case .null, .false, .true: continue
            case .integer: _ = try reader.readVarint("integer")
            case .double: _ = try reader.readUInt64("double")
            case .string: _ = try reader.readPrefixed("string")
            case .array: levels.append((try reader.readCount("count"), false))
            case .object: levels.append((try reader.readCount("count", unit: 2), true))
            }
        }
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
