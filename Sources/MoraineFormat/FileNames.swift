// Where files stand in a store's folder. Names: format-spec/README.md, "The folder".

/// Paths of a store's files, relative to its folder, and the way back from a path.
package enum FileNames {
    package static let root = "ROOT"
    package static let lock = "LOCK"
    package static let manifestFolder = "manifest"
    package static let logFolder = "wal"
    package static let spareLogFolder = "wal/free"
    package static let segmentFolder = "seg"
    package static let temporaryFolder = "tmp"
    /// ROOT while a store is being made.
    package static let temporaryRoot = "tmp/ROOT"
    /// ROOT while a whole store is being written from elsewhere.
    package static let unfinishedRoot = "ROOT.unfinished"
    /// All folders, outer ones first.
    package static let folders = [
        manifestFolder, logFolder, spareLogFolder, segmentFolder, temporaryFolder,
    ]

    package static func document(_ segment: UInt64) -> String { "seg/\(hex(segment)).doc" }

    package static func vector(_ segment: UInt64) -> String { "seg/\(hex(segment)).vec" }

    package static func key(_ segment: UInt64, fileID: UInt64) -> String {
        "seg/\(hex(segment)).\(hex(fileID)).key"
    }

    package static func deletions(_ segment: UInt64, fileID: UInt64) -> String {
        "seg/\(hex(segment)).\(hex(fileID)).del"
    }

    /// A derived file of a segment.
    package static func derived(_ kind: DerivedKind, _ segment: UInt64, fileID: UInt64) -> String {
        "seg/\(hex(segment)).\(hex(fileID))\(kind.suffix)"
    }

    package static func log(epoch: UInt64, sequence: UInt64) -> String {
        "wal/W-\(hex(epoch))-\(hex(sequence)).mwal"
    }

    package static func spareLog(_ number: UInt64) -> String { "wal/free/\(hex(number)).mwal" }

    package static func manifest(_ id: UInt64) -> String { "manifest/M-\(hex(id)).mman" }

    /// The path of `name` in the store's folder `root`.
    package static func path(_ root: String, _ name: String) -> String { root + "/" + name }

    /// A file that a name stands for.
    package enum Parsed: Sendable, Hashable {
        case root, lock, temporaryRoot
        case document(segment: UInt64)
        case vector(segment: UInt64)
        case key(segment: UInt64, fileID: UInt64)
        case deletions(segment: UInt64, fileID: UInt64)
        case derived(DerivedKind, segment: UInt64, fileID: UInt64)
        case log(epoch: UInt64, sequence: UInt64)
        case spareLog(UInt64)
        case manifest(UInt64)
    }

    /// What the file at `name`, relative to the store's folder, is; `nil` when it is none of ours.
    ///
    /// Strict: only the exact name that the functions above make is accepted.
    package static func parse(_ name: String) -> Parsed? {
        switch name {
        case root: return .root
        case lock: return .lock
        case temporaryRoot: return .temporaryRoot
        default: break
        }
        if let ids = ids(name, "seg/", nil, ".doc") { return .document(segment: ids.0) }
        if let ids = ids(name, "seg/", nil, ".vec") { return .vector(segment: ids.0) }
        if let ids = ids(name, "seg/", ".", ".key") { return .key(segment: ids.0, fileID: ids.1) }
        if let ids = ids(name, "seg/", ".", ".del") {
            return .deletions(segment: ids.0, fileID: ids.1)
        }
        for kind in DerivedKind.allCases {
            if let ids = ids(name, "seg/", ".", kind.suffix) {
                return .derived(kind, segment: ids.0, fileID: ids.1)
            }
        }
        if let ids = ids(name, "wal/W-", "-", ".mwal") {
            return .log(epoch: ids.0, sequence: ids.1)
        }
        if let ids = ids(name, "wal/free/", nil, ".mwal") { return .spareLog(ids.0) }
        if let ids = ids(name, "manifest/M-", nil, ".mman") { return .manifest(ids.0) }
        return nil
    }

    /// True for the path of a segment's file, but for deletions.
    package static func isSegmentFile(_ path: String) -> Bool {
        path.hasSuffix(".doc") || path.hasSuffix(".key") || path.hasSuffix(".vec")
            || DerivedKind.allCases.contains { path.hasSuffix($0.suffix) }
    }

    private static func hex(_ id: UInt64) -> String { hexadecimal(id, count: 16) }

    /// The one or two ids of a name `prefix` id [`separator` id] `suffix`; the second is else 0.
    private static func ids(
        _ name: String,
        _ prefix: String,
        _ separator: String?,
        _ suffix: String
    ) -> (UInt64, UInt64)? {
        var rest = Substring(name).utf8
        guard take(prefix, from: &rest), let first = takeID(from: &rest) else { return nil }
        var second: UInt64 = 0
        if let separator {
            guard take(separator, from: &rest), let id = takeID(from: &rest) else { return nil }
            second = id
        }
        guard rest.elementsEqual(suffix.utf8) else { return nil }
        return (first, second)
    }

    private static func take(_ text: String, from rest: inout Substring.UTF8View) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    /// Sixteen lower-case hexadecimal digits of a number that can be one.
    private static func takeID(from rest: inout Substring.UTF8View) -> UInt64? {
        var value: UInt64 = 0
        var count = 0
        for byte in rest.prefix(16) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
            count += 1
        }
        guard count == 16, FormatLimits.numbers.contains(value) else { return nil }
        rest = rest.dropFirst(16)
        return value
    }
}
