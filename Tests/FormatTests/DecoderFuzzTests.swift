// Mutated bytes given to every decoder, without the checksums that stand before most of them: a
// value or a typed error, never a trap.

import MoraineBytes
import MoraineFormat
import MoraineTestSupport
import Testing

@Suite struct DecoderFuzzTests {
    private typealias Decoder = @Sendable (UnsafeRawBufferPointer) throws(FormatError) -> Void

    private static let storeID = StoreID(low: 1, high: 2)

    /// What an entry of a table is read with: one after the other to the end.
    private static func entries(
        _ read: @escaping @Sendable (inout ByteReader) throws(FormatError) -> Void
    ) -> Decoder {
        { bytes throws(FormatError) in
            var reader = ByteReader(bytes)
            while !reader.isAtEnd { try read(&reader) }
        }
    }

    private static let decoders: [String: Decoder] = [
        "metadata": { bytes throws(FormatError) in try Metadata.validate(bytes) },
        "edits": entries { (reader) throws(FormatError) in _ = try ManifestEdit.decode(&reader) },
        "commit": { bytes throws(FormatError) in
            var reader = try CommitReader(bytes)
            while !reader.isAtEnd { _ = try reader.next() }
        },
        "document": { bytes throws(FormatError) in
            try DocumentRecord(decoding: bytes).validate()
        },
        "body": entries { (reader) throws(FormatError) in
            try DocumentBody(decoding: &reader).validate()
        },
        "removals": { bytes throws(FormatError) in _ = try Removal.decode(bytes) },
        "expiries": { bytes throws(FormatError) in
            _ = try SegmentExpiry.decode(bytes, collections: [])
        },
        "schema": { bytes throws(FormatError) in
            _ = try SegmentCollection.decode(bytes, rowCount: 100)
        },
        "footer": { bytes throws(FormatError) in
            _ = try FileFooter(decoding: bytes, storeID: storeID)
        },
        "header": { bytes throws(FormatError) in _ = try FileHeader(decoding: bytes) },
        "directory": entries { (reader) throws(FormatError) in
            _ = try SectionEntry(decoding: &reader)
        },
        "record": { bytes throws(FormatError) in
            _ = try LogRecord.decode(bytes, at: 4096, seed: storeID.seed)
        },
        "root": { bytes throws(FormatError) in _ = try Root.decodeCopy(bytes, at: 0) },
        "deletions": { bytes throws(FormatError) in _ = try DeletionSummary(decoding: bytes) },
        "columns": entries { (reader) throws(FormatError) in
            _ = try ColumnEntry(decoding: &reader)
        },
    ]

    @Test(arguments: decoders.keys.sorted())
    func mutatedBytesAreReadOrRefused(name: String) throws {
        let decoder = try #require(Self.decoders[name])
        let files = ["columns", "document", "file-header", "log", "manifest", "root", "segment"]
        let samples = try files.flatMap { try #require(Golden.parts(of: "v1/\($0).hex")) }
            .map(\.bytes).filter { !$0.isEmpty }
        #expect(samples.count > 40)
        var random = SeededChance(seed: 66)
        var counts = (read: 0, refused: 0)
        for _ in 0..<1_500 {
            var bytes = random.pick(samples)
            for _ in 0..<random.below(4) where !bytes.isEmpty { Self.mutate(&bytes, &random) }
            do throws(FormatError) {
                try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                    try decoder(UnsafeRawBufferPointer(buffer))
                }
                counts.read += 1
            } catch {
                counts.refused += 1
            }
        }
        #expect(counts.refused > 500, "\(counts)")
    }

    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededChance) {
        let place = random.below(bytes.count)
        switch random.below(6) {
        case 0: bytes[place] ^= 1 << UInt8(random.below(8))
        case 1: bytes[place] = random.pick([0, 1, 0x7F, 0x80, 0xFF])
        case 2: bytes.removeSubrange(place...)
        case 3: bytes.insert(UInt8(random.below(256)), at: place)
        case 4:
            // The largest numbers of four, eight and varint bytes.
            for index in place..<min(bytes.count, place + random.pick([4, 8, 9])) {
                bytes[index] = 0xFF
            }
        default: bytes.append(contentsOf: bytes[place...])
        }
    }
}

/// Chance from a seed.
private struct SeededChance {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }

    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
}
