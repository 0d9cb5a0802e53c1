// The inspectors down to a block, a record, a key, a vector; on files in a store and outside.

import Foundation
import Testing
import moraine_cli

@Suite struct InspectPartsTests {
    private let place = Place()

    /// Two segments, one with dead rows, one with a tombstone; commits in the log above them.
    private func fill() {
        let docs = (0..<2_000).map {
            String(
                format: "{\"id\":\"k%04d\",\"text\":\"text %d\",\"metadata\":{\"n\":%d}}\n",
                $0,
                $0,
                $0
            )
        }
        let rows = place.file("v.f32", vectors: (0..<2_000).map { [1, Float($0), 0.25] })
        let files = ["--docs", place.file("d.jsonl", docs.joined()), "--vectors", rows]
        #expect(place.run(["import", "@", "c", "--dimensions", "3"] + files).code == 0)
        _ = place.apply(
            #"{"op":"put","collection":"c","id":"k0007","text":"second"}"#,
            #"{"op":"delete","collection":"c","id":"k0008"}"#
        )
        let more = place.file("e.jsonl", "{\"id\":\"new\"}\n")
        #expect(place.run("import", "@", "c", "--docs", more).code == 0)
        _ = place.apply(
            #"{"op":"put","collection":"c","id":"x","text":"é","metadata":{"a":[1,2.5]},"embedding":[1,2,3]}"#,
            #"{"op":"batch","ops":[{"op":"delete","collection":"c","id":"x"},{"op":"put","collection":"c","id":"y"}]}"#
        )
    }

    /// The ids of the segments, oldest first.
    private var segments: [String] {
        place.names(".doc").map { String($0.dropFirst(4).prefix(16)) }
    }

    @Test func aKeyShowsEveryRowThatWasEverWritten() {
        fill()
        let replaced = place.run("inspect", "segment", "@", "--key", "c/k0007", "--json")
        #expect(replaced.code == 0, "\(replaced.error)")
        #expect(replaced.jsonLines.map { $0["dead"] as? Bool } == [true, false])
        #expect(replaced.jsonLines.map { $0["text"] as? String } == ["text 7", "second"])
        let deleted = place.run("inspect", "segment", "@", "--key", "1/k0008", "--json")
        #expect(deleted.jsonLines.count == 2)
        #expect(deleted.jsonLines.last?["tombstone"] as? Bool == true)
        #expect(deleted.jsonLines.last?["row"] is NSNull)
        let text = place.run("inspect", "segment", "@", "--key", "c/k0009")
        #expect(text.output.contains("dead            no"))
        #expect(place.run("inspect", "segment", "@", "--key", "c/none").code == 1)
        #expect(place.run("inspect", "segment", "@", "--key", "d/k0007").code == 1)
        #expect(place.run("inspect", "segment", "@", "--key", "k0007").code == 16)
    }

    @Test func blocksRowsAndRangesAreWhatWasPut() throws {
        fill()
        let id = try #require(segments.first)
        func ids(_ arguments: [String]) -> [String] {
            let outcome = place.run(["inspect", "segment", "@", id] + arguments + ["--json"])
            #expect(outcome.code == 0, "\(arguments): \(outcome.error)")
            return outcome.jsonLines.compactMap { $0["id"] as? String }
        }
        #expect(ids(["--row", "1234"]) == ["k1234"])
        #expect(ids(["--from", "c/k0010", "--to", "c/k0013"]) == ["k0010", "k0011", "k0012"])
        #expect(ids(["--from", "c/k1998"]) == ["k1998", "k1999"])
        #expect(ids(["--to", "c/k0002"]) == ["k0000", "k0001"])
        #expect(ids(["--from", "c/"]).count == 2_000)
        var all: [String] = []
        var block = 0
        while true {
            let part = place.run("inspect", "segment", "@", id, "--block", "\(block)", "--json")
            if part.code == 1 { break }
            all += part.jsonLines.compactMap { $0["id"] as? String }
            block += 1
        }
        #expect(block > 2)
        #expect(all == (0..<2_000).map { String(format: "k%04d", $0) })
        for wrong in [
            ["--row", "1", "--block", "1"], ["--row", "x"], ["--key", "c/a", "--from", "c/a"],
        ] {
            #expect(place.run(["inspect", "segment", "@", id] + wrong).code == 16)
        }
        #expect(place.run("inspect", "segment", "@", id, "--row", "2000").code == 1)
    }

