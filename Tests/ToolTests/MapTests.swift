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
