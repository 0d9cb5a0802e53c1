// Open files and locks of the file system in memory.

import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// An open file in memory.
final class SimulatedFile: File {
    let path: String
    private let system: SimulatedFileSystem
    private let node: Node
    private let generation: UInt64
    private let isWritable: Bool
    private let isClosed = Atomic<Bool>(false)

    init(
        system: SimulatedFileSystem,
        path: String,
        node: Node,
        generation: UInt64,
        isWritable: Bool
    ) {
        self.system = system
        self.path = path
        self.node = node
        self.generation = generation
        self.isWritable = isWritable
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        try with(.read, byteCount: buffer.count) { _, outcome throws(FileError) in
            guard Int64(exactly: offset) != nil else { throw failure(.read, EINVAL) }
            guard offset < UInt64(node.content.byteCount) else { return 0 }
            var target = buffer
            if case .atMost(let limit) = outcome {
                target = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(limit))
            }
            return node.content.read(into: target, at: Int(offset))
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        guard isWritable else { throw failure(.write, EBADF) }
        return try with(.write, byteCount: bytes.count) { state, outcome throws(FileError) in
            var count = bytes.count
            switch outcome {
            case .atMost(let limit), .stopAfter(let limit): count = min(count, limit)
            default: break
            }
            do throws(FileError) {
                count = try put(bytes, count, at: offset, in: &state)
            } catch {
                guard case .stopAfter = outcome else { throw error }
            }
            if case .stopAfter = outcome {
                throw failure(.write, SimulatedFileSystem.shutDownErrorNumber)
            }
            return count
        }
    }

    /// Writes the first `count` bytes, or as many as the quota lets.
    private func put(
        _ bytes: UnsafeRawBufferPointer,
        _ count: Int,
        at offset: UInt64,
        in state: inout SimulatedState
    ) throws(FileError) -> Int {
        guard Int64(exactly: offset) != nil else { throw failure(.write, EINVAL) }
        if count == 0 { return 0 }
        let limit = SimulatedFileSystem.maximumByteCount
        guard offset < UInt64(limit), count <= limit - Int(offset) else {
            throw failure(.write, EFBIG)
        }
        let start = Int(offset)
        let oldByteCount = node.content.byteCount
        var allowed = count
        if node.isNamed, start + count > oldByteCount {
            allowed = min(count, oldByteCount + state.freeByteCount - start)
            guard allowed > 0 else { throw failure(.write, ENOSPC) }
        }
        let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(allowed))
        node.write(part, at: start, order: state.nextOrder())
        if node.isNamed { state.usedByteCount += node.content.byteCount - oldByteCount }
        return allowed
    }

    func byteCount() throws(FileError) -> UInt64 {
        try with(.byteCount) { _, _ in UInt64(node.content.byteCount) }
    }

    func truncate(to byteCount: UInt64) throws(FileError) {
        try with(.truncate) { state, _ throws(FileError) in
            guard isWritable else { throw failure(.truncate, EINVAL) }
            guard byteCount <= UInt64(SimulatedFileSystem.maximumByteCount) else {
                throw failure(.truncate, EFBIG)
            }
            let growth = Int(byteCount) - node.content.byteCount
            if growth == 0 { return }
            if node.isNamed {
                guard growth <= state.freeByteCount || growth < 0 else {
                    throw failure(.truncate, ENOSPC)
                }
                state.usedByteCount += growth
            }
            node.truncate(to: Int(byteCount), order: state.nextOrder())
        }
    }

    func sync() throws(FileError) {
        try with(.sync) { _, outcome throws(FileError) in
            switch outcome {
            case .lyingSync: break
            case .failedSync:
                node.failSync()
                throw failure(.sync, EIO)
            default: node.makeDurable()
            }
        }
    }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        let bytes = try with(.map) { _, _ throws(FileError) in
            guard byteCount <= UInt64(node.content.byteCount) else { throw failure(.map, EINVAL) }
            return node.content.contiguous()
        }
        guard let bytes, byteCount > 0 else {
            return Mapping(bytes: UnsafeRawBufferPointer(start: nil, count: 0)) { _ in }
        }
        let storage = bytes.storage
        let buffer = UnsafeRawBufferPointer(
            start: storage.base + bytes.start,
            count: Int(byteCount)
        )
        // The closure is what keeps the storage.
        return Mapping(bytes: buffer) { _ in withExtendedLifetime(storage) {} }
    }

    func close() { isClosed.store(true, ordering: .releasing) }

    /// Runs `body` under the mutex after the handle was checked and the operation counted.
    private func with<Result>(
        _ operation: FileError.Operation,
        byteCount: Int = 0,
        _ body: (inout SimulatedState, FaultPlan.Outcome) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        try system.state.withLock { state throws(FileError) in
            guard !isClosed.load(ordering: .acquiring), generation == state.generation else {
                throw failure(operation, EBADF)
            }
            let isChange = operation == .write || operation == .truncate || operation == .sync
            let outcome = try state.plan.begin(
                operation,
                path,
                isChange: isChange,
                byteCount: byteCount
            )
            return try body(&state, outcome)
        }
    }

    private func failure(_ operation: FileError.Operation, _ number: Int32) -> FileError {
        FileError(operation, path: path, errorNumber: number)
    }
}

