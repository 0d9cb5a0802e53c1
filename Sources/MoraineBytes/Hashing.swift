// The hash of keys that filters on disk are built from.
// Bytes: format-spec/key.md. Not for secrets; a person who knows the seed can make collisions.

/// A 64-bit hash of `bytes`, the same on every platform and in every version.
///
/// With `fold(x)` = the low xor the high 64 bits of the 128-bit product x × E7037ED1A0B428DB:
///
/// 1. h = fold(seed ^ 243F6A8885A308D3 ^ the number of bytes).
/// 2. For every eight bytes, as a little-endian word w: h = fold(h ^ w).
/// 3. If one to seven bytes are left, they and zeros after them are one more word.
/// 4. h = (h ^ (h >> 33)) × FF51AFD7ED558CCD; h = (h ^ (h >> 33)) × C4CEB9FE1A85EC53, both
///    modulo 2^64; the hash is h ^ (h >> 33).
///
/// Key and seed enter the same product, so no two keys collide under every seed but by chance: a
/// filter that cannot be built under one seed can be under another.
package func hash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    let count = bytes.count
    var h = fold(seed ^ 0x243F_6A88_85A3_08D3 ^ UInt64(truncatingIfNeeded: count))
    var at = 0
    while at &+ 8 <= count {
        h = fold(h ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
        at &+= 8
    }
    if at < count { h = fold(h ^ lastWord(bytes, from: at)) }
    h = (h ^ (h >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    h = (h ^ (h >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return h ^ (h >> 33)
}

@inline(__always)
private func fold(_ x: UInt64) -> UInt64 {
    let product = x.multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
    return product.low ^ product.high
}

/// The one to seven bytes from `start` to the end, followed by zeros, as a little-endian word.
@inline(__always)
private func lastWord(_ bytes: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
    let left = bytes.count &- start
    if start >= 8 {
        // One load that overlaps the word before, in place of a loop.
        let word = bytes.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self)
        return UInt64(littleEndian: word) >> UInt64(truncatingIfNeeded: 64 &- 8 &* left)
    }
    var word: UInt64 = 0
    for index in 0..<left { word |= UInt64(bytes[start &+ index]) << UInt64(8 &* index) }
    return word
}
