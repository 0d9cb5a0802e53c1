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
                        in: [ScanSource(space: read, source: 3, isDead: isDead)],
                        limit: limit,
                        pool: ScanPool(width: 1)
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
                        in: [ScanSource(space: space, source: 3, isDead: isDead)],
                        limit: 300,
                        pool: pool
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

    @Test(arguments: Metric.allCases)
    func rowsBelowTheFloorAreLeftOutAndThoseOnItStay(metric: Metric) throws {
        var random = SplitMix(seed: 33)
        let fixture = try VectorFixture()
        let space = FixtureSpace(
            &random,
            dimensions: 8,
            metric: metric,
            rows: Array(0..<500)
        )
        let read = try #require(
            fixture.open(fixture.write([space], rowCount: 500)).spaces.first
        )
        let ready = try query(random.vector(8), metric)
        let all = expected(ready, space, limit: 500) { _ in false }
        let found = try ExactScan.nearest(
            [ready],
            in: [ScanSource(space: read, source: 3, isDead: { _ in false })],
            limit: 100,
            floor: all[40].key,
            pool: ScanPool(width: 1)
        )
        #expect(found == [Array(all[...40])])
    }

    @Test(arguments: Metric.allCases) func manySourcesAreScannedAsOne(metric: Metric) throws {
        var random = SplitMix(seed: 37)
        let fixture = try VectorFixture()
        // Ten different vectors in all, so that ties go across sources; 3.4 MB.
        let ten = FixtureSpace(&random, dimensions: 130, metric: metric, rows: Array(0..<10))
        let written = [1, 700, 3, 9, 2000, 50, 3000, 1, 150].enumerated().map { index, count in
            var space = ten
            space.collectionID = UInt32(index + 1)
            space.rows = Array(0..<UInt32(count))
            space.vectors = space.rows.map { _ in ten.vectors[random.below(10)] }
            return space
        }
        let file = try fixture.open(try fixture.write(written, rowCount: 3000))
        let ready = try query(random.vector(130), metric)
        let isDead = { @Sendable (row: UInt32) in row % 5 == 0 }
        let sources = file.spaces.enumerated().map {
            ScanSource(space: $1, source: $0, isDead: isDead)
        }
        #expect(sources.reduce(0) { $0 + $1.byteCount } > ExactScan.parallelByteCount)
        // By id, which here is the row and then the source.
        func id(_ candidate: Candidate) -> [UInt8] {
            [UInt8(candidate.row >> 8), UInt8(candidate.row & 255), UInt8(candidate.source)]
        }
        let all = written.enumerated().flatMap { index, space in
            expected(ready, space, limit: .max, isDead: isDead).map {
                Candidate(key: $0.key, source: index, row: $0.row)
            }
        }
        let sorted = all.sorted {
            $0.key != $1.key ? $0.key > $1.key : id($0).lexicographicallyPrecedes(id($1))
        }
        for limit in [1, 10, 900, 7000] {
            for width in [1, 2, 8] {
                let found = try ExactScan.nearest(
                    [ready],
                    in: sources,
                    limit: limit,
                    pool: ScanPool(width: width)
                )
                let nearest = Candidate.nearest(of: found, limit: limit) { id($0) }
                #expect(nearest == Array(sorted.prefix(limit)), "\(limit) of \(width)")
                // A source that comes late brings no more than what competes.
                #expect(found[0].allSatisfy { $0.key >= nearest[nearest.count - 1].key })
            }
        }
    }

    @Test func sharesCoverEveryVectorOnceAndInOrder() throws {
        var random = SplitMix(seed: 38)
        let fixture = try VectorFixture()
        let spaces = [(1, 100), (3000, 384), (40, 16_384)].enumerated().map { index, shape in
            FixtureSpace(
                &random,
                collectionID: UInt32(index + 1),
                dimensions: shape.1,
                metric: .dot,
                rows: Array(0..<UInt32(shape.0))
            )
        }
        let file = try fixture.open(try fixture.write(spaces, rowCount: 3000))
        let sources = file.spaces.map { ScanSource(space: $0, source: 0) { _ in false } }
        let work = ScanWork([], sources, limit: 1, floor: 0, threadCount: 2)
        var next = [0, 0, 0]
        for share in work.shares {
            #expect(share.places.lowerBound == next[share.source])
            #expect(next[(share.source + 1)...].allSatisfy { $0 == 0 })
            next[share.source] = share.places.upperBound
        }
        #expect(next == [1, 3000, 40])
        #expect(work.shares.count >= 10)
        // The first ones are the largest.
        let counts = work.shares.filter { $0.source == 1 }.map(\.places.count)
        #expect(counts[0] > counts[counts.count - 2])
    }

    @Test func aScanAsksBeforeEachShareWhetherToGoOn() throws {
        var random = SplitMix(seed: 39)
        let fixture = try VectorFixture()
        let space = FixtureSpace(&random, dimensions: 384, metric: .dot, rows: Array(0..<3000))
        let read = try #require(
            fixture.open(fixture.write([space], rowCount: 3000)).spaces.first
        )
        let source = ScanSource(space: read, source: 0) { _ in false }
        let query = try query([Float](repeating: 1, count: 384), .dot)
        for patience in [0, 1, 5, Int.max] {
            let asked = Counter()
            let limit = ReadLimit(deadline: .max, clock: ManualClock()) {
                asked.count.add(1, ordering: .relaxed).newValue > patience
            }
            var code: StoreError.Code?
            do throws(StoreError) {
                _ = try ExactScan.nearest(
                    [query],
                    in: [source],
                    limit: 3,
                    within: limit,
                    pool: ScanPool(width: 2)
                )
            } catch {
                code = error.code
            }
            #expect(code == (patience == .max ? nil : .cancelled))
            #expect(asked.count.load(ordering: .relaxed) > min(patience, 6))
        }
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
            in: [
                ScanSource(space: read, source: 0) { row in
                    asked.count.add(1, ordering: .relaxed)
                    return row < 5
                }
            ],
            limit: 10,
            pool: ScanPool(width: 1)
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
            in: [ScanSource(space: read, source: 3, isDead: isDead)],
            limit: 50,
            pool: ScanPool(width: 1)
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
                        in: [ScanSource(space: read, source: 0, isDead: { _ in false })],
                        limit: 3,
                        pool: ScanPool(width: width)
                    )
                }
                #expect(refusal == .corrupted)
            }
            _ = fixture.files.corrupt(path: fixture.path(7), offset: offset + place, xor: 1)
        }
    }
}
