// A document as the tool prints it, in JSON and for people.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

/// How a vector is printed.
enum VectorForm {
    /// `embedding`: numbers, for people and other programs.
    case array
    /// `embedding_b64`: base64 of little-endian Float32, smaller and faster.
    case base64
}

/// What is printed of a document's version and times.
enum DocumentTimes {
    /// Nothing: the content alone.
    case none
    /// `expires`, where the document does: what a put of it takes.
    case expiry
    /// `version`, `created`, `updated` as well, which no put takes.
    case all
}

/// Prints documents as the lines that `apply` takes.
struct DocumentPrinter: ~Copyable {
    private let vectors: VectorForm
    private var json = JSONWriter(capacity: 1 << 16)
    private var floats: [Float] = []

    init(vectors: VectorForm = .array) { self.vectors = vectors }

    /// Writes a document as a line of JSON.
    mutating func writeLine(
        _ document: DocumentView,
        of collection: CollectionShape,
        times: DocumentTimes,
        to output: Output
    ) throws(StoreError) {
        json.writeRaw("{\"op\":\"put\",\"collection\":")
        json.writeString(collection.name)
        json.writeRaw(",\"id\":")
        json.writeString(document.id)
        try writeContent(document)
        if times == .all {
            json.writeRaw(",\"version\":")
            json.writeUInt(document.version)
            json.writeRaw(",\"created\":")
            json.writeTimestamp(milliseconds: document.created)
            json.writeRaw(",\"updated\":")
            json.writeTimestamp(milliseconds: document.updated)
        }
        if times != .none, document.expiry != 0 {
            json.writeRaw(",\"expires\":")
            json.writeUInt(document.expiry)
        }
        if let vector = document.vector {
            switch vectors {
            case .array:
                json.writeRaw(",\"embedding\":")
                writeVector(vector)
            case .base64:
                json.writeRaw(",\"embedding_b64\":")
                json.writeBase64(vector)
            }
        }
        json.writeRaw("}")
        output.writeLine(&json)
    }

    /// Writes the hits of one query as a line of JSON.
    ///
    /// - Parameter withContent: false leaves out text and metadata, and reads no document.
    mutating func writeLine(
        _ hits: [SearchHit],
        query: Int,
        withContent: Bool,
        in version: Version,
        of collection: CollectionShape,
        to output: Output
    ) throws(StoreError) {
        json.writeRaw("{\"query\":")
        json.writeUInt(UInt64(query))
        json.writeRaw(",\"hits\":[")
        for (index, hit) in hits.enumerated() {
            if index > 0 { json.writeRaw(",") }
            json.writeRaw("{\"id\":")
            hit.id.withUnsafeBytes { json.writeString($0) }
            json.writeRaw(",\"score\":")
            json.writeFloat(hit.score)
            if withContent {
                try version.withDocument(of: hit, in: collection, wantsVector: false) {
                    document throws(StoreError) in
                    try writeContent(document)
                }
            }
            json.writeRaw("}")
        }
        json.writeRaw("]}")
        output.writeLine(&json)
    }

    private mutating func writeContent(_ document: DocumentView) throws(StoreError) {
        json.writeRaw(",\"text\":")
        json.writeString(document.text)
        json.writeRaw(",\"metadata\":")
        do throws(FormatError) {
            try json.writeMetadata(document.metadata)
        } catch {
            throw StoreError(
                .corrupted,
                "metadata of a document: \(error.field)",
                expected: error.expected,
                found: error.found
            )
        }
    }

    private mutating func writeVector(_ vector: UnsafeRawBufferPointer) {
        copyFloats(vector, to: &floats)
        floats.withUnsafeBufferPointer { json.writeFloatArray($0) }
    }
}

/// Replaces `floats` by little-endian Float32 of any alignment.
func copyFloats(_ bytes: UnsafeRawBufferPointer, to floats: inout [Float]) {
    floats.removeAll(keepingCapacity: true)
    for offset in stride(from: 0, to: bytes.count - 3, by: 4) {
        let bits = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        )
        floats.append(Float(bitPattern: bits))
    }
}

/// The first line of a text, at most `limit` characters.
func firstLine(_ text: UnsafeRawBufferPointer, limit: Int = 120) -> String {
    // A character has at most four bytes of these; the rest need not be decoded.
    let head = text.prefix(limit * 4).prefix { $0 != 0x0A && $0 != 0x0D }
    let decoded = String(decoding: head, as: UTF8.self)
    return decoded.count <= limit ? decoded : decoded.prefix(limit - 1) + "…"
}

/// Metadata as JSON text.
func metadataText(_ metadata: UnsafeRawBufferPointer) throws(StoreError) -> String {
    var json = JSONWriter()
    do throws(FormatError) {
        try json.writeMetadata(metadata)
    } catch {
        throw StoreError(
            .corrupted,
            "metadata of a document: \(error.field)",
            expected: error.expected,
            found: error.found
        )
    }
    return json.withBytes { String(decoding: $0, as: UTF8.self) }
}
