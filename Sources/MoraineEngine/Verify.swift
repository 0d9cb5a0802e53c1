// Checks every byte of a store: checksums, padding, order, and every reference from one file to
// another. Reads only; goes on after a finding as far as it can.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSegments
package import MoraineStorage
import MoraineVectors

/// What a check of a store found.
package struct VerifyReport: Sendable {
    /// What is wrong, in the order in which it was met.
    package var findings: [Finding] = []
    /// What is worth knowing and not wrong: a tail of the log that was never acknowledged.
    package var notes: [String] = []
    /// What was not checked, and why.
    package var unchecked: [String] = []
    /// Files that were read.
    package var fileCount = 0
    /// Their bytes.
    package var byteCount: UInt64 = 0

    package var isOK: Bool { findings.isEmpty }
}

extension Engine {
    /// Checks the store in `folder`.
    ///
    /// Takes no lock and changes nothing.
    ///
    /// - Parameter progress: called with bytes done and bytes in all.
    /// - Throws: `notAStore`, `permissionDenied`, `inputOutput`: what keeps it from starting.
    package static func verify(
        _ folder: String,
        options: EngineOptions,
        progress: ((UInt64, UInt64) -> Void)? = nil
    ) throws(StoreError) -> VerifyReport {
        var check = StoreCheck(options: options, folder: folder, progress: progress)
        try check.run()
        return check.report
    }
}

struct StoreCheck {
    let options: EngineOptions
    let folder: String
    let progress: ((UInt64, UInt64) -> Void)?
    var report = VerifyReport()
    private var doneByteCount: UInt64 = 0
    private var totalByteCount: UInt64 = 0

    init(options: EngineOptions, folder: String, progress: ((UInt64, UInt64) -> Void)?) {
        self.options = options
        self.folder = folder
        self.progress = progress
    }

    var fileSystem: any FileSystem { options.fileSystem }

    mutating func run() throws(StoreError) {
        do throws(StoreError) {
            guard case .store = try StoreCreator(options: options, folder: folder).contents() else {
                throw StoreError(
                    .notAStore,
                    "there is no store here",
                    path: folder,
                    expected: "a store",
                    found: "none"
                )
            }
        } catch {
            guard error.code == .corrupted else { throw error }
            return add(error, .missing)
        }
        if hasWriter {
            report.notes.append("a writer has the store open: what it has promised was checked")
        }
        guard let (root, state) = checkBase() else { return }
        totalByteCount = state.segments.reduce(0) { $0 + byteCount(of: $1) }
        checkSegments(root, state)
        checkDerived(root, state)
        forgetVanished()
        checkLog(root, state)
        checkWhole()
        listUnchecked(root, state)
    }

    // MARK: Findings

    mutating func add(_ error: StoreError, _ kind: Finding.Kind) {
        let finding = Finding(error, kind, file: relative(error.path))
        if !report.findings.contains(finding) { report.findings.append(finding) }
    }

    private func relative(_ path: String?) -> String {
        guard let path else { return "" }
        return path.hasPrefix(folder + "/") ? String(path.dropFirst(folder.count + 1)) : path
    }

    mutating func count(_ name: String) {
        report.fileCount += 1
        let info = try? fileSystem.info(FileNames.path(folder, name))
        report.byteCount += (info ?? nil)?.byteCount ?? 0
    }

    private func byteCount(of entry: SegmentEntry) -> UInt64 {
        entry.document.byteCount + entry.key.byteCount + (entry.vector?.byteCount ?? 0)
    }

    // MARK: ROOT, manifest

    mutating func checkRoot() -> Root? {
        count(FileNames.root)
        do throws(StoreError) {
            let copies = try RootFile.read(fileSystem, folder: folder)
            for case .failure(let error) in copies.copies { add(error, .structure) }
            let root = try copies.chosen()
            if case .success(let first) = copies.copies[0],
                case .success(let second) = copies.copies[1], first != second
            {
                report.notes.append(
                    "ROOT: the second copy is one write older, as a crash leaves it"
                )
            }
            return root
        } catch {
            add(error, .structure)
            return nil
        }
    }

