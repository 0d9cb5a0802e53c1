// The hash of keys: fixed values, since filters on disk depend on them, and its spread.

import MoraineBytes
import Testing

@Suite struct HashingTests {
    private func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        withBytes(bytes) { hash64($0, seed: seed) }
    }

    /// Computed by an independent implementation of the four steps in the documentation.
    static let known: [([UInt8], UInt64, UInt64)] = [
        ([], 0, 0x38FD_9494_C8BE_EABF),
        ([], 1, 0xBD23_0D38_124B_175F),
        (Array("a".utf8), 0, 0x9867_0B7E_4AAA_F2DD),
        (Array("moraine".utf8), 0, 0xABB0_380F_2CBB_6CC2),
        (Array("moraines".utf8), 0, 0x2D4B_F515_4BB6_4E06),
        (Array("moraines!".utf8), 0, 0x86EF_44EC_7614_B8BC),
        (Array("0123456789abcdef".utf8), 0, 0xF69E_B4E1_3B90_AA75),
        (Array("0123456789abcdef".utf8), .max, 0x09F8_963E_8A22_C40F),
        ([UInt8](0..<200), 0x0123_4567_89AB_CDEF, 0xAEBE_DFD5_7611_630D),
    ]

    @Test(arguments: known.indices) func valuesNeverChange(index: Int) {
        let (bytes, seed, expected) = HashingTests.known[index]
        #expect(hash(bytes, seed: seed) == expected)
        // The same bytes at an odd address.
        let shifted = withBytes([0] + bytes) {
            hash64(UnsafeRawBufferPointer(rebasing: $0[1...]), seed: seed)
        }
        #expect(shifted == expected)
    }

    @Test func bytesWithoutAnAddressAreEmpty() {
        #expect(hash64(UnsafeRawBufferPointer(start: nil, count: 0), seed: 1) == hash([], seed: 1))
    }

    @Test func zerosOfEveryLengthDiffer() {
        let hashes = (0...300).map { hash([UInt8](repeating: 0, count: $0)) }
        #expect(Set(hashes).count == hashes.count)
    }

    @Test func similarKeysSpreadEvenly() {
        // 200,000 keys over 4,096 buckets, by high and by low bits: chi-squared with 4,095 degrees
        // of freedom has a standard deviation of 90.5.
        let keyCount = 200_000
        let bucketCount = 4096
        var high = [Int](repeating: 0, count: bucketCount)
        var low = high
        var hashes: Set<UInt64> = []
        for number in 0..<keyCount {
            let h = hash(Array("document-\(number)".utf8), seed: 42)
            high[Int(h >> 52)] += 1
            low[Int(h & 4095)] += 1
            hashes.insert(h)
        }
        #expect(hashes.count == keyCount)
        let expected = Double(keyCount) / Double(bucketCount)
        for counts in [high, low] {
            let chiSquared = counts.reduce(0.0) {
                $0 + (Double($1) - expected) * (Double($1) - expected) / expected
            }
            #expect(abs(chiSquared - 4095) < 5 * 90.5)
        }
    }

    @Test(arguments: [1, 7, 8, 16, 23])
    func everyBitOfTheKeyMovesHalfOfTheHash(count: Int) {
        var samples = Samples(seed: 10)
        let trials = 400
        for bit in 0..<(8 * count) {
            var moved = 0
            for _ in 0..<trials {
                var key = samples.bytes(count)
                let before = hash(key)
                key[bit / 8] ^= 1 << UInt8(bit % 8)
                moved += (before ^ hash(key)).nonzeroBitCount
            }
            // Half of 64 bits; the standard deviation of the mean is 0.2.
            #expect(abs(Double(moved) / Double(trials) - 32) < 1.5)
        }
    }
}
