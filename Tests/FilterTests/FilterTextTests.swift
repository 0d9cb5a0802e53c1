// The text of filters, there and back, and what is said about wrong ones.

import MoraineStorage
import Testing

@testable import MoraineFilters

@Suite struct FilterTextTests {
    @Test(
        arguments: [
            (#"section == "fonts" and installed_size > 100"#, nil),
            ("a==1", "a == 1"),
            ("a in[1,2.5 ,null , true]", "a in [1, 2.5, null, true]"),
            ("a in []", nil),
            ("not not a exists", "a exists"),
            ("not (not a exists)", "a exists"),
            ("not a exists and b exists", nil),
            ("not (a exists and b exists)", nil),
            ("((a exists))", "a exists"),
            ("a exists and b exists or c exists and d exists", nil),
            ("(a exists or b exists) and (c exists or d exists)", nil),
            ("a exists and (b exists and c exists)", nil),
            ("(a exists and b exists) and c exists", "a exists and b exists and c exists"),
            ("a exists or (b exists or c exists)", nil),
            ("true or not false", nil),
            (#"`in`.`a b`.c != -0.5"#, nil),
            (#"`plain` contains "x""#, #"plain contains "x""#),
            (#"`` exists"#, nil),
            (#"`a"b` exists"#, nil),
            (#"`a\"b` exists"#, #"`a"b` exists"#),
            (#"`a\`b\\c\nd` exists"#, nil),
            ("größe <= 1e300", "größe <= 1e300"),
            (#"a startswith "\u00e9\"""#, #"a startswith "é\"""#),
            ("a <= 1 or b >= 2 or c < 3 or d > 4", nil),
            ("a\n==\t1\r", "a == 1"),
            ("a == 9223372036854775807", nil),
            ("a == -9223372036854775808", nil),
            ("a == 1.0", nil),
            ("order == 1 and nota == 2 and inside == 3", nil),
        ] as [(String, String?)]
    )
    func textsReadAndPrintCanonically(_ text: String, _ canonical: String?) throws {
        let filter = try Filter(text: text)
        #expect(filter.description == canonical ?? text)
        #expect(try Filter(text: filter.description) == filter)
    }

    @Test(arguments: [
        ("", 1, "expected a field, found the end"),
        ("a", 2, "startswith or exists, found the end"),
        ("a = 1", 3, #"startswith or exists, found "=""#),
        ("a == ", 6, "expected a value, found the end"),
        ("a == 'x'", 6, #"expected a value, found "'""#),
        ("a == b", 6, #"expected a value, found "b""#),
        ("a == 1 b", 8, #"expected "and", "or" or the end, found "b""#),
        ("(a == 1", 8, #"expected "and", "or" or ")", found the end"#),
        ("a == 1)", 7, #"or the end, found ")""#),
        ("(a == 1))", 9, #"or the end, found ")""#),
        ("and a == 1", 1, #"expected a field, found "and""#),
        ("a == 1 and", 11, "expected a field, found the end"),
        ("a. == 1", 3, #"expected a name, found " ""#),
        ("a.1 == 1", 3, #"expected a name, found "1""#),
        ("a in 1", 6, #"expected "[", found "1""#),
        ("a in [1", 8, #"expected "," or "]", found the end"#),
        ("a in [1,]", 9, #"expected a value, found "]""#),
        ("a startswith 1", 14, #"expected a string, found "1""#),
        ("a == [1]", 6, #"expected a value, found "[""#),
        ("a == 9223372036854775808", 6, "64-bit integer"),
        ("a == 1e999", 6, "too large"),
        ("a == 01", 6, "zero"),
        (#"é == "e\q""#, 8, "unknown escape"),
        (#"é == "e"#, 8, "the text ends too early"),
        ("`a == 1", 8, "expected a \"`\" that ends the name"),
        ("a AND b", 3, #"found "AND""#),
        ("a && b", 3, #"found "&&""#),
        ("\u{A0}a == 1", 1, "expected a field"),
        ("true == 1", 6, #"found "==""#), ("a == \u{1B}", 6, "found byte 27"),
    ])
    func wrongTextsAreRefusedAtTheirColumn(_ text: String, _ column: Int, _ message: String) {
        let error = #expect(throws: FilterError.self) { try Filter(text: text) }
        #expect(error?.column == column, "\(text)")
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
        #expect(error?.storeError.code == .invalidFilter)
        #expect(error?.storeError.message.hasPrefix("column \(column): ") == true)
    }

    @Test(arguments: [
        (#"{"field":"section","op":"==","value":"fonts"}"#, #"section == "fonts""#),
        (#"{"value":1,"op":"<","field":"a.b"}"#, "a.b < 1"),
        (#"{"field":"`a.b`.c-d","op":"exists"}"#, "`a.b`.`c-d` exists"),
        (
            #"{"and":[{"field":"a","op":"==","value":"x"},{"not":{"field":"x","op":"exists"}}]}"#,
            #"a == "x" and not x exists"#
        ),
        (#"{"or":[{"and":[]},{"or":[]},true,false]}"#, "true or false or true or false"),
        (#"{"or":[{"field":"a","op":"exists"}]}"#, "a exists"),
        (#"{"not":{"not":{"field":"a","op":"in","value":[1,null]}}}"#, "a in [1, null]"),
        (
            #"{"and":[{"or":[true,false]},{"not":{"and":[true,{"or":[false,true]}]}},true]}"#,
            "(true or false) and not (true and (false or true)) and true"
        ),
        (#"{"field":"a","op":"contains","value":1.5}"#, "a contains 1.5"),
        (#"{"field":"a","op":"startswith","value":"x"}"#, #"a startswith "x""#),
    ])
    func jsonSaysTheSame(_ json: String, _ text: String) throws {
        #expect(try Filter(json: json) == Filter(text: text))
    }

    @Test(arguments: [
        ("", "$", "ends too early"), ("1", "$", "expected an object"),
        ("{}", "$", #"missing key "field""#),
        (#"{"field":"a"}"#, "$", #"missing key "op""#),
        (#"{"op":"exists"}"#, "$", #"missing key "field""#),
        (#"{"and":[true,{"or":[{"x":1}]}]}"#, "$.and[1].or[0]", #"unknown key "x""#),
        (#"{"and":[],"or":[]}"#, "$", #"unknown key "or""#),
        (#"{"not":{"not":{"field":"a","op":"~"}}}"#, "$.not.not", #"as "op""#),
        (#"{"field":"a","op":"exists","value":1}"#, "$", #"no "value" with exists"#),
        (#"{"field":"a","op":"in","value":1}"#, "$", "a list"),
        (#"{"field":"a","op":"==","value":[1]}"#, "$", "a number or a string"),
        (#"{"field":"a","op":"=="}"#, "$", "a number or a string"),
        (#"{"field":"a","op":"startswith","value":1}"#, "$", "a string as"),
        (#"{"field":"a","op":"==","value":{}}"#, "$", "expected a number, found an object"),
        (#"{"field":"a..b","op":"exists"}"#, "$", "character 3: expected a name"),
        (#"{"field":"","op":"exists"}"#, "$", "character 1: expected a name"),
        (#"{"field":"a`b","op":"exists"}"#, "$", "character 2: expected"),
        (#"{"field":"a","field":"b","op":"exists"}"#, "$", "duplicate"),
        (#"{"and":true}"#, "$", "expected an array"),
        (#"{"field":"a","op":"exists","and":[]}"#, "$", #"no key "and""#),
        (#"true true"#, "$", "expected the end"),
    ])
    func wrongJSONIsRefusedAtItsPlace(_ json: String, _ path: String, _ message: String) {
        let error = #expect(throws: FilterError.self) { try Filter(json: json) }
        #expect(error?.path == path, "\(json)")
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    }

    @Test func depthAndLengthAreLimited() throws {
        func nested(_ count: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: count) + "true" + String(repeating: close, count: count)
        }
        for (open, close) in [("(", ")"), ("not ", ""), ("not(", ")")] {
            let levels = open == "not(" ? 128 : 256
            _ = try Filter(text: nested(levels, open, close))
            for count in [levels + 1, 100_000] {
                let error = #expect(throws: FilterError.self) {
                    try Filter(text: nested(count, open, close))
                }
                #expect(error?.message.contains("256 levels") == true)
            }
        }
        for (open, close) in [(#"{"not":"#, "}"), (#"{"and":["#, "]}")] {
            _ = try Filter(json: nested(256, open, close))
            for count in [257, 100_000] {
                let error = #expect(throws: FilterError.self) {
                    try Filter(json: nested(count, open, close))
                }
                #expect(error?.message.contains("256 levels") == true)
            }
        }
        let long = "a == \"" + String(repeating: "x", count: Filter.textByteCount) + "\""
        #expect(throws: FilterError.self) { try Filter(text: long) }
        #expect(throws: FilterError.self) { try Filter(json: "\"" + long) }
    }

    @Test func printedFiltersReadBackAsThemselves() throws {
        var random = SplitMix(seed: 11)
        for _ in 0..<3000 {
            let filter = Meaning.random(&random).filter
            let text = filter.description
            #expect(try Filter(text: text) == filter, "\(text)")
        }
    }

    @Test func anyTextIsReadOrRefused() {
        var random = SplitMix(seed: 12)
        let parts = [
            "a", " ", "==", "=", "(", ")", "and", "or", "not", "in", "[", "]", ",", "1", "-", ".",
            "\"x\"", "\"", "`", "\\", "é", "\u{301}", "true", "exists", "\u{0}", "1e5", "{", "}",
            "\"and\":", "\"field\":", "\"op\":", "\"value\":", "null",
        ]
        for _ in 0..<20_000 {
            let text = (0..<random.below(12)).map { _ in random.pick(parts) }.joined()
            _ = try? Filter(text: text)
            _ = try? Filter(json: text)
            _ = try? FieldPath(text)
        }
    }
}
