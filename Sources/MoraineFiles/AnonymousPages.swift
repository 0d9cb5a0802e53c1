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

    /// As `allocate`, in large pages where the system has them: hundreds of times fewer faults.
    ///
    /// - Parameter byteCount: a multiple of `largePageByteCount`.
    package static func allocateLarge(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        precondition(byteCount % largePageByteCount == 0)
        let all = allocate(byteCount: byteCount + largePageByteCount)
        guard let start = all.baseAddress else { preconditionFailure("allocate has an address") }
        let before = -Int(bitPattern: start) & (largePageByteCount - 1)
        let after = largePageByteCount - before
        if before > 0 { munmap(start, before) }
        if after > 0 { munmap(start + before + byteCount, after) }
        #if canImport(Glibc)
        // A refusal changes nothing but speed.
        _ = madvise(start + before, byteCount, MADV_HUGEPAGE)
        #endif
        return UnsafeMutableRawBufferPointer(start: start + before, count: byteCount)
    }

    /// Bytes of a large page.
    package static let largePageByteCount = 1 << 21

    /// Gives memory from `allocate` or `allocateLarge` back.
    package static func free(_ pages: UnsafeMutableRawBufferPointer) {
        munmap(pages.baseAddress, pages.count)
    }
}
