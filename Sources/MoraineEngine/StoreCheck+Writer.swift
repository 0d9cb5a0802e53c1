// Checks a store whose writer goes on meanwhile: what vanishes under the check is looked for in the
// newer state before it is called damage.

import MoraineFiles
import MoraineFormat
import MoraineStorage

extension StoreCheck {
    /// True while a process has the store open for writing.
    var hasWriter: Bool { ReadAttempts(fileSystem, folder: folder).hasWriter }

    /// Checks ROOT and the manifest that it names.
    mutating func checkBase() -> (root: Root, state: StoreState)? {
        settling { check, hasWriter in
            guard let root = check.checkRoot(),
                let state = check.checkManifest(root, hasWriter: hasWriter)
            else { return nil }
            return (root, state)
        }
    }

    /// Checks the log, above the newest state once the one that was checked has moved on.
    mutating func checkLog(_ root: Root, _ state: StoreState) {
        var base: (root: Root, state: StoreState) = (root, state)
        settling { check, hasWriter in
            check.checkLogOnce(base.root, base.state, hasWriter: hasWriter)
            if let newer = StoreBase(check.fileSystem, folder: check.folder) {
                base = (newer.root, newer.state)
            }
        }
    }

    /// Does a part of the check; again when it found something that a writer may have changed.
    private mutating func settling<T>(_ part: (inout StoreCheck, Bool) -> T) -> T {
        let before = report
        var attempts = ReadAttempts(fileSystem, folder: folder)
        while true {
            let hasWriter = attempts.hasWriter
            let result = part(&self, hasWriter)
            guard report.findings.count > before.findings.count,
                attempts.goOn(hadWriter: hasWriter)
            else { return result }
            report = before
        }
    }

    /// Drops what was found of files that have left the store while they were checked: a merge or
    /// a purge has taken their place.
    mutating func forgetVanished() {
        let isSuspect = !report.findings.isEmpty || !report.unchecked.isEmpty
        guard isSuspect, let newest = StoreBase(fileSystem, folder: folder) else { return }
        let named = newest.state.segmentFileNames
        let segments = Set(newest.state.segments.map(\.id))
        func isGone(_ name: String) -> Bool {
            guard let parsed = FileNames.parse(name), let id = parsed.segmentID else {
                return false
            }
            guard segments.contains(id) else { return true }
            switch parsed {
            case .key, .deletions, .derived: return !named.contains(name)
            default: return false
            }
        }
        let gone = Set(report.findings.map(\.file).filter(isGone))
        report.findings.removeAll { gone.contains($0.file) }
        report.unchecked.removeAll { line in isGone(String(line.prefix { $0 != ":" })) }
        guard !gone.isEmpty else { return }
        report.notes.append(
            "\(gone.count) files left the store while they were checked: a merge has taken their "
                + "place"
        )
    }

    // MARK: The rest of the folder

    /// Names the files that were not checked, and why.
    mutating func listUnchecked(_ root: Root, _ state: StoreState) {
        // What a writer has made since then is in use.
        let isServed = hasWriter
        let newest = StoreBase(fileSystem, folder: folder)
        let (root, state) = (newest?.root ?? root, newest?.state ?? state)
        var named: Set<String> = [
            FileNames.root, FileNames.manifest(root.manifestID), FileNames.lock,
        ]
        for entry in state.logs {
            named.insert(FileNames.log(epoch: entry.epoch, sequence: entry.sequence))
        }
        named.formUnion(state.segmentFileNames)
        for folderName in [""] + FileNames.folders {
            let path = folderName.isEmpty ? folder : FileNames.path(folder, folderName)
            guard let entries = try? fileSystem.list(path) else { continue }
            for entry in entries where !entry.isDirectory {
                let name = folderName.isEmpty ? entry.name : folderName + "/" + entry.name
                if named.contains(name) { continue }
                if FileNames.parse(name) == nil {
                    report.unchecked.append("\(name): not a file of the store")
                } else {
                    let origin = isServed ? "its writer's, not yet in use" : "left by a crash"
                    report.unchecked.append("\(name): not in use: recycled or \(origin)")
                }
            }
        }
    }
}
