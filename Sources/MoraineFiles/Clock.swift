// Time and chance are passed in, so that a test can hold them.

/// The time of day and a steady clock.
package protocol Clock: Sendable {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump.
    func wallMilliseconds() -> Int64
    /// Nanoseconds since some fixed moment. Never goes back.
    func steadyNanoseconds() -> UInt64
}

/// A source of random bits.
package protocol RandomSource: Sendable {
    /// 64 fresh random bits.
    func next() -> UInt64
}
