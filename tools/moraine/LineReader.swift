// Lines of a stream, in memory that is bounded whatever comes.

/// Cuts a stream into lines.
///
/// `next` never reads: it hands out what is there, so that a caller can answer before it waits.
package final class LineReader {
    package enum Line {
        /// Without its line feed; valid until the next `fill`.
        case line(UnsafeRawBufferPointer)
        /// A line above the limit; its bytes are gone.
        case tooLong
    }

    package enum Filled: Equatable {
        case more
        case end
        case cancelled
        case failed(Int32)
    }

    private static let pieceByteCount = 1 << 20

    private let source: any ByteSource
    private let limit: Int
    private var memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 2 * LineReader.pieceByteCount,
        alignment: 16
    )
    /// What is not handed out yet.
    private var pending = 0..<0
    /// Bytes of `pending` that hold no line feed.
    private var searchedCount = 0
    /// In the middle of a line above the limit.
    private var isSkipping = false
    private var isAtEnd = false
    /// Bytes of the stream read so far.
    package private(set) var byteCount: UInt64 = 0

    /// - Parameter limit: bytes of a line at most.
    package init(_ source: any ByteSource, limit: Int) {
        self.source = source
        self.limit = limit
    }

    deinit { memory.deallocate() }

    /// The next line that is wholly here; `nil` when more must be read first.
    package func next() -> Line? {
        while true {
            let bytes = UnsafeRawBufferPointer(rebasing: memory[pending])
            let rest = UnsafeRawBufferPointer(rebasing: bytes[searchedCount...])
            guard let found = indexOfLineFeed(rest) else {
                searchedCount = bytes.count
                return last(bytes)
            }
            let count = searchedCount + found
            pending = (pending.lowerBound + count + 1)..<pending.upperBound
            searchedCount = 0
            let wasSkipping = isSkipping
            isSkipping = false
            if wasSkipping || count > limit { return .tooLong }
            return .line(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
    }

    /// The last line of the stream, when it has no line feed.
    private func last(_ bytes: UnsafeRawBufferPointer) -> Line? {
        guard isAtEnd, !bytes.isEmpty || isSkipping else { return nil }
        pending = pending.upperBound..<pending.upperBound
        searchedCount = 0
        let isTooLong = isSkipping || bytes.count > limit
        isSkipping = false
        return isTooLong ? .tooLong : .line(bytes)
    }

    /// Reads more, waiting if nothing is there.
    ///
    /// To be called when `next` has said `nil`.
    package func fill() -> Filled {
        guard !isAtEnd else { return .end }
        makeRoom()
        let room = UnsafeMutableRawBufferPointer(rebasing: memory[pending.upperBound...])
        switch source.read(into: room) {
        case .bytes(let count):
            pending = pending.lowerBound..<(pending.upperBound + count)
            byteCount += UInt64(count)
            return .more
        case .end:
            isAtEnd = true
            // A last line without a line feed is still to be handed out.
            return pending.isEmpty && !isSkipping ? .end : .more
        case .cancelled: return .cancelled
        case .failed(let number): return .failed(number)
        }
    }

    /// Moves what is left to the front, and grows or shrinks the memory around it.
    private func makeRoom() {
        if pending.count > limit {
            isSkipping = true
            pending = 0..<0
            searchedCount = 0
        }
        let wanted = pending.count + Self.pieceByteCount
        let left = memory[pending]
        if wanted > memory.count || memory.count > 8 * wanted {
            // Twice what is needed, so that a long line is moved a few times only.
            let fresh = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(wanted, min(2 * wanted, limit + Self.pieceByteCount)),
                alignment: 16
            )
            fresh.copyMemory(from: UnsafeRawBufferPointer(rebasing: left))
            memory.deallocate()
            memory = fresh
        } else if pending.lowerBound > 0 {
            memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: left))
        }
        pending = 0..<pending.count
    }
}
