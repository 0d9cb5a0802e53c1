// Copies of a simulated file system, and changes behind the back of who uses it.
// Nothing here counts as an operation, fails by a fault, or heeds quota and denials.

import Synchronization

extension SimulatedFileSystem {
    /// An independent file system with the same names and bytes, without faults and locks.
    ///
    /// Costs some words per file: bytes are shared until either side writes them.
    ///
    /// - Parameter keepingUnsynced: false makes everything in the copy durable; true leaves what
    ///   was not synced so, for one history to be crashed in many ways.
    package func copy(keepingUnsynced: Bool = false) -> SimulatedFileSystem {
        let copied = state.withLock { state in
            var copies: [ObjectIdentifier: Node] = [:]
            func copy(_ node: Node) -> Node {
                if let copy = copies[ObjectIdentifier(node)] { return copy }
                let twin = node.clone(keepingUnsynced: keepingUnsynced)
                copies[ObjectIdentifier(node)] = twin
                twin.entries = node.entries.mapValues(copy)
                return twin
            }
            var copied = SimulatedState()
            copied.root = copy(state.root)
            copied.usedByteCount = state.usedByteCount
            if keepingUnsynced {
                copied.continueOrder(after: state)
                copied.nameChanges = state.nameChanges.map { change in
                    let edits = change.edits.map { edit in
                        NameEdit(
                            directory: copy(edit.directory),
                            name: edit.name,
                            before: edit.before.map(copy),
                            after: edit.after.map(copy)
                        )
                    }
                    return NameChange(order: change.order, home: copy(change.home), edits: edits)
                }
            }
            return copied
        }
        return SimulatedFileSystem(copied)
    }

    /// The paths of all files, in byte order of their parts, each beginning with "/".
    package var filePaths: [String] {
        state.withLock { state in
            var paths: [String] = []
            forEachNode(from: state.root) { path, node in
                if !node.isDirectory { paths.append(path) }
            }
            return paths
        }
    }

    /// The bytes of a file, `nil` when there is no file at the path.
    package func contents(of path: String) -> [UInt8]? {
        state.withLock { state in
            guard let node = file(path, in: state) else { return nil }
            return node.content.bytes(at: 0, count: node.content.byteCount)
        }
    }

    /// Flips the bits of `xor` in one byte, durably; false when the file has no such byte.
    @discardableResult
    package func corrupt(path: String, offset: Int, xor: UInt8) -> Bool {
        state.withLock { state in
            guard let node = file(path, in: state), offset >= 0, offset < node.content.byteCount
            else { return false }
            var content = node.content
            content.write([content.bytes(at: offset, count: 1)[0] ^ xor], at: offset)
            node.replace(with: content)
            return true
        }
    }

    /// Gives a file other bytes, durably, making it and its folders where they are missing.
    package func replace(path: String, bytes: [UInt8]) {
        state.withLock { state in
            var parts = Self.parts(of: Array(path.utf8))
            guard let name = parts.popLast() else { return }
            var directory = state.root
            for part in parts {
                let next = directory.entries[part] ?? Node(isDirectory: true)
                state.put(next, in: directory, as: part)
                directory = next
            }
            let node = directory.entries[name] ?? Node(isDirectory: false)
            state.put(node, in: directory, as: name)
            state.usedByteCount += bytes.count - node.content.byteCount
            node.replace(with: Content(bytes))
        }
    }

    /// Takes a file or a whole folder away, durably; false when there is nothing at the path.
    @discardableResult
    package func removeForTest(_ path: String) -> Bool {
        state.withLock { state in
            var parts = Self.parts(of: Array(path.utf8))
            guard let name = parts.popLast() else { return false }
            var directory = state.root
            for part in parts {
                guard let next = directory.entries[part] else { return false }
                directory = next
            }
            guard let node = directory.entries[name] else { return false }
            forEachNode(from: node) { _, node in
                state.usedByteCount -= node.content.byteCount
                node.isNamed = false
            }
            state.put(nil, in: directory, as: name)
            return true
        }
    }

    private func file(_ path: String, in state: SimulatedState) -> Node? {
        var node = state.root
        for part in Self.parts(of: Array(path.utf8)) {
            guard let next = node.entries[part] else { return nil }
            node = next
        }
        return node.isDirectory ? nil : node
    }
}

extension SimulatedState {
    /// Sets an entry durably: what was pending for that name is so no longer.
    fileprivate mutating func put(_ node: Node?, in directory: Node, as name: Name) {
        let slot = Slot(directory: ObjectIdentifier(directory), name: name)
        nameChanges.removeAll { change in change.edits.contains { $0.slot == slot } }
        directory.entries[name] = node
    }
}

extension Node {
    /// Other bytes, all durable; the lock stays.
    fileprivate func replace(with content: Content) {
        let token = lockToken
        settle(as: content)
        lockToken = token
    }
}
