// Chance that a seed decides.

import MoraineFiles

/// Draws from a seeded source.
struct Dice: RandomNumberGenerator {
    private let source: SeededRandom

    init(seed: UInt64) { source = SeededRandom(seed: seed) }

    mutating func next() -> UInt64 { source.next() }

    /// True in `percent` of 100 cases.
    mutating func chance(_ percent: Int) -> Bool { number(0..<100) < percent }

    mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func pick<T>(_ items: [T]) -> T { items[number(0..<items.count)] }

    mutating func seed() -> UInt64 { next() }
}
