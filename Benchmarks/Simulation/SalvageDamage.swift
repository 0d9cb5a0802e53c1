// Damages that a salvage is tried with, and which documents stand in the bytes that they hit.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// A document, by the name of its collection and its id.
struct DocumentName: Hashable, CustomStringConvertible {
    let collection: String
    let id: String

    var description: String { "\(collection)/\(id)" }

    /// True in a collection that a salvage had to name.
    var isUnnamed: Bool { collection.hasPrefix("collection ") }
}

/// One way to damage a file.
enum SalvageDamage: CustomStringConvertible {
    case flip(path: String, offset: Int, bit: UInt8)
    case cut(path: String, offset: Int)
    case zero(path: String, range: Range<Int>)
    case missing(path: String)
    /// Two files of the same kind under each other's names: no byte is lost.
    case swap(String, String)
    /// Fields that say what cannot be, under checksums that are right.
    case hostile(path: String, seed: UInt64)

    var description: String {
        switch self {
        case .flip(let path, let offset, let bit): "bit \(bit) of byte \(offset) of \(path)"
        case .cut(let path, let offset): "\(path) cut at \(offset)"
        case .zero(let path, let range): "zeros in \(path) at \(range)"
        case .missing(let path): "no \(path)"
        case .swap(let a, let b): "\(a) and \(b) swapped"
        case .hostile(let path, let seed): "\(path) disturbed with \(seed)"
        }
    }

    /// True when the checksums do not tell what is wrong, so that nothing can be said of what
    /// comes back.
    var isHostile: Bool {
        if case .hostile = self { return true }
        return false
    }

    /// The word that figures are sorted by.
    var kind: String {
        switch self {
        case .flip: "bit"
        case .cut: "cut"
        case .zero: "zeros"
        case .missing: "missing"
        case .swap: "swapped"
        case .hostile: "hostile"
        }
    }

    /// The files that it hits.
    var paths: [String] {
        switch self {
        case .flip(let path, _, _), .cut(let path, _), .zero(let path, _), .missing(let path),
            .hostile(let path, _):
            [path]
        case .swap(let a, let b): [a, b]
        }
    }

    /// The bytes of `path` that are not what they were.
    func range(in path: String) -> Range<Int>? {
        switch self {
        case .flip(path, let offset, _): offset..<(offset + 1)
        case .cut(path, let offset): offset..<Int.max
        case .zero(path, let range): range
        case .missing(path): 0..<Int.max
        default: nil
        }
    }

    func apply(to fileSystem: SimulatedFileSystem) {
        switch self {
        case .flip(let path, let offset, let bit):
            fileSystem.corrupt(path: path, offset: offset, xor: 1 << bit)
        case .cut(let path, let offset):
            let bytes = fileSystem.contents(of: path) ?? []
            fileSystem.replace(path: path, bytes: Array(bytes.prefix(offset)))
        case .zero(let path, let range):
            var bytes = fileSystem.contents(of: path) ?? []
            for index in range.clamped(to: 0..<bytes.count) { bytes[index] = 0 }
            fileSystem.replace(path: path, bytes: bytes)
        case .missing(let path): fileSystem.removeForTest(path)
        case .swap(let a, let b):
            let (first, second) = (fileSystem.contents(of: a), fileSystem.contents(of: b))
            fileSystem.replace(path: a, bytes: second ?? [])
            fileSystem.replace(path: b, bytes: first ?? [])
        case .hostile(let path, let seed):
            var dice = Dice(seed: seed)
            let bytes = fileSystem.contents(of: path) ?? []
            if let disturbed = HostileBytes.disturbed(bytes, &dice) {
                fileSystem.replace(path: path, bytes: disturbed)
            }
        }
    }
}

/// What stands where in a sound store.
struct SalvageMap {
    /// Bytes of a file that hold the newest or an older state of some documents.
    struct Piece {
        let path: String
        let range: Range<Int>
        let documents: Set<DocumentName>
        /// Only the vectors of the documents.
        var isVector = false
    }

