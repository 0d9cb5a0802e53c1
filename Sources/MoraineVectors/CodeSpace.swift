// One space of a code file: the codes of one collection's vectors.
// Bytes: format-spec/codes.md.

package import MoraineFormat
package import MoraineStorage
import Synchronization

/// The codes of the vectors of one collection in a mapped code file.
///
/// A code has the ordinal of its vector. Pointers are valid as long as this object lives. Any
/// thread.
package final class CodeSpace: Sendable {
    package let entry: CodeSpaceEntry
    /// Bytes from the start of a code to the start of the next: a multiple of 64.
    package let stride: Int
    /// Kept because the sections borrow it.
    private let file: SealedFile
    private let codeSection: Section
    private let errorSection: Section
    private let squareSection: Section
    /// Whether all chunks of all three sections were found good.
    private let isVerified = Atomic(false)

    /// Finds the sections of the `index`-th space and compares their lengths with its entry.
    init(_ entry: CodeSpaceEntry, index: Int, in file: SealedFile) throws(StoreError) {
        func section(_ type: UInt32, unit: Int) throws(StoreError) -> Section {
            // No overflow: at most 2^32 codes of 2^14 bytes.
            let byteCount = entry.vectorCount * unit
            return try file.requiredSection(type, ordinal: index, byteCount: byteCount)
        }
        codeSection = try section(SectionType.codes, unit: entry.strideByteCount)
        errorSection = try section(SectionType.codeErrors, unit: 4)
        squareSection = try section(SectionType.codeSquareSums, unit: 4)
        stride = entry.strideByteCount
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

    /// The first code, after every chunk of the space was checked.
    ///
    /// The first call reads all; later ones cost one load.
    ///
    /// - Throws: `corrupted` when a chunk fails its checksum.
    package func verifiedCodes() throws(StoreError) -> UnsafePointer<UInt8> {
        try verifyOnce()
        return try codes(0..<1)
    }

    /// For each code an upper bound of the distance to what it codes, after the same check.
    package func verifiedErrors() throws(StoreError) -> UnsafePointer<Float> {
        try verifyOnce()
        return try errors(0..<1)
    }

    /// For each code the sum of the squares of its values, after the same check.
    package func verifiedSquareSums() throws(StoreError) -> UnsafePointer<Int32> {
        try verifyOnce()
        return try squareSums(0..<1)
    }

    private func verifyOnce() throws(StoreError) {
        // Relaxed: the bytes never change, so there is nothing that the flag must publish.
        guard !isVerified.load(ordering: .relaxed) else { return }
        for section in [codeSection, errorSection, squareSection] { _ = try section.allBytes() }
        isVerified.store(true, ordering: .relaxed)
    }

    // MARK: In order

    /// Neighbouring codes, `stride` bytes apart, after their chunks were checked.
    func codes(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<UInt8> {
        try items(ordinals, codeSection, stride, UInt8.self)
    }

    /// The errors of neighbouring codes.
    func errors(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Float> {
        try items(ordinals, errorSection, 4, Float.self)
    }

    /// The sums of squares of neighbouring codes.
    func squareSums(_ ordinals: Range<Int>) throws(StoreError) -> UnsafePointer<Int32> {
        try items(ordinals, squareSection, 4, Int32.self)
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

    /// Where a code stands in the file.
    func offset(ofCode ordinal: Int) -> UInt64 {
        codeSection.entry.offset + UInt64(ordinal) * UInt64(stride)
    }

    /// What should be said of a code and is not; `nil` when it stands for its vector.
    func fault(at ordinal: Int, of space: VectorSpace) throws(StoreError) -> String? {
        let quantizer = Quantizer(metric: metric, dimensions: dimensions, scale: scale)
        let code = try codes(ordinal..<(ordinal + 1))
        let norm = try space.norm(ordinal)
        guard norm >= entry.leastNorm, norm <= entry.largestNorm else {
            return "a norm from \(entry.leastNorm) to \(entry.largestNorm)"
        }
        let (error, squareSum) = quantizer.error(
            of: code,
            for: try space.vector(ordinal),
            norm: norm
        )
        guard try errors(ordinal..<(ordinal + 1)).pointee >= error else {
            return "an error of at least \(error)"
        }
        let stored = try squareSums(ordinal..<(ordinal + 1)).pointee
        guard UInt32(bitPattern: stored) == squareSum else {
            return "a sum of squares of \(squareSum)"
        }
        let padding = UnsafeBufferPointer(start: code, count: stride)[dimensions...]
        return padding.allSatisfy { $0 == 128 } ? nil : "128 behind the code"
    }
}
