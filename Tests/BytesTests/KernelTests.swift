// The distance kernels: every level that this CPU has, against sums in double precision.

import CKernels
import Testing

/// A level of the kernels that this CPU has.
struct Level: CustomTestStringConvertible, Sendable {
    let kernels: mk_kernels
    var testDescription: String { String(cString: kernels.name) }

    static let all: [Level] = [MK_SCALAR, MK_AVX2, MK_AVX512, MK_NEON].compactMap {
        mk_kernels_for(Int32($0.rawValue)).map { Level(kernels: $0.pointee) }
    }
}

@Suite struct KernelTests {
    /// The bound of CKernels.h: `terms` roundings of a sum whose absolute terms give `magnitude`.
    private func bound(_ count: Int, roundings: Int, magnitude: Double) -> Double {
        let u = 0x1p-24
        let m = Double(roundings)
        return m * u / (1 - m * u) * magnitude + Double(count) * 0x1p-149
    }

    /// Checks all four kernels on rows of `count` floats, `offset` floats from an aligned address,
    /// and that the scan of rows gives the bits of the single calls.
    private func check(
        _ level: Level,
        count: Int,
        offset: Int,
        extraStride: Int,
        rowCount: Int,
        _ value: () -> Float
    ) {
        let kernels = level.kernels
        let stride = count + extraStride
        // Rows end where the memory does: the address sanitizer sees a read past them.
        let memory = UnsafeMutableBufferPointer<Float>.allocate(
            capacity: offset + count + rowCount * stride - extraStride
        )
        defer { memory.deallocate() }
        for index in memory.indices { memory[index] = value() }
        guard let base = memory.baseAddress else { return }
        let query = base + offset
        let rows = query + count
        var dots = [Float](repeating: .nan, count: rowCount)
        var squares = dots
        kernels.dot_rows(query, rows, stride, count, rowCount, &dots)
        kernels.squared_l2_rows(query, rows, stride, count, rowCount, &squares)
        for row in 0..<rowCount {
            let other = rows + row * stride
            var dot = 0.0
            var dotMagnitude = 0.0
            var square = 0.0
            for index in 0..<count {
                let a = Double(query[index])
                let b = Double(other[index])
                dot += a * b
                dotMagnitude += abs(a * b)
                square += (a - b) * (a - b)
            }
            let label: Comment = "\(count) floats, offset \(offset), row \(row)"
            // The sums in double precision have an error of their own.
            let slack = 1 + 0x1p-30
            let dotBound = bound(count, roundings: count, magnitude: dotMagnitude) * slack
            let squareBound = bound(count, roundings: count + 2, magnitude: square) * slack
            #expect(abs(Double(dots[row]) - dot) <= dotBound, label)
            #expect(abs(Double(squares[row]) - square) <= squareBound, label)
            #expect(kernels.dot(query, other, count).bitPattern == dots[row].bitPattern, label)
            #expect(
                kernels.squared_l2(query, other, count).bitPattern == squares[row].bitPattern,
                label
            )
        }
    }

    @Test func theScalarLevelIsAlwaysThereAndUnknownOnesAreNot() {
        #expect(mk_kernels_for(Int32(MK_SCALAR.rawValue)) != nil)
        #expect(mk_kernels_for(-1) == nil)
        #expect(mk_kernels_for(4) == nil)
        for level in Level.all {
            let found = mk_kernels_for(level.kernels.level)
            #expect(found?.pointee.level == level.kernels.level)
        }
    }

    @Test func theBestLevelIsOneOfThemAndStays() {
        let best = mk_kernels_best()
        #expect(best == mk_kernels_best())
        #expect(best == mk_kernels_for(best.pointee.level))
        #expect(Level.all.count == 1 || best.pointee.level != Int32(MK_SCALAR.rawValue))
    }

    @Test(arguments: Level.all)
    func everyLengthAndAlignmentIsWithinTheBound(level: Level) {
        var samples = Samples(seed: 20)
        for count in 0...200 {
            for offset in [0, 1, 3, 7, 13] {
                check(
                    level,
                    count: count,
                    offset: offset,
                    extraStride: offset % 4,
                    rowCount: 2
                ) { samples.float(in: -1...1) }
            }
        }
    }

    @Test(arguments: Level.all, [384, 385, 767, 768, 1536, 4096])
    func realDimensionsAreWithinTheBound(level: Level, count: Int) {
        var samples = Samples(seed: 21)
        check(level, count: count, offset: 1, extraStride: 0, rowCount: 12) {
            samples.float(in: -1...1)
        }
        // All of one sign: nothing cancels, errors add up.
        check(level, count: count, offset: 0, extraStride: 5, rowCount: 12) {
            samples.float(in: 0.5...1)
        }
    }

    @Test(
        arguments: Level.all,
        [Float(0x1p-149), 0x1p-138, 0x1p-129, 0x1p-75, 0x1p-66, 0x1p50, 0x1p58]
    )
    func extremeScalesAreWithinTheBound(level: Level, scale: Float) {
        var samples = Samples(seed: 22)
        for count in [1, 2, 5, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 200] {
            check(level, count: count, offset: 1, extraStride: 1, rowCount: 3) {
                samples.float(in: -1...1) * scale
            }
        }
    }

    @Test(arguments: Level.all)
    func mixedScalesAreWithinTheBound(level: Level) {
        var samples = Samples(seed: 23)
        for count in stride(from: 1, through: 200, by: 7) {
            check(level, count: count, offset: 3, extraStride: 0, rowCount: 3) {
                let exponent = Int(samples.next() % 100) - 50
                return Float(sign: .plus, exponent: exponent, significand: 1)
                    * samples.float(in: -2...2)
            }
        }
    }

    @Test(arguments: Level.all)
    func subnormalProductsAreKept(level: Level) {
        let tiny: [Float] = [Float.leastNonzeroMagnitude, 0x1p-140]
        let ones: [Float] = [1, 1]
        #expect(level.kernels.dot(tiny, ones, 2) == Float.leastNonzeroMagnitude + 0x1p-140)
        let roots: [Float] = [0x1p-70, 0x1p-72]
        #expect(level.kernels.squared_l2(roots, [0, 0], 2) == 0x1p-140 + 0x1p-144)
    }

    @Test(arguments: Level.all)
    func infinitiesAndNaNsComeThrough(level: Level) {
        for position in [0, 7, 15, 16, 40, 64, 79, 99] {
            var row = [Float](repeating: 1, count: 100)
            let ones = row
            row[position] = .infinity
            #expect(level.kernels.dot(ones, row, 100) == .infinity)
            #expect(level.kernels.squared_l2(ones, row, 100) == .infinity)
            row[position] = .nan
            #expect(level.kernels.dot(ones, row, 100).isNaN)
            #expect(level.kernels.squared_l2(ones, row, 100).isNaN)
        }
        #expect(
            level.kernels.dot([.greatestFiniteMagnitude, 1], [.greatestFiniteMagnitude, 1], 2)
                == .infinity
        )
    }

    @Test(arguments: Level.all)
    func onlyWhatWasAskedForIsWritten(level: Level) {
        var out = [Float](repeating: 7, count: 12)
        let rows = [Float](repeating: 2, count: 400)
        level.kernels.dot_rows(rows, rows, 20, 18, 0, &out)
        #expect(out.allSatisfy { $0 == 7 })
        for rowCount in 1...10 {
            level.kernels.dot_rows(rows, rows, 20, 18, rowCount, &out)
            #expect(out[..<rowCount].allSatisfy { $0 == 72 })
            #expect(out[rowCount...].allSatisfy { $0 == 7 })
        }
    }

    @Test(arguments: Level.all)
    func longScansGiveTheBitsOfSingleCalls(level: Level) {
        // Enough rows for the part that prefetches and for the part that does not, in every
        // ratio of row size to prefetch distance.
        var samples = Samples(seed: 24)
        for count in [1, 3, 16, 50, 128, 384] {
            let rowCount = 9000 / count + 40
            let rows = (0..<(rowCount * count)).map { _ in samples.float(in: -1...1) }
            let query = Array(rows.suffix(count))
            var dots = [Float](repeating: 0, count: rowCount)
            var squares = dots
            level.kernels.dot_rows(query, rows, count, count, rowCount, &dots)
            level.kernels.squared_l2_rows(query, rows, count, count, rowCount, &squares)
            rows.withUnsafeBufferPointer { all in
                for row in 0..<rowCount {
                    guard let other = all.baseAddress.map({ $0 + row * count }) else { return }
                    let dot = level.kernels.dot(query, other, count)
                    let square = level.kernels.squared_l2(query, other, count)
                    if dot.bitPattern != dots[row].bitPattern
                        || square.bitPattern != squares[row].bitPattern
                    {
                        Issue.record("\(count) floats, row \(row)")
                    }
                }
            }
        }
    }

    @Test func squaresAreAddedInTheOrderOfTheFormat() {
        var samples = Samples(seed: 5)
        for count in [0, 1, 7, 8, 9, 16, 383, 384, 385] {
            let values = (0..<count).map { _ in Float.random(in: -2...2, using: &samples) }
            var s = [Double](repeating: 0, count: 8)
            for (place, value) in values.enumerated() {
                s[place % 8] += Double(value) * Double(value)
            }
            let wanted = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
            #expect(mk_square_sum(values, count) == wanted, "\(count) numbers")
        }
        #expect(mk_square_sum([3, .nan, 1], 3).isNaN)
        #expect(mk_square_sum([3, -.infinity, 1], 3) == .infinity)
    }
}
