// A failed call to the operating system, with what it was about.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A failed file operation.
package struct FileError: Error, Sendable, Equatable {
    /// What was being done.
    package enum Operation: String, Sendable, CaseIterable {
        case open, list, info, createDirectory, rename, remove, syncDirectory
        case lock, lockHolder, volume
        case read, write, byteCount, truncate, sync, map
    }

    package let operation: Operation
    package let path: String
    /// The errno of the failed call.
    package let errorNumber: Int32
    /// For a refused lock: the process that holds it, when its file says so.
    package let holder: Int32?

    package init(
        _ operation: Operation,
        path: String,
        errorNumber: Int32,
        holder: Int32? = nil
    ) {
        self.operation = operation
        self.path = path
        self.errorNumber = errorNumber
        self.holder = holder
    }

    /// The system's sentence for the errno.
    package var reason: String {
        isOutOfMaps
            ? "the process can map no more: it has mapped too many files, or has no addresses left"
            : String(cString: strerror(errorNumber))
    }

    /// True when a lock is refused because somebody else holds it.
    package var isHeldByOther: Bool { operation == .lock && errorNumber == EWOULDBLOCK }

    /// True when the disk or the quota is full, or a file is as long as the process may make one.
    package var isNoSpace: Bool {
        errorNumber == ENOSPC || errorNumber == EDQUOT || errorNumber == EFBIG
    }

    /// True when the process or the machine has no descriptor left.
    package var isOutOfDescriptors: Bool { errorNumber == EMFILE || errorNumber == ENFILE }

    /// True when the process may map no more files.
    package var isOutOfMaps: Bool { operation == .map && errorNumber == ENOMEM }

    /// True when there is nothing at the path.
    package var isNotFound: Bool { errorNumber == ENOENT || errorNumber == ENOTDIR }

    /// True when the process may not do this, or the file system is read-only.
    package var isPermission: Bool {
        errorNumber == EACCES || errorNumber == EPERM || errorNumber == EROFS
    }
}
