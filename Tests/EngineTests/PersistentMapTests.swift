// The map that tables of collections share: against a dictionary, and where hashes collide.

import MoraineFiles
import Testing

@testable import MoraineEngine

/// A key whose hash says little.
private struct PoorKey: Hashable, Sendable {
    let number: Int

    func hash(into hasher: inout Hasher) { hasher.combine(number % 7) }
}

struct PersistentMapTests {
    /// Changes drawn from a seed, held against a dictionary; every version stays what it was.
    private func compare<Key: Hashable & Sendable>(_ key: (Int) -> Key) {
        let seeded = SeededRandom(seed: 5)
        func below(_ bound: UInt64) -> Int { Int(seeded.next() % bound) }
        var map = PersistentMap<Key, Int>()
        var model: [Key: Int] = [:]
        var versions: [(PersistentMap<Key, Int>, [Key: Int])] = []
        for step in 0..<2_000 {
            let key = key(below(300))
            let value = below(3) == 0 ? nil : step
            map = map.setting(key, to: value)
            model[key] = value
            if step % 500 == 0 { versions.append((map, model)) }
        }
        versions.append((map, model))
        versions.append((PersistentMap(model.map { ($0, $1) }), model))
        for (map, model) in versions {
            #expect(map.values.sorted() == model.values.sorted())
            for number in 0..<300 { #expect(map[key(number)] == model[key(number)]) }
        }
    }

    @Test func mapsAreWhatADictionaryIs() { compare { $0 } }

    @Test func collidingHashesAreKeptApart() { compare { PoorKey(number: $0) } }

    @Test func whatIsTakenOutLeavesNothing() {
        var map = PersistentMap<Int, Int>((0..<100).map { ($0, $0) })
        for key in 0..<100 { map = map.setting(key, to: nil) }
        #expect(map.values.isEmpty)
        #expect(map[3] == nil)
        #expect(map.setting(3, to: nil).values.isEmpty)
        #expect(map.setting(3, to: 1)[3] == 1)
    }
}
