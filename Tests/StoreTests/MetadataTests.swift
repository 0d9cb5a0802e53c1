// Metadata keeps what came: types, bits, order by bytes.

import Moraine
import Testing

@Suite struct MetadataTests {
    private func roundTrip(_ metadata: Metadata) throws -> Metadata? {
        let notes = try makeNotes()
        try notes.put(Document(id: "a", metadata: metadata))
        return try notes.get("a")?.metadata
    }

    @Test func valuesComeBackAsTheyWerePut() throws {
        let metadata: Metadata = [
            "null": nil, "true": true, "false": false, "one": 1, "one point": 1.0,
            "minus zero": -0.0, "least": .int(.min), "most": .int(.max),
            "tiny": .double(.leastNonzeroMagnitude),
            "text": "smörgås \u{1F9C0} \u{0}", "empty": "", "array": [1, "a", [], [nil, 2.5]],
            "object": ["nested": ["deeper": [["x": 1]]], "": "the empty key"], "empty object": [:],
        ]
        #expect(try roundTrip(metadata) == metadata)
        #expect(try roundTrip([:]) == [:])
    }

    @Test func anIntegerIsNotADouble() throws {
        let read = try #require(try roundTrip(["int": 1, "double": 1.0, "zero": -0.0]))
        #expect(read["int"]?.intValue == 1)
        #expect(read["int"]?.doubleValue == nil)
        #expect(read["double"]?.doubleValue == 1.0)
        #expect(read["double"]?.intValue == nil)
        #expect(read["zero"]?.doubleValue?.sign == .minus)
        #expect(MetadataValue.int(1) != .double(1))
        #expect(MetadataValue.double(-0.0) != .double(0.0))
    }

    @Test func keysAreBytesAndOrderedByThem() throws {
        var metadata: Metadata = ["b": 1, "\u{1F9C0}": 2, "a": 3, "\u{FFFD}": 4, "": 5]
        metadata[composed] = "one code point"
        metadata[decomposed] = "two"
        // By UTF-16 the cheese would stand before U+FFFD.
        let expected = ["", "a", "b", decomposed, composed, "\u{FFFD}", "\u{1F9C0}"]
        #expect(metadata.map { Array($0.key.utf8) } == expected.map { Array($0.utf8) })
        let read = try #require(try roundTrip(metadata))
        #expect(read == metadata)
        #expect(read[composed] == "one code point")
        #expect(read[decomposed] == "two")
        #expect(MetadataValue.string(composed) != .string(decomposed))
        #expect(Metadata([(composed, 1)]) != Metadata([(decomposed, 1)]))
    }

    @Test func theLastOfEqualKeysCounts() {
        let metadata = Metadata([("b", 1), ("a", 2), ("b", 3), ("a", 4)])
        #expect(metadata == ["a": 4, "b": 3])
        #expect(metadata.count == 2)
    }

    @Test func settingNilRemovesAndNullStays() {
        var metadata: Metadata = ["a": 1, "b": 2]
        metadata["a"] = nil
        #expect(metadata == ["b": 2])
        metadata["b"] = .some(.null)
        #expect(metadata["b"] == .some(.null))
        metadata["c"] = nil
        #expect(metadata.count == 1)
    }

    @Test func aDescriptionIsJSON() {
        let metadata: Metadata = ["b": [1, 1.0, nil], "a": ["x": "\"\n"], "c": true]
        #expect(metadata.description == #"{"a":{"x":"\"\n"},"b":[1,1.0,null],"c":true}"#)
        #expect(Metadata([("a", .double(.nan))]).description.contains("cannot be stored"))
    }

    @Test func equalMetadataHashAlike() {
        let a: Metadata = ["x": 1, "y": [1.5, "t"]]
        let b = Metadata([("y", [1.5, "t"]), ("x", 1)])
        #expect(a == b)
        #expect(a.hashValue == b.hashValue)
        #expect(Set([a, b, ["x": 1.0]]).count == 2)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func whatIsNotFiniteIsRefused(value: Double) throws {
        let notes = try makeNotes()
        let document = Document(id: "a", metadata: ["deep": [["x": .double(value)]]])
        #expect(code { () throws(MoraineError) in try notes.put(document) } == .invalidMetadata)
        #expect(try notes.count() == 0)
    }

    @Test func metadataMayHave128LevelsAndNoMore() throws {
        func nested(_ levels: Int) -> Metadata {
            var value: MetadataValue = 1
            for _ in 1..<levels { value = [value] }
            return ["x": value]
        }
        let notes = try makeNotes()
        try notes.put(Document(id: "a", metadata: nested(128)))
        #expect(try notes.get("a")?.metadata == nested(128))
        let tooDeep = Document(id: "b", metadata: nested(129))
        #expect(code { () throws(MoraineError) in try notes.put(tooDeep) } == .invalidMetadata)
        var objects: MetadataValue = 1
        for _ in 0..<129 { objects = ["o": objects] }
        let deepObjects = Document(id: "c", metadata: objects.objectValue ?? [:])
        #expect(code { () throws(MoraineError) in try notes.put(deepObjects) } == .invalidMetadata)
    }
}
