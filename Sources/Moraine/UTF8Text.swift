// Texts as bytes. Swift's `==` and `<` on strings call canonically equivalent texts equal; ids,
// names and keys of a store are their UTF-8 bytes and nothing else.

import MoraineFormat
import MoraineStorage

/// Negative, zero or positive as the bytes of `a` sort before, with or after those of `b`.
func compareUTF8(_ a: String, _ b: String) -> Int {
    var a = a
    var b = b
    return a.withUTF8 { x in
        b.withUTF8 { y in KeyBytes.compare(UnsafeRawBufferPointer(x), UnsafeRawBufferPointer(y)) }
    }
}

/// Calls `body` with the UTF-8 bytes of `text`, valid inside the closure only.
@inline(__always)
func withUTF8<R>(
    of text: String,
    _ body: (UnsafeRawBufferPointer) throws(StoreError) -> R
) throws(StoreError) -> R {
    var text = text
    // The standard library's `withUTF8` cannot say which errors it lets through.
    let result = text.withUTF8 { buffer in
        Result { () throws(StoreError) in try body(UnsafeRawBufferPointer(buffer)) }
    }
    return try result.get()
}

/// The text that well-formed UTF-8 stands for, `nil` for other bytes.
///
/// Most texts of a store are short ASCII. Looking for its absence first and then decoding took a
/// third of the time of `String(validating:)` for them.
@inline(__always)
func makeText(_ bytes: UnsafeRawBufferPointer) -> String? {
    isASCII(bytes)
        ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
}

@inline(__always)
private func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let tops: UInt64 = 0x8080_8080_8080_8080
    let count = bytes.count
    var bits: UInt64 = 0
    guard count >= 8 else {
        for byte in bytes { bits |= UInt64(byte) }
        return bits & tops == 0
    }
    var at = 0
    while at &+ 8 <= count {
        bits |= bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        at &+= 8
    }
    // The last eight bytes, some of them for the second time.
    bits |= bytes.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
    return bits & tops == 0
}
