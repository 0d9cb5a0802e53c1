// Names the fields of structures whose length varies, by the words of format-spec.

import MoraineBytes
import MoraineFormat
import MoraineJSON

/// The fields of a structure, as its page writes them: `varint id · prefixed name · u8 metric`.
///
/// A term is a type and a name. `that many TERMS` repeats as often as the number before says, and
/// the name loses its plural; `files` stands for the fields of `file`. `if flags N:` before a term
/// asks for a bit of the last flags.
package struct FieldGrammar: Sendable {
    package let text: String

    init(_ text: String) { self.text = text }

    /// The edits of a manifest by tag: the table of manifest.md, word for word.
    package static let edits: [UInt8: (name: String, fields: FieldGrammar)] = [
        1: ("counters", FieldGrammar("varint nextFileID · varint nextCollectionID")),
        2: (
            "collection",
            FieldGrammar(
                "varint id · prefixed name · varint dimensions · u8 metric · varint createdLSN"
            )
        ),
        3: (
            "segment",
            FieldGrammar(
                "varint segment id · varint rowCount · varint tombstoneCount · varint minLSN · "
                    + "varint maxLSN · varint inputCount · that many varint segment ids · "
                    + "varint fileCount · that many files"
            )
        ),
        4: (
            "deletions",
            FieldGrammar(
                "varint segment id · varint fileID · varint byteCount · u32 footerChecksum · "
                    + "varint deadRowCount"
            )
        ),
        5: (
            "log",
            FieldGrammar("varint sequence · varint epoch · varint firstLSN · u64 incarnation")
        ),
        6: ("logDropped", FieldGrammar("varint sequence")),
        7: ("floor", FieldGrammar("varint LSN · varint commitTime")),
        8: ("collectionRenamed", FieldGrammar("varint id · prefixed name")),
        9: ("collectionDropped", FieldGrammar("varint id")),
        10: ("segmentDropped", FieldGrammar("varint segment id")),
        11: (
            "derived",
            FieldGrammar(
                "varint segment id · u8 kind · varint fileID · varint byteCount · "
                    + "u32 footerChecksum"
            )
        ),
        12: ("derivedDropped", FieldGrammar("varint segment id · u8 kind")),
    ]

    /// The operations of a commit by tag (log.md).
    static let operations: [UInt8: (name: String, fields: FieldGrammar)] = [
        1: (
            "put",
            FieldGrammar(
                "varint collection id · prefixed id · u8 flags · varint expiry · "
                    + "if flags 1: varint dimensions · if flags 1: that many f32s · "
                    + "prefixed text · prefixed metadata"
            )
        ),
        2: ("delete", FieldGrammar("varint collection id · prefixed id")),
        3: (
            "create collection",
            FieldGrammar("varint collection id · prefixed name · varint dimensions · u8 metric")
        ),
        4: ("rename collection", FieldGrammar("varint collection id · prefixed name")),
        5: ("drop collection", FieldGrammar("varint collection id")),
        6: ("delete prefix", FieldGrammar("varint collection id · prefixed prefix")),
    ]

    /// A document in a block (document.md).
    static let document = FieldGrammar(
        "u8 flags · varint collection id · prefixed id · varint LSN · varint created · "
            + "varint updated · varint expiry · if flags 1: u32 vectorChecksum · prefixed text · "
            + "prefixed metadata"
    )
    static let tombstone = FieldGrammar(
        "u8 flags · varint collection id · prefixed id · varint LSN · varint time"
    )
    static let file = FieldGrammar(
        "u8 kind · varint fileID · varint byteCount · u32 footerChecksum"
    )
    static let keyEntry = FieldGrammar(
        "varint shared · varint rest · that many bytes · varint LSN · varint created · varint expiry"
    )
    static let schemaEntry = FieldGrammar(
        "varint id · prefixed name · varint dimensions · u8 metric · varint firstRow · "
            + "varint rowCount"
    )

    static let removal = FieldGrammar(
        "varint collection id · varint LSN · u8 kind · if kind 2: prefixed prefix"
    )
    static let expiry = FieldGrammar("varint collection id · varint rowCount · varint earliest")

    /// Names the fields that start `start` bytes into `structure`; returns where they end.
    ///
    /// `nil` when the bytes do not follow the grammar; what was named before stays named.
    func name(_ structure: inout Structure, from start: Int, to end: Int) -> Int? {
        var walk = GrammarWalk(position: start, end: end)
        for term in text.split(separator: "·") {
            let words = term.trimmingSpaces.split(separator: " ").map(String.init)
            guard walk.take(words, &structure) else { return nil }
        }
        return walk.position
    }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        let head = drop { $0 == " " }
        return head[
            ..<(head.lastIndex { $0 != " " }.map { head.index(after: $0) } ?? head.startIndex)
        ]
    }
}

