// A scan by codes gives the answer of a scan of floats, bit for bit, and reads few floats.

import CKernels
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

struct CodeScanTests {
    /// What the vectors of a test are like.
    enum Shape: CaseIterable, Sendable {
        /// Each number by chance.
        case uniform
        /// Near one of a few centres, as embeddings are.
        case clustered
        /// Of ten different vectors.
        case duplicates
        /// One in fifty a thousand times longer.
        case longRows
        /// Two dimensions a hundred times larger.
        case outlierDimensions
        /// Zeros, single numbers, and subnormal ones.
        case sparse
        /// Lengths from 1e-15 to 1e15.
        case manyLengths
    }

    private struct Maker {
        var random: SplitMix
        let shape: Shape
        let dimensions: Int
        let centres: [[Float]]

        init(_ shape: Shape, dimensions: Int, seed: UInt64) {
            var random = SplitMix(seed: seed)
            centres = (0..<10).map { _ in random.vector(dimensions) }
            self.random = random
            self.shape = shape
            self.dimensions = dimensions
        }

        mutating func vector(_ index: Int) -> [Float] {
            var vector = random.vector(dimensions)
            let centre = centres[random.below(10)]
            switch shape {
            case .uniform: break
            case .clustered: vector = zip(centre, vector).map { $0 + $1 * 0.05 }
            case .duplicates: vector = centre
            case .longRows: if index % 50 == 7 { vector = vector.map { $0 * 1000 } }
            case .outlierDimensions:
                vector[0] *= 100
                vector[dimensions / 2] *= 100
            case .sparse:
                vector = vector.map { _ in 0 }
                if index % 3 > 0 {
                    vector[random.below(dimensions)] = index % 7 == 0 ? -Float(0x1p-140) : 1
                }
            case .manyLengths:
                let length = Float.exponent10(random.below(31) - 15)
                vector = vector.map { $0 * length }
            }
            return vector
        }
    }

    /// Searches with and without codes, for each group of queries together; checks that the answers
    /// are equal.
    ///
    /// - Parameter listed: the ordinals to search; `nil` for all.
    private func compare(
        _ vectors: [[Float]],
        _ groups: [[[Float]]],
        _ metric: Metric,
        listed: [UInt32]? = nil,
        isDead: @escaping @Sendable (UInt32) -> Bool = { _ in false },
        limits: [Int] = [1, 100],
        widths: [Int] = [1]
    ) throws {
        let fixture = try VectorFixture()
        let dimensions = vectors[0].count
        let written = FixtureSpace(dimensions: dimensions, metric: metric, count: vectors.count) {
            vectors[$0]
        }
        let file = try fixture.open(try fixture.write([written], rowCount: UInt64(vectors.count)))
        let codes = try fixture.openCodes(try #require(try fixture.writeCodes(of: file)), of: file)
        for (group, limit) in groups.flatMap({ group in limits.map { (group, $0) } }) {
            let ready = try group.map { try query($0, metric) }
            func search(
                _ codes: CodeSpace?,
                _ listed: [UInt32]?,
                width: Int,
                isDead: @escaping @Sendable (UInt32) -> Bool
            ) throws -> [[Candidate]] {
                let source = ScanSource(
                    space: file.spaces[0],
                    codes: codes,
                    listed: listed,
                    source: 0,
                    isDead: isDead
                )
                let pool = ScanPool(width: width)
                return try ExactScan.nearest(ready, in: [source], limit: limit, pool: pool)
            }
            let rows = listed.map { Set($0) }
            let wanted = try search(nil, nil, width: 1) { row in
                isDead(row) || rows?.contains(row) == false
            }
            for width in widths {
                for codes in [codes.spaces[0], nil] {
                    #expect(
                        try search(codes, listed, width: width, isDead: isDead) == wanted,
                        "limit \(limit), \(width) threads, codes \(codes != nil)"
                    )
                }
            }
        }
    }

    private func isUsable(_ vector: [Float], _ metric: Metric) -> Bool {
        let norm = norm(vector)
        return norm.isFinite && norm < 1.8e19 && (norm > 0 || metric != .cosine)
    }

