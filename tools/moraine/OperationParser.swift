// One line of `apply`: from JSON to the operations of a commit.

import MoraineBytes
import MoraineEngine
import MoraineFormat
import MoraineJSON
import MoraineStorage

/// Why a line was refused.
struct Refusal: Error {
    /// Kebab-case, one of those that the README lists.
    let code: String
    let message: String

    init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }

    init(_ code: StoreError.Code, _ message: String) { self.init(code.rawValue, message) }

    init(_ error: StoreError) { self.init(error.code, Failure.text(error)) }

    /// A fault of the JSON itself.
    init(_ error: JSONError) {
        self.init(Refusal.invalidJSON, "byte \(error.offset): \(error.message)")
    }

    /// A fault of JSON that is fine as such, in a value that cannot be stored: `code`.
    init(_ error: JSONError, value code: StoreError.Code) {
        switch error.kind {
        case .numberRange, .depth, .duplicateKey:
            self.init(code, "byte \(error.offset): \(error.message)")
        default: self.init(error)
        }
    }

    static let invalidJSON = "invalid-json"
}

/// Turns lines into operations.
///
/// Keeps its memory from line to line.
struct OperationParser: ~Copyable {
    private var reader = JSONReader(UnsafeRawBufferPointer(start: nil, count: 0))
    private var transcoder = MetadataTranscoder()
    private var metadata = ByteWriter()
    private var vector: [Float] = []
    private var removedKeys: [[UInt8]] = []

    private enum Key: Int {
        case op, collection, id, text, metadata, embedding, embeddingBase64, expectedVersion
        case dimensions, metric, ops, to, prefix, set, remove, expires

        var bit: UInt64 { 1 << UInt64(rawValue) }
    }

    /// In the order of `Key`.
    private static let names: [StaticString] = [
        "op", "collection", "id", "text", "metadata", "embedding", "embedding_b64",
        "expected_version", "dimensions", "metric", "ops", "to", "prefix", "set", "remove",
        "expires",
    ]

    /// The operations and the keys that each may have and must have.
    private static let operations: [(name: StaticString, allowed: [Key], required: [Key])] = [
        ("create", [.op, .collection, .dimensions, .metric], [.collection]),
        (
            "put",
            [
                .op, .collection, .id, .text, .metadata, .embedding, .embeddingBase64,
                .expectedVersion, .expires,
            ], [.collection, .id]
        ),
        ("delete", [.op, .collection, .id, .expectedVersion], [.collection, .id]),
        ("delete_prefix", [.op, .collection, .prefix], [.collection, .prefix]),
        (
            "patch", [.op, .collection, .id, .set, .remove, .expectedVersion], [.collection, .id]
        ),
        ("rename", [.op, .collection, .to], [.collection, .to]),
        ("drop", [.op, .collection], [.collection]),
        ("batch", [.op, .ops], [.ops]),
    ]

    /// The values of one operation's keys, as far as they were met.
    private struct Fields {
        var seen: UInt64 = 0
        var start = 0
        var op: UnsafeRawBufferPointer?
        var collection = ""
        var id = UnsafeRawBufferPointer(start: nil, count: 0)
        var text = UnsafeRawBufferPointer(start: nil, count: 0)
        var to = ""
        var expiry: UInt64 = 0
        var prefix = UnsafeRawBufferPointer(start: nil, count: 0)
        var expectedVersion: UInt64?
        var dimensions = 0
        var metric = Metric.cosine

        func has(_ key: Key) -> Bool { seen & key.bit != 0 }
    }

    init() {}

    /// The last line deletes by prefix, whatever else it does.
    private(set) var deletesPrefixes = false

    /// Adds the operations of `line` to `batch`.
    ///
    /// After a refusal the batch is of no use.
    mutating func parse(_ line: UnsafeRawBufferPointer, into batch: inout BatchBuilder)
        throws(Refusal)
    {
        reader.restart(line)
        deletesPrefixes = false
        try parseOperation(into: &batch, isNested: false)
        try json { reader throws(JSONError) in try reader.expectEnd() }
    }

