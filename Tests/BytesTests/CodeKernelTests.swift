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

/// Codes of so many bytes, whole and in halves.
private struct Codes {
    let n: Int
    let bytes: [UInt8]
    var high: [UInt8]
    var low: [UInt8]

    init(_ bytes: [UInt8], of n: Int) {
        self.n = n
        self.bytes = bytes
        high = []
        low = []
        for start in stride(from: 0, to: bytes.count, by: n) {
            let (one, two) = (bytes[start..<(start + n / 2)], bytes[(start + n / 2)..<(start + n)])
            high += zip(one, two).map { $0 >> 4 | $1 & 0xF0 }
            low += zip(one, two).map { $0 & 0x0F | $1 << 4 }
        }
    }

    var count: Int { bytes.count / n }

    func sums(_ query: [Int8], coarse: Bool) -> [Int32] {
        (0..<count).map { code in
            zip(bytes[(code * n)..<((code + 1) * n)], query).reduce(0) {
                $0 + Int32(coarse ? $1.0 >> 4 : $1.0) * Int32($1.1)
            }
        }
    }
}

@Suite struct CodeKernelTests {
    private func check(_ level: CodeLevel, _ codes: Codes, _ one: [Int8], _ two: [Int8]) {
        let kernels = level.kernels
        let (count, half) = (codes.count, codes.n / 2)
        let label: Comment = "\(count) codes of \(codes.n)"
        let ids = (0..<count).map { UInt32(($0 * 7 + 3) % count) }
        func listed(_ sums: [Int32]) -> [Int32] { ids.map { sums[Int($0)] } }
        var sums = [Int32](repeating: -1, count: count)
        kernels.dot_list(codes.high, codes.low, half, ids, count, one, &sums)
        #expect(sums == listed(codes.sums(one, coarse: false)), label)
        var others = sums
        kernels.dot_pair(codes.high, codes.low, half, ids, count, two, one, &others, &sums)
        #expect(others == listed(codes.sums(two, coarse: false)), label)
        #expect(sums == listed(codes.sums(one, coarse: false)), label)
        kernels.coarse_list(codes.high, half, ids, count, two, &sums)
        #expect(sums == listed(codes.sums(two, coarse: true)), label)
        kernels.coarse_rows(codes.high, half, count, one, &sums)
        #expect(sums == codes.sums(one, coarse: true), label)
    }

    @Test func codesAreSplitAndJoined() {
        var samples = Samples(seed: 61)
        let bytes = (0..<256).map { _ in UInt8.random(in: 0...255, using: &samples) }
        let codes = Codes(bytes, of: 256)
        var (high, low) = ([UInt8](repeating: 0, count: 128), [UInt8](repeating: 0, count: 128))
        mk_split_code(bytes, 256, &high, &low)
        #expect(high == codes.high && low == codes.low)
        var joined = [UInt8](repeating: 0, count: 256)
        mk_join_code(high, low, 256, &joined)
        #expect(joined == bytes)
        var values = [Int8](repeating: 0, count: 256)
        let offset = mk_code_as_query(high, low, 256, &values)
        #expect(values == bytes.map { Int8(Int($0) - 128) })
        #expect(offset == 128 * values.reduce(Int32(0)) { $0 + Int32($1) })
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
        for n in stride(from: 128, through: 1024, by: 128) {
            for count in [1, 3, 4, 9, 21] {
                let bytes = (0..<(n * count)).map { _ in UInt8.random(in: 0...255, using: &samples)
                }
                let queries = (0..<2).map { _ in
                    (0..<n).map { _ in Int8.random(in: -127...127, using: &samples) }
                }
                check(level, Codes(bytes, of: n), queries[0], queries[1])
            }
        }
    }

    @Test(arguments: CodeLevel.all) func theLargestSumsDoNotOverflow(level: CodeLevel) {
        let n = 16_384
        for code: UInt8 in [1, 128, 255] {
            check(
                level,
                Codes([UInt8](repeating: code, count: 5 * n), of: n),
                [Int8](repeating: 127, count: n),
                [Int8](repeating: -127, count: n)
            )
        }
    }
}
