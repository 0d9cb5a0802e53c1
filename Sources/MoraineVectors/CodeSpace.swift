// One space of a code file: the codes of one collection's vectors.
// Bytes: format-spec/codes.md.

import CKernels
package import MoraineFormat
package import MoraineStorage
import Synchronization

/// The codes of the vectors of one collection in a mapped code file.
///
/// A code has the ordinal of its vector. Pointers are valid as long as this object lives. Any
/// thread.
package final class CodeSpace: Sendable {
    package let entry: CodeSpaceEntry
    /// Bytes of a code: a multiple of 128.
    package let byteCount: Int
    /// Bytes of each of its halves, and from the start of one to that of the next code's.
    package var halfByteCount: Int { byteCount / 2 }
    /// Kept because the sections borrow it.
    private let file: SealedFile
    private let highSection: Section
    private let lowSection: Section
    private let errorSection: Section
    private let squareSection: Section
    private let coarseErrorSection: Section
    private let coarseSquareSection: Section
    /// Whether all chunks of what graphs use were found good.
    private let isVerified = Atomic(false)

    /// Finds the sections of the `index`-th space and compares their lengths with its entry.
    init(_ entry: CodeSpaceEntry, index: Int, in file: SealedFile) throws(StoreError) {
        func section(_ type: UInt32, unit: Int) throws(StoreError) -> Section {
            // No overflow: at most 2^32 codes of 2^14 bytes.
            let byteCount = entry.vectorCount * unit
            return try file.requiredSection(type, ordinal: index, byteCount: byteCount)
        }
        highSection = try section(SectionType.codeHighHalves, unit: entry.strideByteCount / 2)
        lowSection = try section(SectionType.codeLowHalves, unit: entry.strideByteCount / 2)
        errorSection = try section(SectionType.codeErrors, unit: 4)
        squareSection = try section(SectionType.codeSquareSums, unit: 4)
        coarseErrorSection = try section(SectionType.coarseErrors, unit: 4)
        coarseSquareSection = try section(SectionType.coarseSquareSums, unit: 4)
        byteCount = entry.strideByteCount
        self.entry = entry
        self.file = file
    }

    package var collectionID: UInt32 { entry.collectionID }
    package var dimensions: Int { entry.dimensions }
    package var metric: Metric { entry.metric }
    /// How many vectors are coded: all of the space.
    package var count: Int { entry.vectorCount }
    /// What one step of a code stands for.
    package var scale: Float { entry.scale }

    // MARK: All at once, for access in any order

    /// The high halves of all codes, after every chunk that graphs use was checked.
    ///
    /// The first call reads all; later ones cost one load.
    ///
    /// - Throws: `corrupted` when a chunk fails its checksum.
    package func verifiedHighHalves() throws(StoreError) -> UnsafePointer<UInt8> {
        try verifyOnce()
        return try highHalves(0..<1)
    }

    /// The low halves of all codes, after the same check.
    package func verifiedLowHalves() throws(StoreError) -> UnsafePointer<UInt8> {
        try verifyOnce()
        return try lowHalves(0..<1)
    }

    /// For each code the sum of the squares of its values, after the same check.
    package func verifiedSquareSums() throws(StoreError) -> UnsafePointer<Int32> {
        try verifyOnce()
        return try squareSums(0..<1)
    }

    private func verifyOnce() throws(StoreError) {
        // Relaxed: the bytes never change, so there is nothing that the flag must publish.
        guard !isVerified.load(ordering: .relaxed) else { return }
        for section in [highSection, lowSection, squareSection] { _ = try section.allBytes() }
        isVerified.store(true, ordering: .relaxed)
    }

    // MARK: In order

    /// The high halves of neighbouring codes, `halfByteCount` bytes apart, after their chunks were
    /// checked.
    func highHalves(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<UInt8> {
        try items(ordinals, highSection, halfByteCount, UInt8.self)
    }

    /// The low halves of neighbouring codes.
    func lowHalves(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<UInt8> {
        try items(ordinals, lowSection, halfByteCount, UInt8.self)
    }

    /// For neighbouring codes an upper bound of the distance to what they code.
    func errors(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Float> {
        try items(ordinals, errorSection, 4, Float.self)
    }

    /// The sums of squares of neighbouring codes.
    func squareSums(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Int32> {
        try items(ordinals, squareSection, 4, Int32.self)
    }

    /// For neighbouring coarse codes an upper bound of the distance to what they code.
    func coarseErrors(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Float> {
        try items(ordinals, coarseErrorSection, 4, Float.self)
    }

    /// The sums of squares of neighbouring coarse codes, in half steps.
    func coarseSquareSums(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Int32> {
        try items(ordinals, coarseSquareSection, 4, Int32.self)
    }

    private func items<T: BitwiseCopyable>(
        _ ordinals: Range<Int>,
        _ section: Section,
        _ unit: Int,
        _ type: T.Type
    ) throws(StoreError) -> UnsafePointer<T> {
        precondition(ordinals.lowerBound >= 0 && ordinals.upperBound <= count)
        let bytes = try section.bytes(
            at: ordinals.lowerBound &* unit,
            count: ordinals.count &* unit
        )
        // Sections start at multiples of 64 of a mapping that starts on a page.
        guard let base = bytes.baseAddress else {
            throw file.damage(
                "a section of codes has no bytes",
                at: section.entry.offset,
                expected: "some",
                found: "none"
            )
        }
        return base.assumingMemoryBound(to: T.self)
    }

    // MARK: Checking

    /// Where a code's high half stands in the file.
    func offset(ofCode ordinal: Int) -> UInt64 {
        highSection.entry.offset + UInt64(ordinal) * UInt64(halfByteCount)
    }

    /// What should be said of a code and is not; `nil` when it stands for its vector.
    func fault(at ordinal: Int, of space: VectorSpace) throws(StoreError) -> String? {
        let one = ordinal..<(ordinal + 1)
        let norm = try space.norm(ordinal)
        guard norm >= entry.leastNorm, norm <= entry.largestNorm else {
            return "a norm from \(entry.leastNorm) to \(entry.largestNorm)"
        }
        let (high, low) = (try highHalves(one), try lowHalves(one))
        let code = [UInt8](unsafeUninitializedCapacity: byteCount) { code, count in
            if let base = code.baseAddress { mk_join_code(high, low, byteCount, base) }
            count = byteCount
        }
        let quantizer = Quantizer(metric: metric, dimensions: dimensions, scale: scale)
        let facts = quantizer.facts(of: code, for: try space.vector(ordinal), norm: norm)
        guard try errors(one).pointee >= facts.error else {
            return "an error of at least \(facts.error)"
        }
        guard UInt32(bitPattern: try squareSums(one).pointee) == facts.squareSum else {
            return "a sum of squares of \(facts.squareSum)"
        }
        guard try coarseErrors(one).pointee >= facts.coarseError else {
            return "a coarse error of at least \(facts.coarseError)"
        }
        guard UInt32(bitPattern: try coarseSquareSums(one).pointee) == facts.coarseSquareSum else {
            return "a coarse sum of squares of \(facts.coarseSquareSum)"
        }
        return code[dimensions...].allSatisfy { $0 == 128 } ? nil : "128 behind the code"
    }
}
