// The plain read that scans are measured against: it must read every word once.

import CKernels
import Testing

@Suite struct ReadSumTests {
    /// The sum of the whole words, one after the other.
    private func expected(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum: UInt64 = 0
        for word in 0..<(bytes.count / 8) {
            sum &+= bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
        }
        return sum
    }

    @Test func everyLengthAndAlignmentSumsItsWholeWords() {
        var samples = Samples(seed: 30)
        for start in [0, 1, 7, 8, 33] {
            for count in Array(0...600) + [4096, 65_537] {
                // The memory ends where the bytes do: the address sanitizer sees a read past them.
                let memory = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: start + count,
                    alignment: 64
                )
                defer { memory.deallocate() }
                memory.copyBytes(from: samples.bytes(start + count))
                let bytes = UnsafeRawBufferPointer(rebasing: memory[start...])
                #expect(
                    mk_read_sum(bytes.baseAddress, count) == expected(bytes),
                    "\(count) bytes from \(start)"
                )
            }
        }
    }

    @Test func noBytesNeedNoMemory() {
        #expect(mk_read_sum(nil, 0) == 0)
    }

    @Test func sumsWrapAround() {
        let ones = [UInt64](repeating: .max, count: 100)
        #expect(mk_read_sum(ones, 800) == 0 &- 100)
    }
}
