// hash, dump, load and diff: what stores hold, whatever their files.

import Foundation
import Testing

@Suite struct ContentTests {
    private let place = Place()

    private var other: String { place.path + "/other.moraine" }

    /// Two collections with every kind of value, rows in segments and rows in the log.
    private func fill() {
        let create = #"{"op":"create","collection":"vectors","dimensions":3,"metric":"dot"}"#
        var lines = [create, #"{"op":"create","collection":"texts"}"#]
        for index in 0..<700 {
            lines.append(
                #"{"op":"put","collection":"vectors","id":"\#(index % 500)","text":"text \#(index)","#
                    + #""metadata":{"n":\#(index),"x":[1.5,null,{"a":"ö"}]},"#
                    + #""embedding":[\#(index),-0.0,1e-30]}"#
            )
        }
        let small = ["MORAINE_MEMTABLE_BYTES": "65536", "MORAINE_WAL_FILE_BYTES": "65536"]
        let input = lines.map { $0 + "\n" }.joined()
        #expect(place.run("apply", "@", input: input, environment: small).code == 0)
        let more = place.apply(
            #"{"op":"put","collection":"texts","id":"a","text":"\u0085\n\"quoted\""}"#,
            #"{"op":"put","collection":"vectors","id":"no vector"}"#,
            #"{"op":"delete","collection":"vectors","id":"7"}"#
        )
        #expect(more.code == 0)
    }

    @Test(arguments: [[], ["--arrays"]])
    func dumpAndLoadMakeTheSameContent(form: [String]) throws {
        fill()
        let file = place.path + "/dump.jsonl"
        let dump = place.run(["dump", "@", "--out", file] + form)
        #expect(dump.code == 0 && dump.output == "", "\(dump.error)")
        #expect(
            try String(contentsOfFile: file, encoding: .utf8)
                == place.run(["dump", "@"] + form).output
        )
        let load = place.run("load", other, file, "--json")
        #expect(load.code == 0, "\(load.error)")
        #expect(load.json["operations"] as? Int == 503)
        #expect(load.json["bytes"] as? Int == FileManager.default.contents(atPath: file)?.count)
        let hash = place.run("hash", "@")
        #expect(hash.code == 0 && hash.lines.count == 1 && hash.lines[0].utf8.count == 64)
        #expect(place.run("hash", other).output == hash.output)
        let diff = place.run("diff", "@", other)
        #expect(diff.code == 0)
        #expect(diff.output == "no difference: 501 the same\n")
        #expect(place.run("verify", other).code == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: place.path)
        #expect(!names.contains { $0.hasSuffix(".unfinished") })
    }

    @Test func aDumpIsWhatApplyTakesToo() {
        fill()
        let dump = place.run("dump", "@")
        #expect(dump.output.hasPrefix(#"{"op":"create","collection":"texts","metric":"cosine"}"#))
        #expect(place.run("apply", other, input: dump.output).code == 0)
        #expect(place.run("hash", other).output == place.run("hash", "@").output)
        let one = place.run("dump", "@", "texts", "--no-vectors")
        #expect(one.lines.count == 2)
        #expect(!place.run("dump", "@", "--no-vectors").output.contains("embedding"))
    }

