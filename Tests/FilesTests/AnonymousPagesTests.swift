// Memory by whole pages: zeroed, aligned, and given back.

import Testing

@testable import MoraineFiles

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct AnonymousPagesTests {
    @Test(arguments: [1, 4095, 4096, 4097, 3 << 20])
    func pagesAreZeroedAlignedAndWritable(byteCount: Int) {
        for _ in 0..<3 {
            let pages = AnonymousPages.allocate(byteCount: byteCount)
            defer { AnonymousPages.free(pages) }
            #expect(pages.count == byteCount)
            #expect(pages.baseAddress.map { Int(bitPattern: $0) % Int(getpagesize()) } == 0)
            #expect(pages.allSatisfy { $0 == 0 })
            // What is freed with these bytes in it comes back as zeros.
            for index in pages.indices { pages[index] = 0xA5 }
            #expect(pages.allSatisfy { $0 == 0xA5 })
        }
    }

    @Test func piecesDoNotOverlap() {
        let pieces = (0..<16).map { _ in AnonymousPages.allocate(byteCount: 5000) }
        defer { pieces.forEach(AnonymousPages.free) }
        for (number, piece) in pieces.enumerated() {
            for index in piece.indices { piece[index] = UInt8(number) }
        }
        for (number, piece) in pieces.enumerated() {
            #expect(piece.allSatisfy { $0 == UInt8(number) })
        }
    }

    #if canImport(Glibc)
    @Test func freedPagesAreNoLongerMapped() {
        let page = Int(getpagesize())
        let pages = AnonymousPages.allocate(byteCount: 4 * page)
        let address = pages.baseAddress
        #expect(msync(address, 4 * page, MS_ASYNC) == 0)
        AnonymousPages.free(pages)
        // Another thread may have been given the address since; that is not likely four times.
        var isGone = false
        for _ in 0..<4 where !isGone {
            isGone = msync(address, page, MS_ASYNC) != 0 && errno == ENOMEM
            guard !isGone else { break }
            let again = AnonymousPages.allocate(byteCount: 4 * page)
            AnonymousPages.free(again)
        }
        #expect(isGone)
    }
    #endif
}
