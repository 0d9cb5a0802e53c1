// Mutated lines given to apply: each is done or refused, and the store stays whole.

import Foundation
import Testing

struct ApplyFuzzTests {
    private static let lines = [
        #"{"op":"put","collection":"c","id":"a","text":"é\n","embedding":[1,2.5]}"#,
        #"{"op":"put","collection":"c","id":"b","metadata":{"x":[1,null,{"y":true}]}}"#,
        #"{"op":"delete","collection":"c","id":"a"}"#,
        #"{"op":"create","collection":"d","dimensions":3,"metric":"l2"}"#,
        #"{"op":"batch","ops":[{"op":"put","collection":"c","id":"z"},"#
            + #"{"op":"delete","collection":"c","id":"b"}]}"#,
    ]

    private struct Chance: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    private func mutated(_ line: String, _ chance: inout Chance) -> String {
        var bytes = Array(line.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &chance) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &chance)
            switch Int.random(in: 0..<5, using: &chance) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &chance)
            case 1: bytes.remove(at: place)
            case 2:
                bytes.insert(
                    Array("{}[]\",:-e9\\".utf8).randomElement(using: &chance) ?? 0,
                    at: place
                )
            case 3: bytes.insert(contentsOf: bytes[place...], at: place)
            default: bytes.removeSubrange(place...)
            }
        }
        // One line stays one line.
        return String(decoding: bytes.filter { $0 >= 0x20 }, as: UTF8.self)
    }

    @Test func mutatedLinesAreDoneOrRefused() throws {
        let place = Place()
        #expect(place.apply(#"{"op":"create","collection":"c","dimensions":2}"#).code == 0)
        var chance = Chance(state: 57)
        var counts = (done: 0, refused: 0)
        for _ in 0..<12 {
            let lines = (0..<150).map { _ in
                mutated(Self.lines.randomElement(using: &chance) ?? "", &chance)
            }
            let result = place.run(
                "apply",
                "@",
                "--durability",
                "bulk",
                input: lines.joined(separator: "\n") + "\n"
            )
            #expect(result.code < 128, "\(result.error)")
            for answer in result.jsonLines {
                switch answer["ok"] as? Bool {
                case true?: counts.done += 1
                case false?: counts.refused += 1
                case nil: Issue.record("no answer: \(answer)")
                }
            }
        }
        #expect(counts.done > 5 && counts.refused > 500, "\(counts)")
        #expect(place.run("verify", "@").code == 0)
    }
}