    private mutating func parseOperation(into batch: inout BatchBuilder, isNested: Bool)
        throws(Refusal)
    {
        var fields = Fields()
        try json { reader throws(JSONError) in try reader.beginObject() }
        fields.start = reader.tokenOffset
        metadata.removeAll()
        removedKeys.removeAll()
        while true {
            let key = try json { reader throws(JSONError) in
                try reader.nextKey(of: OperationParser.names, seen: &fields.seen)
            }
            guard let key, let key = Key(rawValue: key) else { break }
            try parse(key, into: &fields, &batch, isNested: isNested)
        }
        try apply(fields, to: &batch, isNested: isNested)
    }

    private mutating func parse(
        _ key: Key,
        into fields: inout Fields,
        _ batch: inout BatchBuilder,
        isNested: Bool
    ) throws(Refusal) {
        switch key {
        case .op: fields.op = try readString()
        case .collection: fields.collection = String(decoding: try readString(), as: UTF8.self)
        case .id: fields.id = try readString()
        case .text: fields.text = try readString()
        case .expires:
            let value = try json { reader throws(JSONError) in try reader.readUInt64() }
            guard value >= 1, value <= UInt64(Int64.max) else {
                throw Refusal(.invalidArgument, "expires is in milliseconds since 1970, at least 1")
            }
            fields.expiry = value
        case .to: fields.to = String(decoding: try readString(), as: UTF8.self)
        case .prefix: fields.prefix = try readString()
        case .remove:
            try json { reader throws(JSONError) in try reader.beginArray() }
            while try json({ reader throws(JSONError) in try reader.nextElement() }) {
                removedKeys.append(Array(try readString()))
            }
        case .metadata, .set:
            do throws(JSONError) {
                try transcoder.transcodeObject(&reader, into: &metadata)
            } catch {
                throw Refusal(error, value: .invalidMetadata)
            }
        case .embedding, .embeddingBase64:
            guard !(fields.has(.embedding) && fields.has(.embeddingBase64)) else {
                throw Refusal(.invalidArgument, "embedding and embedding_b64 exclude each other")
            }
            do throws(JSONError) {
                if key == .embedding {
                    try reader.readFloatArray(into: &vector)
                } else {
                    try reader.readBase64Floats(into: &vector)
                }
            } catch {
                throw Refusal(error, value: .invalidVector)
            }
        case .expectedVersion:
            fields.expectedVersion = try json { reader throws(JSONError) in
                try reader.readUInt64()
            }
        case .dimensions: fields.dimensions = try readDimensions()
        case .metric:
            let name = String(decoding: try readString(), as: UTF8.self)
            guard let metric = Metric(name: name) else {
                throw Refusal(.invalidArgument, "metric must be cosine, dot or l2")
            }
            fields.metric = metric
        case .ops:
            guard !isNested else {
                throw Refusal(.invalidArgument, "a batch cannot hold a batch")
            }
            // Applied as they are met, before it is known that the op is "batch": another one
            // refuses the key, and then nothing of the line happens.
            try json { reader throws(JSONError) in try reader.beginArray() }
            while try json({ reader throws(JSONError) in try reader.nextElement() }) {
                try parseOperation(into: &batch, isNested: true)
            }
        }
    }

    /// The dimensions of a collection; 0 for none.
    private mutating func readDimensions() throws(Refusal) -> Int {
        do throws(JSONError) {
            if try reader.peekKind() == .null {
                try reader.readNull()
                return 0
            }
            let value = try reader.readInt64()
            guard value >= 1, value <= Int64(FormatLimits.dimensions) else {
                throw JSONError(
                    .numberRange,
                    "dimensions must be 1 to \(FormatLimits.dimensions), or null",
                    at: reader.tokenOffset
                )
            }
            return Int(value)
        } catch {
            throw Refusal(error, value: .invalidArgument)
        }
    }