/// How far a structure is named.
private struct GrammarWalk {
    var position: Int
    let end: Int
    /// The last number that was read.
    private var last: UInt64 = 0
    private var flags: UInt64 = 0

    init(position: Int, end: Int) {
        self.position = position
        self.end = end
    }

    mutating func take(_ words: [String], _ structure: inout Structure) -> Bool {
        if words.first == "if", words.count > 3 {
            let mask = UInt64(words[2].dropLast()) ?? 0
            return flags & mask == 0 || take(Array(words.dropFirst(3)), &structure)
        }
        if words.starts(with: ["that", "many"]) {
            return takeMany(Array(words.dropFirst(2)), &structure)
        }
        guard words.count >= 2 else { return false }
        return takeOne(words[0], words.dropFirst().joined(separator: " "), &structure)
    }

    private mutating func takeMany(_ words: [String], _ structure: inout Structure) -> Bool {
        let count = last
        switch words {
        case ["f32s"]:
            return takeBytes(count.multipliedReportingOverflow(by: 4), "vector", "f32s", &structure)
        case ["bytes"]: return takeBytes((count, false), "rest bytes", "bytes", &structure)
        default: break
        }
        // Each takes a byte at least.
        guard count <= UInt64(end - position) else { return false }
        for _ in 0..<count {
            if words == ["files"] {
                guard let next = FieldGrammar.file.name(&structure, from: position, to: end) else {
                    return false
                }
                position = next
            } else {
                let name = String(words.dropFirst().joined(separator: " ").dropLast())
                guard takeOne(words[0], name, &structure) else { return false }
            }
        }
        return true
    }

    private mutating func takeBytes(
        _ count: (partialValue: UInt64, overflow: Bool),
        _ name: String,
        _ type: String,
        _ structure: inout Structure
    ) -> Bool {
        guard !count.overflow, count.partialValue <= UInt64(end - position) else { return false }
        let start = position
        position += Int(count.partialValue)
        structure.add(
            name,
            type,
            at: start,
            count: position - start,
            value: type == "f32s" ? "" : shownText(structure.bytes[start..<position])
        )
        return true
    }

    private mutating func takeOne(_ type: String, _ name: String, _ structure: inout Structure)
        -> Bool
    {
        let start = position
        let sizes = ["u8": 1, "u16": 2, "u32": 4, "u64": 8]
        if let size = sizes[type] {
            guard size <= end - position else { return false }
            position += size
            structure.add(name, type, at: start, count: size)
            var value: UInt64 = 0
            for byte in structure.bytes[start..<position].reversed() {
                value = value << 8 | UInt64(byte)
            }
            last = value
            if name == "flags" || name == "kind" { flags = value }
            return true
        }
        guard let value = varint(structure.bytes) else { return false }
        last = value
        if type == "varint" {
            structure.add(
                name,
                type,
                at: start,
                count: position - start,
                value: Structure.number(value, name)
            )
            return true
        }
        guard type == "prefixed", value <= UInt64(end - position) else { return false }
        let content = position
        position += Int(value)
        structure.add(
            name,
            type,
            at: start,
            count: position - start,
            value: name == "metadata"
                ? shownMetadata(structure.bytes[content..<position])
                : shownText(structure.bytes[content..<position])
        )
        return true
    }

    private mutating func varint(_ bytes: [UInt8]) -> UInt64? {
        bytes.withUnsafeBytes { all in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: all[position..<end]))
            guard let value = try? reader.readVarint("varint") else { return nil }
            position += reader.position
            return value
        }
    }
}

/// A text in one line, cut where it is long.
private func shownText(_ bytes: ArraySlice<UInt8>) -> String {
    let limit = 60
    let text = String(decoding: bytes.prefix(limit * 4), as: UTF8.self)
    let short = text.count <= limit && bytes.count <= limit * 4
    return visible("\"\(short ? text : text.prefix(limit) + "…")\"")
}

private func shownMetadata(_ bytes: ArraySlice<UInt8>) -> String {
    Array(bytes).withUnsafeBytes { bytes in
        guard (try? Metadata.validate(bytes)) != nil, let text = try? metadataText(bytes) else {
            return ""
        }
        return visible(text.count <= 60 ? text : text.prefix(60) + "…")
    }
}
