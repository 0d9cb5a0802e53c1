// What ROOT and the manifests still say: the live files where that is certain, else single facts.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

/// What is known beside the files themselves.
struct ManifestFacts {
    /// A copy of ROOT that verifies.
    private(set) var root: Root?
    /// The live files; `nil` when no manifest can be trusted to be the newest and whole.
    private(set) var state: StoreState?
    private(set) var guide = SalvageReport.Guide.files
    /// Every segment that a verified edit names, by id.
    private(set) var segments: [UInt64: SegmentEntry] = [:]
    /// The checksum of the footer of each sealed file that a verified edit names, by file id.
    private(set) var footerChecksums: [UInt64: UInt32] = [:]
    /// Collections as the newest verified edit names them.
    private(set) var collections: [UInt32: CollectionShape] = [:]
    /// Collections that a verified edit takes away.
    private(set) var droppedCollections: Set<UInt32> = []
    /// Log files that the newest verified edits name, by sequence.
    private(set) var logs: [UInt64: LogEntry] = [:]
    /// Every commit up to here is in segments.
    private(set) var floor: UInt64 = 0
    /// Writers that are named anywhere: what log records are bound to.
    private(set) var incarnations: Set<UInt64> = []
    private(set) var findings: [Finding] = []
    private(set) var notes: [String] = []

    init(_ inventory: Inventory) throws(StoreError) {
        readRoot(inventory)
        if let root {
            incarnations.formUnion([root.incarnation, root.parentIncarnation])
            try readNamedManifest(root, inventory)
        }
        var whole: [WholeManifest] = []
        for file in inventory.files(.manifest) {
            if let manifest = try readEdits(file, inventory) { whole.append(manifest) }
        }
        if state == nil, let newest = whole.max(by: { $0.fileID < $1.fileID }),
            isNewest(newest, inventory)
        {
            state = newest.state
            guide = .manifest
        }
        if let state {
            floor = state.floor
            collections = state.collections.mapValues(\.shape)
        }
    }

    // MARK: With ROOT

    private mutating func readRoot(_ inventory: Inventory) {
        do throws(StoreError) {
            let copies = try RootFile.read(inventory.fileSystem, folder: inventory.folder)
            for case .failure(let error) in copies.copies {
                findings.append(Finding(error, .checksum, file: FileNames.root))
            }
            let chosen = try copies.chosen()
            if chosen.storeID == inventory.storeID { root = chosen }
        } catch {
            findings.append(Finding(error, .missing, file: FileNames.root))
        }
    }

    private mutating func readNamedManifest(_ root: Root, _ inventory: Inventory)
        throws(StoreError)
    {
        do throws(StoreError) {
            let contents = try ManifestReader.read(
                inventory.fileSystem,
                folder: inventory.folder,
                root: root,
                promisedOnly: false
            )
            try LogFiles.checkUnlisted(
                inventory.fileSystem,
                folder: inventory.folder,
                root: root,
                state: contents.state
            )
            if let torn = contents.torn { notes.append(torn.message) }
            state = contents.state
            guide = .root
        } catch {
            findings.append(
                Finding(error, .structure, file: FileNames.manifest(root.manifestID))
            )
        }
    }

    // MARK: Without

    /// A manifest of which no edit is missing.
    private struct WholeManifest {
        let fileID: UInt64
        let state: StoreState
        let lastEdit: UInt64
    }

    /// Takes every edit that verifies as a fact, and the whole manifest where none is missing.
    private mutating func readEdits(_ found: FoundFile, _ inventory: Inventory)
        throws(StoreError) -> WholeManifest?
    {
        guard let file = try? inventory.open(found) else { return nil }
        defer { file.close() }
        let link: LogChain.Link
        do throws(StoreError) {
            link = try LogFiles.link(
                file,
                kind: .manifest,
                storeID: inventory.storeID,
                fileID: found.fileID
            )
        } catch {
            findings.append(Finding(error, .structure, file: found.name))
            return nil
        }
        incarnations.insert(link.header.incarnation)
        var reader = LogReader(file: file, header: link.header, to: link.byteCount)
        var whole: StoreState? = StoreState()
        var last: UInt64 = 0
        var promised: UInt64 = 0
        while true {
            switch try reader.next() {
            case .end:
                guard let whole, promised <= last, last > 0 else { return nil }
                return WholeManifest(fileID: found.fileID, state: whole, lastEdit: last)
            case .invalid:
                guard try reader.skipToRecord() else {
                    guard let whole, promised <= last, last > 0 else { return nil }
                    return WholeManifest(fileID: found.fileID, state: whole, lastEdit: last)
                }
            case .record(let record, let payload, _):
                promised = max(promised, record.promised)
                guard record.kind == .edit else { continue }
                guard let edits = Self.edits(payload, record.operationCount) else {
                    whole = nil
                    continue
                }
                if record.number != last &+ 1 { whole = nil }
                last = record.number
                // The first record of a manifest is the whole state.
                if record.number == 1 { logs = [:] }
                for edit in edits {
                    learn(edit)
                    guard whole != nil else { continue }
                    do throws(FormatError) { try whole?.apply(edit) } catch { whole = nil }
                }
            }
        }
    }

    private static func edits(_ payload: UnsafeRawBufferPointer, _ count: UInt32)
        -> [ManifestEdit]?
    {
        var reader = ByteReader(payload)
        var edits: [ManifestEdit] = []
        for _ in 0..<count {
            guard let edit = try? ManifestEdit.decode(&reader) else { return nil }
            edits.append(edit)
        }
        return reader.isAtEnd ? edits : nil
    }

    private mutating func learn(_ edit: ManifestEdit) {
        switch edit {
        case .segment(let entry):
            segments[entry.id] = entry
            for file in [entry.document, entry.key, entry.vector].compactMap({ $0 }) {
                footerChecksums[file.fileID] = file.footerChecksum
            }
        case .deletions(let entry):
            footerChecksums[entry.file.fileID] = entry.file.footerChecksum
        case .collection(let shape, _): collections[shape.id] = shape
        case .collectionRenamed(let id, let name):
            collections[id] = collections[id]?.renamed(name)
        case .collectionDropped(let id): droppedCollections.insert(id)
        case .floor(let lsn, _): floor = max(floor, lsn)
        case .log(let entry):
            logs[entry.sequence] = entry
            incarnations.insert(entry.incarnation)
        case .logDropped(let sequence): logs[sequence] = nil
        case .counters, .segmentDropped, .derived, .derivedDropped:
            return
        }
    }

    /// True unless a file says that the store went on behind this manifest.
    private func isNewest(_ manifest: WholeManifest, _ inventory: Inventory) -> Bool {
        if let root, manifest.fileID < root.manifestID { return false }
        if let root, manifest.fileID == root.manifestID, manifest.lastEdit < root.manifestEdit {
            return false
        }
        return inventory.files.allSatisfy { file in
            if case .spareLog = file.place { return true }
            if file.kind == .manifest { return file.fileID <= manifest.fileID }
            return file.fileID < manifest.state.nextFileID
        }
    }
}
