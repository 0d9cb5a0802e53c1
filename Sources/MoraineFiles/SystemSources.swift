// Time and chance from the operating system.

// The compiler may attribute the C library's types to CKernels, whose header includes them too.
import CKernels

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The machine's clocks.
package struct SystemClock: Clock {
    package init() {}

    package func wallMilliseconds() -> Int64 {
        let now = time(of: CLOCK_REALTIME)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    package func steadyNanoseconds() -> UInt64 {
        let now = time(of: CLOCK_MONOTONIC)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    private func time(of clock: clockid_t) -> timespec {
        var now = timespec()
        clock_gettime(clock, &now)  // cannot fail for these two clocks
        return now
    }
}

/// The operating system's random bits.
package struct SystemRandom: RandomSource {
    package init() {}

    package func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
