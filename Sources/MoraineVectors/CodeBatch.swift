// The codes of one batch of a scan, as kernels take them, and the reaches they give.

import CKernels
import MoraineStorage

/// Room for a batch of codes, used again for the next one.
///
/// Neighbouring codes are read where they lie; of codes that lie apart the numbers beside them are
/// gathered first. One thread.
struct CodeBatch: ~Copyable {
    /// Codes asked for ahead of the one that is compared.
    ///
    /// Measured on 100,000 codes of 384 bytes in random order.
    private static let aheadCount = 8

    private let reaches: UnsafeMutablePointer<Float>
    private let sums: UnsafeMutablePointer<Int32>
    private let lows: UnsafeMutablePointer<Int32>
    private let places: UnsafeMutablePointer<UnsafePointer<UInt8>>
    private let ownErrors: UnsafeMutablePointer<Float>
    private let ownSquareSums: UnsafeMutablePointer<Int32>

    private var count = 0
    /// The first of neighbouring codes; `nil` when they are at `places`.
    private var first: UnsafePointer<UInt8>?
    private var errors: UnsafePointer<Float>
    private var squareSums: UnsafePointer<Int32>

    /// - Parameter capacity: codes that fit; 1 or more.
    init(capacity: Int) {
        reaches = .allocate(capacity: capacity)
        sums = .allocate(capacity: capacity)
        lows = .allocate(capacity: capacity)
        places = .allocate(capacity: capacity)
        ownErrors = .allocate(capacity: capacity)
        ownSquareSums = .allocate(capacity: capacity)
        errors = UnsafePointer(ownErrors)
        squareSums = UnsafePointer(ownSquareSums)
    }

    deinit {
        reaches.deallocate()
        sums.deallocate()
        lows.deallocate()
        places.deallocate()
        ownErrors.deallocate()
        ownSquareSums.deallocate()
    }

    /// Takes the codes of as many vectors as fit at most.
    ///
    /// - Throws: `corrupted` when a chunk fails its checksum.
    mutating func load(_ ordinals: ScanOrdinals, of codes: CodeSpace) throws(StoreError) {
        count = ordinals.count
        if let range = ordinals.range {
            first = try codes.codes(range)
            errors = try codes.errors(range)
            squareSums = try codes.squareSums(range)
            return
        }
        first = nil
        errors = UnsafePointer(ownErrors)
        squareSums = UnsafePointer(ownSquareSums)
        for place in 0..<count {
            let ordinal = ordinals[place]
            places[place] = try codes.codes(ordinal..<(ordinal + 1))
            ownErrors[place] = try codes.errors(ordinal..<(ordinal + 1)).pointee
            ownSquareSums[place] = try codes.squareSums(ordinal..<(ordinal + 1)).pointee
        }
    }

    /// The reaches of the codes, valid until the next call.
    func reaches(_ bound: CodeBound) -> UnsafeBufferPointer<Float> {
        if let first {
            bound.multiply(first, count: count, sums: sums, lows: lows)
        } else {
            for place in 0..<min(Self.aheadCount, count) {
                mk_fetch_code(places[place], bound.stride)
            }
            for place in 0..<count {
                let ahead = place + Self.aheadCount
                if ahead < count { mk_fetch_code(places[ahead], bound.stride) }
                bound.multiply(places[place], count: 1, sums: sums + place, lows: lows + place)
            }
        }
        bound.reaches(sums, lows, errors, squareSums, count: count, into: reaches)
        return UnsafeBufferPointer(start: reaches, count: count)
    }
}
