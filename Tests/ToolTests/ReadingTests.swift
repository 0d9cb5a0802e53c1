// scan, get, search, count, collections, delete: the shapes that other programs rely on.

import Foundation
import Testing
import moraine_cli

@Suite struct ReadingTests {
    private let place = Place()

    /// Three documents, one without vector.
    private func fill() {
        let outcome = place.apply(
            #"{"op":"create","collection":"c","dimensions":2,"metric":"cosine"}"#,
            #"{"op":"put","collection":"c","id":"b","text":"two\nlines","embedding":[0,1]}"#,
            #"{"op":"put","collection":"c","id":"a","metadata":{"z":1,"b":[1.0,-0.0,null,true],"#
                + #""é":"\u0085\u2028 \u001f\"\\"},"embedding":[1,-0.0]}"#,
            #"{"op":"put","collection":"c","id":"ab","text":"no vector"}"#
        )
        #expect(outcome.code == 0, "\(outcome.output)")
    }

    @Test func scanPrintsOneDocumentALineInTheOrderOfIds() {
        fill()
        let outcome = place.run("scan", "@", "c", "--json", "--vectors")
        #expect(outcome.code == 0)
        #expect(
            outcome.lines == [
                #"{"op":"put","collection":"c","id":"a","text":"","metadata":{"b":[1.0,-0.0,null,"#
                    + #"true],"z":1,"é":"\u0085\u2028 \u001f\"\\"},"embedding":[1.0,-0.0]}"#,
                #"{"op":"put","collection":"c","id":"ab","text":"no vector","metadata":{}}"#,
                #"{"op":"put","collection":"c","id":"b","text":"two\nlines","metadata":{},"#
                    + #""embedding":[0.0,1.0]}"#,
            ]
        )
        let plain = place.run("scan", "@", "c", "--json")
        #expect(plain.lines.count == 3)
        #expect(!plain.output.contains("embedding"))
    }

    @Test func scanKeepsToPrefixAndLimit() {
        fill()
        func ids(_ arguments: String...) -> [String] {
            let sink = MemorySink(nil)
            _ = Tool().run(
                arguments: ["scan", place.store, "c", "--json"] + arguments,
                environment: [:],
                input: MemorySource([]),
                output: sink,
                error: MemorySink(nil),
                cancellation: NoSignals(),
                openInput: open
            )
            return sink.text.split(separator: "\n").compactMap {
                object(String($0))["id"] as? String
            }
        }
        #expect(ids("--prefix", "a") == ["a", "ab"])
        #expect(ids("--prefix", "ab") == ["ab"])
        #expect(ids("--prefix", "x") == [])
        #expect(ids("--limit", "2") == ["a", "ab"])
        #expect(ids("--limit", "0") == [])
        #expect(ids("--prefix", "b", "--limit", "9") == ["b"])
    }

    @Test func whatScanPrintsApplyReproduces() {
        fill()
        let first = place.run("scan", "@", "c", "--json", "--vectors").output
        let other = Place()
        _ = other.apply(#"{"op":"create","collection":"c","dimensions":2}"#)
        let applied = other.run("apply", "@", input: first)
        #expect(applied.code == 0, "\(applied.output)")
        #expect(other.run("scan", "@", "c", "--json", "--vectors").output == first)
    }

    @Test func documentsInSegmentsPrintAsThoseInTheLog() {
        fill()
        let before = place.run("scan", "@", "c", "--json", "--vectors").output
        // An import ends with a checkpoint.
        let docs = place.file("docs.jsonl", "{\"id\":\"zz\"}\n")
        #expect(place.run("import", "@", "c", "--docs", docs).code == 0)
        #expect(!place.names(".doc").isEmpty)
        let after = place.run("scan", "@", "c", "--json", "--vectors", "--limit", "3").output
        #expect(after == before)
    }

    @Test func getPrintsTheDocumentWithItsVersionAndTimes() {
        fill()
        let outcome = place.run("get", "@", "c", "b", "--json", "--vectors")
        #expect(outcome.code == 0)
        let keys = [
            "op", "collection", "id", "text", "metadata", "version", "created", "updated",
            "embedding",
        ]
        #expect(Set(outcome.json.keys) == Set(keys))
        let prefix = #"{"op":"put","collection":"c","id":"b","text":"two\nlines","metadata":{},"#
        #expect(outcome.output.hasPrefix(prefix + #""version":2,"created":""#))
        let created = outcome.json["created"] as? String ?? ""
        #expect(created.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
        #expect(place.run("get", "@", "c", "b", "--json").json["embedding"] == nil)
        #expect(place.run("get", "@", "c", "b").output.contains("two\nlines"))
    }

    @Test func whatIsNotThereIsExitCodeOne() {
        fill()
        for arguments in [
            ["get", "@", "c", "x"], ["get", "@", "d", "a"], ["scan", "@", "d"],
            ["count", "@", "d"], ["search", "@", "c", "--like", "x"],
            ["search", "@", "c", "--like", "ab"], ["search", "@", "d", "--like", "a"],
            ["delete", "@", "c", "x"], ["delete", "@", "d", "a"],
        ] {
            let outcome = run(arguments)
            #expect(outcome.code == 1, "\(arguments): \(outcome.error)")
            #expect(outcome.output == "")
            #expect(outcome.error != "")
        }
    }

    private func run(_ arguments: [String]) -> Outcome {
        let sink = MemorySink(nil)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: arguments.map { $0 == "@" ? place.store : $0 },
            environment: [:],
            input: MemorySource([]),
            output: sink,
            error: error,
            cancellation: NoSignals(),
            openInput: open
        )
        return Outcome(code: code, output: sink.text, error: error.text)
    }

    @Test func aMissingStoreIsNoStoreAndIsNotMade() {
        for command in [
            ["scan", "@", "c"], ["get", "@", "c", "a"], ["count", "@", "c"], ["collections", "@"],
            ["stats", "@"], ["verify", "@"], ["search", "@", "c", "--like", "a"],
            ["delete", "@", "c", "a"], ["inspect", "root", "@"], ["inspect", "wal", "@"],
        ] {
            let outcome = run(command)
            #expect(outcome.code == 8, "\(command): \(outcome.error)")
            #expect(outcome.output == "")
            #expect(!FileManager.default.fileExists(atPath: place.store))
        }
    }

    @Test func searchAnswersEachVectorWithAnObject() {
        fill()
        let queries = place.file("q.f32", vectors: [[1, 0], [0, 2]])
        let outcome = place.run("search", "@", "c", "--vector-file", queries, "-k", "1", "--json")
        #expect(
            outcome.lines == [
                #"{"query":0,"hits":[{"id":"a","score":1.0,"text":"","metadata":{"b":[1.0,-0.0,"#
                    + #"null,true],"z":1,"é":"\u0085\u2028 \u001f\"\\"}}]}"#,
                #"{"query":1,"hits":[{"id":"b","score":1.0,"text":"two\nlines","metadata":{}}]}"#,
            ]
        )
        let like = place.run("search", "@", "c", "--like", "a", "--exact", "--json")
        #expect(
            like.lines == [
                #"{"query":0,"hits":[{"id":"b","score":0.0,"text":"two\nlines","metadata":{}}]}"#
            ]
        )
        let one = place.run("search", "@", "c", "--embedding", "[3, 4]")
        #expect(one.code == 0)
        #expect(one.lines.count == 3)
        #expect(one.lines[1].contains("0.8000  b   two"))
    }

    @Test func equalScoresAreOrderedByIdAndL2ByNearness() {
        _ = place.apply(
            #"{"op":"create","collection":"l","dimensions":1,"metric":"l2"}"#,
            #"{"op":"put","collection":"l","id":"b","embedding":[2]}"#,
            #"{"op":"put","collection":"l","id":"a","embedding":[2]}"#,
            #"{"op":"put","collection":"l","id":"c","embedding":[1]}"#
        )
        let hits = place.run("search", "@", "l", "--embedding", "[0]", "--json")
        let found = (hits.json["hits"] as? [[String: Any]])?.map { $0["id"] as? String }
        #expect(found == ["c", "a", "b"])
        #expect(hits.output.contains(#""id":"c","score":1.0,"#))
        #expect(hits.output.contains(#""id":"b","score":4.0,"#))
    }

    @Test func aBadQueryIsRefused() {
        fill()
        let odd = place.file("odd.f32", Data([0, 0, 0]))
        let empty = place.file("empty.f32", Data())
        for arguments in [
            ["--vector-file", odd], ["--vector-file", empty],
            ["--vector-file", place.path + "/none"], ["--embedding", "[1]"],
            ["--embedding", "[1,0"], ["--embedding", "[0,0]"], ["--embedding", "[1,1e40]"],
        ] {
            let outcome = run(["search", "@", "c"] + arguments)
            #expect(outcome.code == 16, "\(arguments): \(outcome.error)")
            #expect(outcome.output == "")
        }
    }

    @Test func countAndCollectionsTellWhatIsThere() {
        fill()
        _ = place.apply(#"{"op":"create","collection":"a b"}"#)
        #expect(place.run("count", "@", "c").output == "3\n")
        #expect(
            place.run("count", "@", "c", "--json").output
                == "{\"collection\":\"c\",\"documents\":3}\n"
        )
        #expect(
            place.run("collections", "@", "--json").lines == [
                #"{"collection":"a b","dimensions":null,"metric":"cosine","documents":0}"#,
                #"{"collection":"c","dimensions":2,"metric":"cosine","documents":3}"#,
            ]
        )
        #expect(place.run("collections", "@").lines.count == 3)
    }

    @Test func deleteRemovesWhatIsThereAndSaysWhatWasNot() {
        fill()
        let outcome = place.run("delete", "@", "c", "a", "x", "--json")
        #expect(outcome.code == 1)
        #expect(outcome.lines[0].hasPrefix(#"{"id":"a","deleted":true,"lsn":"#))
        #expect(outcome.lines[1] == #"{"id":"x","deleted":false,"lsn":null}"#)
        #expect(place.run("count", "@", "c").output == "2\n")
        #expect(place.run("delete", "@", "c", "b", "--expected-version", "9").code == 1)
        #expect(place.run("delete", "@", "c", "b", "--expected-version", "2").code == 0)
        #expect(place.run("count", "@", "c").output == "1\n")
    }

    @Test func createMakesAStoreAndKeepsTheShapeOfACollection() {
        let made = place.run("create", "@", "c", "--dimensions", "3", "--metric", "dot", "--json")
        #expect(made.code == 0)
        #expect(made.json["collection"] as? String == "c")
        #expect(place.run("create", "@", "c", "--dimensions", "3", "--metric", "dot").code == 0)
        let other = place.run("create", "@", "c", "--dimensions", "4")
        #expect(other.code == 16)
        #expect(other.error.contains("another shape"))
        #expect(
            place.run("collections", "@", "--json").output
                == #"{"collection":"c","dimensions":3,"metric":"dot","documents":0}"# + "\n"
        )
    }

    @Test func statsAreOneObject() {
        fill()
        let outcome = place.run("stats", "@", "--json")
        #expect(outcome.code == 0)
        #expect(outcome.lines.count == 1)
        #expect(outcome.json["lsn"] as? Int == 4)
        #expect(place.run("stats", "@").output.contains("lsn"))
    }

    @Test func statsCountWhatIsThere() throws {
        let docs = (0..<1_000).map {
            "{\"id\":\"\($0)\",\"text\":\"\(String(repeating: "word ", count: 40))\"}\n"
        }
        let rows = place.file("v.f32", vectors: (0..<1_000).map { [1, Float($0)] })
        let files = ["--docs", place.file("d.jsonl", docs.joined()), "--vectors", rows]
        #expect(place.run(["import", "@", "c", "--dimensions", "2"] + files).code == 0)
        // Fewer dead rows than a compaction takes for a reason.
        let some = place.file("e.jsonl", docs[..<100].joined())
        #expect(place.run("import", "@", "c", "--docs", some).code == 0)
        _ = place.apply(
            #"{"op":"create","collection":"d"}"#,
            #"{"op":"put","collection":"d","id":"x"}"#,
            #"{"op":"delete","collection":"c","id":"1"}"#
        )
        let outcome = place.run("stats", "@", "--json")
        #expect(outcome.code == 0, "\(outcome.error)")
        let stats = outcome.json
        #expect(stats["documentCount"] as? Int == 1_000)
        #expect(stats["rowCount"] as? Int == 1_100)
        #expect(stats["deadRowCount"] as? Int == 101)
        #expect(stats["backlogCommitCount"] as? Int == 3)
        #expect(stats["floor"] as? Int == (stats["lsn"] as? Int ?? 0) - 3)
        #expect(stats["backlogFileCount"] as? Int == 1)
        #expect((stats["backlogByteCount"] as? Int ?? 0) > 3 * 40)
        #expect((stats["compressionRatio"] as? Double ?? 0) > 2)
        #expect(stats["readAmplification"] as? Int == 3)
        #expect((stats["spaceAmplification"] as? Double ?? 0) > 0)
        let collections = try #require(stats["collections"] as? [[String: Any]])
        #expect(collections.map { $0["collection"] as? String } == ["c", "d"])
        #expect(collections.map { $0["documents"] as? Int } == [999, 1])
        #expect(collections.map { $0["inMemory"] as? Int } == [0, 1])
        #expect(collections[0]["vectors"] as? Int == 1_000)
        #expect(collections[0]["vectorByteCount"] as? Int == 8_000)
        let segments = try #require(stats["segments"] as? [[String: Any]])
        #expect(segments.map { $0["deadRows"] as? Int } == [100, 1])
        #expect(segments.map { $0["liveShare"] as? Double } == [0.9, 0.99])
        let live = 1_000 * 200
        let counted = stats["liveByteCount"] as? Int ?? 0
        #expect(counted > live && counted < live * 2, "\(counted)")
        #expect(stats["unlistedFileCount"] as? Int == 0)
        let path = place.store + "/seg/00000000000000ff.doc"
        #expect(FileManager.default.createFile(atPath: path, contents: Data(count: 100)))
        let more = place.run("stats", "@", "--json").json
        #expect(more["unlistedFileCount"] as? Int == 1)
        #expect(more["unlistedByteCount"] as? Int == 100)
    }

    @Test func aClosedPipeIsNoErrorForReaders() {
        fill()
        let output = MemorySink(nil)
        output.failure = (0, 32)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: ["scan", place.store, "c", "--json"],
            environment: [:],
            input: MemorySource([]),
            output: output,
            error: error,
            cancellation: NoSignals(),
            openInput: open
        )
        #expect(code == 0)
        #expect(error.text == "")
    }

    @Test func aFullDiskUnderTheOutputIsAnError() {
        fill()
        let output = MemorySink(nil)
        output.failure = (0, 28)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: ["scan", place.store, "c", "--json"],
            environment: [:],
            input: MemorySource([]),
            output: output,
            error: error,
            cancellation: NoSignals(),
            openInput: open
        )
        #expect(code == 8)
        #expect(error.text.contains("standard output"))
    }
}

