// Files that are opened when they are read and closed when they are not: a store with many files
// needs few descriptors, and an idle one none for them.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// A file system that keeps few of some files open.
///
/// A file that it opens for reading and that `isKept` chooses may lose its descriptor at any time
/// and is opened again by its path at the next read. So its name must stay while it is in use, and
/// never come to mean another file; else `namesMayGo`, and a file without a descriptor is mapped,
/// which keeps it, and read from there where its name is gone. Everything else goes straight to
/// the file system below, but what the system refuses for want of descriptors is tried again after
/// all of these were closed.
package final class DescriptorCache: FileSystem {
    private struct State {
        /// The files that have a descriptor, in the order of the clock's hand.
        var open: [ReopenedFile] = []
        var hand = 0
    }

    private let base: any FileSystem
    private let limit: Int
    private let isKept: @Sendable (String) -> Bool
    fileprivate let namesMayGo: Bool
    private let state = Mutex(State())
    private let onOpen = Mutex<(@Sendable () -> Void)?>(nil)

    /// - Parameters:
    ///   - limit: descriptors at most; reads under way on other threads may hold a few more.
    ///   - isKept: chooses files by their paths.
    ///   - namesMayGo: another process may remove the files while they are in use.
    package init(
        _ base: any FileSystem,
        limit: Int,
        namesMayGo: Bool = false,
        isKept: @escaping @Sendable (String) -> Bool
    ) {
        self.base = base
        self.limit = max(1, limit)
        self.namesMayGo = namesMayGo
        self.isKept = isKept
    }

    /// Descriptors in use for the files that were chosen.
    package var openCount: Int { state.withLock { $0.open.count } }

    /// Sets what is called when the first of the files gets a descriptor after none had one.
    package func setOnOpen(_ call: @escaping @Sendable () -> Void) {
        onOpen.withLock { $0 = call }
    }

    /// Closes the files that were not read since the last call.
    ///
    /// - Returns: true when some are still open.
    package func closeUnused() -> Bool {
        let (idle, isOpen) = state.withLock { state -> ([ReopenedFile], Bool) in
            let idle = state.open.filter { !$0.takeUse() }
            state.open.removeAll { file in idle.contains { $0 === file } }
            state.hand = 0
            return (idle, !state.open.isEmpty)
        }
        for file in idle { file.letGo() }
        return isOpen
    }

    /// Closes all; reads that are under way end first.
    private func closeAll() {
        let files = state.withLock { state -> [ReopenedFile] in
            defer { state = State() }
            return state.open
        }
        for file in files { file.letGo() }
    }

    /// Notes that a file has a descriptor now, and closes another where that is one too many.
    fileprivate func hasOpened(_ file: ReopenedFile) {
        let (surplus, isFirst) = state.withLock { state -> (ReopenedFile?, Bool) in
            if state.open.contains(where: { $0 === file }) { return (nil, false) }
            state.open.append(file)
            guard state.open.count > limit else { return (nil, state.open.count == 1) }
            return (Self.turn(&state, sparing: file), false)
        }
        surplus?.letGo()
        if isFirst { onOpen.withLock { $0 }?() }
    }

    fileprivate func hasClosed(_ file: ReopenedFile) {
        state.withLock { state in state.open.removeAll { $0 === file } }
    }

    /// Moves the hand to a file that was not used since it last came by, and takes it out.
    private static func turn(_ state: inout State, sparing file: ReopenedFile) -> ReopenedFile? {
        for _ in 0..<(2 * state.open.count) {
            if state.hand >= state.open.count { state.hand = 0 }
            let candidate = state.open[state.hand]
            if candidate !== file, !candidate.takeUse() {
                return state.open.remove(at: state.hand)
            }
            state.hand += 1
        }
        return nil
    }

    /// Calls the file system below, once more after making room where descriptors have run out.
    private func makingRoom<R>(_ call: (any FileSystem) throws(FileError) -> R) throws(FileError)
        -> R
    {
        do throws(FileError) {
            return try call(base)
        } catch {
            guard error.isOutOfDescriptors, openCount > 0 else { throw error }
        }
        closeAll()
        return try call(base)
    }

    fileprivate func openBelow(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        try makingRoom { base throws(FileError) in try base.open(path, mode) }
    }

    // MARK: FileSystem

    package func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let file = try openBelow(path, mode)
        guard mode == .read, isKept(path) else { return file }
        let kept = ReopenedFile(file, cache: self)
        hasOpened(kept)
        return kept
    }

    package func list(_ path: String) throws(FileError) -> [DirectoryEntry] {
        try makingRoom { base throws(FileError) in try base.list(path) }
    }

    package func info(_ path: String) throws(FileError) -> FileInfo? { try base.info(path) }

    package func createDirectory(_ path: String) throws(FileError) {
        try base.createDirectory(path)
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        try base.rename(source, to: target)
    }

    package func remove(_ path: String) throws(FileError) { try base.remove(path) }

    package func syncDirectory(_ path: String) throws(FileError) {
        try makingRoom { base throws(FileError) in try base.syncDirectory(path) }
    }

    package func lock(_ path: String) throws(FileError) -> any FileLock {
        try makingRoom { base throws(FileError) in try base.lock(path) }
    }

    package func lockHolder(_ path: String) throws(FileError) -> Int32? {
        try makingRoom { base throws(FileError) in try base.lockHolder(path) }
    }

    package func volume(_ path: String) throws(FileError) -> VolumeInfo { try base.volume(path) }
}

