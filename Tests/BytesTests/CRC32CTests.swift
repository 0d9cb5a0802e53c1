// The checksum: known values, the CPU's instruction against the tables, chaining, seeds.

import CKernels
import MoraineBytes
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, appendix B.4, and the usual check value.
    static let vectors: [([UInt8], UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        ([UInt8](0..<32), 0x46DD_794E),
        ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
        (
            [0x01, 0xC0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
                + [0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18]
                + [0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0],
            0xD996_3A56
        ),
        ([], 0),
        (Array("123456789".utf8), 0xE306_9283),
    ]

    @Test(arguments: vectors.indices) func knownValuesMatch(index: Int) {
        let (bytes, expected) = CRC32CTests.vectors[index]
        #expect(withBytes(bytes) { CRC32C.value($0) } == expected)
        #expect(mk_crc32c(0, bytes, bytes.count) == expected)
        #expect(mk_crc32c_software(0, bytes, bytes.count) == expected)
    }

    @Test func emptyBytesWithoutAnAddressAreFine() {
        #expect(CRC32C.value(UnsafeRawBufferPointer(start: nil, count: 0), continuing: 7) == 7)
        #expect(mk_crc32c_software(7, nil, 0) == 7)
    }

    @Test func hardwareEqualsSoftwareAtEveryLengthAndAlignment() {
        var samples = Samples(seed: 1)
        let bytes = samples.bytes(2008)
        withBytes(bytes) { all in
            for alignment in 0..<8 {
                for count in 0...2000 {
                    let part = UnsafeRawBufferPointer(rebasing: all[alignment..<alignment + count])
                    let hardware = mk_crc32c(0, part.baseAddress, count)
                    let software = mk_crc32c_software(0, part.baseAddress, count)
                    if hardware != software {
                        Issue.record("\(count) bytes at alignment \(alignment) differ")
                        return
                    }
                }
            }
        }
    }

    @Test(arguments: [767, 768, 769, 1536, 6143, 6144, 6145, 6912, 12_288, 70_001])
    func hardwareEqualsSoftwareAroundTheStreams(count: Int) {
        var samples = Samples(seed: UInt64(count))
        let bytes = samples.bytes(count)
        #expect(mk_crc32c(9, bytes, count) == mk_crc32c_software(9, bytes, count))
    }

    @Test func everySplitGivesTheSameValue() {
        var samples = Samples(seed: 2)
        let bytes = samples.bytes(1700)
        withBytes(bytes) { all in
            let whole = CRC32C.value(all)
            for split in 0...all.count {
                let head = CRC32C.value(UnsafeRawBufferPointer(rebasing: all[..<split]))
                let tail = UnsafeRawBufferPointer(rebasing: all[split...])
                if CRC32C.value(tail, continuing: head) != whole {
                    Issue.record("split at \(split)")
                }
            }
        }
    }

    @Test func aSeededChecksumIsThatOfTheSeedsAndTheBytes() {
        var seed = ChecksumSeed()
        let bytes = Array("block".utf8)
        #expect(withBytes(bytes, seed.checksum) == withBytes(bytes) { CRC32C.value($0) })
        seed.mix(0x0123_4567_89AB_CDEF)
        seed.mix(4096)
        let written: [UInt8] =
            [0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01] + [0, 0x10, 0, 0, 0, 0, 0, 0]
        #expect(seed.value == withBytes(written) { CRC32C.value($0) })
        #expect(
            withBytes(bytes, seed.checksum) == withBytes(written + bytes) { CRC32C.value($0) }
        )
    }
}
