// Time and chance in a test's hands.

import Synchronization

/// A clock that stands still until it is told otherwise.
package final class ManualClock: Clock {
    private let now: Mutex<(wall: Int64, steady: UInt64)>

    /// A clock at `wallMilliseconds` since 1970 and `steadyNanoseconds`.
    package init(wallMilliseconds: Int64 = 0, steadyNanoseconds: UInt64 = 0) {
        now = Mutex((wallMilliseconds, steadyNanoseconds))
    }

    package func wallMilliseconds() -> Int64 { now.withLock { $0.wall } }

    package func steadyNanoseconds() -> UInt64 { now.withLock { $0.steady } }

    /// Sets the time of day, forwards or back; the steady clock stays.
    package func setWall(milliseconds: Int64) {
        now.withLock { $0.wall = milliseconds }
    }

    /// Moves both clocks on, as time passing does.
    package func advance(milliseconds: UInt32) {
        now.withLock { now in
            now.wall += Int64(milliseconds)
            now.steady += UInt64(milliseconds) * 1_000_000
        }
    }
}

/// Random bits that a seed decides: the same seed gives the same sequence.
package final class SeededRandom: RandomSource {
    private let generator: Mutex<SplitMix64>

    package init(seed: UInt64) { generator = Mutex(SplitMix64(seed: seed)) }

    package func next() -> UInt64 { generator.withLock { $0.next() } }
}

/// The splitmix64 generator: every seed is as good as another, and it needs one word.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True with the given probability, 0...1.
    mutating func chance(_ probability: Double) -> Bool {
        Double(next() >> 11) * 0x1p-53 < probability
    }
}
