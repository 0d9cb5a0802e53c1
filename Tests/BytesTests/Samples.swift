// What the tests of this folder share: repeatable random numbers and bytes.

import MoraineBytes

/// SplitMix64: the same numbers for the same seed.
struct Samples: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// Bytes that compress: words of a small vocabulary.
    mutating func text(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        let words = ["moraine ", "glacier ", "till ", "drumlin, ", "esker. ", "erratic "]
        while result.count < count {
            result += Array(words.randomElement(using: &self, or: "ice ").utf8)
        }
        return Array(result.prefix(count))
    }

    mutating func float(in range: ClosedRange<Float>) -> Float {
        Float.random(in: range, using: &self)
    }
}

extension Array {
    func randomElement(using random: inout Samples, or other: Element) -> Element {
        randomElement(using: &random) ?? other
    }
}

/// Borrows the bytes of an array with a typed throw.
func withBytes<R, E: Error>(
    _ bytes: [UInt8],
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
) throws(E) -> R {
    try bytes.withUnsafeBufferPointer { buffer throws(E) -> R in
        try body(UnsafeRawBufferPointer(buffer))
    }
}