    @Test func keyFilesAgreeWithDocuments() throws {
        fill()
        let name = try #require(place.names(".key").first)
        let file = place.store + "/" + name
        for row in [0, 15, 16, 999, 1_999] {
            let outcome = place.run("inspect", file, "--row", "\(row)", "--json")
            #expect(outcome.json["id"] as? String == String(format: "k%04d", row))
            let byKey = place.run(
                "inspect",
                file,
                "--key",
                String(format: "c/k%04d", row),
                "--json"
            )
            #expect(byKey.output == outcome.output)
        }
        let block = place.run("inspect", file, "--block", "1", "--json")
        #expect(block.jsonLines.count > 10)
        #expect(block.jsonLines.allSatisfy { $0["block"] as? Int == 1 })
    }

    @Test func vectorsAreShownByRowAndByKey() throws {
        fill()
        let byRow = place.run(
            "inspect",
            "vectors",
            "@",
            try #require(segments.first),
            "--row",
            "42",
            "--json"
        )
        #expect(byRow.code == 0, "\(byRow.error)")
        #expect(byRow.output.contains(#""vector":[1.0,42.0,0.25]"#))
        #expect(byRow.json["norm"] as? Double ?? 0 > 42)
        let byKey = place.run("inspect", "vectors", "@", "--key", "c/k0042", "--json")
        #expect(byKey.output == byRow.output)
        #expect(place.run("inspect", "vectors", "@", "--row", "5000").code == 1)
        let name = try #require(place.names(".vec").first)
        place.damage(name, at: 4_500)
        let damaged = place.run("inspect", "vectors", "@", "--row", "42", "--json")
        #expect(damaged.code == 4)
        #expect(damaged.error.contains(name))
        #expect(damaged.json["vector"] != nil)
    }

    @Test func recordsAreShownWhole() throws {
        fill()
        let all = place.run("inspect", "wal", "@", "--json").jsonLines
        let commits = all.filter { $0["type"] as? String == "commit" }
        let put = try #require(commits.dropLast().last)
        let number = try #require(put["number"] as? Int)
        let record = place.run("inspect", "wal", "@", "--record", "\(number)", "--json")
        #expect(record.code == 0, "\(record.error)")
        #expect(record.lines.count == 1)
        #expect(
            record.output.contains(#""metadata":{"a":[1,2.5]},"text":"é","vector":[1.0,2.0,3.0]"#)
        )
        let offset = (put["offset"] as? Int ?? 0) + 50
        let same = place.run("inspect", "wal", "@", "--offset", "\(offset)", "--json")
        #expect(same.output == record.output)
        let history = place.run("inspect", "wal", "@", "--key", "c/x", "--json")
        let operations = history.jsonLines.flatMap { $0["operations"] as? [[String: Any]] ?? [] }
        #expect(operations.map { $0["op"] as? String } == ["put", "delete"])
        #expect(place.run("inspect", "wal", "@", "--record", "999").code == 1)
        #expect(place.run("inspect", "wal", "@", "--record", "9", "--offset", "9").code == 16)

        let first = place.run("inspect", "manifest", "@", "--record", "1", "--json")
        #expect(first.code == 0)
        #expect(first.lines.count == 1)
        #expect(first.output.contains(#""edit":"counters""#))
        #expect(place.run("inspect", "manifest", "@", "--record", "99").code == 1)
    }

