// The codecs: what goes in comes out, and no damage traps or writes outside the buffer.

import MoraineBytes
import Testing

@Suite struct CodecTests {
    /// Decompresses between two guards and tells whether the guards survived.
    private func decompress(_ codec: Codec, _ source: [UInt8], rawCount: Int) throws(FormatError)
        -> [UInt8]
    {
        let guardCount = 64
        var memory = [UInt8](repeating: 0xA5, count: rawCount + 2 * guardCount)
        var failure: FormatError?
        memory.withUnsafeMutableBytes { all in
            let target = UnsafeMutableRawBufferPointer(
                rebasing: all[guardCount..<guardCount + rawCount]
            )
            do throws(FormatError) {
                try withBytes(source) { (bytes) throws(FormatError) in
                    try codec.decompress(bytes, into: target)
                }
            } catch {
                failure = error
            }
        }
        #expect(memory.prefix(guardCount).allSatisfy { $0 == 0xA5 })
        #expect(memory.suffix(guardCount).allSatisfy { $0 == 0xA5 })
        if let failure { throw failure }
        return Array(memory[guardCount..<guardCount + rawCount])
    }

    private func compress(_ codec: Codec, _ source: [UInt8]) -> [UInt8] {
        withBytes(source) { codec.compress($0) }
    }

    /// Whether the error is the one that damage must give.
    private func isRefused(_ codec: Codec, _ source: [UInt8], rawCount: Int) -> Bool {
        do throws(FormatError) {
            _ = try decompress(codec, source, rawCount: rawCount)
            return false
        } catch {
            return error.kind == .compression && error.offset == 0
        }
    }

    @Test func rawValuesAreThoseOnDisk() {
        #expect(Codec.allCases.map(\.rawValue) == [1, 2, 3])
        #expect(Codec(rawValue: 0) == nil)
    }

    @Test(arguments: Codec.allCases)
    func whatGoesInComesOut(codec: Codec) throws {
        var samples = Samples(seed: 3)
        for count in Array(0...70) + [4096, 16_384, 65_536, 300_000] {
            for source in [
                samples.text(count), samples.bytes(count), [UInt8](repeating: 0, count: count),
            ] {
                let stored = compress(codec, source)
                #expect(try decompress(codec, stored, rawCount: count) == source)
            }
        }
    }

    @Test(arguments: [Codec.lz4, .deflate])
    func textShrinks(codec: Codec) {
        var samples = Samples(seed: 4)
        #expect(compress(codec, samples.text(5000)).count < 2500)
    }

    @Test(arguments: Codec.allCases)
    func anotherRawSizeIsRefused(codec: Codec) {
        var samples = Samples(seed: 5)
        for source in [samples.text(1000), samples.bytes(1000)] {
            let stored = compress(codec, source)
            for rawCount in [0, 1, 999, 1001, 2000, 70_000] {
                #expect(isRefused(codec, stored, rawCount: rawCount))
            }
        }
    }

    @Test(arguments: Codec.allCases)
    func everyTruncationIsRefused(codec: Codec) {
        var samples = Samples(seed: 6)
        let stored = compress(codec, samples.text(700))
        for count in 0..<stored.count {
            #expect(isRefused(codec, Array(stored.prefix(count)), rawCount: 700))
        }
    }

    @Test(arguments: Codec.allCases)
    func trailingBytesAreRefused(codec: Codec) {
        var samples = Samples(seed: 7)
        let stored = compress(codec, samples.text(700))
        for junk in [[0], [0xFF], [UInt8](repeating: 0, count: 40), stored] {
            #expect(isRefused(codec, stored + junk, rawCount: 700))
        }
    }

    @Test(arguments: Codec.allCases)
    func noCorruptedByteTraps(codec: Codec) {
        var samples = Samples(seed: 8)
        let source = samples.text(300)
        let stored = compress(codec, source)
        for index in stored.indices {
            for value in UInt8.min...UInt8.max where value != stored[index] {
                var damaged = stored
                damaged[index] = value
                let raw = try? decompress(codec, damaged, rawCount: 300)
                // zlib's stream carries an Adler-32: what it accepts is what was meant.
                if codec == .deflate, let raw { #expect(raw == source) }
            }
        }
    }

    @Test(arguments: Codec.allCases)
    func randomBytesDoNotTrap(codec: Codec) {
        var samples = Samples(seed: 9)
        for _ in 0..<3000 {
            let count = Int(samples.next() % 80)
            var source = samples.bytes(count)
            if codec == .deflate, count >= 2 { source.replaceSubrange(0..<2, with: [0x78, 0x9C]) }
            _ = try? decompress(codec, source, rawCount: Int(samples.next() % 300))
        }
    }

    @Test(arguments: [Codec.lz4, .deflate])
    func aBombStaysWithinItsBuffer(codec: Codec) {
        let stored = compress(codec, [UInt8](repeating: 0, count: 8 << 20))
        #expect(stored.count < 64 << 10)
        #expect(isRefused(codec, stored, rawCount: 4096))
    }
}
