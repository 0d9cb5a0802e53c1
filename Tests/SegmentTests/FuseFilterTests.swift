// The filter lets every key through, and few others.

import MoraineBytes
import MoraineFormat
import Testing

@testable import MoraineSegments

@Suite struct FuseFilterTests {
    private func mayContain(_ filter: FuseFilter, _ hash: UInt64) -> Bool {
        guard filter.header.arrayLength > 0 else { return true }
        let (a, b, c) = filter.header.places(of: hash)
        let sum = filter.fingerprints[a] ^ filter.fingerprints[b] ^ filter.fingerprints[c]
        return sum == KeyFilterHeader.fingerprint(of: hash)
    }

    private func check(_ filter: FuseFilter) throws {
        var writer = ByteWriter()
        filter.header.encode(into: &writer)
        let decoded = try writer.withBytes { bytes throws(FormatError) in
            try KeyFilterHeader(decoding: bytes)
        }
        #expect(decoded == filter.header)
        #expect(filter.fingerprints.count == Int(filter.header.arrayLength))
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 7, 10, 33, 100, 1_000, 30_000])
    func everyKeyPassesAndFewOthers(count: Int) throws {
        for seed in 0..<UInt64(count < 1_000 ? 40 : 1) {
            var random = SplitMix(seed: seed)
            let hashes = (0..<count).map { _ in random.next() }
            let filter = FuseFilter(hashes: hashes, seed: seed)
            try check(filter)
            #expect(filter.header.arrayLength > 0, "the keys could not be peeled")
            #expect(hashes.allSatisfy { mayContain(filter, $0) })
            if count >= 1_000 {
                let passed = (0..<20_000).filter { _ in mayContain(filter, random.next()) }.count
                #expect(passed < 200, "\(passed) of 20,000; one in 256 is expected")
                #expect(filter.fingerprints.count < count * 3 / 2)
            }
        }
    }

    @Test func equalHashesAreNoObstacle() throws {
        for count in [2, 3, 50] {
            let filter = FuseFilter(
                hashes: (0..<count).map { UInt64($0 / 2) &* 0x9E37_79B9_7F4A_7C15 },
                seed: 1
            )
            try check(filter)
            #expect(filter.header.arrayLength > 0)
            #expect(
                (0..<count).allSatisfy {
                    mayContain(filter, UInt64($0 / 2) &* 0x9E37_79B9_7F4A_7C15)
                }
            )
        }
    }

    /// Hashes that have the same three places and other fingerprints can never be told apart.
    @Test func hopelessKeysGetAFilterThatLetsAllThrough() throws {
        let filter = FuseFilter(hashes: [1 << 50, 1 << 50 | 1 << 40, 1 << 50 | 1 << 41], seed: 1)
        try check(filter)
        #expect(filter.header.arrayLength == 0 && filter.header.keyCount == 3)
    }
}
