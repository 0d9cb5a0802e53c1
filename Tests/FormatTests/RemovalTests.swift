// Removals and expiries of a segment, and the metadata that a patch leaves.

import MoraineBytes
import MoraineFormat
import Testing

struct RemovalTests {
    private func prefix(_ text: String, _ lsn: UInt64, in collection: UInt32 = 1) -> Removal {
        Removal(collectionID: collection, lsn: lsn, prefix: Array(text.utf8))
    }

    private func drop(_ collection: UInt32, _ lsn: UInt64) -> Removal {
        Removal(collectionID: collection, lsn: lsn, prefix: nil)
    }

    private func decode(_ bytes: [UInt8]) throws(FormatError) -> [Removal] {
        try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
            try Removal.decode(UnsafeRawBufferPointer(buffer))
        }
    }

    private func encode(_ removals: [Removal]) -> [UInt8] {
        var writer = ByteWriter()
        Removal.encode(removals, into: &writer)
        return writer.finish()
    }

    @Test func removalsReadBackAndOthersAreRefused() throws {
        let all = [prefix("a", 3), drop(2, 3), prefix("ä/", 9, in: 7)]
        #expect(try decode(encode(all)) == all)
        for count in encode(all).indices {
            #expect(throws: FormatError.self) { try decode(Array(encode(all)[..<count])) }
        }
        for bad in [
            [all[2], all[0]], [drop(0, 1)], [drop(1, 0)], [prefix("", 1)],
            [prefix(String(repeating: "a", count: 1025), 1)],
        ] {
            #expect(throws: FormatError.self) { try decode(encode(bad)) }
        }
        #expect(throws: FormatError.self) { try decode([1, 1, 1, 3]) }
    }

    @Test func aRemovalRemovesWhatIsOlder() {
        func removes(_ removal: Removal, _ collection: UInt32, _ id: String, _ lsn: UInt64) -> Bool
        {
            Array(id.utf8).withUnsafeBytes {
                removal.removes(collectionID: collection, id: $0, lsn: lsn)
            }
        }
        #expect(removes(prefix("a", 5), 1, "a", 4) && removes(prefix("a", 5), 1, "ab", 4))
        #expect(!removes(prefix("a", 5), 1, "ab", 5) && !removes(prefix("a", 5), 1, "b", 4))
        #expect(!removes(prefix("a", 5), 2, "a", 4) && !removes(prefix("ab", 5), 1, "a", 4))
        #expect(removes(drop(1, 5), 1, "a", 9) && !removes(drop(1, 5), 2, "a", 1))
    }

    @Test func mergedRemovalsKeepWhatNoOtherCovers() {
        #expect(Removal.merged([]) == [])
        let all = [
            prefix("ab", 3), prefix("a", 4), prefix("ac", 6), prefix("a", 4), prefix("z", 7),
            drop(2, 5), prefix("q", 5, in: 2), prefix("q", 1, in: 2), prefix("q", 1, in: 3),
        ]
        #expect(
            Removal.merged(all)
                == [
                    prefix("q", 1, in: 3), prefix("a", 4), drop(2, 5), prefix("ac", 6),
                    prefix("z", 7),
                ]
        )
    }

    @Test func expiriesMustFitTheirCollections() throws {
        let shape = CollectionShape(id: 4, name: "n", dimensions: 0, metric: .l2)
        let collections = [SegmentCollection(shape: shape, firstRow: 0, rowCount: 3)]
        func decode(_ expiries: [SegmentExpiry]) throws(FormatError) -> [SegmentExpiry] {
            var writer = ByteWriter()
            SegmentExpiry.encode(expiries, into: &writer)
            return try writer.withBytes { bytes throws(FormatError) in
                try SegmentExpiry.decode(bytes, collections: collections)
            }
        }
        let good = SegmentExpiry(collectionID: 4, rowCount: 3, earliest: 1)
        #expect(try decode([good]) == [good])
        for bad in [
            SegmentExpiry(collectionID: 4, rowCount: 4, earliest: 1),
            SegmentExpiry(collectionID: 4, rowCount: 0, earliest: 1),
            SegmentExpiry(collectionID: 4, rowCount: 3, earliest: 0),
            SegmentExpiry(collectionID: 5, rowCount: 1, earliest: 1),
        ] {
            #expect(throws: FormatError.self) { try decode([bad]) }
        }
        #expect(throws: FormatError.self) { try decode([good, good]) }
    }

    /// An object whose values are of every kind, by key.
    private func object(_ items: [(String, [UInt8])]) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeVarint(UInt64(items.count))
        for (key, value) in items {
            writer.writeString(key)
            writer.writeBytes(value)
        }
        return writer.finish()
    }

    @Test func aPatchMergesTopLevelKeys() throws {
        let nested: [UInt8] = [8, 1, 1, 0x78, 7, 2, 1, 6, 1, 0x79]  // {"x":[null,"y"]}
        let base = object([
            ("a", nested), ("c", [5, 0, 0, 0, 0, 0, 0, 0, 0]), ("e", [4, 200, 1]), ("g", [3]),
        ])
        func patched(_ changes: [(String, [UInt8])], _ removed: [String]) throws -> [UInt8] {
            try base.withUnsafeBytes { base in
                try object(changes).withUnsafeBytes {
                    try Metadata.patched(
                        base,
                        setting: $0,
                        removing: removed.map { Array($0.utf8) }
                    )
                }
            }
        }
        #expect(try patched([], []) == base)
        #expect(try patched([], ["a", "c", "e", "g", "x"]) == Metadata.empty)
        let result = try patched([("", [1]), ("c", [1]), ("d", nested), ("z", [2])], ["a", "e"])
        #expect(
            result
                == object([("", [1]), ("c", [1]), ("d", nested), ("g", [3]), ("z", [2])])
        )
        try result.withUnsafeBytes { try Metadata.validate($0) }
        // What was cut short is refused, never read past.
        for count in base.indices {
            #expect(throws: FormatError.self) {
                try Array(base[..<count]).withUnsafeBytes { base in
                    try Metadata.empty.withUnsafeBytes {
                        try Metadata.patched(base, setting: $0, removing: [])
                    }
                }
            }
        }
    }
}
