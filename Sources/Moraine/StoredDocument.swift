// What reads return: a document with its version and times, as Swift values.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineStorage

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A log sequence number: the number of a commit, ascending from 1.
///
/// The commit that put a document gives the document its version.
public typealias LSN = UInt64

/// A document as a store holds it.
public struct StoredDocument: Sendable {
    /// The id; compare it as UTF-8 bytes, see ``Document/id``.
    public let id: String
    /// The text.
    public let text: String
    /// The metadata.
    public let metadata: Metadata
    /// The embedding, bit for bit as it was put; `nil` when there is none or when the read was
    /// told to leave embeddings out.
    public let embedding: [Float]?
    /// The commit that put this document; what `ifVersion` of a later write expects.
    public let version: LSN
    /// Milliseconds since 1970.
    package let createdMilliseconds: UInt64
    /// Milliseconds since 1970.
    package let updatedMilliseconds: UInt64

    /// Milliseconds since 1970; 0 for never.
    package let expiryMilliseconds: UInt64

    /// When it expires, to the millisecond; `nil` for never.
    public var expires: Date? {
        expiryMilliseconds == 0 ? nil : Self.date(expiryMilliseconds)
    }

    /// When a document of this id was first put, to the millisecond.
    ///
    /// A delete forgets it.
    public var created: Date { Self.date(createdMilliseconds) }

    /// When this version was put, to the millisecond.
    public var updated: Date { Self.date(updatedMilliseconds) }

    /// The same to put again: without an embedding when it was left out of the read.
    public var document: Document {
        Document(
            id: id,
            text: text,
            metadata: metadata,
            embedding: embedding,
            expires: expires
        )
    }

    private static func date(_ milliseconds: UInt64) -> Date {
        Date(timeIntervalSince1970: Double(milliseconds) / 1_000)
    }
}

extension StoredDocument {
    /// Copies what the engine lends, as far as it is wanted; the rest is empty.
    ///
    /// The embedding is there when the engine lends one.
    init(
        _ view: DocumentView,
        parts: SearchOptions.Parts = [.text, .metadata]
    ) throws(StoreError) {
        // Not at once into the properties: what can throw half way is copied when it is done.
        let id: String
        let text: String
        let metadata: Metadata
        do throws(FormatError) {
            id = try Self.text(view.id, "id")
            text = parts.contains(.text) ? try Self.text(view.text, "text") : ""
            metadata = parts.contains(.metadata) ? try Metadata(encoded: view.metadata) : Metadata()
        } catch {
            throw StoreError(
                .corrupted,
                "a document cannot be read: \(error.field)",
                expected: error.expected,
                found: error.found
            )
        }
        self.id = id
        self.text = text
        self.metadata = metadata
        embedding = view.vector.map(Self.floats)
        version = view.version
        createdMilliseconds = view.created
        updatedMilliseconds = view.updated
        expiryMilliseconds = view.expiry
    }

    /// A document of which nothing but the id was read.
    init(id: ArraySlice<UInt8>) throws(StoreError) {
        do throws(FormatError) {
            self.id = try id.withUnsafeBufferPointer { id throws(FormatError) in
                try Self.text(UnsafeRawBufferPointer(id), "id")
            }
        } catch {
            throw StoreError(
                .corrupted,
                "a document cannot be read: \(error.field)",
                expected: error.expected,
                found: error.found
            )
        }
        text = ""
        metadata = Metadata()
        embedding = nil
        version = 0
        createdMilliseconds = 0
        updatedMilliseconds = 0
        expiryMilliseconds = 0
    }

    private static func text(_ bytes: UnsafeRawBufferPointer, _ field: StaticString)
        throws(FormatError) -> String
    {
        guard let text = makeText(bytes) else {
            throw FormatError(
                .encoding,
                at: 0,
                field: "\(field)",
                expected: "UTF-8",
                found: "other bytes"
            )
        }
        return text
    }

    /// Little-endian floats at any alignment.
    private static func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
        let count = bytes.count / 4
        return [Float](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[..<(count * 4)])
            )
            initializedCount = count
        }
    }
}
