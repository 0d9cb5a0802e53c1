// One open file of the operating system.

import CKernels

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// An open file.
///
/// A call that is under way keeps the descriptor open, so that `close` on another
/// thread can never let it act on a descriptor that was given out anew.
final class PosixFile: File {
    let path: String
    private let descriptor: Int32
    /// Bit 0 says that close was asked for; the bits above count the calls that are under way.
    private let users = Atomic<UInt64>(0)
    private let maps: MapBudget

    init(path: String, descriptor: Int32, maps: MapBudget) {
        self.path = path
        self.descriptor = descriptor
        self.maps = maps
    }

    deinit { close() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(FileError)
        -> Int
    {
        try enter(.read)
        defer { leave() }
        guard let position = off_t(exactly: offset) else { throw failure(.read, EINVAL) }
        let count = pread(descriptor, buffer.baseAddress, buffer.count, position)
        guard count >= 0 else { throw failure(.read, errno) }
        return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try enter(.write)
        defer { leave() }
        guard let position = off_t(exactly: offset) else { throw failure(.write, EINVAL) }
        let count = pwrite(descriptor, bytes.baseAddress, bytes.count, position)
        guard count >= 0 else { throw failure(.write, errno) }
        return count
    }

    func byteCount() throws(FileError) -> UInt64 {
        try enter(.byteCount)
        defer { leave() }
        return try currentByteCount(.byteCount)
    }

    func truncate(to byteCount: UInt64) throws(FileError) {
        try enter(.truncate)
        defer { leave() }
        guard let length = off_t(exactly: byteCount) else { throw failure(.truncate, EFBIG) }
        try check(.truncate, path) { ftruncate(descriptor, length) }
    }

    func sync() throws(FileError) {
        try enter(.sync)
        defer { leave() }
        try check(.sync, path) {
            #if canImport(Darwin)
            fcntl(descriptor, F_FULLFSYNC)
            #else
            fdatasync(descriptor)
            #endif
        }
    }

    func startWriteback(at offset: UInt64, count: Int) {
        guard let position = Int64(exactly: offset), (try? enter(.sync)) != nil else { return }
        defer { leave() }
        mk_start_writeback(descriptor, position, Int64(count))
    }

    func map(byteCount: UInt64) throws(FileError) -> Mapping {
        try enter(.map)
        defer { leave() }
        // Touching a page beyond the end would kill the process.
        guard let count = Int(exactly: byteCount), byteCount <= (try currentByteCount(.map)) else {
            throw failure(.map, EINVAL)
        }
        if count == 0 {
            return Mapping(bytes: UnsafeRawBufferPointer(start: nil, count: 0)) { _ in }
        }
        guard maps.take() else { throw failure(.map, ENOMEM) }
        guard
            let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0),
            address != MAP_FAILED
        else {
            let number = errno
            maps.giveBack()
            throw failure(.map, number)
        }
        return Mapping(bytes: UnsafeRawBufferPointer(start: address, count: count)) {
            [maps] bytes in
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
            maps.giveBack()
        }
    }

    func close() {
        let before = users.bitwiseOr(1, ordering: .acquiringAndReleasing).oldValue
        if before == 0 { closeDescriptor() }
    }

    private func currentByteCount(_ operation: FileError.Operation) throws(FileError) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(operation, errno) }
        return UInt64(clamping: status.st_size)
    }

    private func enter(_ operation: FileError.Operation) throws(FileError) {
        var seen = users.load(ordering: .acquiring)
        while true {
            if seen & 1 != 0 { throw failure(operation, EBADF) }
            let (exchanged, original) = users.weakCompareExchange(
                expected: seen,
                desired: seen + 2,
                ordering: .acquiringAndReleasing
            )
            if exchanged { return }
            seen = original
        }
    }

    /// The last call to end after `close` was asked for does the closing.
    private func leave() {
        let after = users.subtract(2, ordering: .acquiringAndReleasing).newValue
        if after == 1 { closeDescriptor() }
    }

    private func closeDescriptor() {
        let result = systemClose(descriptor)
        // A second close could hit a descriptor that was given out anew.
        assert(result == 0 || errno != EBADF, "\(path) was closed twice")
    }

    private func failure(_ operation: FileError.Operation, _ number: Int32) -> FileError {
        FileError(operation, path: path, errorNumber: number)
    }
}
