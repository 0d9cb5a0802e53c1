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
    /// - Parameters:
    ///   - limit: ends it early; replaying the log and the check of what one file of vectors,
    ///     codes, links or columns holds come to their end first.
    ///   - progress: called with bytes done and bytes in all.
    /// - Throws: `notAStore`, `inputOutput`: what keeps it from starting; `permissionDenied`,
    ///   `tooManyFiles` for any file: what is refused to this process is no damage; `newerFormat`
    ///   where files of later versions are all that was found;
    ///   `deadlineExceeded`, `cancelled`.
    package static func verify(
        _ folder: String,
        options: EngineOptions,
        within limit: ReadLimit? = nil,
        progress: ((UInt64, UInt64) -> Void)? = nil
    ) throws(StoreError) -> VerifyReport {
        var options = options
        options.fileSystem = readersFiles(options)
        var check = StoreCheck(options, folder: folder, within: limit, progress: progress)
        try check.run()
        let findings = check.report.findings
        let isNewer = findings.allSatisfy { $0.refusal == .newerFormat }
        for finding in findings {
            // What is damaged beside a newer file is told as such.
            guard let refusal = finding.refusal, isNewer || refusal != .newerFormat else {
                continue
            }
            throw StoreError(refusal, finding.found, path: FileNames.path(folder, finding.file))
        }
        return check.report
    }
}

struct StoreCheck {
    let options: EngineOptions
    let folder: String
    let limit: ReadLimit?
    let progress: ((UInt64, UInt64) -> Void)?
    var report = VerifyReport()

    init(
        _ options: EngineOptions,
        folder: String,
        within limit: ReadLimit?,
        progress: ((UInt64, UInt64) -> Void)?
    ) {
        self.options = options
        self.folder = folder
        self.limit = limit
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
        try checkSegments(root, state)
        try checkDerived(root, state)
        forgetVanished()
        try limit?.check()
        checkLog(root, state)
        try limit?.check()
        checkWhole()
        try limit?.check()
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
