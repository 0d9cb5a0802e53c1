// Builds binary fuse filters with 8-bit fingerprints (Graf and Lemire, 2022).
// Bytes: format-spec/key.md, "Filter".

import MoraineFormat

/// A filter over the hashes of keys.
struct FuseFilter {
    let header: KeyFilterHeader
    let fingerprints: [UInt8]

    /// Builds a filter that lets all of `hashes` through and about one in 256 others.
    ///
    /// Peels the hypergraph whose edges are the keys' three places: a place that only one key has
    /// left is given to that key, and so on; then fingerprints are set in the opposite order.
    /// Peeling fails now and then, most of all for few keys; then the array grows. Equal hashes,
    /// which no array can tell apart, need telling apart no more than once. Should it never
    /// succeed, the filter is the one that lets every key through.
    ///
    /// - Parameter hashes: `hash64` of each key under `seed`.
    init(hashes: [UInt64], seed: UInt64) {
        var keys = hashes
        let keyCount = UInt32(hashes.count)
        for attempt in 0..<32 {
            if attempt == 1 { keys = FuseFilter.unique(hashes) }
            let header = FuseFilter.shape(
                keyCount: keyCount,
                distinct: keys.count,
                seed: seed,
                attempt: attempt
            )
            if let header, let fingerprints = FuseFilter.peel(keys, header) {
                self.header = header
                self.fingerprints = fingerprints
                return
            }
        }
        header = KeyFilterHeader(
            seed: seed,
            segmentLength: 0,
            segmentCountLength: 0,
            arrayLength: 0,
            keyCount: keyCount
        )
        fingerprints = []
    }

    private static func unique(_ hashes: [UInt64]) -> [UInt64] {
        var keys: [UInt64] = []
        keys.reserveCapacity(hashes.count)
        for hash in hashes.sorted() where keys.last != hash { keys.append(hash) }
        return keys
    }

    /// The lengths that the authors found best, larger with each attempt; `nil` when no array of
    /// that size can be written.
    private static func shape(keyCount: UInt32, distinct: Int, seed: UInt64, attempt: Int)
        -> KeyFilterHeader?
    {
        // Segments of 2^floor(log_3.33(n) + 2.25); 3.33^0.25 = 1.351.
        var exponent: UInt64 = 2
        var rest = Double(max(distinct, 1)) * 1.351
        while rest >= 3.33 {
            rest /= 3.33
            exponent += 1
        }
        // Two keys with the same places stay together however many segments there are; longer
        // segments look at more bits of their hashes.
        exponent += UInt64(attempt) / 4
        let length = min(1 << exponent, UInt64(KeyFilterHeader.maximumSegmentLength))
        // max(1.125, 0.875 + 0.25 × log(10^6) ÷ log(n)) fingerprints a key.
        let bits = max(1, logarithm(distinct))
        let factor = max(1.125, 0.875 + 0.25 * 19.93 / bits) * (1 + 0.0625 * Double(attempt))
        let capacity = UInt64(Double(distinct) * factor)
        let segmentCount = max(1, (capacity + length - 1) / length - min(2, capacity / length))
        guard let countLength = UInt32(exactly: segmentCount * length),
            let arrayLength = UInt32(exactly: segmentCount * length + 2 * length)
        else { return nil }
        return KeyFilterHeader(
            seed: seed,
            segmentLength: UInt32(length),
            segmentCountLength: countLength,
            arrayLength: arrayLength,
            keyCount: keyCount
        )
    }

    /// log2, between powers of two along a straight line: at most 0.09 too low.
    private static func logarithm(_ number: Int) -> Double {
        guard number > 1 else { return 0 }
        let whole = Int.bitWidth - 1 - number.leadingZeroBitCount
        return Double(whole) + Double(number) / Double(1 << whole) - 1
    }

    /// The fingerprints, or `nil` when the keys cannot be peeled.
    private static func peel(_ keys: [UInt64], _ header: KeyFilterHeader) -> [UInt8]? {
        let size = Int(header.arrayLength)
        // For each place how many keys have it left, and all their hashes xored.
        var counts = [UInt32](repeating: 0, count: size)
        var sums = [UInt64](repeating: 0, count: size)
        for key in keys {
            let (a, b, c) = header.places(of: key)
            counts[a] &+= 1
            counts[b] &+= 1
            counts[c] &+= 1
            sums[a] ^= key
            sums[b] ^= key
            sums[c] ^= key
        }
        var order: [(key: UInt64, place: Int)] = []
        order.reserveCapacity(keys.count)
        // Places are looked at in order, and those that became single on the way at once: the
        // three places of a key are near each other, so this stays in the cache.
        var waiting: [Int] = []
        for start in 0..<size {
            waiting.append(start)
            while let place = waiting.popLast() {
                guard counts[place] == 1 else { continue }
                let key = sums[place]
                order.append((key, place))
                let (a, b, c) = header.places(of: key)
                for other in [a, b, c] {
                    counts[other] &-= 1
                    sums[other] ^= key
                    if counts[other] == 1 { waiting.append(other) }
                }
            }
        }
        guard order.count == keys.count else { return nil }
        var fingerprints = [UInt8](repeating: 0, count: size)
        for (key, place) in order.reversed() {
            let (a, b, c) = header.places(of: key)
            // The place itself still holds 0.
            let others = fingerprints[a] ^ fingerprints[b] ^ fingerprints[c]
            fingerprints[place] = KeyFilterHeader.fingerprint(of: key) ^ others
        }
        return fingerprints
    }
}
