// The record of a document or a delete. Bytes: format-spec/document.md, "Record".

package import MoraineBytes

/// A document's text and metadata: prefixed text · prefixed metadata, in log and record alike.
package struct DocumentBody {
    /// UTF-8, unchecked when it was decoded.
    package let text: UnsafeRawBufferPointer
    /// A metadata object, unchecked when it was decoded.
    package let metadata: UnsafeRawBufferPointer

    /// Reads a body.
    ///
    /// Lengths are checked, contents are not: see `validate()`.
    @inline(__always)
    package init(decoding reader: inout ByteReader) throws(FormatError) {
        text = try reader.readPrefixed("text")
        metadata = try reader.readPrefixed("metadata")
    }

    /// Appends a body.
    package static func encode(
        text: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer,
        into writer: inout ByteWriter
    ) {
        writer.writePrefixed(text)
        writer.writePrefixed(metadata)
    }

    /// Throws unless the text is UTF-8, the metadata canonical, and both within the limits.
    ///
    /// Offsets count from the start of what is wrong.
    package func validate() throws(FormatError) {
        let byteCount = text.count + metadata.count
        guard byteCount <= FormatLimits.documentByteCount else {
            throw FormatError(
                .range,
                at: 0,
                field: "body",
                expected: "at most \(FormatLimits.documentByteCount) bytes",
                found: "\(byteCount)"
            )
        }
        guard isUTF8(text) else {
            throw FormatError(
                .encoding,
                at: 0,
                field: "text",
                expected: "UTF-8",
                found: "other bytes"
            )
        }
        try Metadata.validate(metadata)
    }
}

/// A record: the newest state of one key in a segment.
///
/// Borrows the bytes that it was read from.
package struct DocumentRecord {
    /// Bits of the flags.
    ///
    /// On disk: never renumber.
    package static let vectorFlag: UInt8 = 1
    package static let tombstoneFlag: UInt8 = 2

    package let isTombstone: Bool
    package let collectionID: UInt32
    package let id: UnsafeRawBufferPointer
    package let lsn: UInt64
    /// Milliseconds since 1970.
    ///
    /// For a tombstone the time of the delete, as is `updated`.
    package let created: UInt64
    package let updated: UInt64
    /// When the document expires; 0 for never and for tombstones.
    package let expiry: UInt64
    /// CRC-32C of the vector's f32s; `nil` without a vector.
    package let vectorChecksum: UInt32?
    /// prefixed text · prefixed metadata; empty for a tombstone.
    package let body: UnsafeRawBufferPointer
    /// Empty for a tombstone.
    package let text: UnsafeRawBufferPointer
    /// Empty for a tombstone.
    package let metadata: UnsafeRawBufferPointer

    /// Reads a record that takes all of `bytes`.
    ///
    /// Structure and ranges are checked; UTF-8 and metadata only by `validate()`.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes)
        let flags = try reader.readUInt8("flags")
        isTombstone = flags & DocumentRecord.tombstoneFlag != 0
        guard flags == 0 || flags == 1 || flags == 2 else {
            throw FormatError(
                .mismatch,
                at: 0,
                field: "flags",
                expected: "0, 1 or 2",
                found: "\(flags)"
            )
        }
        collectionID = try reader.readCollectionID()
        id = try reader.readID()
        lsn = try reader.readVarint("lsn")
        created = try reader.readVarint("created")
        guard !isTombstone else {
            updated = created
            expiry = 0
            vectorChecksum = nil
            body = UnsafeRawBufferPointer(rebasing: bytes[bytes.count...])
            text = body
            metadata = body
            try reader.expectEnd("tombstone")
            return
        }
        updated = try reader.readVarint("updated")
        expiry = try reader.readVarint("expiry")
        vectorChecksum =
            flags & DocumentRecord.vectorFlag == 0 ? nil : try reader.readUInt32("vectorChecksum")
        body = UnsafeRawBufferPointer(rebasing: bytes[reader.position...])
        let parts = try DocumentBody(decoding: &reader)
        text = parts.text
        metadata = parts.metadata
        try reader.expectEnd("record")
    }

    /// True when the document is gone for a reader whose time is `now`.
    package func isExpired(at now: UInt64) -> Bool { expiry != 0 && expiry <= now }

    /// Throws unless id, text and metadata are what they must be.
    package func validate() throws(FormatError) {
        guard KeyBytes.isValidID(id) else {
            throw FormatError(
                .encoding,
                at: 0,
                field: "id",
                expected: "UTF-8 without NUL",
                found: "other bytes"
            )
        }
        guard !isTombstone else { return }
        var reader = ByteReader(body)
        try DocumentBody(decoding: &reader).validate()
    }

    /// Appends a document.
    ///
    /// - Parameter body: prefixed text · prefixed metadata, already valid.
    package static func encodeDocument(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        lsn: UInt64,
        created: UInt64,
        updated: UInt64,
        expiry: UInt64,
        vectorChecksum: UInt32?,
        body: UnsafeRawBufferPointer,
        into writer: inout ByteWriter
    ) {
        writer.writeUInt8(vectorChecksum == nil ? 0 : vectorFlag)
        writer.writeVarint(UInt64(collectionID))
        writer.writePrefixed(id)
        writer.writeVarint(lsn)
        writer.writeVarint(created)
        writer.writeVarint(updated)
        writer.writeVarint(expiry)
        if let vectorChecksum { writer.writeUInt32(vectorChecksum) }
        writer.writeBytes(body)
    }

    /// Appends the tombstone of a delete at `time`.
    package static func encodeTombstone(
        collectionID: UInt32,
        id: UnsafeRawBufferPointer,
        lsn: UInt64,
        time: UInt64,
        into writer: inout ByteWriter
    ) {
        writer.writeUInt8(tombstoneFlag)
        writer.writeVarint(UInt64(collectionID))
        writer.writePrefixed(id)
        writer.writeVarint(lsn)
        writer.writeVarint(time)
    }
}
