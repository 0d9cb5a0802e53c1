// Norms, validation and scores against plain f64 arithmetic.

import CKernels
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineVectors

/// A query's or a row's numbers in place, for a test's short use.
func withVector<R, E: Error>(
    _ values: [Float],
    _ body: (UnsafeBufferPointer<Float>) throws(E) -> R
) throws(E) -> R {
    try values.withUnsafeBufferPointer { buffer throws(E) -> R in try body(buffer) }
}

func query(_ values: [Float], _ metric: Metric) throws(StoreError) -> QueryVector {
    try withVector(values) { buffer throws(StoreError) in
        try QueryVector(buffer, metric: metric)
    }
}

func norm(_ values: [Float]) -> Float {
    withVector(values) { buffer in
        buffer.baseAddress.map { VectorMath.norm($0, dimensions: buffer.count) } ?? 0
    }
}

/// The score in f64 and how far the f32 score may be from it.
func reference(_ q: [Float], _ v: [Float], _ metric: Metric) -> (score: Double, bound: Double) {
    func gamma(_ m: Int) -> Double {
        let unit = 0x1p-24 * Double(m)
        return unit / (1 - unit)
    }
    let pairs = zip(q, v).map { (Double($0), Double($1)) }
    let dot = pairs.reduce(0) { $0 + $1.0 * $1.1 }
    let magnitude = pairs.reduce(0) { $0 + abs($1.0 * $1.1) }
    let tiny = Double(q.count) * 0x1p-149
    switch metric {
    case .dot: return (dot, gamma(q.count) * magnitude + tiny)
    case .l2:
        let sum = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return (sum, gamma(q.count + 2) * sum + tiny)
    case .cosine:
        let norms =
            (q.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot()
            * (v.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot()
        // Two rounded norms and a rounded quotient on top of the sum.
        let bound = (gamma(q.count) * magnitude + tiny) / norms + 4 * 0x1p-24
        return (dot / norms, bound)
    }
}

struct ScoreTests {
    static let dimensions = Array(1...130) + [384, 768, 16_384]

    @Test(arguments: Metric.allCases) func scoresAreWithinTheBoundOfF64(metric: Metric) throws {
        var random = SplitMix(seed: 11)
        for dimensions in Self.dimensions {
            let q = random.vector(dimensions)
            let ready = try query(q, metric)
            for scale in [Float(1), 1e-9, 1e9] {
                let v = random.vector(dimensions).map { $0 * scale }
                let score = withVector(v) { buffer in
                    buffer.baseAddress.map { ready.score($0, norm: norm(v)) } ?? .nan
                }
                let (exact, bound) = reference(q, v, metric)
                #expect(
                    abs(Double(score) - exact) <= bound,
                    "\(metric) \(dimensions) \(scale)"
                )
            }
        }
    }

    @Test(arguments: Metric.allCases, [MK_SCALAR, MK_AVX2, MK_AVX512, MK_NEON].map { $0.rawValue })
    func oneRowAndManyRowsHaveTheSameBits(metric: Metric, level: UInt32) throws {
        guard let kernels = mk_kernels_for(Int32(level)) else { return }
        var random = SplitMix(seed: 12)
        for dimensions in [1, 3, 15, 16, 17, 63, 64, 65, 100, 384] {
            let stride = (dimensions + 15) / 16 * 16
            let count = 37
            var rows: [Float] = []
            var norms: [Float] = []
            for _ in 0..<count {
                let row = random.vector(dimensions)
                norms.append(norm(row))
                rows += row + [Float](repeating: 0, count: stride - dimensions)
            }
            let ready = try withVector(random.vector(dimensions)) { buffer throws(StoreError) in
                try QueryVector(buffer, metric: metric, kernels: kernels)
            }
            var many = [Float](repeating: .nan, count: count)
            let one: [Float] = rows.withUnsafeBufferPointer { rows in
                guard let base = rows.baseAddress else { return [] }
                norms.withUnsafeBufferPointer { norms in
                    many.withUnsafeMutableBufferPointer { many in
                        guard let norms = norms.baseAddress, let many = many.baseAddress else {
                            return
                        }
                        ready.scores(
                            of: base,
                            stride: stride,
                            norms: norms,
                            count: count,
                            into: many
                        )
                    }
                }
                return (0..<count).map { ready.score(base + $0 * stride, norm: norms[$0]) }
            }
            #expect(one.map(\.bitPattern) == many.map(\.bitPattern))
        }
    }

    @Test func keysOrderAsScoresDoAndGiveThemBack() {
        var scores: [Float] = [
            -.infinity, -.greatestFiniteMagnitude, -1.5, -.leastNonzeroMagnitude, 0,
            .leastNonzeroMagnitude, 1e-30, 1, Float(1).nextUp, 1e30, .greatestFiniteMagnitude,
            .infinity,
        ]
        for metric in Metric.allCases {
            if metric == .l2 { scores.reverse() }
            let keys = scores.map { Score.key($0, metric) }
            #expect(keys == keys.sorted() && Set(keys).count == keys.count)
            #expect(keys.map { Score.value(ofKey: $0, metric) } == scores)
            #expect(keys.allSatisfy { $0 > 0 })
            for nan in [Float.nan, -Float.nan, .signalingNaN] {
                #expect(Score.key(nan, metric) == 0)
            }
            if metric == .l2 { scores.reverse() }
        }
    }

    @Test func zerosOfEitherSignAreOneScore() {
        for metric in Metric.allCases {
            let score = Score.value(-0.0, metric, queryNorm: 1, norm: 1)
            #expect(score.bitPattern == Float(0).bitPattern)
        }
    }

    @Test func scoresOfValidVectorsAreFiniteEvenAtTheLimits() throws {
        let large = Float.greatestFiniteMagnitude.squareRoot().nextDown
        let vectors: [[Float]] = [
            [large, 0], [-large, 0], [0.7 * large, 0.7 * large], [.leastNonzeroMagnitude, 0],
            [0, -.leastNonzeroMagnitude], [1e-30, 1e-30], [1, -1],
        ]
        for metric in Metric.allCases {
            for q in vectors {
                let ready = try query(q, metric)
                for v in vectors {
                    let score = withVector(v) { buffer in
                        buffer.baseAddress.map { ready.score($0, norm: norm(v)) } ?? .nan
                    }
                    #expect(score.isFinite, "\(metric) \(q) \(v)")
                }
            }
        }
    }

    @Test func underCosineLengthsDoNotMatter() throws {
        var random = SplitMix(seed: 14)
        let (q, v) = (random.vector(384), random.vector(384))
        func score(_ q: [Float], _ v: [Float]) throws -> Float {
            let ready = try query(q, .cosine)
            let one = withVector(v) { buffer in
                buffer.baseAddress.map { ready.score($0, norm: norm(v)) } ?? .nan
            }
            var many: [Float] = [.nan, .nan]
            (v + v).withUnsafeBufferPointer { rows in
                [norm(v), norm(v)].withUnsafeBufferPointer { norms in
                    many.withUnsafeMutableBufferPointer { many in
                        guard let rows = rows.baseAddress, let norms = norms.baseAddress,
                            let many = many.baseAddress
                        else { return }
                        ready.scores(of: rows, stride: v.count, norms: norms, count: 2, into: many)
                    }
                }
            }
            #expect(many == [one, one])
            return one
        }
        let wanted = try score(q, v)
        for exponent in [-100, -90, -63, -40, 40, 58] {
            let scale = Float(sign: .plus, exponent: exponent, significand: 1)
            let (short, other) = (q.map { $0 * scale }, v.map { $0 * scale })
            // Of the numbers next to 0 some lose bits when they are made so short.
            #expect(abs(try score(short, v) - wanted) < 1e-6, "\(exponent)")
            #expect(abs(try score(q, other) - wanted) < 1e-6, "\(exponent)")
            #expect(abs(try score(short, other) - wanted) < 1e-6, "\(exponent)")
        }
        let least = Float.leastNonzeroMagnitude
        for (q, v, wanted) in [
            ([least, least], [1, 0], Float(0.5).squareRoot()), ([least, 2 * least], [2, 1], 0.8),
            ([1, 0], [least, least], Float(0.5).squareRoot()), ([1, 2], [least, 2 * least], 1),
            ([least, 3 * least], [3 * least, least], 0.6), ([least, least], [least, -least], 0),
        ] as [([Float], [Float], Float)] {
            #expect(abs(try score(q, v) - wanted) < 1e-6, "\(q) \(v)")
        }
    }

    @Test func normsAreTheRootOfEightF64SumsRounded() {
        #expect(norm([3, 4]) == 5)
        #expect(norm([0, 0]) == 0)
        #expect(norm([.leastNonzeroMagnitude]) == .leastNonzeroMagnitude)
        var random = SplitMix(seed: 13)
        for dimensions in [1, 2, 7, 384, 16_384] {
            let vector = random.vector(dimensions)
            // format-spec/vector.md, "Norms".
            var s = [Double](repeating: 0, count: 8)
            for (index, value) in vector.enumerated() {
                s[index % 8] += Double(value) * Double(value)
            }
            let sum = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
            #expect(norm(vector) == Float(sum.squareRoot()))
        }
    }

    @Test func invalidVectorsAreRefusedWithTheirComponent() throws {
        func refusal(_ values: [Float], _ metric: Metric) -> StoreError? {
            do throws(StoreError) {
                _ = try query(values, metric)
                return nil
            } catch {
                return error
            }
        }
        for metric in Metric.allCases {
            for bad in [Float.nan, .infinity, -.infinity, 1e20, -2e19] {
                for place in [0, 1, 4] {
                    var values: [Float] = [1, 2, 3, 4, 5]
                    values[place] = bad
                    let error = refusal(values, metric)
                    #expect(error?.code == .invalidVector)
                    #expect(error?.message.contains("component \(place)") == true)
                }
            }
            // Each square fits, their sum does not.
            let sum = refusal([1.5e19, 1, 1.5e19, 1], metric)
            #expect(sum?.message.contains("component 2") == true)
            #expect(refusal([1.8e19, 0], metric) == nil)
            #expect(refusal([0, .leastNonzeroMagnitude], metric) == nil)
        }
        #expect(refusal([0, -0.0, 0], .cosine)?.code == .invalidVector)
        #expect(refusal([0, 0], .dot) == nil)
        #expect(refusal([0, 0], .l2) == nil)
    }
}
