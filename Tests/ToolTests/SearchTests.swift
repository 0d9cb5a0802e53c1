// search with filters, pages and a plan; index, recall, and what the inspectors tell of indexes.

import Foundation
import Testing
import moraine_cli

@Suite struct SearchTests {
    private let place = Place()

    /// 1,200 documents on a half circle, with "n" and "even", in one segment.
    private func fill() {
        let docs = (0..<1_200).map {
            "{\"id\":\"\($0)\",\"text\":\"t\($0)\",\"metadata\":{\"n\":\($0),"
                + "\"even\":\($0 % 2 == 0)}}\n"
        }
        let rows = (0..<1_200).map { [cos(Float($0) * 0.0025), sin(Float($0) * 0.0025)] }
        let outcome = place.run(
            ["import", "@", "c", "--docs", place.file("d.jsonl", docs.joined()), "--vectors"]
                + [place.file("v.f32", vectors: rows), "--dimensions", "2"]
        )
        #expect(outcome.code == 0, "\(outcome.error)")
    }

    private func ids(_ arguments: [String]) -> [String] {
        let outcome = place.run(["search", "@", "c", "--json"] + arguments)
        #expect(outcome.code == 0, "\(outcome.error)")
        let hits = outcome.json["hits"] as? [[String: Any]] ?? []
        return hits.compactMap { $0["id"] as? String }
    }

    @Test func filtersPagesAndBoundsNarrowTheHits() {
        fill()
        let some = ["--like", "0", "-k", "3"]
        #expect(ids(some) == ["1", "2", "3"])
        #expect(ids(some + ["--filter", "even == true"]) == ["2", "4", "6"])
        let json = #"{"and":[{"field":"n","op":">=","value":50},{"field":"even","op":"exists"}]}"#
        #expect(ids(some + ["--filter-json", json]) == ["50", "51", "52"])
        #expect(ids(some + ["--offset", "2"]) == ["3", "4", "5"])
        #expect(ids(some + ["--offset=1", "--exact", "--ids-only"]) == ["2", "3", "4"])
        // The cosine of 1.6 steps.
        #expect(ids(some + ["--min-score", "0.999992"]) == ["1"])
        #expect(ids(some + ["--filter", "n < 0"]) == [])
        #expect(ids(some + ["--ef", "20"]) == ["1", "2", "3"])
        #expect(ids(some + ["--recall", "0.99"]) == ["1", "2", "3"])
    }

    @Test func idsOnlyReadsNoDocument() {
        fill()
        let outcome = place.run("search", "@", "c", "--like", "9", "-k1", "--ids-only", "--json")
        let hits = outcome.json["hits"] as? [[String: Any]]
        #expect(hits?.count == 1)
        #expect(hits?.first.map { Set($0.keys) } == ["id", "score"])
        let names = place.names(".doc")
        // Block after block is damaged: only what reads documents meets it.
        for name in names {
            for offset in stride(from: 4_200, to: 12_000, by: 400) {
                place.damage(name, at: offset)
            }
        }
        let query = ["search", "@", "c", "--embedding", "[1,0]"]
        #expect(place.run(query).code == 4)
        #expect(place.run(query + ["--ids-only"]).code == 0)
    }

