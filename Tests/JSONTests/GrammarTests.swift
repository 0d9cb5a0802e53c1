// What is JSON and what is not: tables of texts, truncations and mutations.

import MoraineJSON
import Testing

@Suite struct GrammarTests {
    static let accepted: [String] = [
        "0", "-0", "1", "-1", "10", "1234567890", "0.0", "0.5", "-0.5", "1.25", "10.01", "1e1",
        "1E1",
        "1e+1", "1e-1", "1.5e10", "0e0", "0E+0", "-0e-0", "123456789012345678901234567890",
        "1e400", "1e-400", "0.000000000000000000000000000000000000000000001", "9223372036854775808",
        "true", "false", "null", " true ", "\t\n\r null \r\n\t", "[]", "[ ]", "[\n]", "[1]",
        "[1,2]",
        "[ 1 , 2 ]", "[[]]", "[[],[]]", "[[[1],2],3]", "[{}]", "[{},{}]", "[null,true,false]",
        "[\"\",\"a\"]", "{}", "{ }", "{\"a\":1}", "{ \"a\" : 1 }", "{\"\":0}", "{\"a\":{}}",
        "{\"a\":[],\"b\":{}}", "{\"a\":{\"b\":{\"c\":[{}]}}}", "{\"a\":1,\"a\":2}",
        "{\"\\u0061\":1}", "{\"a\\nb\":1}", "\"\"", "\"a\"", "\"\\\"\"", "\"\\\\\"", "\"\\/\"",
        "\"/\"", "\"\\b\\f\\n\\r\\t\"", "\"\\u0000\"", "\"\\u00e5\"", "\"\\u00E5\"",
        "\"\\uD834\\uDD1E\"", "\"\\ud834\\udd1e\"", "\"\\uFFFF\"", "\"\\uDBFF\\uDFFF\"", "\"å\"",
        "\"日本語\"", "\"😀\"", "\"\u{7F}\"", "\"\u{80}\"", "\"\u{7FF}\"", "\"\u{800}\"",
        "\"\u{D7FF}\"", "\"\u{E000}\"", "\"\u{FFFF}\"", "\"\u{10000}\"", "\"\u{10FFFF}\"",
        "\"\u{2028}\u{2029}\"", "\"\u{FEFF}\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        "\"aaaaaaa\\naaaaaaaa\\naaaaaaaaaa\\n\"", "\"[{}]:,\"",
    ]

    static let refused: [String] = [
        "", " ", "\n", "tru", "truee", "True", "TRUE", "nul", "nulll", "fals", "falsee",
        "undefined", "NaN", "nan", "Infinity", "-Infinity", "inf", "+1", "-", "--1", "-a", "01",
        "-01", "00", "0123",
        "1.", ".5", "-.5", "1.e1", "1e", "1e+", "1e-", "1E", "1ee1", "1e1.5", "1.2.3", "1a", "0x10",
        "0b1", "1_000", "1,000", "1 2", "١", "1\u{0}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]",
        "[1,,2]", "[1 2]", "[1;2]", "[1]]", "[1}", "[}", "[[]", "[\"a\"", "[a]", "[1:2]",
        "[\"a\":1]", "{", "}", "{]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}",
        "{,}",
        "{,\"a\":1}", "{\"a\":1,,\"b\":2}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}",
        "{\"a\":1;\"b\":2}", "{\"a\",1}", "{\"a\"}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}",
        "{\"a\":}", "{\"a\":1}}", "{\"a\":1]", "{\"a\":1}{}", "{\"a\":tru}", "\"", "\"a", "\"\\\"",
        "\"\\", "'a'", "\"a\"\"", "\"\\a\"", "\"\\x41\"", "\"\\'\"", "\"\\0\"", "\"\\U0041\"",
        "\"\\\u{1}\"", "\"\\u\"", "\"\\u1\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123", "\"\\u123g\"",
        "\"\\u 123\"", "\"\\u+123\"", "\"\\u-123\"", "\"\\uD800\"", "\"\\uDC00\"", "\"\\uDFFF\"",
        "\"\\uD800a\"", "\"\\uD800\\n\"", "\"\\uD800\\uD800\"", "\"\\uD800\\u0041\"",
        "\"\\uDC00\\uD800\"", "\"\\uD834\\uDD\"", "\"\u{0}\"", "\"\u{1F}\"", "\"a\nb\"", "\"a\tb\"",
        "\"aaaaaaaa\u{8}\"", "\u{FEFF}1", "\u{FEFF}{}", "\u{A0}1", "\u{B}1", "\u{C}1", "1\u{0}",
        "//1", "1//", "/*1*/1", "#1", "1#", "[1]//", "*", "\\n", "&", "@", "{}[]", "\u{2028}1",
    ]

