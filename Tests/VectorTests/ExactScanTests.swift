// The exact scan against a plain sort, in one thread and in many.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineVectors

struct ExactScanTests {
    /// What a scan must find: every live row scored alone, sorted by score and row.
    private func expected(
        _ query: QueryVector,
        _ space: FixtureSpace,
        limit: Int,
        isDead: (UInt32) -> Bool
    ) -> [Candidate] {
        var all: [Candidate] = []
        for (row, vector) in zip(space.rows, space.vectors) where !isDead(row) {
            let score = withVector(vector) { buffer in
                buffer.baseAddress.map { query.score($0, norm: norm(vector)) } ?? .nan
            }
            all.append(
                Candidate(key: Score.key(score, query.metric), source: 3, row: row)
            )
        }
        all.sort { $0.key != $1.key ? $0.key > $1.key : $0.row < $1.row }
        return Array(all.prefix(limit))
    }

    @Test(arguments: Metric.allCases) func scansFindWhatASortFinds(metric: Metric) throws {
        var random = SplitMix(seed: 31)
        for dimensions in [1, 16, 33, 384] {
            let fixture = try VectorFixture()
            let rows = (UInt32(0)..<700).filter { _ in random.below(3) > 0 }
            var space = FixtureSpace(
                &random,
                dimensions: dimensions,
                metric: metric,
                rows: rows
            )
            // Every fifth vector is another's twin, so that ties are common.
            for index in stride(from: 5, to: rows.count, by: 5) {
                space.vectors[index] = space.vectors[random.below(index)]
            }
            let file = try fixture.open(try fixture.write([space], rowCount: 700))
            let read = try #require(file.spaces.first)
            let queries = try (0..<2).map { _ in
                try query(random.vector(dimensions), metric)
            }
            for modulus: UInt32 in [1, 2, 5000] {
                let isDead = { @Sendable (row: UInt32) in row % modulus == modulus / 2 }
                let wanted = queries.map { expected($0, space, limit: .max, isDead: isDead) }
                for limit in [0, 1, 10, 300, 5000] {
                    let found = try ExactScan.nearest(
                        queries,
                        in: read,
                        limit: limit,
                        source: 3,
                        pool: ScanPool(width: 1),
                        isDead: isDead
                    )
                    for (hits, all) in zip(found, wanted) {
                        #expect(
                            hits == Array(all.prefix(limit)),
                            "\(dimensions) \(limit) \(modulus)"
                        )
                    }
                }
            }
        }
    }

    @Test(arguments: Metric.allCases) func manyThreadsFindTheSame(metric: Metric) throws {
        var random = SplitMix(seed: 32)
        let fixture = try VectorFixture()
        // 2.1 and 2.3 MB: more shares than threads. Few vectors differ, so that ties are common.
        let large = twins(&random, 1, dimensions: 16_384, metric, rows: Array(0..<33))
        let many = twins(&random, 2, dimensions: 130, metric, rows: Array(33..<4033))
        let file = try fixture.open(try fixture.write([large, many], rowCount: 4033))
        let isDead = { @Sendable (row: UInt32) in row % 7 == 0 }
        for (space, written) in zip(file.spaces, [large, many]) {
            let bytes = space.vectorCount * space.strideByteCount
            #expect(bytes > ExactScan.parallelByteCount)
            let queries = try [query(random.vector(space.dimensions), metric)]
            let wanted = expected(queries[0], written, limit: 300, isDead: isDead)
            for width in [1, 2, 8] {
                let pool = ScanPool(width: width)
                for _ in 0..<3 {
                    let found = try ExactScan.nearest(
                        queries,
                        in: space,
                        limit: 300,
                        source: 3,
                        pool: pool,
                        isDead: isDead
                    )
                    #expect(found == [wanted])
                }
            }
        }
    }

    /// A space with at most ten different vectors.
    private func twins(
        _ random: inout SplitMix,
        _ collectionID: UInt32,
        dimensions: Int,
        _ metric: Metric,
        rows: [UInt32]
    ) -> FixtureSpace {
        var space = FixtureSpace(
            &random,
            collectionID: collectionID,
            dimensions: dimensions,
            metric: metric,
            rows: Array(rows.prefix(10))
        )
        space.vectors = rows.map { _ in space.vectors[random.below(10)] }
        space.rows = rows
        return space
    }

    @Test func rowsBelowTheFloorAreLeftOutAndThoseOnItStay() throws {
        var random = SplitMix(seed: 33)
        let fixture = try VectorFixture()
        let space = FixtureSpace(
            &random,
            dimensions: 8,
            metric: .l2,
            rows: Array(0..<500)
        )
        let read = try #require(
            fixture.open(fixture.write([space], rowCount: 500)).spaces.first
        )
        let ready = try query(random.vector(8), .l2)
        let all = expected(ready, space, limit: 500) { _ in false }
        let found = try ExactScan.nearest(
            [ready],
            in: read,
            limit: 100,
            floor: all[40].key,
            source: 3,
            pool: ScanPool(width: 1),
            isDead: { _ in false }
        )
        #expect(found == [Array(all[...40])])
    }

    @Test func deadRowsAreOnlyAskedAboutWhenNearEnough() throws {
        var random = SplitMix(seed: 34)
        let fixture = try VectorFixture()
        var space = FixtureSpace(&random, dimensions: 4, metric: .l2, rows: Array(0..<1000))
        // Ever farther from the query: after the first ten no row can enter.
        space.vectors = (0..<1000).map { [Float($0), 0, 0, 0] }
        let read = try #require(
            fixture.open(fixture.write([space], rowCount: 1000)).spaces.first
        )
        let asked = Counter()
        let found = try ExactScan.nearest(
            [try query([0, 0, 0, 0], .l2)],
            in: read,
            limit: 10,
            source: 0,
            pool: ScanPool(width: 1),
            isDead: { row in
                asked.count.add(1, ordering: .relaxed)
                return row < 5
            }
        )
        #expect(found[0].map(\.row) == Array(5..<15))
        #expect(asked.count.load(ordering: .relaxed) == 15)
    }

    private final class Counter: Sendable {
        let count = Atomic(0)
    }

    @Test(arguments: Metric.allCases) func listsOfVectorsGetTheScoresOfFiles(metric: Metric) throws
    {
        var random = SplitMix(seed: 35)
        let fixture = try VectorFixture()
        let space = FixtureSpace(
            &random,
            dimensions: 77,
            metric: metric,
            rows: Array(0..<600)
        )
        let read = try #require(
            fixture.open(fixture.write([space], rowCount: 600)).spaces.first
        )
        let ready = try query(random.vector(77), metric)
        let isDead = { @Sendable (row: UInt32) in row % 3 == 1 }
        let file = try ExactScan.nearest(
            [ready],
            in: read,
            limit: 50,
            source: 3,
            pool: ScanPool(width: 1),
            isDead: isDead
        )
        let flat = space.vectors.flatMap { $0 }
        let norms = space.vectors.map { norm($0) }
        var top = TopK(capacity: 50)
        flat.withUnsafeBufferPointer { flat in
            guard let base = flat.baseAddress else { return }
            let pointers = (0..<600).map { base + $0 * 77 }
            pointers.withUnsafeBufferPointer { pointers in
                norms.withUnsafeBufferPointer { norms in
                    ExactScan.scan(
                        ready,
                        vectors: pointers,
                        norms: norms,
                        isDead: isDead,
                        into: &top
                    )
                }
            }
        }
        #expect([top.sorted(source: 3)] == file)
    }

    @Test func damageInAnyShareIsThrownNotSkipped() throws {
        var random = SplitMix(seed: 36)
        let fixture = try VectorFixture()
        let space = FixtureSpace(
            &random,
            dimensions: 4096,
            metric: .cosine,
            rows: Array(0..<300)
        )
        let reference = try fixture.write([space], rowCount: 300)
        let offset = Int(
            try #require(fixture.open(reference).spaces.first).vectorSection.entry.offset
        )
        for place in [0, 290 * 16_384] {
            _ = fixture.files.corrupt(path: fixture.path(7), offset: offset + place, xor: 1)
            let read = try #require(fixture.open(reference).spaces.first)
            let ready = try query(space.vectors[0], .cosine)
            for width in [1, 3] {
                let refusal = code {
                    _ = try ExactScan.nearest(
                        [ready],
                        in: read,
                        limit: 3,
                        source: 0,
                        pool: ScanPool(width: width),
                        isDead: { _ in false }
                    )
                }
                #expect(refusal == .corrupted)
            }
            _ = fixture.files.corrupt(path: fixture.path(7), offset: offset + place, xor: 1)
        }
    }
}
