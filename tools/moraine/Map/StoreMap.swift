// What a map of a store shows, read from ROOT, the manifest and the folder: no document is opened.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// The files of a store and how they came to be.
struct StoreMap {
    /// A file of a segment.
    struct Part {
        let kind: FileKind
        let byteCount: UInt64
        /// It is missing, or has another length than the manifest says.
        let isDamaged: Bool
    }

    /// A segment of the newest state.
    struct Segment {
        let entry: SegmentEntry
        let deadRowCount: UInt64
        let parts: [Part]

        var byteCount: UInt64 { parts.reduce(0) { $0 + $1.byteCount } }
        var deadShare: Double {
            entry.rowCount == 0 ? 0 : Double(deadRowCount) / Double(entry.rowCount)
        }
        var tier: Int {
            let dead = min(entry.rowCount, deadRowCount)
            return CompactionPolicy.tier(liveRowCount: Int(clamping: entry.rowCount - dead))
        }
    }

    /// A file that belongs to no segment.
    struct OtherFile {
        let name: String
        let kind: String
        let byteCount: UInt64
    }

    /// A version: the state after an edit.
    struct Step {
        let number: UInt64
        /// Of the floor, in milliseconds since 1970.
        let time: UInt64
        let addedCount: Int
        let droppedCount: Int
        let segmentCount: Int
        let byteCount: UInt64
    }

    let folder: String
    private(set) var root: Root?
    private(set) var floor: UInt64 = 0
    private(set) var time: UInt64 = 0
    private(set) var segments: [Segment] = []
    private(set) var others: [OtherFile] = []
    private(set) var steps: [Step] = []

    init(_ store: InspectedStore) throws(Failure) {
        folder = store.folder
        root = store.root
        var state = StoreState()
        if let root {
            state = readSteps(root, store)
        } else {
            _ = store.damage(
                StoreError(.corrupted, "ROOT names no manifest", path: store.folder + "/ROOT")
            )
        }
        floor = state.floor
        time = state.floorTime
        segments = state.segments.map { Self.segment($0, state, store) }
        try listOthers(state, store)
    }

    /// The edits of the manifest, one after the other; returns what they add up to.
    private mutating func readSteps(_ root: Root, _ store: InspectedStore) -> StoreState {
        var state = StoreState()
        var steps: [Step] = []
        do throws(StoreError) {
            let name = FileNames.manifest(root.manifestID)
            let file: InspectedFile
            do throws(Failure) { file = try InspectedFile(store, name) } catch {
                throw StoreError(.corrupted, error.message, path: store.folder + "/" + name)
            }
            let records = try RecordFile(file, kind: .manifest)
            let (limit, promise) = try store.bounds(of: records)
            var fault: StoreError?
            let end = try records.walk(to: limit, promise: promise) { record, payload, offset in
                guard record.kind == .edit, fault == nil else { return }
                do throws(FormatError) {
                    let before = Set(state.segments.map(\.id))
                    var reader = ByteReader(payload)
                    for _ in 0..<record.operationCount {
                        try state.apply(try ManifestEdit.decode(&reader))
                    }
                    let after = Set(state.segments.map(\.id))
                    steps.append(
                        Step(
                            number: record.number,
                            time: state.floorTime,
                            addedCount: after.subtracting(before).count,
                            droppedCount: before.subtracting(after).count,
                            segmentCount: after.count,
                            byteCount: state.segments.reduce(0) { $0 + $1.fileByteCount }
                        )
                    )
                } catch {
                    fault = StoreError(error, path: file.file.path, base: offset)
                }
            }
            if let fault = fault ?? end.damage { throw fault }
        } catch {
            _ = store.damage(error)
        }
        self.steps = steps
        return state
    }

    private static func segment(
        _ entry: SegmentEntry,
        _ state: StoreState,
        _ store: InspectedStore
    ) -> Segment {
        var files: [(kind: FileKind, name: String, file: SealedFileReference)] = [
            (.document, FileNames.document(entry.id), entry.document)
        ]
        if let vector = entry.vector {
            files.append((.vector, FileNames.vector(entry.id), vector))
        }
        files.append((.key, FileNames.key(entry.id, fileID: entry.key.fileID), entry.key))
        let deletions = state.deletions[entry.id]
        if let file = deletions?.file {
            files.append((.deletions, FileNames.deletions(entry.id, fileID: file.fileID), file))
        }
        for derived in state.derivedEntries(of: entry.id) {
            if let kind = derived.kind, let name = derived.name {
                files.append((kind.fileKind, name, derived.file))
            }
        }
        let parts = files.map { kind, name, file in
            let path = FileNames.path(store.folder, name)
            let found = (try? store.fileSystem.info(path)).flatMap { $0 }?.byteCount
            if found != file.byteCount {
                _ = store.damage(
                    StoreError(
                        .corrupted,
                        found == nil
                            ? "a file of the store is missing" : "a file has another length",
                        path: path,
                        offset: found ?? 0,
                        expected: "\(file.byteCount) bytes",
                        found: found.map { "\($0) bytes" } ?? "nothing"
                    )
                )
            }
            return Part(
                kind: kind,
                byteCount: file.byteCount,
                isDamaged: found != file.byteCount
            )
        }
        return Segment(entry: entry, deadRowCount: deletions?.deadRowCount ?? 0, parts: parts)
    }

    /// Logs, manifests, and segment files that the state does not name.
    private mutating func listOthers(_ state: StoreState, _ store: InspectedStore)
        throws(Failure)
    {
        let listed = state.segmentFileNames
        let live = Set(state.logs.map { FileNames.log(epoch: $0.epoch, sequence: $0.sequence) })
        let manifest = root.map { FileNames.manifest($0.manifestID) }
        for folder in [""] + FileNames.folders {
            for name in try store.names(in: folder) where !listed.contains(name) {
                let path = FileNames.path(store.folder, name)
                guard let info = (try? store.fileSystem.info(path)).flatMap({ $0 }),
                    !info.isDirectory
                else { continue }
                let kind =
                    switch FileNames.parse(name) {
                    case .root, .lock: "ROOT"
                    case .log: live.contains(name) ? "log" : "not listed"
                    case .spareLog: "spare log"
                    case .manifest: name == manifest ? "manifest" : "not listed"
                    default: "not listed"
                    }
                guard info.byteCount > 0 else { continue }
                others.append(OtherFile(name: name, kind: kind, byteCount: info.byteCount))
            }
        }
    }
}

extension SegmentEntry {
    fileprivate var fileByteCount: UInt64 {
        document.byteCount + key.byteCount + (vector?.byteCount ?? 0)
    }
}
