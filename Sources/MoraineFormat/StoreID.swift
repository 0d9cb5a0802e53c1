// The sixteen random bytes that name a store.

package import MoraineBytes

/// Sixteen random bytes, drawn when a store is made.
///
/// They stand in every header and under every checksum.
package struct StoreID: Sendable, Hashable {
    /// Bytes 0 to 7, read as u64.
    package let low: UInt64
    /// Bytes 8 to 15, read as u64.
    package let high: UInt64

    package init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    package init(decoding reader: inout ByteReader) throws(FormatError) {
        low = try reader.readUInt64("storeID")
        high = try reader.readUInt64("storeID")
    }

    package func encode(into writer: inout ByteWriter) {
        writer.writeUInt64(low)
        writer.writeUInt64(high)
    }

    /// The bytes in the form of a UUID: `00112233-4455-6677-8899-aabbccddeeff`.
    package var text: String {
        let digits =
            hexadecimal(low.byteSwapped, count: 16) + hexadecimal(high.byteSwapped, count: 16)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(digit)
        }
        return text
    }

    /// Seeds that begin with this store: what most checksums start from.
    package var seed: ChecksumSeed {
        var seed = ChecksumSeed()
        seed.mix(low)
        seed.mix(high)
        return seed
    }
}

/// `value` as `count` lower-case hexadecimal digits, zeros in front.
package func hexadecimal(_ value: UInt64, count: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, count - digits.count)) + digits
}

/// A checksum as eight hexadecimal digits, for messages.
package func hex(_ checksum: UInt32) -> String { hexadecimal(UInt64(checksum), count: 8) }

extension ChecksumSeed {
    /// These seeds and one more.
    @inline(__always)
    package func mixed(_ seed: UInt64) -> ChecksumSeed {
        var copy = self
        copy.mix(seed)
        return copy
    }
}
