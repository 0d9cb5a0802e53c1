// map: a drawing that a browser takes, with every segment in it.

import Foundation
import Testing
import moraine_cli

#if canImport(FoundationXML)
import FoundationXML
#endif

@Suite struct MapTests {
    private let place = Place()

    private func isWellFormed(_ text: String) -> Bool {
        let parser = XMLParser(data: Data(text.utf8))
        return parser.parse()
    }

    @Test func everySegmentIsDrawn() throws {
        for part in 0..<4 {
            let docs = (0..<300).map {
                "{\"id\":\"\(part * 250 + $0)\",\"text\":\"part \(part)\"}\n"
            }
            let file = place.file("d.jsonl", docs.joined())
            #expect(place.run("import", "@", "c<&\">", "--docs", file).code == 0)
        }
        let out = place.path + "/map.svg"
        let outcome = place.run("map", "@", "--out", out)
        #expect(outcome.code == 0 && outcome.output == "", "\(outcome.error)")
        let map = try String(contentsOfFile: out, encoding: .utf8)
        #expect(isWellFormed(map))
        #expect(place.run("map", "@").output == map)
        let segments = place.run("stats", "@", "--json").json["segments"] as? [[String: Any]] ?? []
        #expect(segments.count > 1)
        for segment in segments {
            let id = try #require(segment["id"] as? Int)
            let rows = grouped(try #require(segment["rows"] as? Int))
            let dead = grouped(try #require(segment["deadRows"] as? Int))
            #expect(map.contains("<title>segment \(id): \(rows) rows, \(dead) dead"), "\(id)")
        }
        for word in ["tier 0", "Versions", "dead rows", "manifest,", "s.moraine"] {
            #expect(map.contains(word), "\(word)")
        }
    }

    private func grouped(_ number: Int) -> String {
        number < 1_000 ? "\(number)" : "\(number / 1_000)," + String(format: "%03d", number % 1_000)
    }

    /// Large and small files side by side: small ones are drawn wider than they are, and all fit.
    @Test(arguments: [1, 2, 99, 101, 300, 5_000])
    func everyFileOfARowHasItsPlace(count: Int) {
        let rows = [
            (0..<count).map { $0 % 7 == 0 ? 40_000_000.0 : 4_000 }, [90_000_000, 10],
            Array(repeating: 1, count: count / 2),
        ]
        let ruler = MapRuler(rows, width: 1_000)
        for row in rows {
            let widths = row.map(ruler.width)
            #expect(widths.allSatisfy { $0 > 0 })
            let drawn = widths.reduce(0, +) + ruler.gap * Double(max(0, row.count - 1))
            #expect(drawn <= 1_000.001, "\(row.count) files: \(drawn)")
        }
        // Large ones to one scale, and as wide as there is room.
        if count < 101 {
            #expect(abs(ruler.width(40_000_000) / ruler.width(90_000_000) - 4.0 / 9) < 0.001)
            let drawn = rows.map { $0.reduce(0) { $0 + ruler.width($1) + ruler.gap } - ruler.gap }
            #expect((drawn.max() ?? 0) > 999)
        }
    }

    @Test func aStoreWithoutSegmentsIsDrawnToo() {
        _ = place.run("create", "@", "c")
        let outcome = place.run("map", "@")
        #expect(outcome.code == 0)
        #expect(isWellFormed(outcome.output))
        #expect(outcome.output.contains("none yet"))
        #expect(place.run("map", place.path + "/none").code == 8)
    }

    @Test func damageIsDrawnAndNamed() throws {
        let file = place.file("d.jsonl", "{\"id\":\"a\"}\n")
        #expect(place.run("import", "@", "c", "--docs", file).code == 0)
        let key = try #require(place.names(".key").first)
        try FileManager.default.removeItem(atPath: place.store + "/" + key)
        let missing = place.run("map", "@")
        #expect(missing.code == 4)
        #expect(missing.error.contains(key))
        #expect(missing.output.contains("damaged"))
        let manifest = try #require(place.names(".mman").first)
        place.damage(manifest, at: 4_150)
        let broken = place.run("map", "@")
        #expect(broken.code == 4)
        #expect(broken.error.contains(manifest))
        #expect(isWellFormed(broken.output))
    }
}
