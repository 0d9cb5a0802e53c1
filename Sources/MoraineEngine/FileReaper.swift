// Removes the files of segments that nobody needs any more: a segment goes when the last version
// that names it goes, which may be long after compaction took it out of the store.

import MoraineFiles
import MoraineFormat

/// Names of files that wait to be removed.
///
/// Any thread. Adding never touches the disk, as it happens wherever a reader lets go of a version.
// @unchecked: the vars are only used under `monitor`.
final class FileReaper: @unchecked Sendable {
    private let monitor = Monitor()
    private var names: [String] = []
    /// Files that could not be removed: tried again by the next call of `reap`.
    private var left: [String] = []
    /// Files that are being removed.
    private var busyCount = 0
    private let wake: @Sendable () -> Void

    /// - Parameter wake: called when names were added; must not block.
    init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

    func add(_ new: [String]) {
        monitor.withLock { names += new }
        wake()
    }

    /// Removes what waits; when it returns, nothing that waited is still being removed.
    ///
    /// Threads that call it at the same time share the work: the system may wait for the disk at
    /// each file.
    func reap(_ fileSystem: any FileSystem, folder: String) {
        monitor.withLock {
            names += left
            left = []
        }
        while let name = takeName() {
            var isLeft = false
            do throws(FileError) {
                try fileSystem.remove(FileNames.path(folder, name))
            } catch {
                isLeft = !error.isNotFound
            }
            monitor.withLock {
                if isLeft { left.append(name) }
                busyCount -= 1
                if busyCount == 0 { monitor.broadcast() }
            }
        }
        monitor.withLock { while busyCount > 0 { monitor.wait() } }
    }

    private func takeName() -> String? {
        monitor.withLock {
            guard !names.isEmpty else { return nil }
            busyCount += 1
            return names.removeFirst()
        }
    }
}

/// The engine that a reaper wakes, named once the engine is made.
final class WeakEngine: @unchecked Sendable {  // written once, before the engine is shared
    weak var engine: Engine?
}
