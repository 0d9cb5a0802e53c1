// Graphs that go on from an older one: as good as those built from nothing, and only where most of
// the older one is left.

import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

struct GraphJoinTests {
    private typealias Opened = (vectors: VectorFile, codes: CodeFile, graph: GraphFile)

    /// Writes segment 7 of a folder of its own, with a graph.
    private func open(_ vectors: [[Float]], _ metric: Metric, origins: [GraphOrigin] = []) throws
        -> Opened
    {
        let fixture = try VectorFixture()
        let dimensions = vectors[0].count
        let space = FixtureSpace(dimensions: dimensions, metric: metric, count: vectors.count) {
            vectors[$0]
        }
        let file = try fixture.open(try fixture.write([space], rowCount: UInt64(vectors.count)))
        let codes = try fixture.openCodes(try #require(try fixture.writeCodes(of: file)), of: file)
        let reference = try fixture.writeGraph(file, codes, origins: origins, threads: 2)
        return (file, codes, try fixture.openGraph(try #require(reference), file, codes))
    }

    /// The vectors of an output: those of an input that are left, in their order, with others
    /// between them, and what became of the input's rows.
    private func merge(_ old: [[Float]], gone: Int, with new: [[Float]], _ random: inout SplitMix)
        -> (vectors: [[Float]], outputRows: [UInt32])
    {
        var vectors: [[Float]] = []
        var outputRows: [UInt32] = []
        var added = 0
        for (row, vector) in old.enumerated() {
            while added < new.count, random.below(old.count) < new.count {
                vectors.append(new[added])
                added += 1
            }
            let isGone = row * gone / old.count != (row + 1) * gone / old.count
            outputRows.append(isGone ? .max : UInt32(vectors.count))
            if !isGone { vectors.append(vector) }
        }
        return (vectors + new[added...], outputRows)
    }

    private func vectors(_ count: Int, _ random: inout SplitMix, _ centers: [[Float]]) -> [[Float]]
    {
        (0..<count).map { index in
            zip(centers[index % centers.count], random.vector(centers[0].count)).map { 3 * $0 + $1 }
        }
    }

    @Test(arguments: Metric.allCases) func aJoinedGraphIsAsGoodAsANewOne(metric: Metric) throws {
        var random = SplitMix(seed: 911)
        let centers = (0..<12).map { _ in random.vector(16) }
        var old = vectors(1200, &random, centers)
        // Equal vectors, some of them of both inputs.
        for index in 0..<100 { old[1100 + index] = old[index % 7] }
        var new = vectors(600, &random, centers)
        for index in 0..<50 { new[index * 3] = old[index] }
        let input = try open(old, metric)
        let merged = merge(old, gone: 100, with: new, &random)
        let output = try open(merged.vectors, metric)
        let origin = try #require(
            try GraphOrigin(
                input.graph.spaces[0],
                of: input.vectors.spaces[0],
                outputRows: merged.outputRows,
                in: output.vectors.spaces[0]
            )
        )
        let joined = try open(merged.vectors, metric, origins: [origin])
        let entry = joined.graph.spaces[0].entry
        let fresh = output.graph.spaces[0].entry
        #expect(entry.joinCount == 1 && fresh.joinCount == 0)
        #expect(entry.vectorCount == fresh.vectorCount && entry.nodeCount == fresh.nodeCount)
        #expect(entry.meanDegree > fresh.meanDegree * 0.8 && entry.meanDegree <= 32)
        for (one, other) in zip(entry.recalls, fresh.recalls) { #expect(one > other - 0.03) }
        #expect(entry.recalls.last ?? 0 > 0.95)
        #expect(try reachable(joined.graph.spaces[0]) == entry.nodeCount)
        try expectSoundRows(joined.graph.spaces[0])

        // Of a joined graph one more is made, of that one none.
        let all = (0..<UInt32(merged.vectors.count)).map { $0 }
        let second = try #require(try self.origin(joined, all, joined))
        let again = try open(merged.vectors, metric, origins: [second])
        #expect(again.graph.spaces[0].entry.joinCount == 2)
        #expect(again.graph.spaces[0].entry.recalls.last ?? 0 > 0.95)
        #expect(try self.origin(again, all, again) == nil)
    }

    /// Larger vectors make the steps of codes larger, so that codes become equal that were not.
    @Test func nodesWhoseCodesHaveBecomeEqualAreOne() throws {
        var random = SplitMix(seed: 913)
        let centers = (0..<12).map { _ in random.vector(8) }
        var old = vectors(1200, &random, centers)
        for index in 0..<200 {
            old[1000 + index] = old[index / 2].map { $0 + Float(index % 2) * 0.05 }
        }
        let input = try open(old, .l2)
        let new = vectors(300, &random, centers).map { $0.map { $0 * 4 } }
        let merged = merge(old, gone: 30, with: new, &random)
        let plain = try open(merged.vectors, .l2)
        let origin = try #require(try self.origin(input, merged.outputRows, plain))
        let space = try open(merged.vectors, .l2, origins: [origin]).graph.spaces[0]
        #expect(input.graph.spaces[0].entry.nodeCount > 1050)
        #expect(space.entry.joinCount == 1 && space.entry.nodeCount < 1450)
        #expect(try reachable(space) == space.entry.nodeCount)
        try expectSoundRows(space)
    }

    private func origin(_ input: Opened, _ rows: [UInt32], _ output: Opened) throws -> GraphOrigin?
    {
        try GraphOrigin(
            input.graph.spaces[0],
            of: input.vectors.spaces[0],
            outputRows: rows,
            in: output.vectors.spaces[0]
        )
    }

    /// Nodes that a search as wide as the space finds.
    private func reachable(_ space: GraphSpace) throws -> Int {
        try space.withSearch { search, view, _ throws(StoreError) in
            let values = UnsafeMutablePointer<Int8>.allocate(capacity: space.codes.byteCount)
            defer { values.deallocate() }
            values.initialize(repeating: 1, count: space.codes.byteCount)
            let query = GraphQuery(values: UnsafePointer(values), sum: 0)
            view.entries.withUnsafeBufferPointer {
                search.run(query, from: $0, width: space.entry.vectorCount)
            }
            return search.count
        }
    }

    /// No node leads to itself, nor twice to another.
    private func expectSoundRows(_ space: GraphSpace) throws {
        let links = try space.checkedLinks()
        for node in 0..<space.entry.vectorCount {
            let row = UnsafeBufferPointer(
                start: links + node * GraphSpaceEntry.degree,
                count: GraphSpaceEntry.degree
            ).filter { $0 != GraphLinks.unused }
            #expect(Set(row).count == row.count && !row.contains(UInt32(node)), "\(node)")
        }
    }

    @Test func fewOldVectorsAreBuiltFromNothing() throws {
        var random = SplitMix(seed: 912)
        let centers = (0..<12).map { _ in random.vector(8) }
        let old = vectors(1100, &random, centers)
        let input = try open(old, .l2)
        for (gone, newCount, isWorthIt) in [
            (0, 1100, true), (0, 1101, false), (110, 0, true), (111, 0, false), (110, 990, true),
            (110, 991, false),
        ] {
            let new = vectors(newCount, &random, centers)
            let merged = merge(old, gone: gone, with: new, &random)
            let fixture = try VectorFixture()
            let space = FixtureSpace(dimensions: 8, metric: .l2, count: merged.vectors.count) {
                merged.vectors[$0]
            }
            let output = try fixture.open(
                try fixture.write([space], rowCount: UInt64(merged.vectors.count))
            )
            let origin = try GraphOrigin(
                input.graph.spaces[0],
                of: input.vectors.spaces[0],
                outputRows: merged.outputRows,
                in: output.spaces[0]
            )
            #expect((origin != nil) == isWorthIt, "\(gone) gone, \(newCount) new")
        }
    }
}
