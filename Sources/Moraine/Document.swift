// What is put into a collection.

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A document to put: an id, a text, metadata and, where its collection has vectors, an embedding.
public struct Document: Sendable, Equatable {
    /// 1 to 1,024 bytes of UTF-8 without NUL, unique in its collection.
    ///
    /// Compared and ordered as bytes: two spellings of "é" that Swift's `==` calls equal are two
    /// ids.
    public var id: String
    /// Any text; with the metadata at most 64 MiB.
    public var text: String
    /// What else is known.
    public var metadata: Metadata
    /// As many finite numbers as the collection has dimensions; `nil`: searches do not find the
    /// document.
    ///
    /// Kept bit for bit, never normalised.
    public var embedding: [Float]?
    /// When it expires, to the millisecond; `nil` for never.
    ///
    /// From then on it is not there: reads and searches do not find it, versions do not count it,
    /// and compaction takes it off the disk.
    public var expires: Date?

    /// A document.
    public init(
        id: String,
        text: String = "",
        metadata: Metadata = [:],
        embedding: [Float]? = nil,
        expires: Date? = nil
    ) {
        self.id = id
        self.text = text
        self.metadata = metadata
        self.embedding = embedding
        self.expires = expires
    }

    /// Milliseconds since 1970, at least 1; 0 for never.
    var expiry: UInt64 {
        guard let expires else { return 0 }
        let milliseconds = (expires.timeIntervalSince1970 * 1_000).rounded()
        // NaN is as good as the past.
        guard milliseconds >= 1 else { return 1 }
        return UInt64(exactly: min(milliseconds, 9e15)) ?? 1
    }

    /// True when both would be stored as the same bytes.
    public static func == (a: Document, b: Document) -> Bool {
        compareUTF8(a.id, b.id) == 0 && compareUTF8(a.text, b.text) == 0
            && a.metadata == b.metadata && a.expiry == b.expiry
            && sameBits(a.embedding, b.embedding)
    }

    private static func sameBits(_ a: [Float]?, _ b: [Float]?) -> Bool {
        guard let a, let b else { return a == nil && b == nil }
        return a.elementsEqual(b) { $0.bitPattern == $1.bitPattern }
    }
}
