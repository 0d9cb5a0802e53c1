// What a store was at one moment, for those who read it beside its writer: whether what they met
// is damage or only gone.

import MoraineFiles
import MoraineFormat
import MoraineStorage

/// ROOT and the manifest at one moment, as far as they are written, promised or not.
struct StoreBase {
    let root: Root
    let state: StoreState
    private let lastEdit: UInt64

    /// `nil` when they cannot be read.
    init?(_ fileSystem: any FileSystem, folder: String) {
        do throws(StoreError) {
            root = try RootFile.read(fileSystem, folder: folder).chosen()
            let manifest = try ManifestReader.read(
                fileSystem,
                folder: folder,
                root: root,
                promisedOnly: false
            )
            state = manifest.state
            lastEdit = manifest.lastEdit
        } catch {
            return nil
        }
    }

    /// True when nothing was changed in between.
    func isSame(as other: StoreBase) -> Bool {
        root.sequence == other.root.sequence && root.manifestID == other.root.manifestID
            && lastEdit == other.lastEdit
    }
}

/// Decides whether to read again what a writer may have changed meanwhile.
///
/// Without a writer nothing changes, and what is wrong is wrong; one that has just gone may have
/// left what was being read. A store that has moved on since an attempt began shows nothing but
/// that its writer is quick.
struct ReadAttempts {
    private let fileSystem: any FileSystem
    private let folder: String
    private var before: StoreBase?
    private var stillCount = 0
    private var movedCount = 0

    /// Attempts on a store that stays as it is, and on one that does not.
    private static let limits = (still: 8, moved: 1000)

    init(_ fileSystem: any FileSystem, folder: String) {
        self.fileSystem = fileSystem
        self.folder = folder
    }

    /// True while a process has the store open for writing.
    var hasWriter: Bool {
        let path = FileNames.path(folder, FileNames.lock)
        return ((try? fileSystem.lockHolder(path)) ?? nil) != nil
    }

    /// Whether to believe edits of the manifest that verify and are not promised.
    ///
    /// Files go once the edit that drops them is durable; its promise is written after that, and
    /// on a full disk perhaps never. So a store that stands still without a file that its promised
    /// edits name has dropped it.
    var believesUnpromisedEdits: Bool { stillCount > 1 }

    /// Takes note of damage that an attempt met; true when another is worth it.
    ///
    /// - Parameter hadWriter: what `hasWriter` said when the attempt began.
    mutating func goOn(hadWriter: Bool) -> Bool {
        let now = StoreBase(fileSystem, folder: folder)
        defer { before = now }
        if let before, let now, !before.isSame(as: now) {
            movedCount += 1
            return movedCount < Self.limits.moved
        }
        stillCount += 1
        guard hadWriter || hasWriter || stillCount == 1 else { return false }
        return stillCount < Self.limits.still
    }
}
