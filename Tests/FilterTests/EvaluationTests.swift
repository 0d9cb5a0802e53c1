// What filters mean for one document, by its bytes.

import MoraineBytes
import MoraineFormat
import Testing

@testable import MoraineFilters

@Suite struct EvaluationTests {
    private static let document = Value.object([
        "n": .integer(3), "x": .double(3), "big": .integer(1 << 53 + 1), "s": .string("fonts"),
        "t": .bool(true), "z": .null,
        "tags": .array([.string("a"), .integer(1), .null, .array([])]),
        "o": .object(["p": .object(["q": .string("deep")]), "n": .integer(4)]),
        "empty": .string(""), "nfd": .string("e\u{301}"),
    ])

    @Test(arguments: [
        ("n == 3", true), ("n == 3.0", true), ("x == 3", true), ("n != 3.0", false),
        ("n > 2.5 and n < 3.5", true), ("big == 9007199254740992.0", false),
        ("big > 9007199254740992.0", true), ("big <= 9007199254740992.0", false),
        (#"n == "3""#, false), (#"n != "3""#, true), (#"n < "3""#, false),
        ("none == 1", false), ("none != 1", false), ("not none == 1", true),
        ("none exists", false), ("z exists", true), ("z == null", true), ("z != null", false),
        ("n != null", true), ("z != 1", true), ("z <= null", false), ("t == true", true),
        ("t != false", true), ("t >= false", false), ("t == 1", false),
        (#"s startswith "fo""#, true), (#"s startswith "fontss""#, false),
        (#"s startswith """#, true), (#"s contains "ont""#, true), (#"s contains """#, true),
        (#"s contains "onz""#, false), (#"empty contains """#, true), ("s contains 1", false),
        (#"tags contains "a""#, true), ("tags contains 1.0", true), ("tags contains null", true),
        (#"tags contains "b""#, false), (#"tags contains """#, false), ("tags exists", true),
        (#"tags == "a""#, false), (#"tags != "a""#, false), (#"tags in ["a"]"#, false),
        ("tags > 0", false), (#"tags startswith "a""#, false), ("o == null", false),
        ("o != null", false), ("o exists", true), (#"o.p.q == "deep""#, true),
        ("o.p exists and o.n == 4", true), ("o.p.q.r exists", false), ("n.p exists", false),
        ("tags.p exists", false), (#"nfd == "é""#, false), (#"nfd startswith "e""#, true),
        ("n in [1, 2.0, 3.0]", true), ("n in []", false), ("n in [null]", false),
        (#"s in ["x", "fonts", 5]"#, true), ("z in [null]", true), ("t in [1, true]", true),
        ("none in [null]", false), ("true", true), ("false or not false", true),
    ])
    func rulesHold(_ text: String, _ expected: Bool) throws {
        #expect(try matches(Filter(text: text), Self.document) == expected)
    }

    @Test func randomFiltersMeanWhatTheyAreToldToMean() throws {
        var random = SplitMix(seed: 21)
        var passed = 0
        for _ in 0..<2000 {
            let meaning = Meaning.random(&random)
            var evaluator = FilterEvaluator(meaning.filter)
            for _ in 0..<10 {
                let document = Value.object(&random)
                let answer = try document.encoded.withUnsafeBytes { try evaluator.matches($0) }
                #expect(answer == meaning.holds(document), "\(meaning.filter): \(document)")
                passed += answer ? 1 : 0
            }
        }
        #expect((2000..<18_000).contains(passed))
    }

    @Test func aHundredThousandLevelsOverflowNothing() throws {
        let count = 100_000
        let test = try Filter(text: "n == 3")
        var nots = test
        for _ in 0..<count { nots.negate() }
        #expect(nots == test)

        var deep = test
        for index in 0..<count {
            if index % 2 == 0 { deep.and(test) } else { deep.or(test) }
            deep.negate()
        }
        let answer = try matches(deep, Self.document)
        let text = deep.description
        #expect(text.utf8.count > count)
        #expect(throws: FilterError.self) { try Filter(text: text) }
        // The last round: the opposite of anything or true.
        #expect(!answer)

        // All operands first, all operators last: as many answers wait.
        var right = Filter()
        for _ in 0...count {
            right.append(Filter.Predicate(path: try FieldPath("n"), test: .exists))
        }
        for _ in 0..<count { right.append(.and) }
        #expect(right.stackDepth == count + 1)
        #expect(try matches(right, Self.document))
        #expect(right.description.hasSuffix(")"))

        let wide = Filter(all: Array(repeating: test, count: count))
        #expect(try matches(wide, Self.document))
        #expect(try !matches(Filter(any: []), Self.document))
        #expect(try matches(Filter(all: []), Self.document))
    }

    @Test func hostileMetadataIsRefusedOrAnswered() throws {
        var random = SplitMix(seed: 22)
        for _ in 0..<300 {
            var evaluator = FilterEvaluator(Meaning.random(&random).filter)
            let good = Value.object(&random).encoded
            for index in good.indices {
                var bytes = good
                bytes[index] = UInt8(truncatingIfNeeded: random.next())
                _ = try? bytes.withUnsafeBytes { try evaluator.matches($0) }
                _ = try? good[..<index].withUnsafeBytes { try evaluator.matches($0) }
            }
        }
        let nan = Value.object(["a": .double(.nan)]).encoded
        var evaluator = FilterEvaluator(try Filter(text: "a < 1"))
        #expect(throws: FormatError.self) { try nan.withUnsafeBytes { try evaluator.matches($0) } }
        // An evaluator is as good as new after an error.
        let fine = Value.object(["a": .integer(0)]).encoded
        #expect(try fine.withUnsafeBytes { try evaluator.matches($0) })
    }
}
