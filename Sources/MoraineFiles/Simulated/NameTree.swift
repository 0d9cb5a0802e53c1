// The state of a simulated file system, and what happens to its names.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// All that a simulated file system knows, under its one mutex.
struct SimulatedState {
    var root = Node(isDirectory: true)
    /// What was done to names and is not durable, oldest first.
    var nameChanges: [NameChange] = []
    var plan = FaultPlan()
    /// Grows with each crash; handles of earlier generations are dead.
    var generation: UInt64 = 0
    /// Bytes of all files together that may be used, `nil` for no limit.
    var quota: Int?
    /// Bytes of all files that have a name.
    var usedByteCount = 0
    private var lastOrder: UInt64 = 0
    private var lastLockToken: UInt64 = 0

    mutating func nextOrder() -> UInt64 {
        lastOrder += 1
        return lastOrder
    }

    /// Numbers later changes as `other` would.
    mutating func continueOrder(after other: SimulatedState) { lastOrder = other.lastOrder }

    mutating func nextLockToken() -> UInt64 {
        lastLockToken += 1
        return lastLockToken
    }

    /// How many bytes all files may have together.
    var byteCount: Int { quota ?? 1 << 50 }

    /// How many bytes a file may still grow by.
    var freeByteCount: Int { max(byteCount - usedByteCount, 0) }

    /// The parts of a path from the root.
    func parts(of path: String, _ operation: FileError.Operation) throws(FileError) -> [Name] {
        func failure(_ number: Int32) -> FileError {
            FileError(operation, path: path, errorNumber: number)
        }
        let bytes = Array(path.utf8)
        if bytes.isEmpty { throw failure(ENOENT) }
        if bytes.contains(0) { throw failure(EINVAL) }
        let parts = SimulatedFileSystem.parts(of: bytes)
        if parts.contains(where: { $0.count > 255 }) { throw failure(ENAMETOOLONG) }
        if plan.deniedPaths.contains(where: { parts.starts(with: $0) }) { throw failure(EACCES) }
        return parts
    }

    /// What stands at a path; a missing or wrong part on the way is an error.
    func node(_ path: String, _ operation: FileError.Operation) throws(FileError) -> Node {
        var node = root
        for part in try parts(of: path, operation) {
            guard node.isDirectory else {
                throw FileError(operation, path: path, errorNumber: ENOTDIR)
            }
            guard let next = node.entries[part] else {
                throw FileError(operation, path: path, errorNumber: ENOENT)
            }
            node = next
        }
        return node
    }

    /// The folder that a path's last part is or would be in, and that part.
    ///
    /// - Parameter rootError: the errno for the root itself, which has no name.
    func place(_ path: String, _ operation: FileError.Operation, rootError: Int32)
        throws(FileError) -> (directory: Node, name: Name)
    {
        var parts = try parts(of: path, operation)
        guard let name = parts.popLast() else {
            throw FileError(operation, path: path, errorNumber: rootError)
        }
        var directory = root
        for part in parts {
            guard directory.isDirectory, let next = directory.entries[part] else {
                throw FileError(
                    operation,
                    path: path,
                    errorNumber: directory.isDirectory ? ENOENT : ENOTDIR
                )
            }
            directory = next
        }
        guard directory.isDirectory else {
            throw FileError(operation, path: path, errorNumber: ENOTDIR)
        }
        return (directory, name)
    }

    /// Makes a new name, not durable yet.
    mutating func insert(_ node: Node, in directory: Node, as name: Name) {
        change(
            [NameEdit(directory: directory, name: name, before: nil, after: node)],
            home: directory
        )
    }

    mutating func remove(_ name: Name, from directory: Node) {
        guard let node = directory.entries[name] else { return }
        usedByteCount -= node.content.byteCount
        node.isNamed = false
        change(
            [NameEdit(directory: directory, name: name, before: node, after: nil)],
            home: directory
        )
    }

    mutating func rename(_ source: String, to target: String) throws(FileError) {
        func failure(_ number: Int32) -> FileError {
            FileError(.rename, path: source, errorNumber: number)
        }
        let (oldDirectory, oldName) = try place(source, .rename, rootError: EBUSY)
        let (newDirectory, newName) = try place(target, .rename, rootError: EBUSY)
        guard let node = oldDirectory.entries[oldName] else { throw failure(ENOENT) }
        let replaced = newDirectory.entries[newName]
        if replaced === node { return }
        if node.isDirectory {
            let sourceParts = try parts(of: source, .rename)
            if try parts(of: target, .rename).starts(with: sourceParts) { throw failure(EINVAL) }
        }
        if let replaced {
            if replaced.isDirectory, !node.isDirectory { throw failure(EISDIR) }
            if node.isDirectory, !replaced.isDirectory { throw failure(ENOTDIR) }
            if !replaced.entries.isEmpty { throw failure(ENOTEMPTY) }
            usedByteCount -= replaced.content.byteCount
            replaced.isNamed = false
        }
        change(
            [
                NameEdit(directory: oldDirectory, name: oldName, before: node, after: nil),
                NameEdit(directory: newDirectory, name: newName, before: replaced, after: node),
            ],
            home: newDirectory
        )
    }

    private mutating func change(_ edits: [NameEdit], home: Node) {
        // As with bytes: old changes reach the disk on their own, so that folders which nobody
        // syncs cost bounded memory.
        if nameChanges.count >= 1 << 14 { nameChanges.removeFirst(1 << 13) }
        nameChanges.append(NameChange(order: nextOrder(), home: home, edits: edits))
        for edit in edits { edit.directory.entries[edit.name] = edit.after }
    }

    /// Makes durable what was done to a folder's names, and what that builds upon.
    mutating func makeNamesDurable(in directory: Node) {
        if nameChanges.allSatisfy({ $0.home === directory }) {
            nameChanges = []
            return
        }
        // A durable entry implies the earlier changes of the same names, in other folders too.
        var durable: Set<Slot> = []
        var pending: [NameChange] = []
        for change in nameChanges.reversed() {
            let slots = change.edits.map(\.slot)
            if change.home === directory || slots.contains(where: durable.contains) {
                durable.formUnion(slots)
            } else {
                pending.append(change)
            }
        }
        nameChanges = pending.reversed()
    }
}
