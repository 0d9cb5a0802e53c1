// Removes the files of segments that nobody needs any more: a segment goes when the last version
// that names it goes, which may be long after compaction took it out of the store.

import MoraineFiles
import MoraineFormat
import Synchronization

/// Names of files that wait to be removed.
///
/// Any thread. Adding never touches the disk, as it happens wherever a reader lets go of a version.
final class FileReaper: Sendable {
    private let names = Mutex<[String]>([])
    /// Held while files are removed: when a call returns, none that waited is still being removed.
    private let reaping = Mutex(())
    private let wake: @Sendable () -> Void

    /// - Parameter wake: called when names were added; must not block.
    init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

    func add(_ new: [String]) {
        names.withLock { $0 += new }
        wake()
    }

    /// Removes what waits.
    ///
    /// What cannot be removed now is tried again the next time.
    func reap(_ fileSystem: any FileSystem, folder: String) {
        reaping.withLock { _ in removeWaiting(fileSystem, folder) }
    }

    private func removeWaiting(_ fileSystem: any FileSystem, _ folder: String) {
        let waiting = names.withLock { names -> [String] in
            defer { names = [] }
            return names
        }
        var left: [String] = []
        for name in waiting {
            do throws(FileError) {
                try fileSystem.remove(FileNames.path(folder, name))
            } catch {
                if !error.isNotFound { left.append(name) }
            }
        }
        names.withLock { $0 += left }
    }
}

/// The engine that a reaper wakes, named once the engine is made.
final class WeakEngine: @unchecked Sendable {  // written once, before the engine is shared
    weak var engine: Engine?
}