    @Test func whenDocumentsExpireIsCarried() {
        let expires = 4_102_444_800_000
        let put = #"{"op":"put","collection":"notes","id":"#
        let done = place.apply(
            #"{"op":"create","collection":"notes","dimensions":1}"#,
            put + #""a","text":"once","expires":\#(expires),"embedding":[1]}"#,
            put + #""b"}"#
        )
        #expect(done.code == 0, "\(done.output)")
        let line =
            put + #""a","text":"once","metadata":{},"expires":\#(expires),"embedding":[1.0]}"#
        let dump = place.run("dump", "@", "--arrays")
        #expect(dump.lines.dropFirst().first == line)
        #expect(!dump.lines[2].contains("expires"))
        #expect(place.run("load", other, input: dump.output).code == 0)
        #expect(place.run("dump", other, "--arrays").output == dump.output)
        #expect(place.run("get", other, "notes", "a", "--json").json["expires"] as? Int == expires)
        #expect(place.run("get", other, "notes", "a").output.contains("expires   2100-01-01"))
        // The lines of a plain scan are as they always were.
        let plain = place.run("scan", "@", "notes", "--json", "--vectors")
        #expect(!plain.output.contains("expires"))
        let scan = place.run("scan", "@", "notes", "--json", "--vectors", "--expires")
        #expect(scan.lines.first == line)
        let copy = place.path + "/copy.moraine"
        let create = dump.lines[0] + "\n"
        #expect(place.run("apply", copy, input: create + scan.output).code == 0)
        #expect(place.run("dump", copy, "--arrays").output == dump.output)
        #expect(place.run("scan", "@", "notes", "--expires").code == 16)
    }

    @Test func theHashIsThatOfTheReader() throws {
        fill()
        let hash = place.run("hash", "@")
        guard let read = try independentReader("--hash", place.store) else { return }
        #expect(read.code == 0)
        #expect(read.output == hash.output)
    }

    @Test func theHashSeesContentAndNothingElse() {
        fill()
        let hash = place.run("hash", "@").output
        let parts = place.run("hash", "@", "--json")
        #expect(parts.json["hash"] as? String == hash.trimmingCharacters(in: .newlines))
        #expect(parts.json["documents"] as? Int == 501)
        #expect((parts.json["collections"] as? [[String: Any]])?.count == 2)
        let same = #"{"op":"put","collection":"texts","id":"b"}"#
        _ = place.apply(same)
        let changed = place.run("hash", "@").output
        #expect(changed != hash)
        // Another version and another time, but the same content.
        _ = place.apply(same)
        #expect(place.run("hash", "@").output == changed)
        _ = place.apply(#"{"op":"delete","collection":"texts","id":"b"}"#)
        #expect(place.run("hash", "@").output == hash)
        _ = place.apply(
            #"{"op":"put","collection":"vectors","id":"no vector","embedding":[0,0,0]}"#
        )
        #expect(place.run("hash", "@").output != hash)
        #expect(place.run("hash", "@", "nothing").code == 1)
        _ = place.run("create", other, "c")
        let one = place.run("hash", other).output
        _ = place.run("create", other, "d")
        #expect(place.run("hash", other).output != one)
    }

    @Test func compactionLeavesTheHashAsItIs() {
        fill()
        let docs = (0..<2_000).map { "{\"id\":\"\($0)\",\"text\":\"\($0)\"}\n" }
        // Fewer dead rows than a compaction takes for a reason.
        for part in [docs[..<1_000], docs[900...]] {
            let file = place.file("d.jsonl", part.joined())
            #expect(place.run("import", "@", "texts", "--docs", file).code == 0)
        }
        let hash = place.run("hash", "@").output
        let before = place.run("stats", "@", "--json").json
        #expect(place.run("compact", "@", "--all").code == 0)
        #expect(place.run("hash", "@").output == hash)
        let after = place.run("stats", "@", "--json").json
        #expect(
            (before["segmentCount"] as? Int ?? 0) > 1 && (before["deadRowCount"] as? Int ?? 0) > 0
        )
        #expect(after["segmentCount"] as? Int == 1)
        #expect(after["deadRowCount"] as? Int == 0)
        #expect(after["documentCount"] as? Int == before["documentCount"] as? Int)
    }

