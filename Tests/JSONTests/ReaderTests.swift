// What callers of the reader rely on: keys, kinds, borrowed strings, errors that name things.

import MoraineJSON
import Testing

@Suite struct ReaderTests {
    @Test func anObjectIsReadKeyByKey() throws {
        let names: [StaticString] = ["id", "text", "n", "ok", "none", "list"]
        let text =
            #" { "id" : "a\tb" , "text":"plain","n":-7,"ok":true,"none":null,"list":[1,2] } "#
        try read(text) { reader throws(JSONError) in
            var seen: UInt64 = 0
            var strings: [UnsafeRawBufferPointer] = []
            var numbers: [Int64] = []
            try reader.beginObject()
            while let index = try reader.nextKey(of: names, seen: &seen) {
                switch index {
                case 0, 1: strings.append(try reader.readString())
                case 2: numbers.append(try reader.readInt64())
                case 3: #expect(try reader.readBool())
                case 4: try reader.readNull()
                default:
                    try reader.beginArray()
                    while try reader.nextElement() { numbers.append(try reader.readInt64()) }
                }
            }
            #expect(seen == 0b111111)
            // All borrowed strings still hold.
            #expect(strings.map { String(decoding: $0, as: UTF8.self) } == ["a\tb", "plain"])
            #expect(numbers == [-7, 1, 2])
        }
    }

    @Test func unescapedStringsHoldUntilTheEnd() throws {
        let values = (0..<200).map {
            "\\n\($0)\\u00e5\\ud83d\\ude00" + String(repeating: "x", count: $0)
        }
        let text = "[" + values.map { "\"\($0)\"" }.joined(separator: ",") + "]"
        try read(text) { reader throws(JSONError) in
            var strings: [UnsafeRawBufferPointer] = []
            try reader.beginArray()
            while try reader.nextElement() { strings.append(try reader.readString()) }
            for (index, string) in strings.enumerated() {
                let expected = "\n\(index)å😀" + String(repeating: "x", count: index)
                #expect(String(decoding: string, as: UTF8.self) == expected)
            }
        }
    }

    @Test func escapesAreFoundAtEveryPlace() throws {
        for before in 0...20 {
            for after in 0...20 {
                let a = String(repeating: "a", count: before)
                let b = String(repeating: "b", count: after)
                #expect(try string(Array("\"\(a)\\\\\(b)\"".utf8)) == Array("\(a)\\\(b)".utf8))
                #expect(try string(Array("\"\(a)é\(b)\"".utf8)) == Array("\(a)é\(b)".utf8))
                #expect(try string(Array("\"\(a)\"".utf8)) == Array(a.utf8))
                #expect(throws: JSONError.self) { try string(Array("\"\(a)\n\(b)\"".utf8)) }
            }
        }
    }

    @Test func restartForgetsTheTextBefore() throws {
        let first = Array(#"{"a":"\n","#.utf8)
        let second = Array((#"["\t"# + String(repeating: "y", count: 5000) + #""]"#).utf8)
        try first.withUnsafeBytes { firstBytes in
            try second.withUnsafeBytes { secondBytes in
                var reader = JSONReader(firstBytes)
                try reader.beginObject()
                #expect(try reader.nextKey() != nil)
                #expect(try reader.readString().count == 1)
                reader.restart(secondBytes)
                try reader.beginArray()
                #expect(try reader.nextElement())
                #expect(try reader.readString().count == 5001)
                #expect(try !reader.nextElement())
                try reader.expectEnd()
            }
        }
    }

    @Test func kindsAreToldByTheFirstByte() throws {
        let kinds: [(String, JSONReader.Kind)] = [
            ("{}", .object), (" []", .array), ("\"\"", .string), ("-1", .number), ("0", .number),
            ("true", .bool), ("false", .bool), ("null", .null),
        ]
        for (text, kind) in kinds {
            let found = try read(text) { reader throws(JSONError) in
                let kind = try reader.peekKind()
                try reader.skipValue()
                return kind
            }
            #expect(found == kind)
        }
    }

    @Test func keysAreRefusedByName() {
        let names: [StaticString] = ["id", "text"]
        func fault(_ text: String) -> JSONError? {
            JSONTests.fault(text) { reader throws(JSONError) in
                var seen: UInt64 = 0
                try reader.beginObject()
                while try reader.nextKey(of: names, seen: &seen) != nil { try reader.skipValue() }
            }
        }
        #expect(fault(#"{"id":1,"text":2}"#) == nil)
        #expect(
            fault(#"{"id":1,"\u0069d":2}"#)
                == JSONError(.duplicateKey, "duplicate key \"id\"", at: 8)
        )
        #expect(fault(#"{"ids":1}"#) == JSONError(.unknownKey, "unknown key \"ids\"", at: 1))
        #expect(fault(#"{"":1}"#) == JSONError(.unknownKey, "unknown key \"\"", at: 1))
        #expect(
            JSONError.missingKey("id", at: 3) == JSONError(.missingKey, "missing key \"id\"", at: 3)
        )
        // A long key is cut between characters.
        let long = String(repeating: "å", count: 500)
        let message = fault("{\"x\(long)\":1}")?.message
        #expect(message == "unknown key \"x" + String(repeating: "å", count: 39) + "…\"")
    }

    @Test func errorsSayWhatWasExpectedAndWhere() {
        func fault(_ text: String) -> JSONError? {
            JSONTests.fault(text) { reader throws(JSONError) in
                try reader.beginObject()
                while try reader.nextKey() != nil { _ = try reader.readString() }
            }
        }
        let cases: [(String, JSONError)] = [
            ("[]", JSONError(.typeMismatch, "expected an object, found an array", at: 0)),
            ("null", JSONError(.typeMismatch, "expected an object, found null", at: 0)),
            ("not", JSONError(.syntax, "expected an object, found \"n\"", at: 0)),
            ("{\"a\": 1}", JSONError(.typeMismatch, "expected a string, found a number", at: 6)),
            ("{\"a\": x}", JSONError(.syntax, "expected a string, found \"x\"", at: 6)),
            ("{\"a\" \"b\"}", JSONError(.syntax, "expected \":\", found \"\"\"", at: 5)),
            ("{\"a\":\"b\"", JSONError(.syntax, "the text ends too early", at: 8)),
            ("{\"a\":\"b\"}}", JSONError(.syntax, "expected the end, found \"}\"", at: 9)),
            ("{\"a\":\"\u{1}\"}", JSONError(.syntax, "control character 1 in a string", at: 6)),
            (
                "\u{FEFF}{}",
                JSONError(.syntax, "expected an object, found a byte order mark", at: 0)
            ),
            ("{\"a\":\"\\ud800\"}", JSONError(.encoding, "half of a surrogate pair", at: 6)),
            ("{\"a\":\"b\",}", JSONError(.syntax, "expected a key, found \"}\"", at: 9)),
            (
                "{\"a\":\"b\" \"c\":\"d\"}",
                JSONError(.syntax, "expected \",\" or \"}\", found \"\"\"", at: 9)
            ),
        ]
        for (text, error) in cases { #expect(fault(text) == error) }
    }
}
