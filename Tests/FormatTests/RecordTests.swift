// Records, metadata, keys and schemas: what reads back, and what is refused.

import MoraineBytes
import MoraineFormat
import Testing

@Suite struct RecordTests {
    private func validate(_ bytes: [UInt8]) throws(FormatError) {
        try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
            try Metadata.validate(UnsafeRawBufferPointer(buffer))
        }
    }

    /// The object {"a":null,"b":[1,true,{}],"c":"é","d":1.5}.
    private static let sample: [UInt8] =
        [4, 1, 0x61, 1, 1, 0x62, 7, 3, 4, 2, 3, 8, 0, 1, 0x63, 6, 2, 0xC3, 0xA9, 1, 0x64, 5]
        + [0, 0, 0, 0, 0, 0, 0xF8, 0x3F]

    @Test func canonicalMetadataIsValid() throws {
        try validate(Metadata.empty)
        try validate(RecordTests.sample)
        try validate([1, 0, 2])  // An empty key.
        for count in 0..<RecordTests.sample.count {
            #expect(throws: FormatError.self) {
                try validate(Array(RecordTests.sample[..<count]))
            }
        }
    }

    @Test(arguments: [
        ("keys that descend", [2, 1, 0x62, 1, 1, 0x61, 1], FormatError.Kind.range),
        ("a key twice", [2, 1, 0x61, 1, 1, 0x61, 1], .range),
        ("a key before its own beginning", [2, 2, 0x61, 0x62, 1, 1, 0x61, 1], .range),
        ("an unknown tag", [1, 1, 0x61, 9], .mismatch),
        ("tag 0", [1, 1, 0x61, 0], .mismatch),
        ("infinity", [1, 1, 0x61, 5, 0, 0, 0, 0, 0, 0, 0xF0, 0x7F], .range),
        ("not a number", [1, 1, 0x61, 5, 1, 0, 0, 0, 0, 0, 0xF0, 0x7F], .range),
        ("text that is no UTF-8", [1, 1, 0x61, 6, 1, 0xFF], .encoding),
        ("a surrogate", [1, 1, 0x61, 6, 3, 0xED, 0xA0, 0x80], .encoding),
        ("a key that is no UTF-8", [1, 1, 0xC0, 1], .encoding),
        ("bytes left over", [0, 0], .excess),
        ("a count above what is left", [200, 1, 0x61, 1], .truncated),
        ("a huge count", [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], .truncated),
        ("a varint that is not the shortest", [0x80, 0], .range),
        ("nothing", [], .truncated),
    ])
    func otherMetadataIsRefused(name: String, bytes: [UInt8], kind: FormatError.Kind) {
        let error = #expect(throws: FormatError.self) { try validate(bytes) }
        #expect(error?.kind == kind, "\(name)")
    }

    @Test func depthEndsAtTheLimit() throws {
        func nested(_ depth: Int) -> [UInt8] {
            // The outermost object is level 1, each array in it one more.
            [1, 1, 0x61] + [UInt8](repeating: 0, count: 0)
                + (1..<depth).flatMap { level -> [UInt8] in
                    level == depth - 1 ? [7, 0] : [7, 1]
                } + (depth == 1 ? [1] : [])
        }
        try validate(nested(1))
        try validate(nested(2))
        try validate(nested(FormatLimits.metadataDepth))
        let error = #expect(throws: FormatError.self) {
            try validate(nested(FormatLimits.metadataDepth + 1))
        }
        #expect(error?.kind == .range)
        // A million levels cost nothing but the refusal.
        #expect(throws: FormatError.self) { try validate(nested(1_000_000)) }
    }

    private func record(
        _ id: [UInt8],
        checksum: UInt32?,
        text: [UInt8],
        metadata: [UInt8]
    ) -> [UInt8] {
        var body = ByteWriter()
        var writer = ByteWriter()
        text.withUnsafeBytes { text in
            metadata.withUnsafeBytes { DocumentBody.encode(text: text, metadata: $0, into: &body) }
        }
        body.withBytes { body in
            id.withUnsafeBytes { id in
                DocumentRecord.encodeDocument(
                    collectionID: 300,
                    id: id,
                    lsn: 1 << 40,
                    created: 5,
                    updated: 6,
                    expiry: 7,
                    vectorChecksum: checksum,
                    body: body,
                    into: &writer
                )
            }
        }
        return writer.finish()
    }

    private func decode<R>(
        _ bytes: [UInt8],
        _ body: (DocumentRecord) throws(FormatError) -> R
    ) throws(FormatError) -> R {
        try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
            try body(DocumentRecord(decoding: UnsafeRawBufferPointer(buffer)))
        }
    }

    @Test(arguments: [nil, 0, 0xDEAD_BEEF] as [UInt32?])
    func documentsReadBack(checksum: UInt32?) throws {
        let id = Array("doc-1".utf8)
        let bytes = record(
            id,
            checksum: checksum,
            text: [0x68, 0x69],
            metadata: RecordTests.sample
        )
        try decode(bytes) { record throws(FormatError) in
            #expect(!record.isTombstone && record.collectionID == 300 && record.lsn == 1 << 40)
            #expect(record.created == 5 && record.updated == 6 && record.expiry == 7)
            #expect(record.vectorChecksum == checksum)
            #expect(record.id.elementsEqual(id) && record.text.elementsEqual([0x68, 0x69]))
            #expect(record.metadata.elementsEqual(RecordTests.sample))
            #expect(record.body.count == 2 + 1 + RecordTests.sample.count + 1)
            try record.validate()
        }
        for count in bytes.indices {
            #expect(throws: FormatError.self) {
                try decode(Array(bytes[..<count])) { _ throws(FormatError) in }
            }
        }
        #expect(throws: FormatError.self) { try decode(bytes + [0]) { _ throws(FormatError) in } }
    }

    @Test func tombstonesReadBack() throws {
        var writer = ByteWriter()
        [UInt8](arrayLiteral: 0x61).withUnsafeBytes {
            DocumentRecord.encodeTombstone(
                collectionID: 1,
                id: $0,
                lsn: 9,
                time: 1_000,
                into: &writer
            )
        }
        let bytes = writer.finish()
        #expect(bytes == [2, 1, 1, 0x61, 9, 0xE8, 7])
        try decode(bytes) { record throws(FormatError) in
            #expect(record.isTombstone && record.created == 1_000 && record.lsn == 9)
            #expect(record.body.isEmpty && record.vectorChecksum == nil)
            try record.validate()
        }
    }

    @Test(arguments: [
        record0(flags: 4), record0(flags: 3), record0(collection: 0), record0(id: []),
        record0(id: [UInt8](repeating: 0x61, count: 1_025)),
    ])
    func recordsOutsideTheLimitsAreRefused(bytes: [UInt8]) {
        #expect(throws: FormatError.self) { try decode(bytes) { _ throws(FormatError) in } }
    }

    private static func record0(
        flags: UInt8 = 0,
        collection: UInt64 = 1,
        id: [UInt8] = [0x61]
    ) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt8(flags)
        writer.writeVarint(collection)
        id.withUnsafeBytes { writer.writePrefixed($0) }
        for _ in 0..<4 { writer.writeVarint(1) }
        writer.writeBytes([0, 1, 0])
        return writer.finish()
    }

    @Test(arguments: [[0x61, 0], [0xFF], [0xC3]] as [[UInt8]])
    func idsThatAreNoTextAreFoundByTheCheck(id: [UInt8]) throws {
        try decode(record(id, checksum: nil, text: [], metadata: [0])) {
            record throws(FormatError) in
            _ = #expect(throws: FormatError.self) { try record.validate() }
        }
    }

    @Test func keysSortByCollectionAndThenBytes() {
        let keys: [(UInt32, [UInt8])] = [
            (1, [0x61]), (1, [0x61, 0x00]), (1, [0x61, 0x62]), (1, [0x62]), (1, [0xFF]),
            (2, [0x61]), (255, [0x61]), (256, [0x61]), (65_536, [0x61]),
            (65_536, Array("abcdefgh".utf8)), (65_536, Array("abcdefghi".utf8)),
            (65_536, Array("abcdefgx".utf8)), (UInt32.max - 1, [0x61]),
        ]
        for (i, a) in keys.enumerated() {
            for (j, b) in keys.enumerated() {
                a.1.withUnsafeBytes { x in
                    b.1.withUnsafeBytes { y in
                        let rows = KeyBytes.compare(a.0, x, b.0, y)
                        let bytes = KeyBytes.with(collection: a.0, id: x) { x in
                            KeyBytes.with(collection: b.0, id: y) { KeyBytes.compare(x, $0) }
                        }
                        #expect(rows.signum() == (i - j).signum())
                        #expect(bytes.signum() == (i - j).signum())
                    }
                }
            }
        }
    }

    @Test func aKeyTellsItsParts() {
        [UInt8]("xyz".utf8).withUnsafeBytes { id in
            KeyBytes.with(collection: 0x0102_0304, id: id) { key in
                #expect(key.elementsEqual([1, 2, 3, 4] + Array("xyz".utf8)))
                #expect(KeyBytes.collection(of: key) == 0x0102_0304)
                #expect(KeyBytes.id(of: key).elementsEqual(id))
                #expect(KeyBytes.collection(of: UnsafeRawBufferPointer(rebasing: key[..<3])) == 0)
            }
        }
    }

    @Test func schemasReadBackAndOthersAreRefused() throws {
        func shape(_ id: UInt32) -> CollectionShape {
            CollectionShape(id: id, name: "n\(id)", dimensions: 384, metric: .l2)
        }
        func decode(_ collections: [SegmentCollection], _ rows: UInt64) throws(FormatError)
            -> [SegmentCollection]
        {
            var writer = ByteWriter()
            SegmentCollection.encode(collections, into: &writer)
            return try writer.withBytes { bytes throws(FormatError) in
                try SegmentCollection.decode(bytes, rowCount: rows)
            }
        }
        let good = [
            SegmentCollection(shape: shape(1), firstRow: 0, rowCount: 5),
            SegmentCollection(shape: shape(4), firstRow: 5, rowCount: 0),
            SegmentCollection(shape: shape(9), firstRow: 5, rowCount: 2),
        ]
        #expect(try decode(good, 7) == good)
        #expect(try decode([], 0) == [])
        #expect(throws: FormatError.self) { try decode(good, 8) }
        #expect(throws: FormatError.self) { try decode(good, 6) }
        #expect(throws: FormatError.self) { try decode([good[1], good[0]], 5) }
        #expect(throws: FormatError.self) { try decode([good[0], good[0]], 10) }
        #expect(throws: FormatError.self) { try decode([good[2]], 2) }
    }
}