    @Test(arguments: Metric.allCases, Shape.allCases)
    func theAnswerIsThatOfTheFloats(metric: Metric, shape: Shape) throws {
        for dimensions in [2, 65] {
            var maker = Maker(shape, dimensions: dimensions, seed: 91)
            var vectors = (0..<1100).map { maker.vector($0) }
            if metric == .cosine {
                for index in vectors.indices where norm(vectors[index]) == 0 {
                    vectors[index][0] = 1
                }
            }
            var queries = (0..<4).map { maker.vector($0) } + [vectors[7], vectors[57]]
            queries.append([Float](repeating: 0, count: dimensions))
            queries.append(vectors[3].map { $0 * 3 })
            try compare(vectors, queries.filter { isUsable($0, metric) }.map { [$0] }, metric)
        }
    }

    @Test(arguments: Metric.allCases, [-38, -30, -24, -18, -10, 10, 17, 18])
    func veryLargeAndVerySmallNumbersAreNoException(metric: Metric, exponent: Int) throws {
        let factor = Float.exponent10(exponent)
        for shape in [Shape.uniform, .clustered] {
            var maker = Maker(shape, dimensions: 20, seed: 92)
            let vectors = (0..<1024).map { maker.vector($0).map { $0 * factor } }
            let queries = [0, -exponent, exponent].map { other in
                maker.vector(0).map { $0 * Float.exponent10(other) }
            }
            let usable = queries.filter { isUsable($0, metric) }
            try compare(vectors, usable.map { [$0] }, metric, limits: [10])
        }
    }

    /// The norm of the nearest is 1.73 times the least f32, which the file rounds to 2 times.
    @Test func aNormOfFewBitsIsNoException() throws {
        let least = Float.leastNonzeroMagnitude
        func vector(_ start: [Float]) -> [Float] { start + [Float](repeating: 0, count: 17) }
        // Most are far away, so that codes are asked; one is nearer than that norm makes of it.
        var vectors = [[Float]](repeating: vector([1, -1, 0.1]), count: 4_100)
        vectors[0] = vector([1, 1, 0.8])
        vectors[4_050] = vector([least, least, least])
        try compare(vectors, [[vector([2, 2, 2])]], .cosine)
    }

    @Test(arguments: Metric.allCases) func deadRowsAndManyQueriesAndThreads(metric: Metric) throws {
        var maker = Maker(.clustered, dimensions: 20, seed: 93)
        // More codes than one thread takes: 2.2 MB.
        let vectors = (0..<30_000).map { maker.vector($0) }
        let queries = (0..<3).map { maker.vector($0) }
        try compare(
            vectors,
            [queries],
            metric,
            isDead: { $0 % 3 == 0 || $0 < 2000 },
            limits: [10],
            widths: [1, 4]
        )
    }

    @Test(arguments: Metric.allCases, Shape.allCases)
    func listedVectorsAreAsIfTheOthersWereNotThere(metric: Metric, shape: Shape) throws {
        var maker = Maker(shape, dimensions: 20, seed: 97)
        var vectors = (0..<1100).map { maker.vector($0) }
        for index in vectors.indices where norm(vectors[index]) == 0 { vectors[index][0] = 1 }
        let queries = [vectors[8], maker.vector(0), maker.vector(1)].filter { isUsable($0, metric) }
        var random = SplitMix(seed: 98)
        for share in [0, 2, 30, 100] {
            let listed = (0..<UInt32(1100)).filter { _ in random.below(100) < share }
            try compare(
                vectors,
                [queries],
                metric,
                listed: listed,
                isDead: { $0 % 5 == 3 },
                limits: [1, 70, 2000]
            )
        }
    }

    @Test func listsAreSharedAmongThreads() throws {
        var maker = Maker(.clustered, dimensions: 20, seed: 99)
        let vectors = (0..<32_000).map { maker.vector($0) }
        let queries = [maker.vector(0)]
        var random = SplitMix(seed: 100)
        // More codes than one thread takes: 2.2 MB.
        let listed = (0..<UInt32(32_000)).filter { _ in random.below(20) > 0 }
        try compare(vectors, [queries], .cosine, listed: listed, limits: [10], widths: [1, 4])
    }

