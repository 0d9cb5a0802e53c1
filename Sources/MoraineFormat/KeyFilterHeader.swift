// The head of the filter of a key file. Bytes: format-spec/key.md, "Filter".

package import MoraineBytes

/// The shape of a binary fuse filter.
///
/// All zero but the seed: every key may be present.
package struct KeyFilterHeader: Sendable, Equatable {
    package static let byteCount = 24
    package static let maximumSegmentLength: UInt32 = 262_144

    package static let layout = [
        ByteField("seed", offset: 0, size: 8, type: "u64"),
        ByteField("segmentLength", offset: 8, size: 4, type: "u32"),
        ByteField("segmentCountLength", offset: 12, size: 4, type: "u32"),
        ByteField("arrayLength", offset: 16, size: 4, type: "u32"),
        ByteField("keyCount", offset: 20, size: 4, type: "u32"),
        ByteField("fingerprints", offset: 24, size: nil, type: "u8[]"),
    ]

    package var seed: UInt64
    package var segmentLength: UInt32
    package var segmentCountLength: UInt32
    package var arrayLength: UInt32
    package var keyCount: UInt32

    package init(
        seed: UInt64,
        segmentLength: UInt32,
        segmentCountLength: UInt32,
        arrayLength: UInt32,
        keyCount: UInt32
    ) {
        self.seed = seed
        self.segmentLength = segmentLength
        self.segmentCountLength = segmentCountLength
        self.arrayLength = arrayLength
        self.keyCount = keyCount
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt64(seed)
        writer.writeUInt32(segmentLength)
        writer.writeUInt32(segmentCountLength)
        writer.writeUInt32(arrayLength)
        writer.writeUInt32(keyCount)
    }

    /// Reads a header and checks that its positions stay inside the array.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes)
        seed = try reader.readUInt64("seed")
        segmentLength = try reader.readUInt32("segmentLength")
        segmentCountLength = try reader.readUInt32("segmentCountLength")
        arrayLength = try reader.readUInt32("arrayLength")
        keyCount = try reader.readUInt32("keyCount")
        if segmentLength == 0, segmentCountLength == 0, arrayLength == 0 { return }
        let length = UInt64(segmentLength)
        guard length.nonzeroBitCount == 1, segmentLength <= KeyFilterHeader.maximumSegmentLength,
            segmentCountLength > 0, UInt64(segmentCountLength) % length == 0,
            UInt64(arrayLength) == UInt64(segmentCountLength) + 2 * length
        else {
            throw FormatError(
                .range,
                at: 8,
                field: "segmentLength",
                expected: "a filter's lengths",
                found: "\(segmentLength), \(segmentCountLength), \(arrayLength)"
            )
        }
    }

    /// The three places that a key's hash has in the array.
    @inline(__always)
    package func places(of hash: UInt64) -> (Int, Int, Int) {
        let h0 = Int(hash.multipliedFullWidth(by: UInt64(segmentCountLength)).high)
        let length = Int(segmentLength)
        let mask = UInt64(segmentLength &- 1)
        let h1 = (h0 &+ length) ^ Int(truncatingIfNeeded: (hash &>> 18) & mask)
        let h2 = (h0 &+ 2 &* length) ^ Int(truncatingIfNeeded: hash & mask)
        return (h0, h1, h2)
    }

    /// The fingerprint of a key's hash.
    @inline(__always)
    package static func fingerprint(of hash: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: hash ^ (hash &>> 32))
    }
}