    mutating func checkManifest(_ root: Root, hasWriter: Bool) -> StoreState? {
        let name = FileNames.manifest(root.manifestID)
        count(name)
        do throws(StoreError) {
            let manifest = try ManifestReader.read(
                fileSystem,
                folder: folder,
                root: root,
                promisedOnly: hasWriter
            )
            checkLogPadding(name)
            if let torn = manifest.torn { report.notes.append("\(name): \(torn.message)") }
            return manifest.state
        } catch {
            add(error, .record)
            return nil
        }
    }

    /// The zeros between a log file's head and its first record.
    private mutating func checkLogPadding(_ name: String) {
        do throws(FileError) {
            let file = try fileSystem.open(FileNames.path(folder, name), .read)
            defer { file.close() }
            let start = 128
            let bytes = try file.readBytes(
                at: UInt64(start),
                count: LogHeader.byteCount - start
            )
            if let place = bytes.firstIndex(where: { $0 != 0 }) {
                report.findings.append(
                    Finding(
                        .padding,
                        file: name,
                        offset: UInt64(start + place),
                        expected: "0",
                        found: "\(bytes[place])"
                    )
                )
            }
        } catch {
            add(StoreError(error, doing: "read a log file"), .unreadable)
        }
    }

    // MARK: Segments

    private mutating func checkSegments(_ root: Root, _ state: StoreState) {
        let cache = BlockCache(byteBudget: 1 << 20)
        for entry in state.segments {
            count(FileNames.document(entry.id))
            count(FileNames.key(entry.id, fileID: entry.key.fileID))
            if entry.vector != nil { count(FileNames.vector(entry.id)) }
            checkSegment(entry, root, cache)
            if let deletions = state.deletions[entry.id] {
                checkDeletions(deletions, of: entry, root, floor: state.floor)
            }
            doneByteCount += byteCount(of: entry)
            progress?(doneByteCount, totalByteCount)
        }
        forgetVanished()
        checkKeysAreLiveOnce(root, state, cache)
    }

    private mutating func checkSegment(_ entry: SegmentEntry, _ root: Root, _ cache: BlockCache) {
        var found: [Finding] = []
        var vectors: VectorFile?
        if let reference = entry.vector {
            do throws(StoreError) {
                let file = try VectorFile(
                    fileSystem: fileSystem,
                    root: folder,
                    segment: entry.id,
                    storeID: root.storeID,
                    reference: reference
                )
                file.verify { found.append($0) }
                vectors = file
            } catch {
                add(error, .structure)
            }
        }
        do throws(StoreError) {
            let reader = try SegmentReader(
                fileSystem: fileSystem,
                root: folder,
                segmentID: entry.id,
                storeID: root.storeID,
                document: entry.document,
                key: entry.key,
                cache: cache
            )
            reader.verify { found.append($0) }
            if reader.rowCount != entry.rowCount
                || reader.documents.tombstoneCount != entry.tombstoneCount
                || reader.documents.footer.minLSN != entry.minLSN
                || reader.documents.footer.maxLSN != entry.maxLSN
            {
                found.append(
                    Finding(
                        .mismatch,
                        file: FileNames.document(entry.id),
                        offset: 0,
                        expected: "the rows and LSNs that the manifest says",
                        found: "\(reader.rowCount) rows"
                    )
                )
            }
            if entry.vector == nil || vectors != nil {
                try checkVectors(of: reader, vectors, &found)
            }
        } catch {
            add(error, .structure)
        }
        for finding in found where !report.findings.contains(finding) {
            report.findings.append(finding)
        }
    }

    /// Each document that says it has a vector has it, with the checksum that it says, and no
    /// other vector is there.
    private func checkVectors(
        of reader: SegmentReader,
        _ vectors: VectorFile?,
        _ found: inout [Finding]
    ) throws(StoreError) {
        var seen = 0
        try reader.documents.forEachRecord(in: 0..<reader.rowCount) {
            row,
            record throws(StoreError) in
            guard let checksum = record.vectorChecksum else { return true }
            seen += 1
            var actual: UInt32?
            if let space = vectors?.space(ofCollection: record.collectionID),
                let ordinal = try space.ordinal(ofRow: row)
            {
                let floats = try space.vector(ordinal)
                actual = CRC32C.value(
                    UnsafeRawBufferPointer(start: floats, count: space.dimensions * 4)
                )
            }
            if actual != checksum {
                found.append(
                    Finding(
                        .mismatch,
                        file: FileNames.vector(reader.segmentID),
                        offset: 0,
                        expected: "row \(row): a vector with checksum \(hex(checksum))",
                        found: actual.map { hex($0) } ?? "no vector"
                    )
                )
            }
            return true
        }
        let stored = vectors?.spaces.reduce(0) { $0 + $1.vectorCount } ?? 0
        if seen != stored {
            found.append(
                Finding(
                    .mismatch,
                    file: FileNames.vector(reader.segmentID),
                    offset: 0,
                    expected: "\(seen) vectors",
                    found: "\(stored)"
                )
            )
        }
    }

