// Metadata: one binary form for every text that means the same, and the text again.

import MoraineBytes
import MoraineFormat
import MoraineJSON
import Testing

@Suite struct MetadataTests {
    private func error(_ text: String) -> JSONError? {
        do throws(JSONError) {
            _ = try transcoded(text)
            return nil
        } catch { return error }
    }

    @Test func valuesHaveTheBytesOfTheFormat() throws {
        let cases: [(String, [UInt8])] = [
            ("{}", [0]),
            (#"{"a":null}"#, [1, 1, 0x61, 1]),
            (#"{"a":false}"#, [1, 1, 0x61, 2]),
            (#"{"a":true}"#, [1, 1, 0x61, 3]),
            (#"{"a":-1}"#, [1, 1, 0x61, 4, 1]),
            (#"{"a":300}"#, [1, 1, 0x61, 4, 0xD8, 0x04]),
            (#"{"a":-0}"#, [1, 1, 0x61, 4, 0]),
            (
                #"{"a":9223372036854775807}"#,
                [1, 1, 0x61, 4, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]
            ),
            (#"{"a":1.0}"#, [1, 1, 0x61, 5, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
            (#"{"a":-0.0}"#, [1, 1, 0x61, 5, 0, 0, 0, 0, 0, 0, 0, 0x80]),
            (#"{"a":"é"}"#, [1, 1, 0x61, 6, 2, 0xC3, 0xA9]),
            (#"{"a":[]}"#, [1, 1, 0x61, 7, 0]),
            (#"{"a":[true,{}]}"#, [1, 1, 0x61, 7, 2, 3, 8, 0]),
            (#"{"b":1,"a":2}"#, [2, 1, 0x61, 4, 4, 1, 0x62, 4, 2]),
            (#"{"":1}"#, [1, 0, 4, 2]),
        ]
        for (text, binary) in cases { #expect(try transcoded(text) == binary) }
    }

    @Test func canonicalTextComesBack() throws {
        let cases: [(String, String)] = [
            ("{ }", "{}"),
            (#"{"b":1,"a":2,"aa":3,"":4}"#, #"{"":4,"a":2,"aa":3,"b":1}"#),
            (#"{"x":[1,1.0,1e2,-0.0,-0,1E-7]}"#, #"{"x":[1,1.0,100.0,-0.0,0,1e-7]}"#),
            (
                #"{"z":{"b":[{"d":1,"c":2}],"a":{}},"y":null}"#,
                #"{"y":null,"z":{"a":{},"b":[{"c":2,"d":1}]}}"#
            ),
            (
                #"{"é":1,"z":2,"\ud83d\ude00":3,"\uffee":4}"#,
                "{\"z\":2,\"é\":1,\"\u{FFEE}\":4,\"😀\":3}"
            ),
            (
                #"{"a\u000a":"\u2028\u0085\u001f\u007f\/"}"#,
                "{\"a\\n\":\"\\u2028\\u0085\\u001f\u{7F}/\"}"
            ),
            (
                #"{"i":[9223372036854775807,-9223372036854775808]}"#,
                #"{"i":[9223372036854775807,-9223372036854775808]}"#
            ),
        ]
        for (text, canonical) in cases {
            let binary = try transcoded(text)
            #expect(try metadataText(binary) == canonical)
            #expect(try transcoded(canonical) == binary)
        }
    }

    /// Counts of one, two and three bytes, in any order of keys, at the top and nested.
    @Test(arguments: [1, 2, 31, 127, 128, 129, 300, 16_383, 16_384])
    func countsOfEverySizeArePutInFront(_ count: Int) throws {
        var random = Samples(seed: UInt64(count))
        let keys = (0..<count).map { "k\($0)" }
        let members = keys.shuffled(using: &random).map { "\"\($0)\":\"\($0)\"" }
        let object = "{\(members.joined(separator: ","))}"
        let list = "[" + (0..<count).map { "\($0)" }.joined(separator: ",") + "]"
        let binary = try transcoded("{\"l\":\(list),\"o\":\(object),\"a\":\(list)}")
        let sorted = keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        let expected = sorted.map { "\"\($0)\":\"\($0)\"" }.joined(separator: ",")
        #expect(try metadataText(binary) == "{\"a\":\(list),\"l\":\(list),\"o\":{\(expected)}}")
    }

    @Test func randomMetadataIsCanonical() throws {
        var random = Samples(seed: 11)
        func value(_ depth: Int) -> String {
            switch Int.random(in: 0..<(depth < 5 ? 8 : 6), using: &random) {
            case 0: return ["null", "true", "false"].randomElement(using: &random) ?? ""
            case 1: return "\(Int64(bitPattern: random.next()))"
            case 2: return "\(Int8.random(in: .min ... .max, using: &random))"
            case 3: return "\(Double.random(in: -1e6...1e6, using: &random))"
            case 4, 5: return "\"\(UInt8.random(in: 0...255, using: &random))\\u00e5\\n\""
            case 6:
                let count = Int.random(in: 0...4, using: &random)
                return "[" + (0..<count).map { _ in value(depth + 1) }.joined(separator: " , ")
                    + "]"
            default: return object(depth + 1)
            }
        }
        func object(_ depth: Int) -> String {
            let keys = Set(
                (0..<Int.random(in: 0...6, using: &random)).map { _ in
                    String(UInt16.random(in: 0...999, using: &random))
                }
            ).sorted().shuffled(using: &random)
            return "{" + keys.map { "\"\($0)\": \(value(depth))" }.joined(separator: ",") + "}"
        }
        for _ in 0..<500 {
            let text = object(0)
            let binary = try transcoded(text)
            try binary.withUnsafeBufferPointer { buffer throws(FormatError) in
                try Metadata.validate(UnsafeRawBufferPointer(buffer))
            }
            let canonical = try metadataText(binary)
            #expect(try transcoded(canonical) == binary, "\(text)")
            #expect(try metadataText(transcoded(canonical)) == canonical)
        }
    }

    @Test func duplicateKeysAreNamed() {
        let cases: [(String, Int)] = [
            (#"{"id":1,"id":2}"#, 8), (#"{"id":1,"x":0,"id":2}"#, 14),
            (#"{"z":0,"id":1,"a":3,"\u0069d":2}"#, 20),
            (#"{"a":{"b":[{"id":1,"c":4,"id":2}]}}"#, 25),
        ]
        for (text, offset) in cases {
            #expect(error(text) == JSONError(.duplicateKey, "duplicate key \"id\"", at: offset))
        }
        #expect(error(#"{"a":{"a":{"a":1}},"b":{"a":1}}"#) == nil)
        #expect(error(#"{"":1,"":2}"#)?.kind == .duplicateKey)
        // Equal to the eye, but not in bytes.
        #expect(error("{\"\u{E5}\":1,\"a\u{30A}\":2}") == nil)
    }

    @Test func numbersOutOfRangeAreRefused() {
        for text in ["9223372036854775808", "-9223372036854775809", "1e400", "-1.0e309"] {
            #expect(error("{\"a\":\(text)}")?.kind == .numberRange)
            #expect(error("{\"a\":[\(text)]}")?.offset == 6)
        }
        #expect(error("{\"a\":9223372036854775808.0}") == nil)
    }

    @Test func onlyAnObjectIsMetadata() {
        for text in ["[]", "1", "null", "\"\"", "true"] {
            #expect(error(text)?.kind == .typeMismatch)
        }
    }

    @Test(arguments: [true, false]) func depthHasALimit(_ objects: Bool) throws {
        func nested(_ levels: Int) -> String {
            let open = objects ? "{\"a\":" : "["
            return "{\"a\":" + String(repeating: open, count: levels - 1) + "1"
                + String(repeating: objects ? "}" : "]", count: levels - 1) + "}"
        }
        let deepest = nested(128)
        #expect(try metadataText(transcoded(deepest)) == deepest)
        #expect(error(nested(129))?.kind == .depth)
        #expect(error(nested(100_000))?.kind == .depth)
    }

    @Test func anErrorLeavesWhatWasThere() throws {
        let bad = Array(#"{"a":{"b":[1,{"c":2,"c":3}]}}"#.utf8)
        var transcoder = MetadataTranscoder()
        var out = ByteWriter()
        out.writeUInt8(0xAA)
        #expect(throws: JSONError.self) {
            try read(bad) { reader throws(JSONError) in
                try transcoder.transcodeObject(&reader, into: &out)
            }
        }
        try read(#"{"b":1}"#) { reader throws(JSONError) in
            try transcoder.transcodeObject(&reader, into: &out)
        }
        #expect(out.bytes == [0xAA, 1, 1, 0x62, 4, 2])

        var writer = JSONWriter()
        writer.writeRaw("[")
        let damaged: [UInt8] = [2, 1, 0x61, 4, 2, 1, 0x62, 9]
        #expect(throws: FormatError.self) {
            try damaged.withUnsafeBufferPointer { buffer throws(FormatError) in
                try writer.writeMetadata(UnsafeRawBufferPointer(buffer))
            }
        }
        #expect(writer.count == 1)
    }

    @Test func damagedBinaryIsRefusedWithoutATrap() throws {
        let text = #"{"a":[1,2.5,"x",null,true,false,{"b":"é","c":-300}],"d":{"e":[[],{}]}}"#
        let binary = try transcoded(text)
        for count in 0..<binary.count {
            #expect(throws: FormatError.self) { try metadataText(Array(binary[..<count])) }
        }
        #expect(throws: FormatError.self) { try metadataText(binary + [0]) }
        for index in binary.indices {
            for byte in [0, 1, 5, 7, 8, 0x7F, 0x80, 0xFF] as [UInt8] {
                var damaged = binary
                damaged[index] = byte
                // What still is metadata prints as JSON.
                if let text = try? metadataText(damaged) {
                    #expect(throws: Never.self) { try skip(Array(text.utf8)) }
                }
            }
        }
    }
}