    /// Reaches are never below the threshold of the vector's own score, and near it.
    @Test(arguments: Metric.allCases, Shape.allCases)
    func aReachIsNeverBelowItsOwnThreshold(metric: Metric, shape: Shape) throws {
        for dimensions in [3, 65] {
            var maker = Maker(shape, dimensions: dimensions, seed: 94)
            var vectors = (0..<1100).map { maker.vector($0) }
            for index in vectors.indices where norm(vectors[index]) == 0 { vectors[index][0] = 1 }
            let fixture = try VectorFixture()
            let written = FixtureSpace(dimensions: dimensions, metric: metric, count: 1100) {
                vectors[$0]
            }
            let file = try fixture.open(try fixture.write([written], rowCount: 1100))
            let reference = try #require(try fixture.writeCodes(of: file))
            let space = try fixture.openCodes(reference, of: file).spaces[0]
            for values in [vectors[0], maker.vector(1)] where isUsable(values, metric) {
                let query = try query(values, metric)
                for level in [MK_CODES_SCALAR, MK_CODES_AVX2, MK_CODES_VNNI, MK_CODES_NEON] {
                    guard let kernels = mk_code_kernels_for(Int32(level.rawValue)),
                        let bound = CodeBound(query, for: space, kernels: kernels)
                    else { continue }
                    let batch = try CodeBatch(of: space, capacity: 1100)
                    let ordinals = (0..<UInt32(1100)).map { $0 }
                    let coarse = Array(batch.coarseReaches(ScanOrdinals(0..<1100), bound))
                    let (listed, whole) = ordinals.withUnsafeBufferPointer {
                        (
                            Array(batch.coarseReaches(ScanOrdinals($0), bound)),
                            Array(batch.wholeReaches(ScanOrdinals($0), bound))
                        )
                    }
                    #expect(listed == coarse)
                    for (index, vector) in vectors.enumerated() {
                        let score = withVector(vector) { buffer in
                            buffer.baseAddress.map { query.score($0, norm: norm(vector)) } ?? .nan
                        }
                        let bar = Score.key(score, metric)
                        #expect(coarse[index] >= bound.coarse.threshold(bar), "\(index)")
                        #expect(whole[index] >= bound.whole.threshold(bar), "\(index)")
                    }
                }
            }
        }
    }