    private mutating func checkDeletions(
        _ deletions: DeletionsEntry,
        of entry: SegmentEntry,
        _ root: Root,
        floor: UInt64
    ) {
        count(FileNames.deletions(entry.id, fileID: deletions.file.fileID))
        var found: [Finding] = []
        DeletionFile.verify(
            fileSystem: fileSystem,
            root: folder,
            segmentID: entry.id,
            storeID: root.storeID,
            reference: deletions.file,
            rowCount: UInt32(clamping: entry.rowCount)
        ) { found.append($0) }
        report.findings += found
    }

    /// No key is live in two segments.
    private mutating func checkKeysAreLiveOnce(
        _ root: Root,
        _ state: StoreState,
        _ cache: BlockCache
    ) {
        guard report.findings.isEmpty, state.segments.count > 1 else { return }
        do throws(StoreError) {
            var views: [SegmentView] = []
            for entry in state.segments {
                let segment = try Segment(
                    fileSystem,
                    folder: folder,
                    storeID: root.storeID,
                    entry: entry,
                    cache: cache
                )
                var dead = DeadRows(rowCount: segment.files.rowCount)
                if let deletions = state.deletions[entry.id] {
                    dead = try DeletionFile.read(
                        fileSystem: fileSystem,
                        root: folder,
                        segmentID: entry.id,
                        storeID: root.storeID,
                        reference: deletions.file,
                        rowCount: segment.files.rowCount
                    ).rows
                }
                views.append(SegmentView(segment: segment, dead: dead))
            }
            for index in views.indices { try checkAgainstOlder(views[index], views[..<index]) }
        } catch {
            add(error, .structure)
        }
    }

    private mutating func checkAgainstOlder(
        _ view: SegmentView,
        _ older: ArraySlice<SegmentView>
    ) throws(StoreError) {
        guard !older.isEmpty, view.segment.rowCount > 0 else { return }
        let cursor = view.segment.files.keys.cursor(from: 0)
        while try cursor.next() {
            if view.dead.isDead(cursor.row) { continue }
            for other in older {
                if let entry = try other.segment.files.keys.find(cursor.key),
                    !other.dead.isDead(entry.row)
                {
                    report.findings.append(
                        Finding(
                            .mismatch,
                            file: FileNames.document(view.segment.id),
                            offset: 0,
                            expected: "each key live once",
                            found: "row \(cursor.row) is live in segment \(other.segment.id) too"
                        )
                    )
                }
            }
        }
    }

    // MARK: Log

    mutating func checkLogOnce(_ root: Root, _ state: StoreState, hasWriter: Bool) {
        for entry in state.logs {
            let name = FileNames.log(epoch: entry.epoch, sequence: entry.sequence)
            count(name)
            checkLogPadding(name)
        }
        do throws(StoreError) {
            let chain = try LogFiles.chain(fileSystem, folder: folder, root: root, state: state)
            defer { for link in chain.links { link.file.close() } }
            let outcome = try chain.read { _ in }
            if let torn = outcome.torn {
                report.notes.append(
                    "\(relative(torn.path)) at \(torn.offset ?? 0): a tail that was never "
                        + "acknowledged"
                )
            }
            if !hasWriter {
                try LogFiles.checkUnlisted(
                    fileSystem,
                    folder: folder,
                    root: root,
                    state: state
                )
            }
        } catch {
            add(error, .record)
        }
    }

    /// Opens the store as a reader would: what replaying the log meets.
    private mutating func checkWhole() {
        guard report.findings.isEmpty else { return }
        do throws(StoreError) {
            _ = try Engine.read(
                folder,
                options,
                cache: BlockCache(byteBudget: 1 << 20),
                known: [:]
            )
        } catch {
            add(error, .record)
        }
    }
}
