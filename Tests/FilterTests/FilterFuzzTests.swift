// Mutated texts of filters: read, or refused with a place; never a trap.

import MoraineStorage
import Testing

@testable import MoraineFilters

@Suite struct FilterFuzzTests {
    private static let texts = [
        #"section == "fonts" and installed_size > 100 or not a.b exists"#,
        #"a in [1, 2.5, null, true, "x\u00e9\n"] and (b startswith "é" or c contains -3e-7)"#,
        #"`in`.`a b`.c != -0.5 and not (`a\`b\\c` exists or größe <= 1e300)"#,
    ]
    private static let jsons = [
        #"{"and":[{"field":"a","op":"==","value":1},{"not":{"field":"b","op":"exists"}}]}"#,
        #"{"or":[{"field":"a.`b c`","op":"in","value":[1,"x",null,true,2.5e3]},true]}"#,
    ]

    private static func mutated(_ text: String, _ random: inout SplitMix) -> String {
        var bytes = Array(text.utf8)
        for _ in 0...random.below(3) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(6) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(UInt8(random.below(256)), at: place)
            case 3: bytes.insert(random.pick(Array("()[]{}\"\\`,.:-e0 ".utf8)), at: place)
            case 4: bytes.removeSubrange(place...)
            default:
                let end = min(bytes.count, place + 1 + random.below(12))
                bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count))
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func mutatedFiltersAreReadOrRefused() throws {
        var random = SplitMix(seed: 62)
        var counts = (read: 0, refused: 0)
        for round in 0..<6_000 {
            let isJSON = round % 2 == 1
            let text = Self.mutated(random.pick(isJSON ? Self.jsons : Self.texts), &random)
            do throws(FilterError) {
                let filter = isJSON ? try Filter(json: text) : try Filter(text: text)
                counts.read += 1
                // What is read prints as a text that means the same.
                #expect(try Filter(text: filter.description) == filter, "\(text)")
            } catch {
                counts.refused += 1
                #expect(!error.message.isEmpty)
            }
        }
        #expect(counts.read > 100 && counts.refused > 1000, "\(counts)")
    }
}
