// Memory that one memtable leaves to the next. Touching a fresh page costs several times the
// writing of it, more so in a virtual machine; memory that was used before costs nothing.

import MoraineFiles
import Synchronization

/// Pieces of memory, all of one size, kept for their next use.
final class PagePool: Sendable {
    /// Memory of a memtable that is gone.
    // @unchecked: nobody else has the address.
    private struct Piece: @unchecked Sendable {
        let bytes: UnsafeMutableRawBufferPointer
    }

    /// Bytes of a piece.
    static let pieceByteCount = AnonymousPages.largePageByteCount

    private let limit: Int
    private let pieces = Mutex<[Piece]>([])

    /// - Parameter byteLimit: bytes kept at most.
    init(byteLimit: Int) { limit = byteLimit / Self.pieceByteCount }

    deinit { removeAll() }

    /// A piece with any content.
    func take() -> UnsafeMutableRawBufferPointer {
        let piece = pieces.withLock { $0.popLast() }
        return piece?.bytes ?? AnonymousPages.allocateLarge(byteCount: Self.pieceByteCount)
    }

    /// Keeps a piece from `take`, or gives it back to the system when there are enough.
    func put(_ bytes: UnsafeMutableRawBufferPointer) {
        let piece = Piece(bytes: bytes)
        let isKept = pieces.withLock { pieces -> Bool in
            guard pieces.count < limit else { return false }
            pieces.append(piece)
            return true
        }
        if !isKept { AnonymousPages.free(bytes) }
    }

    /// Gives everything back to the system.
    func removeAll() {
        let all = pieces.withLock { pieces in
            defer { pieces = [] }
            return pieces
        }
        for piece in all { AnonymousPages.free(piece.bytes) }
    }
}
