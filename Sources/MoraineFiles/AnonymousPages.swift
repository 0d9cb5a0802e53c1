// Large pieces of memory straight from the system.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Memory by whole pages that no file backs, past the allocator.
///
/// An allocator keeps large blocks that were given back between small ones that are still in use:
/// memtables that come and go would hold several times their size. Pages go back at once.
package enum AnonymousPages {
    /// Zeroed memory, aligned to a page; ends the process when there is none, as any allocation.
    ///
    /// - Parameter byteCount: 1 or more.
    package static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        #if canImport(Darwin)
        let flags = MAP_PRIVATE | MAP_ANON
        #else
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        #endif
        guard let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0),
            address != MAP_FAILED
        else { preconditionFailure("no memory for \(byteCount) bytes") }
        return UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    }

    /// Gives memory from `allocate` back.
    package static func free(_ pages: UnsafeMutableRawBufferPointer) {
        munmap(pages.baseAddress, pages.count)
    }
}
