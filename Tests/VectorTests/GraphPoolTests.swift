// What a search of a graph has met is forgotten by the next one, whichever way it is cleared.

import Testing

@testable import MoraineVectors

struct GraphPoolTests {
    /// Whether the same nodes are new again after a clear.
    private func isForgotten(_ marks: GraphMarks, _ nodes: [UInt32], logged: Int?) -> Bool {
        for (place, node) in nodes.enumerated() {
            guard marks.mark(node), !marks.mark(node) else { return false }
            if place < GraphMarks.logCapacity { marks.log[place] = node }
        }
        marks.clear(logged)
        defer { marks.clear(nil) }
        return nodes.allSatisfy { marks.mark($0) }
    }

    @Test func marksAreClearedByTheLogOrAsAWhole() {
        for nodeCount in [1, 31, 32, 1000, 100_000] {
            let marks = GraphMarks(nodeCount: nodeCount)
            defer { marks.deallocate() }
            let ends = [0, UInt32(nodeCount - 1)].suffix(min(2, nodeCount))
            #expect(isForgotten(marks, Array(ends), logged: ends.count))
            #expect(isForgotten(marks, Array(ends), logged: nil))
            let many = stride(from: UInt32(0), to: UInt32(nodeCount), by: 7).map { $0 }
            #expect(isForgotten(marks, many, logged: many.count > 4096 ? nil : many.count))
        }
    }

    @Test func aSearchThatMeetsMoreThanTheLogHoldsLeavesNoMark() throws {
        // A ring of equal codes: a wide search goes all the way round.
        let count = 6000
        let code = [UInt8](repeating: 128, count: 64 * count)
        var links = [UInt32](repeating: GraphLinks.unused, count: 32 * count)
        for node in 0..<count { links[32 * node] = UInt32((node + 1) % count) }
        var values = [Int8](repeating: 1, count: 128)
        try code.withUnsafeBufferPointer { code in
            try links.withUnsafeBufferPointer { links in
                let codes = GraphCodes(
                    high: try #require(code.baseAddress),
                    low: try #require(code.baseAddress),
                    half: 64,
                    count: count,
                    squareSums: nil,
                    selfProduct: 1
                )
                let view = GraphView(
                    codes,
                    links: try #require(links.baseAddress),
                    entries: [3],
                    isCoarse: false
                )
                let search = view.makeSearch()
                for width in [count, 5, count, 5] {
                    let before = search.comparisonCount
                    values.withUnsafeMutableBufferPointer { values in
                        guard let start = values.baseAddress else { return }
                        let query = GraphQuery(values: UnsafePointer(start), sum: 128)
                        view.entries.withUnsafeBufferPointer {
                            search.run(query, from: $0, width: width)
                        }
                    }
                    #expect(search.count == width)
                    // As many nodes, or one more: the first that was too far.
                    #expect((width...(width + 1)).contains(search.comparisonCount - before))
                    #expect(Set((0..<width).map { search.node($0) }).count == width)
                }
            }
        }
    }
}
