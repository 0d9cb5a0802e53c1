// When a read is to end early: its time is over, or nobody wants it any more.

package import MoraineFiles

/// How long a read may go on.
///
/// Reads ask at their beginning and then for each block, each share of a scan or each few rows:
/// microseconds apart, some milliseconds where bytes are read or checked for the first time. Any
/// thread.
package struct ReadLimit: Sendable {
    /// Steady nanoseconds of the clock; the largest number for never.
    private let deadline: UInt64
    private let clock: any Clock
    private let isCancelled: @Sendable () -> Bool

    /// - Parameters:
    ///   - deadline: as ``deadline(after:_:)`` gives it.
    ///   - isCancelled: asked from any thread.
    package init(
        deadline: UInt64,
        clock: any Clock,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.deadline = deadline
        self.clock = clock
        self.isCancelled = isCancelled
    }

    /// The end of a time that begins now, in steady nanoseconds; `nil` for no end.
    package static func deadline(after timeout: Duration?, _ clock: any Clock) -> UInt64 {
        guard let timeout else { return .max }
        // A century and more is no end; within one nothing overflows.
        guard timeout < .century else { return .max }
        guard timeout >= .zero else { return 0 }
        let (seconds, attoseconds) = timeout.components
        let nanoseconds = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
        let (end, isLong) = clock.steadyNanoseconds().addingReportingOverflow(nanoseconds)
        return isLong ? .max : end
    }

    /// True when the read is to end.
    ///
    /// It stays so: what was left out because of it makes `check()` throw.
    package var isOver: Bool {
        isCancelled() || (deadline < .max && clock.steadyNanoseconds() >= deadline)
    }

    /// Throws `cancelled` or `deadline-exceeded` when the read is to end.
    package func check() throws(StoreError) {
        if isCancelled() { throw StoreError(.cancelled, "the read was cancelled") }
        guard deadline < .max, clock.steadyNanoseconds() >= deadline else { return }
        throw StoreError(.deadlineExceeded, "the read's time is over")
    }
}

/// Asks a limit after each few rows; without a limit it costs a decrement.
package struct ReadMeter {
    /// Rows of memory or of a decoded block take up to some microseconds each.
    private static let rowCount = 64

    private let limit: ReadLimit?
    private var left: Int

    package init(_ limit: ReadLimit?) {
        self.limit = limit
        left = limit == nil ? .max : Self.rowCount
    }

    /// Counts a row.
    ///
    /// - Throws: what the limit's `check()` throws.
    @inline(__always)
    package mutating func step() throws(StoreError) {
        left &-= 1
        if left == 0 { try ask() }
    }

    private mutating func ask() throws(StoreError) {
        left = Self.rowCount
        try limit?.check()
    }
}

extension Duration {
    fileprivate static var century: Duration { .seconds(3_155_760_000) }

    /// Whole milliseconds, at most what a century has, either way.
    package var boundedMilliseconds: Int64 {
        // Compared first: `components` traps beyond 64 bits of seconds.
        let (seconds, attoseconds) = min(max(self, .zero - .century), .century).components
        return seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