    @Test func aWrongFilterIsShownWithItsPlace() {
        fill()
        for command in [
            ["search", "@", "c", "--like", "0"], ["count", "@", "c"], ["scan", "@", "c"],
        ] {
            let outcome = place.run(command + ["--filter", "n >= 1 and even = true"])
            #expect(outcome.code == 16)
            let lines = outcome.error.split(separator: "\n").map(String.init)
            #expect(lines.count == 3 && lines[0].hasPrefix("moraine: error: --filter: expected"))
            #expect(lines[1] == "  n >= 1 and even = true")
            #expect(lines[2] == "                  ^")
        }
        let long = String(repeating: "n == 1 or ", count: 40) + "x = 1"
        let lines = place.run("count", "@", "c", "--filter", long).error.split(separator: "\n")
        #expect(lines.count == 3 && lines.dropFirst().allSatisfy { $0.count < 100 })
        let caret = lines[2].count - 1
        #expect(Array(lines[1])[caret] == "=" && Array(lines[1])[caret - 2] == "x")
        let json = place.run("count", "@", "c", "--filter-json", #"{"not":1}"#)
        #expect(json.code == 16 && json.error.contains("--filter-json: $.not: "))
        for wrong in [
            ["--filter", "true", "--filter-json", "true"], ["--exact", "--ef", "9"],
            ["--recall", "2"], ["--recall", "x"], ["--ef", "0"], ["--min-score", "nan"],
            ["--ef", "9", "--recall", "0.9"], ["--offset", "-1"],
        ] {
            let outcome = place.run(["search", "@", "c", "--like", "0"] + wrong)
            #expect(outcome.code == 16, "\(wrong)")
        }
    }

    @Test func countAndScanTakeFilters() {
        fill()
        let filter = ["--filter", "n < 4 or n >= 1198"]
        #expect(place.run(["count", "@", "c"] + filter).output == "6\n")
        let scan = place.run(["scan", "@", "c", "--json"] + filter)
        let found = scan.jsonLines.compactMap { $0["id"] as? String }
        #expect(found == ["0", "1", "1198", "1199", "2", "3"])
        #expect(place.run(["scan", "@", "c", "--limit", "2"] + filter).lines.count == 3)
    }

    @Test func vectorsOfAFileAreAnsweredAsOneByOne() {
        fill()
        let vectors: [[Float]] = (0..<300).map { [1, Float($0) * 0.01] }
        let all = place.run(
            ["search", "@", "c", "--vector-file", place.file("q.f32", vectors: vectors)]
                + ["-k", "2", "--json"]
        )
        #expect(all.code == 0 && all.lines.count == 300)
        for number in [0, 17, 255, 256, 299] {
            let vector = "[\(vectors[number][0]),\(vectors[number][1])]"
            let one = place.run("search", "@", "c", "--embedding", vector, "-k2", "--json")
            let line = one.output.replacingOccurrences(
                of: "{\"query\":0,",
                with: "{\"query\":\(number),"
            )
            #expect(all.lines[number] + "\n" == line)
        }
        // What stands before a vector that cannot be is answered.
        let bad = place.file("bad.f32", vectors: [[1, 0], [0, 1], [0, 0], [1, 1]])
        let some = place.run("search", "@", "c", "--vector-file", bad, "--json")
        #expect(some.code == 16 && some.lines.count == 2)
    }

    @Test func indexMakesFilesThatExplainAndInspectTellOf() {
        fill()
        let query = ["search", "@", "c", "--like", "7", "--filter", "n < 30 and nix == 1"]
        let made = place.run("index", "@", "--json")
        #expect(made.code == 0, "\(made.error)")
        // The import may have made some in the background.
        #expect((made.json["files"] as? Int).map { $0 <= 2 } == true)
        #expect(place.names(".q8").count == 1 && place.names(".col").count == 1)
        #expect((made.json["bytes"] as? Int ?? 0) > 4_096)
        #expect(place.run("index", "@").output.hasPrefix("nothing to make"))
        let after = place.run(query + ["--explain", "--json"])
        #expect(after.lines.count == 2)
        let plan = object(after.lines[1])["plan"] as? [String: Any]
        #expect(plan?["unknownFields"] as? [String] == ["nix"])
        let step = (plan?["steps"] as? [[String: Any]])?.first
        #expect(step?["columns"] as? Bool == true && step?["matches"] as? Int == 0)
        #expect(step?["method"] as? String == "nothing")
        #expect(place.run(query).error.contains("no document has a field nix"))

        let files = place.run("inspect", "segment", "@", "--json").lines
        #expect(files.contains { $0.contains(".q8") } && files.contains { $0.contains(".col") })
        let codes = place.run("inspect", place.store + "/" + place.names(".q8")[0], "--json").json
        let space = (codes["codeSpaces"] as? [[String: Any]])?.first
        #expect(space?["vectorCount"] as? Int == 1_200 && space?["scale"] is Double)
        let path = place.store + "/" + place.names(".col")[0]
        let columns = place.run("inspect", path, "--json").json
        let fields = columns["columnFields"] as? [[String: Any]] ?? []
        #expect(fields.compactMap { $0["path"] as? String } == ["n", "even"])
        #expect((fields.first?["columns"] as? [String])?.contains("integers 1200") == true)
        #expect(place.run("inspect", path).code == 0)
    }

    @Test func graphsAreTriedAndTheirTrialsTold() {
        var state: UInt64 = 7
        let rows = (0..<4_200).map { _ in
            (0..<8).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Float(state >> 40)
            }
        }
        let docs = rows.indices.map { "{\"id\":\"\($0)\"}\n" }.joined()
        let imported = place.run(
            ["import", "@", "c", "--docs", place.file("d.jsonl", docs), "--metric", "l2"]
                + ["--vectors", place.file("v.f32", vectors: rows), "--dimensions", "8"]
        )
        #expect(imported.code == 0 && place.run("index", "@").code == 0)
        let usual = place.run("recall", "@", "c", "--sample", "50", "--json").json
        #expect(usual["graphs"] as? Int == 1)
        let recall = usual["recall"] as? Double ?? 0
        #expect(recall > 0.9 && recall <= 1)
        let narrow = place.run("recall", "@", "c", "--sample", "50", "--ef", "11", "--json").json
        #expect(narrow["ef"] as? Int == 11 && narrow["recall"] as? Double ?? 1 < recall)

        let stats = place.run("stats", "@", "--json").json
        let graph = (stats["graphs"] as? [[String: Any]])?.first
        #expect(graph?["collection"] as? String == "c" && graph?["vectors"] as? Int == 4_200)
        #expect(graph?["recall256"] as? Double ?? 0 > 0.9)
        let file = place.run("inspect", place.store + "/" + place.names(".gr")[0], "--json").json
        let entry = (file["graphSpaces"] as? [[String: Any]])?.first
        #expect(entry?["recall48"] as? Double == graph?["recall48"] as? Double)
        #expect(entry?["nodeCount"] as? Int == 4_200)
        let plan = place.run("search", "@", "c", "--like", "1", "--ef", "60", "--explain").error
        #expect(plan.contains("graph") && plan.contains("60") && plan.contains("compared"))
    }

    @Test func recallOfAnExactSearchIsOne() {
        fill()
        let outcome = place.run("recall", "@", "c", "--sample", "40", "-k", "5", "--json")
        #expect(outcome.code == 0, "\(outcome.error)")
        #expect(outcome.json["sample"] as? Int == 40 && outcome.json["k"] as? Int == 5)
        #expect(outcome.json["recall"] as? Double == 1 && outcome.json["graphs"] as? Int == 0)
        #expect(outcome.error.contains("exact"))
        _ = place.apply(
            #"{"op":"create","collection":"one","dimensions":2}"#,
            #"{"op":"put","collection":"one","id":"a","embedding":[1,2]}"#
        )
        #expect(place.run("recall", "@", "one").code == 1)
        #expect(place.run("recall", "@", "nix").code == 1)
    }
}