    /// Each vector that reaches the threshold is a leader or near, once; the leaders are the nearest.
    @Test func leadersAreTakenOutOfAWindow() throws {
        var maker = Maker(.clustered, dimensions: 20, seed: 101)
        let vectors = (0..<2000).map { maker.vector($0) }
        let fixture = try VectorFixture()
        let written = FixtureSpace(dimensions: 20, metric: .cosine, count: 2000) { vectors[$0] }
        let file = try fixture.open(try fixture.write([written], rowCount: 2000))
        let reference = try #require(try fixture.writeCodes(of: file))
        let codes = try fixture.openCodes(reference, of: file).spaces[0]
        let bound = try #require(CodeBound(try query(maker.vector(0), .cosine), for: codes))
        // Batches that do not fill the window.
        let batch = try CodeBatch(of: codes, capacity: 300)
        let all = try CodeBatch(of: codes, capacity: 2000)
        let ordinals = (0..<UInt32(2000)).filter { $0 % 7 != 3 }
        let reaches = Array(all.coarseReaches(ScanOrdinals(0..<2000), bound))
        let sorted = ordinals.sorted { reaches[Int($0)] > reaches[Int($1)] }
        var window = CodeWindow(capacity: 2000)
        for (reaching, wanted, leaderCount) in [
            (1700, 10, 32), (1000, 40, 80), (127, 1, 0), (9, 10, 0),
        ] {
            let threshold = reaches[Int(sorted[reaching - 1])]
            ordinals.withUnsafeBufferPointer {
                window.fill(ScanOrdinals($0), batch, bound, atLeast: threshold)
            }
            let expected = ordinals.filter { reaches[Int($0)] >= threshold }
            #expect(list(window.near) == expected)
            let leaders = window.takeLeaders(toFill: wanted).map { list($0) } ?? []
            #expect(leaders.count == leaderCount)
            #expect(
                leaders.map { reaches[Int($0)] } == sorted[..<leaderCount].map { reaches[Int($0)] }
            )
            // Whatever the list's bar is worth, leaders do not come back.
            window.narrow(atLeast: -.infinity)
            #expect(list(window.near) == expected.filter { !leaders.contains($0) })
            let higher = reaches[Int(sorted[reaching / 2])]
            window.narrow(atLeast: higher)
            #expect(
                list(window.near)
                    == expected.filter { !leaders.contains($0) && reaches[Int($0)] >= higher }
            )
        }
    }

    private func list(_ ordinals: ScanOrdinals) -> [UInt32] {
        (0..<ordinals.count).map { UInt32(ordinals[$0]) }
    }

    /// One query, so that windows are large, over more than one of them.
    @Test(arguments: Metric.allCases, [Shape.clustered, .uniform, .duplicates])
    func severalWindows(metric: Metric, shape: Shape) throws {
        var maker = Maker(shape, dimensions: 20, seed: 102)
        let vectors = (0..<20_000).map { maker.vector($0) }
        try compare(
            vectors,
            [[maker.vector(0)]],
            metric,
            isDead: { $0 % 4 == 1 },
            limits: [1, 10, 300],
            widths: [1, 2]
        )
    }

    @Test func damagedCodesAreNoLoss() throws {
        var maker = Maker(.clustered, dimensions: 64, seed: 96)
        let vectors = (0..<3000).map { maker.vector($0) }
        let query = try query(maker.vector(0), .cosine)
        let fixture = try VectorFixture()
        let written = FixtureSpace(dimensions: 64, metric: .cosine, count: 3000) { vectors[$0] }
        let file = try fixture.open(try fixture.write([written], rowCount: 3000))
        let reference = try #require(try fixture.writeCodes(of: file))
        // In the first and second chunk of the high halves, in the low ones, and in the errors.
        for offset in [5, 100_000, 3000 * 64 + 7, 3000 * 128 + 7].map({ 4096 + 64 + $0 }) {
            #expect(fixture.files.corrupt(path: fixture.codePath(), offset: offset, xor: 4))
            let codes = try fixture.openCodes(reference, of: file).spaces[0]
            let answers = try [codes, nil].map { codes in
                try ExactScan.nearest(
                    [query],
                    in: [ScanSource(space: file.spaces[0], codes: codes, source: 0) { _ in false }],
                    limit: 10,
                    pool: ScanPool(width: 1)
                )
            }
            #expect(answers[0] == answers[1])
            #expect(fixture.files.corrupt(path: fixture.codePath(), offset: offset, xor: 4))
        }
    }

    @Test(arguments: Metric.allCases) func fewFloatsAreScored(metric: Metric) throws {
        var maker = Maker(.uniform, dimensions: 100, seed: 95)
        let vectors = (0..<4000).map { maker.vector($0) }
        let values = maker.vector(0)
        let fixture = try VectorFixture()
        let written = FixtureSpace(dimensions: 100, metric: metric, count: 4000) { vectors[$0] }
        let file = try fixture.open(try fixture.write([written], rowCount: 4000))
        let space = try fixture.openCodes(
            try #require(try fixture.writeCodes(of: file)),
            of: file
        ).spaces[0]
        let query = try query(values, metric)
        let best = try ExactScan.nearest(
            [query],
            in: [ScanSource(space: file.spaces[0], source: 0) { _ in false }],
            limit: 10,
            pool: ScanPool(width: 1)
        )[0]
        let bound = try #require(CodeBound(query, for: space))
        let batch = try CodeBatch(of: space, capacity: 4000)
        let bar = try #require(best.last).key
        let coarse = batch.coarseReaches(ScanOrdinals(0..<4000), bound)
        let coarseCount = coarse.count { $0 >= bound.coarse.threshold(bar) }
        #expect(coarseCount >= 10 && coarseCount < 2000, "\(coarseCount)")
        let ordinals = (0..<UInt32(4000)).map { $0 }
        let wholeCount = ordinals.withUnsafeBufferPointer {
            batch.wholeReaches(ScanOrdinals($0), bound).count { $0 >= bound.whole.threshold(bar) }
        }
        #expect(wholeCount >= 10 && wholeCount < 400, "\(wholeCount)")
    }
}

extension Float {
    /// A power of ten.
    fileprivate static func exponent10(_ exponent: Int) -> Float {
        var result = 1.0
        for _ in 0..<abs(exponent) { result *= 10 }
        return Float(exponent < 0 ? 1 / result : result)
    }
}