    @Test func aFileAloneSaysTheSameAsInItsStore() throws {
        fill()
        let id = try #require(segments.first)
        let inStore = place.run("inspect", "segment", "@", id, "--json").lines
        var alone: [String] = []
        // With those of indexes that the import had the time to make.
        let names = place.names("").filter {
            $0.hasPrefix("seg/" + id) && !$0.hasSuffix(".vec")
        }
        #expect(names.count >= 3)
        for name in names {
            let outcome = place.run("inspect", place.store + "/" + name, "--json")
            #expect(outcome.code == 0, "\(outcome.error)")
            alone += outcome.lines
        }
        #expect(alone == inStore)
        #expect(alone.contains { $0.contains(#""rows":["7-8"]"#) })
        let root = place.run("inspect", place.store + "/ROOT", "--json")
        #expect(root.output == place.run("inspect", "root", "@", "--json").output)
    }

    @Test func aStrayFileIsReadByItsHeader() throws {
        fill()
        for (suffix, word) in [
            (".doc", "\"blocks\""), (".key", "\"fences\""), (".vec", "\"spaces\""),
            (".del", "\"containers\""), (".mwal", "\"commit\""), (".mman", "\"edits\""),
            ("ROOT", "\"copies\""),
        ] {
            let name = try #require(place.names(suffix).first { !$0.contains("free") })
            let stray = place.file("stray", try #require(place.contents[name]?.data))
            let outcome = place.run("inspect", stray, "--json")
            #expect(outcome.code == 0, "\(name): \(outcome.error)")
            #expect(outcome.output.contains(word), "\(name)")
            #expect(outcome.output.contains("\"file\":\"stray\""))
        }
        let log = try #require(place.names(".mwal").first { !$0.contains("free") })
        let stray = place.file("stray", try #require(place.contents[log]?.data))
        #expect(place.run("inspect", stray, "--key", "1/x", "--json").lines.count == 2)
        #expect(place.run("inspect", stray, "--block", "1").code == 16)
        let docs = place.file("stray", try #require(place.contents[place.names(".doc")[0]]?.data))
        #expect(place.run("inspect", docs, "--key", "c/k0100", "--json").lines.count == 1)
        #expect(place.run("inspect", place.file("stray", "nothing of ours")).code == 4)
        #expect(place.run("inspect", place.path + "/missing").code == 8)
        #expect(place.run("inspect", "@").code == 16)
        let mistyped = place.run("inspect", "manifset", "@")
        #expect(mistyped.code == 16)
        #expect(mistyped.error.contains("did you mean manifest?"))
    }

    @Test func oneDamagedBlockHidesOnlyItself() throws {
        fill()
        let name = try #require(place.names(".doc").first)
        let id = try #require(segments.first)
        let size = try #require(place.contents[name]?.data?.count)
        place.damage(name, at: size / 2)
        let outcome = place.run("inspect", "segment", "@", id, "--from", "c/", "--json")
        #expect(outcome.code == 4)
        #expect(outcome.error.contains(name))
        let ids = outcome.jsonLines.compactMap { $0["id"] as? String }
        #expect(ids.first == "k0000" && ids.last == "k1999")
        #expect(ids.count > 1_000 && ids.count < 2_000)
        // A look elsewhere is not damaged by it; the block itself is.
        #expect(place.run("inspect", "segment", "@", id, "--row", "0").code == 0)
        #expect(place.run("inspect", "segment", "@", id, "--row", "1000").code == 4)
    }

    @Test func aFileThatTheManifestDoesNotNameIsNoDamage() throws {
        fill()
        let name = try #require(place.names(".doc").first)
        let half = try #require(place.contents[name]?.data).prefix(5_000)
        let path = place.store + "/seg/00000000000000ff.doc"
        #expect(FileManager.default.createFile(atPath: path, contents: half))
        let outcome = place.run("inspect", "segment", "@", "--json")
        #expect(outcome.code == 0, "\(outcome.error)")
        #expect(outcome.error.contains("not part of the store"))
        #expect(outcome.output.contains("00000000000000ff.doc"))
    }
}
