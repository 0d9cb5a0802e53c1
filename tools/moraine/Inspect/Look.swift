// Which part of a file an inspector is asked to show.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineLog
import MoraineStorage

/// Keys from one on, up to another: collection id in big-endian order, then the document's id.
struct KeyRange {
    let lower: [UInt8]
    /// Exclusive.
    let upper: [UInt8]

    func contains(_ key: [UInt8]) -> Bool {
        !key.lexicographicallyPrecedes(lower) && key.lexicographicallyPrecedes(upper)
    }

    func contains(collectionID: UInt32, id: UnsafeRawBufferPointer) -> Bool {
        contains(Self.key(collectionID, Array(id)))
    }

    static func key(_ collectionID: UInt32, _ id: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: collectionID.bigEndian) { Array($0) } + id
    }
}

/// What to show of a sealed file.
enum Look {
    case block(Int)
    case row(UInt32)
    case keys(KeyRange)
}

extension Option {
    /// For inspectors that can show a part.
    static let look = [
        Option("--row", "N", "only this row"),
        Option("--key", "COLLECTION/ID", "only this document; a name or a collection id"),
        Option("--from", "COLLECTION/ID", "only documents from here on"),
        Option("--to", "COLLECTION/ID", "only documents before this one"),
    ]
    static let block = Option("--block", "N", "only the records of this block")
}

extension Call {
    /// The part of a sealed file that the options ask for, `nil` when they ask for none.
    ///
    /// - Parameter collections: ids by name.
    func look(_ collections: () -> [String: UInt32]) throws(Failure) -> Look? {
        let names = ["--block", "--row", "--key", "--from", "--to"].filter { arguments.has($0) }
        guard let first = names.first else { return nil }
        guard names.count == 1 || names == ["--from", "--to"] else {
            throw command.misuse("\(names[0]) and \(names[1]) exclude each other")
        }
        switch first {
        case "--block":
            let number = try arguments.number("--block", in: 0...UInt64(UInt32.max)) ?? 0
            return .block(Int(number))
        case "--row":
            let row = try arguments.number("--row", in: 0...FormatLimits.segmentRowCount) ?? 0
            return .row(UInt32(row))
        default: return try keyRange(collections()).map { .keys($0) }
        }
    }

    /// The keys that `--key`, or `--from` and `--to`, ask for.
    func keyRange(_ collections: [String: UInt32]) throws(Failure) -> KeyRange? {
        if let key = try spot("--key", collections) {
            let bytes = KeyRange.key(key.collectionID, key.id)
            return KeyRange(lower: bytes, upper: bytes + [0])
        }
        let from = try spot("--from", collections)
        let to = try spot("--to", collections)
        guard let any = from ?? to else { return nil }
        let lower = from.map { KeyRange.key($0.collectionID, $0.id) }
        let upper = to.map { KeyRange.key($0.collectionID, $0.id) }
        // Without the other end: to the end of the collection.
        return KeyRange(
            lower: lower ?? KeyRange.key(any.collectionID, []),
            upper: upper ?? KeyRange.key(any.collectionID + 1, [])
        )
    }

    private func spot(_ option: String, _ collections: [String: UInt32]) throws(Failure)
        -> (collectionID: UInt32, id: [UInt8])?
    {
        guard let text = arguments[option] else { return nil }
        guard let slash = text.firstIndex(of: "/") else {
            throw command.misuse("\(option) must be COLLECTION/ID, not \"\(visible(text))\"")
        }
        let name = String(text[..<slash])
        let number = UInt32(name).flatMap { FormatLimits.collectionIDs.contains($0) ? $0 : nil }
        guard let collectionID = collections[name] ?? number else {
            throw Failure(
                .absent,
                "there is no collection \"\(visible(name))\"",
                hint: didYouMean(name, Array(collections.keys))
            )
        }
        return (collectionID, Array(text[text.index(after: slash)...].utf8))
    }
}

extension InspectedStore {
    /// The ids of the collections that manifest and log name; what cannot be read is left out.
    func collectionIDs() -> [String: UInt32] {
        guard isStore else { return [:] }
        var ids: [String: UInt32] = [:]
        for collection in state?.collections.values ?? [:].values {
            ids[collection.shape.name] = collection.shape.id
        }
        for name in (try? names(in: FileNames.logFolder)) ?? [] {
            guard case .log? = FileNames.parse(name), let file = try? InspectedFile(self, name)
            else { continue }
            ids.merge(file.createdCollections) { _, new in new }
        }
        return ids
    }

    /// The state that the manifest of the store adds up to, when it can be read.
    var state: StoreState? {
        guard let root else { return nil }
        let contents = try? ManifestReader.read(
            fileSystem,
            folder: folder,
            root: root,
            promisedOnly: false
        )
        return contents?.state
    }
}

extension InspectedFile {
    /// The collections that a log file makes, and the names that it gives to others.
    var createdCollections: [String: UInt32] {
        var ids: [String: UInt32] = [:]
        guard let records = try? RecordFile(self, kind: .log) else { return ids }
        _ = try? records.walk(to: nil, promise: 0) { record, payload, _ in
            guard record.kind == .commit, var reader = try? CommitReader(payload) else { return }
            for _ in 0..<record.operationCount {
                guard let operation = try? reader.next() else { return }
                if case .createCollection(let shape) = operation { ids[shape.name] = shape.id }
                if case .renameCollection(let id, let name) = operation { ids[name] = id }
            }
        }
        return ids
    }
}