extension ReadingTests {
    @Test func aTimeoutEndsReadsWithTheCodeOfCancellation() {
        fill()
        for command in [
            ["count", "@", "c"], ["scan", "@", "c", "--json"], ["get", "@", "c", "a"],
            ["search", "@", "c", "--like", "a"], ["hash", "@"], ["dump", "@"],
            ["verify", "@", "--json"], ["stats", "@", "--json"],
            ["inspect", "root", "@"], ["inspect", "manifest", "@", "--json"],
            ["inspect", "wal", "@"], ["inspect", "segment", "@", "--json"],
            ["inspect", place.store + "/ROOT"], ["hex", place.store + "/ROOT"], ["map", "@"],
        ] {
            #expect(place.run(command + ["--timeout", "1h"]).code == 0, "\(command)")
            let late = place.run(command + ["--timeout", "0s"])
            #expect(late.code == 32, "\(command)")
            #expect(late.output.isEmpty)
            #expect(late.error.contains("time is over"), "\(late.error)")
            // Not the want of time as damage.
            #expect(late.error.split(separator: "\n").count == 1, "\(late.error)")
        }
        let salvage = ["salvage", "@", "--into", place.path + "/new", "--json", "--timeout"]
        let late = place.run(salvage + ["0s"])
        #expect(late.code == 32 && late.output.isEmpty, "\(late.error)")
        #expect(place.run(salvage + ["1h"]).code == 0)
        for word in ["", "5", "s", "-1s", "1d", "99999999999s"] {
            #expect(place.run("count", "@", "c", "--timeout", word).code == 16, "\(word)")
        }
    }
}