    /// A commit in the log.
    struct Commit {
        let path: String
        let range: Range<Int>
        /// A marker has the number of the commit before it.
        let number: UInt64
        let promised: UInt64
        let isMarker: Bool
        let documents: Set<DocumentName>
    }

    private(set) var pieces: [Piece] = []
    private(set) var commits: [Commit] = []
    let floor: UInt64
    let durableLSN: UInt64

    /// What each document file says about many documents at once: it stands outside of blocks.
    private(set) var sweeps: [(path: String, documents: Set<DocumentName>)] = []

    private let fileSystem: SimulatedFileSystem
    private let folder: String
    private let names: [UInt32: String]
    private let root: Root
    private var manifestPath: String {
        FileNames.path(folder, FileNames.manifest(root.manifestID))
    }
    /// Every document that ever was.
    private let everPut: Set<DocumentName>

    /// Reads a sound store.
    init(_ fileSystem: SimulatedFileSystem, folder: String, states: [ModelState]) throws {
        everPut = Set(
            states.flatMap { state in
                state.collections.flatMap { name, collection in
                    collection.documents.keys.map { DocumentName(collection: name, id: $0) }
                }
            }
        )
        self.fileSystem = fileSystem
        self.folder = folder
        root = try RootFile.read(fileSystem, folder: folder).chosen()
        let state = try ManifestReader.read(
            fileSystem,
            folder: folder,
            root: root,
            promisedOnly: false
        ).state
        floor = state.floor
        durableLSN = root.durableLSN
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.isReadOnly = true
        options.runsInBackground = false
        options.scanThreadCount = 1
        let engine = try Engine.open(at: folder, options: options)
        names = Dictionary(
            uniqueKeysWithValues: try engine.version().collections.map { ($0.id, $0.name) }
        )
        try engine.close()
        for entry in state.segments { try addSegment(entry) }
        for entry in state.logs { try addLog(entry) }
    }

    private func name(_ collectionID: UInt32, _ id: UnsafeRawBufferPointer) -> DocumentName {
        DocumentName(
            collection: names[collectionID] ?? "?",
            id: String(decoding: id, as: UTF8.self)
        )
    }

    /// The documents that a drop or a delete by prefix may have taken away.
    private func swept(_ collectionID: UInt32, _ prefix: [UInt8]?) -> Set<DocumentName> {
        // A dropped collection has no name any more; another one may have its name now.
        everPut.filter { document in
            names[collectionID].map { $0 == document.collection } ?? true
                && document.id.utf8.starts(with: prefix ?? [])
        }
    }

    private mutating func addSegment(_ entry: SegmentEntry) throws {
        let documents = try DocumentFile(
            fileSystem: fileSystem,
            root: folder,
            segmentID: entry.id,
            storeID: root.storeID,
            reference: entry.document,
            cache: nil
        )
        let path = FileNames.path(folder, FileNames.document(entry.id))
        let all = documents.removals.map { swept($0.collectionID, $0.prefix) }
        sweeps.append((path, all.reduce([]) { $0.union($1) }))
        var rows: [DocumentName] = []
        for number in 0..<documents.blockCount {
            let block = try documents.block(number)
            var found: Set<DocumentName> = []
            for place in 0..<block.recordCount {
                let record = try block.record(place)
                let document = name(record.collectionID, record.id)
                found.insert(document)
                if !record.isTombstone { rows.append(document) }
            }
            let start = Int(block.offset)
            let end = start + 56 + Int(block.header.storedByteCount)
            pieces.append(Piece(path: path, range: start..<end, documents: found))
        }
        guard let reference = entry.vector else { return }
        let file = try SealedFile(
            fileSystem: fileSystem,
            root: folder,
            name: FileNames.vector(entry.id),
            kind: .vector,
            storeID: root.storeID,
            reference: reference,
            access: .read
        )
        let vectors = try VectorFile(
            fileSystem: fileSystem,
            root: folder,
            segment: entry.id,
            storeID: root.storeID,
            reference: reference
        )
        for (index, space) in vectors.spaces.enumerated() {
            let section = file.section(SectionType.vectors, ordinal: UInt32(index))
            let start = Int(section?.entry.offset ?? 0)
            for ordinal in 0..<space.vectorCount {
                let at = start + ordinal * space.strideByteCount
                pieces.append(
                    Piece(
                        path: FileNames.path(folder, FileNames.vector(entry.id)),
                        range: at..<(at + space.dimensions * 4),
                        documents: [rows[Int(try space.row(ordinal))]],
                        isVector: true
                    )
                )
            }
        }
    }