    private mutating func apply(
        _ fields: Fields,
        to batch: inout BatchBuilder,
        isNested: Bool
    ) throws(Refusal) {
        guard let op = fields.op else { throw missing("op", fields) }
        guard let operation = Self.operations.first(where: { op.equals($0.name) }) else {
            let name = visible(String(decoding: op.prefix(40), as: UTF8.self))
            throw Refusal(.invalidArgument, "there is no operation \"\(name)\"")
        }
        for key in 0..<Self.names.count where fields.seen & (1 << UInt64(key)) != 0 {
            guard operation.allowed.contains(where: { $0.rawValue == key }) else {
                throw Refusal(
                    Refusal.invalidJSON,
                    "unknown key \"\(Self.names[key])\" for \"\(operation.name)\""
                )
            }
        }
        for key in operation.required where !fields.has(key) {
            throw missing(Self.names[key.rawValue], fields)
        }
        do throws(StoreError) {
            try add(operation.name, fields, to: &batch)
        } catch {
            let refusal = Refusal(error)
            guard isNested else { throw refusal }
            // Which of a batch it was.
            throw Refusal(refusal.code, "byte \(fields.start): \(refusal.message)")
        }
    }

    private mutating func add(
        _ name: StaticString,
        _ fields: Fields,
        to batch: inout BatchBuilder
    ) throws(StoreError) {
        switch "\(name)" {
        case "create":
            try batch.createCollection(
                fields.collection,
                dimensions: fields.dimensions,
                metric: fields.metric
            )
        case "put": try put(fields, to: &batch)
        case "delete":
            try batch.delete(
                try batch.collection(fields.collection),
                id: fields.id,
                expectedVersion: fields.expectedVersion
            )
        case "delete_prefix":
            deletesPrefixes = true
            try batch.delete(try batch.collection(fields.collection), prefix: fields.prefix)
        case "patch": try patch(fields, to: &batch)
        case "rename": try batch.renameCollection(fields.collection, to: fields.to)
        case "drop": try batch.dropCollection(fields.collection)
        default: break
        }
    }

    private func patch(_ fields: Fields, to batch: inout BatchBuilder) throws(StoreError) {
        let collection = try batch.collection(fields.collection)
        let changes = metadata.bytes.isEmpty ? Metadata.empty : metadata.bytes
        try changes.withUnsafeBufferPointer { changes throws(StoreError) in
            try batch.patch(
                collection,
                id: fields.id,
                setting: UnsafeRawBufferPointer(changes),
                removing: removedKeys,
                expectedVersion: fields.expectedVersion
            )
        }
    }

    private func put(_ fields: Fields, to batch: inout BatchBuilder) throws(StoreError) {
        let collection = try batch.collection(fields.collection)
        let hasVector = fields.has(.embedding) || fields.has(.embeddingBase64)
        let metadata = self.metadata.bytes.isEmpty ? Metadata.empty : self.metadata.bytes
        try metadata.withUnsafeBufferPointer { metadata throws(StoreError) in
            try vector.withUnsafeBufferPointer { vector throws(StoreError) in
                try batch.put(
                    collection,
                    id: fields.id,
                    text: fields.text,
                    metadata: UnsafeRawBufferPointer(metadata),
                    vector: hasVector ? vector : nil,
                    expectedVersion: fields.expectedVersion,
                    expiry: fields.expiry
                )
            }
        }
    }

    // MARK: Reading

    private mutating func readString() throws(Refusal) -> UnsafeRawBufferPointer {
        try json { reader throws(JSONError) in try reader.readString() }
    }

    private mutating func json<R>(_ body: (inout JSONReader) throws(JSONError) -> R)
        throws(Refusal) -> R
    {
        do throws(JSONError) {
            return try body(&reader)
        } catch {
            throw Refusal(error)
        }
    }

    private func missing(_ key: StaticString, _ fields: Fields) -> Refusal {
        Refusal(JSONError.missingKey(key, at: fields.start))
    }
}