/// A file for reading that has a descriptor only now and then.
private final class ReopenedFile: File {
    private enum State {
        case open(any File)
        /// Without a descriptor; the file itself where its name may go.
        case idle(ParkedFile?)
        case closed
    }

    let path: String
    private let cache: DescriptorCache
    private let state: Mutex<State>
    private let wasUsed = Atomic(true)

    init(_ file: any File, cache: DescriptorCache) {
        path = file.path
        self.cache = cache
        state = Mutex(.open(file))
    }

    deinit { close() }

    /// Whether it was read since the last call.
    func takeUse() -> Bool { wasUsed.exchange(false, ordering: .relaxed) }

    /// Closes the descriptor until the next read.
    ///
    /// Where the file would be lost it stays open.
    func letGo() {
        let file = state.withLock { state -> (any File)? in
            guard case .open(let file) = state else { return nil }
            let parked = cache.namesMayGo ? try? ParkedFile(file) : nil
            if cache.namesMayGo, parked == nil { return nil }
            state = .idle(parked)
            return file
        }
        file?.close()
    }

    /// Calls `body` with an open file, again when it was closed in between.
    private func use<R>(
        _ operation: FileError.Operation,
        _ body: (any File) throws(FileError) -> R
    ) throws(FileError) -> R {
        wasUsed.store(true, ordering: .relaxed)
        while true {
            let (file, isNew) = try opened(operation)
            // Outside of the lock: making room may close other files.
            if isNew { cache.hasOpened(self) }
            do throws(FileError) {
                return try body(file)
            } catch {
                guard error.errorNumber == EBADF, isOpen(file) == false else { throw error }
            }
        }
    }

    private func opened(_ operation: FileError.Operation) throws(FileError) -> (any File, Bool) {
        try state.withLock { state throws(FileError) -> (any File, Bool) in
            switch state {
            case .open(let file): return (file, false)
            case .closed: throw FileError(operation, path: path, errorNumber: EBADF)
            case .idle(nil):
                let file = try cache.openBelow(path, .read)
                state = .open(file)
                return (file, true)
            case .idle(let parked?):
                if let file = try? cache.openBelow(path, .read) {
                    if parked.isSame(as: file) {
                        state = .open(file)
                        return (file, true)
                    }
                    file.close()
                }
                return (parked, false)
            }
        }
    }

    private func isOpen(_ file: any File) -> Bool {
        state.withLock { if case .open(let now) = $0 { now === file } else { false } }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        try use(.read) { file throws(FileError) in try file.read(into: buffer, at: offset) }
    }

    func byteCount() throws(FileError) -> UInt64 {
        try use(.byteCount) { file throws(FileError) in try file.byteCount() }
    }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        try use(.map) { file throws(FileError) in try file.map(byteCount: byteCount) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        throw FileError(.write, path: path, errorNumber: EBADF)
    }

    func truncate(to byteCount: UInt64) throws(FileError) {
        throw FileError(.truncate, path: path, errorNumber: EBADF)
    }

    func sync() throws(FileError) { throw FileError(.sync, path: path, errorNumber: EBADF) }

    func close() {
        let file = state.withLock { state -> (any File)? in
            defer { state = .closed }
            if case .open(let file) = state { return file }
            return nil
        }
        guard let file else { return }
        file.close()
        cache.hasClosed(self)
    }
}
