// How the payload of a block is stored.

import CLZ4
import CZlib

/// The ways to store a payload.
///
/// On disk: never renumber.
package enum Codec: UInt8, Sendable, CaseIterable {
    /// As it is.
    case none = 1
    /// One LZ4 block, without a frame.
    case lz4 = 2
    /// One zlib stream (RFC 1950), written at level 6.
    case deflate = 3

    /// The most bytes that one call takes: what LZ4 accepts.
    package static let maximumByteCount = Int(LZ4_MAX_INPUT_SIZE)

    /// `source`, compressed.
    ///
    /// What does not shrink grows by less than one percent; the caller decides what to keep.
    ///
    /// - Parameter source: at most ``maximumByteCount`` bytes; may be empty.
    package func compress(_ source: UnsafeRawBufferPointer) -> [UInt8] {
        precondition(source.count <= Codec.maximumByteCount)
        return switch self {
        case .none: Array(source)
        case .lz4: compressLZ4(source)
        case .deflate: compressDeflate(source)
        }
    }

    /// Fills `target` with the bytes that `source` was compressed from.
    ///
    /// Every byte of `source` must be used and every byte of `target` filled. Nothing is written
    /// outside `target` and no output is buffered elsewhere; after an error `target` holds
    /// anything.
    ///
    /// - Parameters:
    ///   - source: untrusted bytes.
    ///   - target: exactly as large as the raw payload.
    ///   - field: the name for an error.
    /// - Throws: `compression`, at offset 0, when `source` is damaged or of another raw size.
    package func decompress(
        _ source: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer,
        field: StaticString = "payload"
    ) throws(FormatError) {
        let isWhole =
            switch self {
            case .none: copy(source, into: target)
            case .lz4: decompressLZ4(source, into: target)
            case .deflate: inflateWhole(source, into: target)
            }
        guard isWhole else {
            throw FormatError(
                .compression,
                at: 0,
                field: "\(field)",
                expected: "\(self) of \(target.count) raw bytes",
                found: "\(source.count) bytes that are not"
            )
        }
    }
}

private func copy(
    _ source: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer
) -> Bool {
    guard source.count == target.count else { return false }
    target.copyMemory(from: source)
    return true
}

private func compressLZ4(_ source: UnsafeRawBufferPointer) -> [UInt8] {
    let bound = Int(LZ4_compressBound(Int32(source.count)))
    return [UInt8](unsafeUninitializedCapacity: bound) { output, count in
        let written = LZ4_compress_default(
            source.baseAddress?.assumingMemoryBound(to: CChar.self),
            UnsafeMutableRawPointer(output.baseAddress)?.assumingMemoryBound(to: CChar.self),
            Int32(source.count),
            Int32(bound)
        )
        precondition(written > 0, "LZ4 fits into its own bound")
        count = Int(written)
    }
}

private func decompressLZ4(
    _ source: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer
) -> Bool {
    guard let sourceCount = Int32(exactly: source.count),
        let targetCount = Int32(exactly: target.count)
    else { return false }
    let written = LZ4_decompress_safe(
        source.baseAddress?.assumingMemoryBound(to: CChar.self),
        target.baseAddress?.assumingMemoryBound(to: CChar.self),
        sourceCount,
        targetCount
    )
    return written == targetCount
}

private func compressDeflate(_ source: UnsafeRawBufferPointer) -> [UInt8] {
    let bound = compressBound(uLong(source.count))
    return [UInt8](unsafeUninitializedCapacity: Int(bound)) { output, count in
        var written = bound
        let status = compress2(
            output.baseAddress,
            &written,
            source.baseAddress?.assumingMemoryBound(to: Bytef.self),
            uLong(source.count),
            6
        )
        precondition(status == Z_OK, "zlib fits into its own bound")
        count = Int(written)
    }
}

private func inflateWhole(
    _ source: UnsafeRawBufferPointer,
    into target: UnsafeMutableRawBufferPointer
) -> Bool {
    guard let sourceCount = UInt32(exactly: source.count),
        let targetCount = UInt32(exactly: target.count)
    else { return false }
    // zlib refuses null pointers even where there is nothing to read or write.
    var nothing: Bytef = 0
    return withUnsafeMutablePointer(to: &nothing) { nothing in
        var stream = z_stream()
        stream.next_in =
            source.baseAddress.map {
                UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: Bytef.self))
            } ?? nothing
        stream.avail_in = sourceCount
        stream.next_out = target.baseAddress?.assumingMemoryBound(to: Bytef.self) ?? nothing
        stream.avail_out = targetCount
        // Fails for want of memory only: like any other allocation, it cannot be caught.
        let status = inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib has memory for its state")
        defer { inflateEnd(&stream) }
        return inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0
            && stream.avail_out == 0
    }
}
