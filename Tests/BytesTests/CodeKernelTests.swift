// The kernels for codes: every level that this CPU has gives the sums of a plain loop.

import CKernels
import Testing

/// A level of the code kernels that this CPU has.
struct CodeLevel: CustomTestStringConvertible, Sendable {
    let kernels: mk_code_kernels
    var testDescription: String { String(cString: kernels.name) }

    static let all: [CodeLevel] = [
        MK_CODES_SCALAR, MK_CODES_AVX2, MK_CODES_VNNI, MK_CODES_NEON,
    ].compactMap { mk_code_kernels_for(Int32($0.rawValue)).map { CodeLevel(kernels: $0.pointee) } }
}

@Suite struct CodeKernelTests {
    private func sum(_ code: ArraySlice<UInt8>, _ query: [Int8]) -> Int32 {
        zip(code, query).reduce(0) { $0 + Int32($1.0) * Int32($1.1) }
    }

    private func check(_ level: CodeLevel, codes: [UInt8], _ high: [Int8], _ low: [Int8]) {
        let kernels = level.kernels
        let n = high.count
        let count = codes.count / n
        let wanted = [high, low].map { query in
            (0..<count).map { sum(codes[($0 * n)..<(($0 + 1) * n)], query) }
        }
        let label: Comment = "\(count) codes of \(n)"
        var rows = [Int32](repeating: -1, count: count)
        kernels.dot_rows(codes, n, count, high, &rows)
        #expect(rows == wanted[0], label)
        let ids = (0..<count).map { UInt32(($0 * 7 + 3) % count) }
        kernels.dot_list(codes, n, ids, count, low, &rows)
        #expect(rows == ids.map { wanted[1][Int($0)] }, label)
        var lows = rows
        kernels.dot_planes(codes, n, count, high, low, &rows, &lows)
        #expect(rows == wanted[0] && lows == wanted[1], label)
        codes.withUnsafeBufferPointer { codes in
            guard let base = codes.baseAddress else { return }
            for row in 0..<count {
                #expect(kernels.dot(base + row * n, high, n) == wanted[0][row], label)
            }
        }
    }

    @Test func theScalarLevelIsAlwaysThereAndUnknownOnesAreNot() {
        #expect(mk_code_kernels_for(Int32(MK_CODES_SCALAR.rawValue)) != nil)
        #expect(mk_code_kernels_for(-1) == nil)
        #expect(mk_code_kernels_for(4) == nil)
        for level in CodeLevel.all {
            let found = mk_code_kernels_for(level.kernels.level)
            #expect(found?.pointee.level == level.kernels.level)
        }
    }

    @Test func theBestLevelIsOneOfThemAndStays() {
        let best = mk_code_kernels_best()
        #expect(best == mk_code_kernels_best())
        #expect(best == mk_code_kernels_for(best.pointee.level))
        let level = best.pointee.level
        #expect(CodeLevel.all.count == 1 || level != Int32(MK_CODES_SCALAR.rawValue))
    }

    @Test(arguments: CodeLevel.all) func randomCodesGiveTheSumsOfAPlainLoop(level: CodeLevel) {
        var samples = Samples(seed: 60)
        for n in stride(from: 64, through: 1024, by: 64) {
            for count in [1, 3, 4, 9, 21] {
                let codes = (0..<(n * count)).map { _ in UInt8.random(in: 1...255, using: &samples)
                }
                let queries = (0..<2).map { _ in
                    (0..<n).map { _ in Int8.random(in: -127...127, using: &samples) }
                }
                check(level, codes: codes, queries[0], queries[1])
            }
        }
    }

    @Test(arguments: CodeLevel.all) func theLargestSumsDoNotOverflow(level: CodeLevel) {
        let n = 16_384
        for code: UInt8 in [1, 128, 255] {
            let codes = [UInt8](repeating: code, count: 5 * n)
            check(
                level,
                codes: codes,
                [Int8](repeating: 127, count: n),
                [Int8](repeating: -127, count: n)
            )
        }
    }
}