extension SimulatedFileSystem {
    package func lock(_ path: String) throws(FileError) -> any FileLock {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.lock, path, isChange: true)
            let (directory, name) = try state.place(path, .lock, rootError: EISDIR)
            let node = directory.entries[name] ?? Node(isDirectory: false)
            guard !node.isDirectory else {
                throw FileError(.lock, path: path, errorNumber: EISDIR)
            }
            guard node.lockToken == nil else {
                throw FileError(
                    .lock,
                    path: path,
                    errorNumber: EWOULDBLOCK,
                    holder: node.lockHolder
                )
            }
            if directory.entries[name] == nil { state.insert(node, in: directory, as: name) }
            let token = state.nextLockToken()
            node.lockToken = token
            state.replaceBytes(of: node, with: Array(lockText(process: getpid())))
            return SimulatedLock(
                system: self,
                node: node,
                generation: state.generation,
                token: token
            )
        }
    }

    package func lockHolder(_ path: String) throws(FileError) -> Int32? {
        try state.withLock { state throws(FileError) in
            _ = try state.plan.begin(.lockHolder, path, isChange: false)
            let node: Node
            do throws(FileError) {
                node = try state.node(path, .lockHolder)
            } catch {
                if error.isNotFound { return nil }
                throw error
            }
            guard !node.isDirectory else {
                throw FileError(.lockHolder, path: path, errorNumber: EISDIR)
            }
            return node.lockToken == nil ? nil : node.lockHolder ?? 0
        }
    }
}

extension Node {
    /// The process number that a locked file names.
    fileprivate var lockHolder: Int32? { lockProcess(text: content.bytes(at: 0, count: 32)) }
}

extension SimulatedState {
    /// Puts other bytes into a lock file; such few never fail for want of room.
    fileprivate mutating func replaceBytes(of node: Node, with bytes: [UInt8]) {
        let oldByteCount = node.content.byteCount
        if oldByteCount > 0 { node.truncate(to: 0, order: nextOrder()) }
        if !bytes.isEmpty {
            let order = nextOrder()
            bytes.withUnsafeBytes { node.write($0, at: 0, order: order) }
        }
        if node.isNamed { usedByteCount += bytes.count - oldByteCount }
    }
}

/// A lock that is held in memory.
final class SimulatedLock: FileLock {
    private let system: SimulatedFileSystem
    private let node: Node
    private let generation: UInt64
    private let token: UInt64

    init(system: SimulatedFileSystem, node: Node, generation: UInt64, token: UInt64) {
        self.system = system
        self.node = node
        self.generation = generation
        self.token = token
    }

    deinit { release() }

    func release() {
        system.state.withLock { state in
            // Between the stop and the crash nothing has an effect, and after it the lock is free.
            guard generation == state.generation, !state.plan.isShutDown, node.lockToken == token
            else { return }
            node.lockToken = nil
            state.replaceBytes(of: node, with: [])
        }
    }
}
