// The k best of a source, and the join of sources.

import Testing

@testable import MoraineVectors

struct TopKTests {
    @Test func keepsTheBestInOrderOfScoreThenRow() {
        var random = SplitMix(seed: 1)
        for capacity in [0, 1, 2, 3, 7, 64, 1000, 5000] {
            // Few distinct keys, so that most decisions are ties.
            let keys = (0..<3000).map { _ in UInt32(random.below(40)) }
            var top = TopK(capacity: capacity)
            for row in random.shuffled(Array(keys.indices)) {
                top.offer(key: keys[row], row: UInt32(row))
            }
            let expected = keys.indices.sorted { (keys[$1], $0) < (keys[$0], $1) }.prefix(capacity)
            #expect(top.sorted(source: 0).map { Int($0.row) } == Array(expected))
            #expect(top.count == min(capacity, 3000))
        }
    }

    @Test func tiesFollowTheGivenOrderInsteadOfRows() {
        var random = SplitMix(seed: 2)
        let names = random.shuffled(Array(0..<500))
        let keys = names.map { _ in UInt32(random.below(5)) }
        var top = TopK(capacity: 90, precedes: { names[Int($0)] < names[Int($1)] })
        for row in keys.indices { top.offer(key: keys[row], row: UInt32(row)) }
        let expected = keys.indices.sorted {
            keys[$0] != keys[$1] ? keys[$0] > keys[$1] : names[$0] < names[$1]
        }
        #expect(top.sorted(source: 0).map { Int($0.row) } == Array(expected.prefix(90)))
    }

    @Test func mergingPartsEqualsOneWhole() {
        var random = SplitMix(seed: 3)
        let keys = (0..<2000).map { _ in UInt32(random.below(100)) }
        var whole = TopK(capacity: 50)
        var parts = [TopK](repeating: TopK(capacity: 50), count: 7)
        for row in keys.indices {
            whole.offer(key: keys[row], row: UInt32(row))
            parts[random.below(7)].offer(key: keys[row], row: UInt32(row))
        }
        var merged = TopK(capacity: 50)
        for part in parts { merged.merge(part) }
        #expect(merged.sorted(source: 4) == whole.sorted(source: 4))
    }

    @Test func nothingBelowTheFloorEntersAndTheFloorItselfDoes() {
        var top = TopK(capacity: 3, floor: 10)
        for (row, key) in [UInt32(9), 10, 11, 2].enumerated() {
            top.offer(key: key, row: UInt32(row))
        }
        #expect(top.sorted(source: 0).map(\.row) == [2, 1])
        #expect(top.bar == 10)
    }

    @Test func aHugeCapacityCostsNothingUntilUsed() {
        var top = TopK(capacity: .max)
        top.offer(key: 1, row: 1)
        #expect(top.sorted(source: 0) == [Candidate(key: 1, source: 0, row: 1)])
    }

    @Test func sourcesJoinByScoreThenIDAndIDsAreAskedForTiesOnly() {
        var random = SplitMix(seed: 4)
        var lists: [[Candidate]] = []
        var ids: [[UInt8]: Candidate] = [:]
        for source in 0..<4 {
            var top = TopK(capacity: 60)
            for row in 0..<200 {
                top.offer(key: UInt32(random.below(1000)), row: UInt32(row))
            }
            lists.append(top.sorted(source: source))
        }
        func id(_ candidate: Candidate) -> [UInt8] {
            // Interleaves the sources, ascending with the row as in a segment.
            [UInt8(candidate.row), UInt8((candidate.source + Int(candidate.key)) % 4)]
        }
        var asked: [Candidate] = []
        let joined = Candidate.nearest(of: lists, limit: 50) {
            asked.append($0)
            return id($0)
        }
        let expected = lists.flatMap { $0 }.sorted {
            $0.key != $1.key ? $0.key > $1.key : id($0).lexicographicallyPrecedes(id($1))
        }
        #expect(joined == Array(expected.prefix(50)))
        for candidate in asked {
            ids[id(candidate)] = candidate
            #expect(lists.joined().contains { $0.key == candidate.key && $0 != candidate })
        }
        #expect(!ids.isEmpty)
        #expect(Candidate.nearest(of: [[], []], limit: 5, id: id).isEmpty)
        #expect(Candidate.nearest(of: lists, limit: 0, id: id).isEmpty)
    }
}
