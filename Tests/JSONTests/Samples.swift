// What the tests of this folder share: readers over text, repeatable random numbers.

import MoraineBytes
import MoraineJSON

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
}

/// Reads `bytes` with `body`, and expects the end of the text behind it.
func read<R>(_ bytes: [UInt8], _ body: (inout JSONReader) throws(JSONError) -> R)
    throws(JSONError) -> R
{
    try bytes.withUnsafeBufferPointer { buffer throws(JSONError) -> R in
        var reader = JSONReader(UnsafeRawBufferPointer(buffer))
        let result = try body(&reader)
        try reader.expectEnd()
        return result
    }
}

func read<R>(_ text: String, _ body: (inout JSONReader) throws(JSONError) -> R)
    throws(JSONError) -> R
{
    try read(Array(text.utf8), body)
}

/// Reads `bytes` to the end and forgets them.
func skip(_ bytes: [UInt8]) throws(JSONError) {
    try read(bytes) { reader throws(JSONError) in try reader.skipValue() }
}

/// The error of reading, nil if there is none.
func fault<R>(_ text: String, _ body: (inout JSONReader) throws(JSONError) -> R) -> JSONError? {
    do throws(JSONError) {
        _ = try read(text, body)
        return nil
    } catch { return error }
}

/// The bytes of a string value.
func string(_ bytes: [UInt8]) throws(JSONError) -> [UInt8] {
    try read(bytes) { reader throws(JSONError) in Array(try reader.readString()) }
}

/// What a writer makes of the calls in `body`.
func written(capacity: Int = 4096, _ body: (inout JSONWriter) -> Void) -> String {
    var writer = JSONWriter(capacity: capacity)
    body(&writer)
    return writer.withBytes { String(decoding: $0, as: UTF8.self) }
}

/// The binary form of the metadata that `text` holds.
func transcoded(_ bytes: [UInt8]) throws(JSONError) -> [UInt8] {
    try read(bytes) { reader throws(JSONError) in
        var transcoder = MetadataTranscoder()
        var out = ByteWriter()
        try transcoder.transcodeObject(&reader, into: &out)
        return out.finish()
    }
}

func transcoded(_ text: String) throws(JSONError) -> [UInt8] {
    try transcoded(Array(text.utf8))
}

/// The JSON text of binary metadata.
func metadataText(_ binary: [UInt8]) throws(FormatError) -> String {
    var writer = JSONWriter()
    try binary.withUnsafeBufferPointer { buffer throws(FormatError) in
        try writer.writeMetadata(UnsafeRawBufferPointer(buffer))
    }
    return writer.withBytes { String(decoding: $0, as: UTF8.self) }
}