    @Test func diffNamesEachDifference() {
        fill()
        #expect(place.run("load", other, input: place.run("dump", "@").output).code == 0)
        let changes = [
            #"{"op":"delete","collection":"vectors","id":"100"}"#,
            #"{"op":"put","collection":"vectors","id":"zz"}"#,
            #"{"op":"put","collection":"vectors","id":"no vector","text":"t","embedding":[1,2,3]}"#,
            #"{"op":"put","collection":"texts","id":"a","text":"\u0085\n\"quoted\"","metadata":{"k":1}}"#,
            #"{"op":"create","collection":"new"}"#,
        ]
        let applied = place.run("apply", other, input: changes.map { $0 + "\n" }.joined())
        #expect(applied.code == 0)
        let diff = place.run("diff", "@", other, "--json")
        #expect(diff.code == 1)
        #expect(
            diff.lines == [
                #"{"collection":"new","in":"b"}"#,
                #"{"collection":"texts","id":"a","in":"both","differs":["metadata"]}"#,
                #"{"collection":"vectors","id":"100","in":"a"}"#,
                #"{"collection":"vectors","id":"no vector","in":"both","differs":["text","vector"]}"#,
                #"{"collection":"vectors","id":"zz","in":"b"}"#,
            ]
        )
        let text = place.run("diff", "@", other)
        #expect(text.lines.last == "1 only in A, 1 only in B, 2 different, 498 the same")
        let turned = place.run("diff", other, "@", "vectors", "--json", "--limit", "1")
        #expect(turned.code == 1)
        #expect(turned.lines == [#"{"collection":"vectors","id":"100","in":"b"}"#])
        #expect(place.run("diff", "@", other, "nothing").code == 1)
        #expect(place.run("diff", "@", place.path + "/none").code == 8)
    }

    @Test func shapesThatDifferAreADifference() {
        _ = place.run("create", "@", "c", "--dimensions", "2", "--metric", "l2")
        _ = place.run("create", other, "c")
        let diff = place.run("diff", "@", other, "--json")
        #expect(diff.code == 1)
        #expect(
            diff.lines == [#"{"collection":"c","in":"both","differs":["dimensions","metric"]}"#]
        )
    }

    @Test func aLoadStopsAtTheFirstBadLine() {
        let lines = (0..<600).map { #"{"op":"put","collection":"c","id":"\#($0)"}"# + "\n" }
        let input =
            #"{"op":"create","collection":"c"}"# + "\n" + lines.joined()
            + #"{"op":"put","collection":"c"}"# + "\n" + #"{"op":"put","collection":"c","id":"z"}"#
        let load = place.run("load", "@", input: input)
        #expect(load.code == 16)
        #expect(load.error.contains("line 602"))
        #expect(load.error.contains("601 operations are committed"))
        #expect(place.run("count", "@", "c").output == "600\n")
        let missing = place.run("load", place.path + "/fresh", place.path + "/missing")
        #expect(missing.code == 16)
        #expect(!FileManager.default.fileExists(atPath: place.path + "/fresh"))
    }

    @Test func damageIsNoDifferenceAndNoDump() throws {
        let docs = (0..<3_000).map { "{\"id\":\"\($0)\",\"text\":\"\($0 * 77)\"}\n" }.joined()
        let file = place.file("d.jsonl", docs)
        for store in ["@", other] {
            #expect(place.run("import", store, "c", "--docs", file).code == 0)
        }
        let name = try #require(place.names(".doc").first)
        place.damage(name, at: (place.contents[name]?.data?.count ?? 0) / 2)
        for command in [
            ["diff", "@", other], ["diff", other, "@"], ["hash", "@"], ["dump", "@"],
        ] {
            let outcome = place.run(command)
            #expect(outcome.code == 4, "\(command)")
            #expect(outcome.error.contains(name))
            #expect(!outcome.output.contains("no difference"))
        }
        let target = place.file("kept.jsonl", "as it was")
        #expect(place.run("dump", "@", "--out", target).code == 4)
        #expect(FileManager.default.contents(atPath: target) == Data("as it was".utf8))
        #expect(!FileManager.default.fileExists(atPath: target + ".unfinished"))
    }
}
