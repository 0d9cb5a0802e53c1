// Where a command reads and writes. The real ones are file descriptors; tests pass memory.

/// Bytes that come in.
package protocol ByteSource: AnyObject {
    /// Fills some of `buffer`, waiting until there is something.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult
}

/// What a read came to.
package enum ReadResult: Equatable {
    /// That many bytes, at least one.
    case bytes(Int)
    case end
    /// A signal asks to stop.
    case cancelled
    /// The errno.
    case failed(Int32)
}

/// Bytes that go out.
package protocol ByteSink: AnyObject {
    /// Writes all of `bytes`; 0, or the errno of the call that failed.
    func write(_ bytes: UnsafeRawBufferPointer) -> Int32
    /// The width in characters when a person watches, else `nil`.
    var columnCount: Int? { get }
}

/// Whether a signal asked to stop.
package protocol Cancellation: Sendable {
    var isRequested: Bool { get }
    /// From now on a signal only sets `isRequested`; before, it ends the process at once.
    func hold()
}

/// A file that the command line names, opened for reading.
package struct OpenedInput {
    package let source: any ByteSource
    /// `nil` for what has no length: a pipe.
    package let byteCount: UInt64?

    package init(source: any ByteSource, byteCount: UInt64?) {
        self.source = source
        self.byteCount = byteCount
    }
}