    static let notUTF8: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xE0, 0x80, 0x80],
        [0xE0, 0x9F, 0xBF], [0xE2, 0x82], [0xE2, 0x82, 0x41], [0xED, 0xA0, 0x80],
        [0xED, 0xBF, 0xBF], [0xEF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
        [0xF0, 0x90, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xC3, 0xC3, 0xA5], [0xE5],
    ]

    static let rich = [
        #"{"op":"put","collection":"notes","id":"å\u00e5\ud83d\ude00","#,
        #""text":"line\nline \"quoted\" \\ and a long plain stretch of text that goes on","#,
        #""metadata":{"a":[1,2.5,-3e-7,[],{}],"b":{"c":null,"d":true,"e":false},"日本":"\u2028"},"#,
        #""embedding":[0.1,-0.25,1e-05,12345678]}"#,
    ].joined()

    @Test(arguments: accepted) func jsonIsAccepted(_ text: String) throws {
        try skip(Array(text.utf8))
        // The same inside other values.
        try skip(Array("[\(text),{\"k\":\(text)}]".utf8))
    }

    @Test(arguments: refused) func otherTextIsRefused(_ text: String) {
        #expect(throws: JSONError.self) { try skip(Array(text.utf8)) }
        #expect(throws: JSONError.self) { try transcoded("{\"k\":\(text)}") }
    }

    @Test(arguments: notUTF8) func bytesThatAreNotUTF8AreRefused(_ bytes: [UInt8]) {
        // At every distance from the borders of words, with and without an escape before.
        for before in 0...9 {
            for head in ["\"", "\"\\n"] {
                let prefix = Array(head.utf8) + [UInt8](repeating: 0x61, count: before)
                for after in [0, 1, 9] {
                    let text = prefix + bytes + [UInt8](repeating: 0x62, count: after) + [0x22]
                    do throws(JSONError) {
                        _ = try string(text)
                        Issue.record("\(text) was accepted")
                    } catch {
                        #expect(error.kind == .encoding)
                        let offset = Int(error.offset)
                        #expect((prefix.count..<prefix.count + bytes.count).contains(offset))
                    }
                }
            }
        }
    }

    @Test func everyTruncationIsRefused() throws {
        let bytes = Array(Self.rich.utf8)
        try skip(bytes)
        for count in 0..<bytes.count {
            #expect(throws: JSONError.self) { try skip(Array(bytes[..<count])) }
        }
    }

    @Test func mutationsNeverTrap() {
        let original = Array(Self.rich.utf8)
        let interesting = Array("\"\\{}[],:0e.-u\u{0}\u{1F}".utf8) + [0x80, 0xC3, 0xE2, 0xED, 0xF4]
        var random = Samples(seed: 7)
        var accepted = 0
        for _ in 0..<4000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] = interesting.randomElement(using: &random) ?? 0
                case 2: bytes.remove(at: index)
                default: bytes.insert(bytes[index], at: index)
                }
            }
            let skipped = (try? skip(bytes)) != nil
            let binary = try? transcoded(bytes)
            if let binary {
                // Whatever becomes metadata is JSON, and its text says the same again.
                #expect(skipped)
                let text = try? metadataText(binary)
                #expect(text.flatMap { try? transcoded($0) } == binary)
                accepted += 1
            }
        }
        #expect(accepted > 0)
    }

    @Test func depthCostsNoStack() throws {
        func nested(_ count: Int) -> [UInt8] {
            [UInt8](repeating: 0x5B, count: count) + [UInt8](repeating: 0x5D, count: count)
        }
        try skip(nested(128))
        let keys = (0..<128).map { _ in "{\"a\":" }.joined()
        try skip(Array((keys + "1" + String(repeating: "}", count: 128)).utf8))
        for count in [129, 100_000] {
            do throws(JSONError) {
                try skip(nested(count))
                Issue.record("\(count) levels were accepted")
            } catch {
                #expect(error.kind == .depth)
                #expect(error.offset == 128)
            }
        }
        #expect(throws: JSONError.self) { try skip([UInt8](repeating: 0x5B, count: 100_000)) }
    }
}
