// Searches of a graph among some of its nodes: nothing else is found, most of them is, and the next
// search knows nothing of it.

import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

struct GraphMaskTests {
    private static let count = 1200

    /// A graph over clusters with equal vectors among them.
    private struct Opened {
        let fixture: VectorFixture
        let vectors: VectorFile
        let graph: GraphFile
        let numbers: [[Float]]

        /// - Parameter rows: ascending; one for each vector.
        init(_ random: inout SplitMix, rows: [UInt32]) throws {
            let centers = (0..<12).map { _ in random.vector(24) }
            var made: [[Float]] = []
            for place in rows.indices {
                // Every 20th is the vector of the one 12 before it.
                let new = zip(centers[place % 12], random.vector(24)).map { 3 * $0 + $1 }
                made.append(place % 20 == 19 ? made[place - 12] : new)
            }
            numbers = made
            fixture = try VectorFixture()
            let space = FixtureSpace(metric: .cosine, rows: rows, vectors: made)
            vectors = try fixture.open(
                try fixture.write([space], rowCount: UInt64((rows.last ?? 0) + 70))
            )
            let reference = try fixture.writeCodes(of: vectors)
            let codes = try fixture.openCodes(try #require(reference), of: vectors)
            let graphReference = try fixture.writeGraph(vectors, codes)
            graph = try fixture.openGraph(try #require(graphReference), vectors, codes)
        }

        func mask(_ rows: Set<UInt32>) throws -> GraphMask {
            var words: [UInt32: UInt64] = [:]
            for row in rows { words[row / 64, default: 0] |= 1 << UInt64(row % 64) }
            return try graph.spaces[0].mask(of: rows.count, in: vectors.spaces[0]) {
                visit throws(StoreError) in
                for (number, word) in words.sorted(by: { $0.key < $1.key }) {
                    try visit(word, number * 64)
                }
            }
        }

        /// The ordinals of each node that a search keeps, nearest first.
        func search(_ query: [Float], width: Int, _ mask: GraphMask?) throws -> [[Int]] {
            let space = graph.spaces[0]
            let vector = try withVector(query) { buffer throws(StoreError) in
                try QueryVector(buffer, metric: .cosine)
            }
            return try space.withSearch { search, view, duplicates throws(StoreError) in
                let coded = GraphQuery(vector, for: space.codes, in: search.values)
                view.entries.withUnsafeBufferPointer {
                    search.run(coded, from: $0, width: width, mask: mask)
                }
                return (0..<search.count).map { place in
                    var chain = [Int(search.node(place))]
                    while let next = duplicates?[chain[chain.count - 1]],
                        next != GraphLinks.unused
                    {
                        chain.append(Int(next))
                    }
                    return chain
                }
            }
        }
    }

    /// Three ways in which rows lie: all of a range that begins nowhere near a word, every third
    /// row, and all but a few.
    private static let layouts: [@Sendable (Int) -> UInt32] = [
        { UInt32(77 + $0) }, { UInt32(5 + 3 * $0) }, { UInt32($0 < 900 ? $0 : $0 + 64) },
    ]

    @Test(arguments: 0..<3) func aMaskShowsTheNodesOfRowsAndNoOthers(layout: Int) throws {
        var random = SplitMix(seed: 1201)
        let rows = (0..<Self.count).map(Self.layouts[layout])
        let opened = try Opened(&random, rows: rows)
        for share in [0.03, 0.5, 1] {
            let shown = rows.indices.filter { _ in
                Double(random.below(1000)) < share * 1000
            }
            let wanted = Set(shown.map { rows[$0] })
            // Rows without a vector may pass as well: before the first, between, behind the last.
            let others = Set([0, 6, 901, rows[Self.count - 1] + 66]).subtracting(rows)
            let mask = try opened.mask(wanted.union(others))
            let nodes = try opened.search(opened.numbers[0], width: Self.count, nil)
            #expect(nodes.count < Self.count && nodes.joined().count == Self.count)
            for chain in nodes {
                let counts = chain.contains { wanted.contains(rows[$0]) }
                let (word, bit) = (chain[0] / 32, UInt32(1) << UInt32(chain[0] % 32))
                #expect((mask.shown[word] & bit != 0) == counts)
                #expect((mask.hidden[word] & bit == 0) == counts)
            }
            // No bit behind the last node, where there is none to go to.
            for place in Self.count..<(Self.count / 32 + 1) * 32 {
                #expect(mask.shown[place / 32] & 1 << UInt32(place % 32) == 0)
            }
        }
    }

    @Test(arguments: [0.05, 0.3, 0.9]) func mostOfTheNearestThatCountAreFound(share: Double) throws
    {
        var random = SplitMix(seed: 1202)
        let rows = (0..<Self.count).map { UInt32($0) }
        let opened = try Opened(&random, rows: rows)
        let shown = Set(rows.filter { _ in Double(random.below(1000)) < share * 1000 })
        let mask = try opened.mask(shown)
        var found = 0
        for _ in 0..<20 {
            let query = zip(opened.numbers[random.below(Self.count)], random.vector(24))
                .map { $0 + 0.3 * $1 }
            let before = try opened.search(query, width: 30, nil)
            let nodes = try opened.search(query, width: 30, mask)
            #expect(nodes.allSatisfy { $0.contains { shown.contains(UInt32($0)) } })
            let after = try opened.search(query, width: 30, nil)
            #expect(before == after)
            let scores = opened.numbers.map { exactScore(query, $0, .cosine) }
            let order = shown.map(Int.init).sorted { scores[$0] > scores[$1] }
            let bar = scores[order[9]] * 0.99
            let hits = nodes.joined().filter { shown.contains(UInt32($0)) }
            #expect(Set(hits).count == hits.count)
            found += min(10, hits.count { scores[$0] >= bar })
        }
        #expect(found >= 180, "\(found) of 200")
    }

    @Test func aMaskOfNothingFindsNothing() throws {
        var random = SplitMix(seed: 1203)
        let opened = try Opened(&random, rows: (0..<1100).map { UInt32($0) })
        #expect(try opened.search(opened.numbers[3], width: 20, try opened.mask([])).isEmpty)
    }
}
