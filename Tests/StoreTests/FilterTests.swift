// Filters as programs write them.

import Moraine
import Testing

@Suite struct FilterTests {
    @Test func filtersReadAsTheyAreMeant() throws {
        let year: Int64 = 2020
        let cases: [(Filter, String)] = [
            (.field("year") >= 2020 && .field("year") < 2030, "year >= 2020 and year < 2030"),
            (!(.field("a") == "x") || .field("b").exists, #"not a == "x" or b exists"#),
            (.field("tags").contains("x"), #"tags contains "x""#),
            (.field("a.b").in([1, 2.5, nil, true]), "a.b in [1, 2.5, null, true]"),
            (.field("`a.b`.c-d").hasPrefix("x"), #"`a.b`.`c-d` startswith "x""#),
            (.field("year") != .int(year) && .field("z") == nil, "year != 2020 and z == null"),
            (!(!(.field("a") <= 1.5)), "a <= 1.5"), (.field("a") > -0.5, "a > -0.5"),
            (.all([]), "true"), (.any([]), "false"),
            (
                .all([.field("a").exists, .any([.field("b") > 1, .field("c") > 1])]),
                "a exists and (b > 1 or c > 1)"
            ),
        ]
        for (filter, text) in cases {
            #expect(filter.description == text)
            #expect(try Filter(text: text).description == text)
            _ = try filter.checked()
        }
        let json = #"{"and":[{"field":"year","op":">=","value":2020},{"not":true}]}"#
        #expect(try Filter(json: json).description == "year >= 2020 and not true")
    }

    @Test func wrongFiltersSayWhere() {
        let text = #expect(throws: MoraineError.self) { try Filter(text: "a = 1") }
        #expect(text?.code == .invalidFilter)
        #expect(text?.message.hasPrefix("column 3: expected ==") == true)
        let json = #expect(throws: MoraineError.self) { try Filter(json: #"{"not":1}"#) }
        #expect(json?.code == .invalidFilter)
        #expect(json?.message.hasPrefix("$.not: ") == true)
    }

    @Test(
        arguments: [
            .field("a") == [1], .field("a").contains(["b": 1]), .field("a") < .double(.nan),
            .field("a").in([1, .double(.infinity)]), .field("a..b").exists, .field("").exists,
            .field("a") == 1 && !(.field("`b") == 2), .all([.field("a") == [1]]),
            .any([.field("a").exists, .field("a`").hasPrefix("x")]),
        ] as [Filter]
    )
    func whatNoFilterCanHoldIsRefusedWhenItIsUsed(_ filter: Filter) {
        let error = #expect(throws: MoraineError.self) { try filter.checked() }
        #expect(error?.code == .invalidFilter)
    }
}
