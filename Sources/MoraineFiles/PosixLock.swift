// The lock of a store: an open-file-description lock on its LOCK file.
// Such a lock belongs to one `open`: other descriptors of the file may come and go in the same
// process (POSIX record locks would vanish with them), and it ends with the process.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import CKernels
import Synchronization

extension PosixFileSystem {
    package func lock(_ path: String) throws(FileError) -> any FileLock {
        let descriptor = try openRegular(path, O_RDWR | O_CREAT, for: .lock)
        let number = mk_ofd_lock(descriptor)
        guard number == 0 else {
            let holder = number == EWOULDBLOCK ? processNumber(in: descriptor) : nil
            _ = systemClose(descriptor)
            throw FileError(.lock, path: path, errorNumber: number, holder: holder)
        }
        // The number only helps people; a full disk must not keep a store from being opened.
        let text = Array(lockText(process: getpid()))
        _ = ftruncate(descriptor, 0)
        _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        return PosixLock(descriptor: descriptor)
    }

    package func lockHolder(_ path: String) throws(FileError) -> Int32? {
        let descriptor: Int32
        do throws(FileError) {
            descriptor = try openRegular(path, O_RDONLY, for: .lockHolder)
        } catch {
            if error.isNotFound { return nil }
            throw error
        }
        defer { _ = systemClose(descriptor) }
        var known: Int32 = 0
        let answer = mk_ofd_query(descriptor, &known)
        guard answer >= 0 else {
            throw FileError(.lockHolder, path: path, errorNumber: -answer)
        }
        if answer == 0 { return nil }
        return known > 0 ? known : processNumber(in: descriptor) ?? 0
    }

    private func processNumber(in descriptor: Int32) -> Int32? {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { buffer in
            let count = pread(descriptor, buffer.baseAddress, buffer.count, 0)
            return count > 0 ? lockProcess(text: buffer.prefix(count)) : nil
        }
    }
}

/// What a lock file says while its lock is held.
func lockText(process: Int32) -> String.UTF8View { "\(process)\n".utf8 }

/// The process number at the start of a lock file's bytes, `nil` for anything but a whole line.
func lockProcess(text: some Collection<UInt8>) -> Int32? {
    guard let end = text.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let digits = text[..<end]
    guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        let number = Int32(String(decoding: digits, as: UTF8.self)), number > 0
    else { return nil }
    return number
}

/// A lock that is held; closing its descriptor gives it back.
final class PosixLock: FileLock {
    private let descriptor: Int32
    private let isReleased = Atomic<Bool>(false)

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { release() }

    func release() {
        guard !isReleased.exchange(true, ordering: .acquiringAndReleasing) else { return }
        _ = ftruncate(descriptor, 0)
        _ = systemClose(descriptor)
    }
}
