// Checksums of bytes, alone or bound to what the bytes are and where they stand.
// Bytes: format-spec/conventions.md, "Checksums".

import CKernels

/// CRC-32C (Castagnoli) by the CPU's instruction where there is one.
package enum CRC32C {
    /// The checksum of `bytes`, or of everything before them and them.
    ///
    /// - Parameter continuing: the checksum of the bytes before; 0 when there are none.
    package static func value(
        _ bytes: UnsafeRawBufferPointer,
        continuing: UInt32 = 0
    ) -> UInt32 {
        mk_crc32c(continuing, bytes.baseAddress, bytes.count)
    }
}

/// The seeds of a checksum: numbers that say what the bytes are and where they stand.
///
/// The checksum is the CRC-32C of the seeds, each as eight little-endian bytes, followed by the
/// bytes. Seeds that many checksums share are mixed once and the value copied.
package struct ChecksumSeed: Sendable {
    /// The CRC-32C of the seeds so far; 0 without any.
    package private(set) var value: UInt32 = 0

    package init() {}

    /// Appends a seed.
    package mutating func mix(_ seed: UInt64) {
        value = withUnsafeBytes(of: seed.littleEndian) { CRC32C.value($0, continuing: value) }
    }

    /// The checksum of the seeds followed by `bytes`.
    package func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        CRC32C.value(bytes, continuing: value)
    }
}
