// Vectors made up to be like embeddings of texts.

import Foundation

/// Points around centres, in few of many dimensions: the same for the same seed.
///
/// A vector is a mix of `rank` directions, as embeddings have far fewer degrees of freedom than
/// dimensions, with a little noise in all dimensions. Its weights lie around one of `centreCount`
/// centres, whose sizes differ as those of topics do.
struct LowRankVectors: Sendable {
    static let rank = 32
    static let centreCount = 1000
    let dimensions: Int
    private let seed: UInt64
    /// `rank` directions of `dimensions` numbers.
    private let directions: [Float]
    /// `rank` weights for each centre.
    private let centres: [Float]

    init(dimensions: Int, seed: UInt64) {
        self.dimensions = dimensions
        self.seed = seed
        var dice = Dice(seed)
        directions = (0..<(Self.rank * dimensions)).map { _ in dice.normal() }
        centres = (0..<(Self.rank * Self.centreCount)).map { _ in dice.normal() }
    }

    /// Appends the vector of a row, which may be any number.
    func append(_ row: Int, to floats: inout [Float]) {
        var dice = Dice(seed &+ UInt64(truncatingIfNeeded: row) &* 0xA24B_AED4_963E_E407 &+ 1)
        // The lower of two: centre 0 has most points, the last one next to none.
        let centre = min(dice.below(Self.centreCount), dice.below(Self.centreCount))
        var vector = (0..<dimensions).map { _ in 0.1 * dice.normal() }
        directions.withUnsafeBufferPointer { directions in
            vector.withUnsafeMutableBufferPointer { vector in
                for place in 0..<Self.rank {
                    let weight = centres[centre * Self.rank + place] + 0.5 * dice.normal()
                    for index in 0..<dimensions {
                        vector[index] += weight * directions[place * dimensions + index]
                    }
                }
            }
        }
        floats += vector
    }
}

extension Dice {
    /// A number around 0, normal enough: the sum of four even ones, of variance 1.
    mutating func normal() -> Float {
        let bits = next()
        var sum: Float = 0
        for part in 0..<4 as Range<UInt64> {
            sum += Float(UInt16(truncatingIfNeeded: bits >> (16 * part))) * 0x1p-16 - 0.5
        }
        return sum * 1.7320508
    }
}