    private mutating func addLog(_ entry: LogEntry) throws {
        let path = FileNames.path(
            folder,
            FileNames.log(epoch: entry.epoch, sequence: entry.sequence)
        )
        let file = try fileSystem.open(path, .read)
        defer { file.close() }
        let link = try LogFiles.link(
            file,
            kind: .log,
            storeID: root.storeID,
            fileID: entry.sequence
        )
        var reader = LogReader(file: file, header: link.header, to: link.byteCount)
        while case .record(let record, let payload, let offset) = try reader.next() {
            var documents: Set<DocumentName> = []
            if record.kind == .commit {
                var operations = try CommitReader(payload)
                while !operations.isAtEnd {
                    switch try operations.next() {
                    case .put(let put): documents.insert(name(put.collectionID, put.id))
                    case .delete(let collectionID, let id): documents.insert(name(collectionID, id))
                    case .createCollection, .renameCollection: continue
                    case .dropCollection(let id): documents.formUnion(swept(id, nil))
                    case .deletePrefix(let id, let prefix):
                        documents.formUnion(swept(id, Array(prefix)))
                    }
                }
            }
            let start = Int(offset)
            commits.append(
                Commit(
                    path: path,
                    range: start..<(start + record.frameByteCount),
                    number: record.number,
                    promised: record.promised,
                    isMarker: record.kind == .marker,
                    documents: documents
                )
            )
        }
    }

    /// What a set of damages can have cost.
    struct Toll {
        /// Documents of which a state stood in damaged bytes.
        var documents: Set<DocumentName> = []
        var vectors: Set<DocumentName> = []
        /// Commits above the floor whose record is damaged.
        var commits: Set<UInt64> = []
        /// The last commit of which anything intact can know.
        var lastKnown: UInt64 = 0
    }

    func toll(of damages: [SalvageDamage]) -> Toll {
        var toll = Toll()
        func isHit(_ path: String, _ range: Range<Int>) -> Bool {
            damages.contains { $0.range(in: path)?.overlaps(range) ?? false }
        }
        for piece in pieces where isHit(piece.path, piece.range) {
            if piece.isVector {
                toll.vectors.formUnion(piece.documents)
            } else {
                toll.documents.formUnion(piece.documents)
            }
        }
        for sweep in sweeps where damages.contains(where: { $0.range(in: sweep.path) != nil }) {
            toll.documents.formUnion(sweep.documents)
        }
        let rootPath = FileNames.path(folder, FileNames.root)
        let half = Root.copyByteCount
        let isRootLeft =
            !damages.contains { if case .cut(rootPath, _) = $0 { true } else { false } }
            && (!isHit(rootPath, 0..<half) || !isHit(rootPath, half..<(2 * half)))
        // A damaged head costs the whole file only if nothing names its writer any more.
        let heads = Set(commits.map(\.path)).union([manifestPath])
        let isWriterKnown = isRootLeft || heads.contains { !isHit($0, 0..<128) }
        var promise = isRootLeft ? max(floor, durableLSN) : floor
        for commit in commits {
            if isHit(commit.path, commit.range) || !isWriterKnown {
                guard !commit.isMarker, commit.number > floor else { continue }
                toll.commits.insert(commit.number)
                toll.documents.formUnion(commit.documents)
            } else {
                promise = max(promise, commit.promised, commit.isMarker ? 0 : commit.number)
            }
        }
        let unknown = toll.commits.filter { $0 > promise }.min()
        toll.lastKnown = unknown.map { $0 - 1 } ?? .max
        return toll
    }
}
