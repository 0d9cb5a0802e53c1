// moraine import: whole files, bad lines, and vectors that do not match.

import Foundation
import Testing
import moraine_cli

@Suite struct ImportTests {
    private let place = Place()

    /// So many documents as JSON Lines.
    private func documents(_ count: Int) -> String {
        (0..<count).map { #"{"id":"\#($0)","text":"text \#($0)","metadata":{"n":\#($0)}}"# + "\n" }
            .joined()
    }

    private func vectors(_ count: Int) -> [[Float]] { (0..<count).map { [1, Float($0)] } }

    @Test func documentsAndVectorsBelongTogetherByLine() {
        let docs = place.file("d.jsonl", documents(1_500))
        let rows = place.file("v.f32", vectors: vectors(1_500))
        let outcome = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            "--vectors",
            rows,
            "--dimensions",
            "2",
            "--json"
        )
        #expect(outcome.code == 0, "\(outcome.error)")
        let last = object(outcome.lines.last ?? "")
        #expect(Set(last.keys) == ["documents", "seconds", "bytes"])
        #expect(last["documents"] as? Int == 1_500)
        #expect(last["bytes"] as? Int == documents(1_500).utf8.count + 1_500 * 8)
        #expect((last["seconds"] as? Double ?? -1) >= 0)
        #expect(place.run("count", "@", "c").output == "1500\n")
        for id in ["0", "511", "512", "1499"] {
            let document = place.run("get", "@", "c", id, "--json", "--vectors").json
            #expect(document["text"] as? String == "text \(id)")
            #expect(document["embedding"] as? [Double] == [1, Double(id) ?? -1])
        }
        #expect(place.run("verify", "@").code == 0)
    }

    @Test func anIdThatExistsIsReplaced() {
        let docs = place.file(
            "d.jsonl",
            "{\"id\":\"a\",\"text\":\"1\"}\n{\"id\":\"a\",\"text\":\"2\"}"
        )
        #expect(place.run("import", "@", "c", "--docs", docs).code == 0)
        #expect(place.run("get", "@", "c", "a", "--json").json["text"] as? String == "2")
        let again = place.file("e.jsonl", "{\"id\":\"a\",\"text\":\"3\"}\n")
        #expect(place.run("import", "@", "c", "--docs", again).code == 0)
        #expect(place.run("scan", "@", "c", "--json").lines.count == 1)
        #expect(place.run("get", "@", "c", "a", "--json").json["text"] as? String == "3")
    }

    @Test(arguments: [
        ("", ""), ("{\"text\":\"\"}", "\"id\""), ("{\"id\":\"\"}", "id"), ("[]", "object"),
        ("{\"id\":\"x\",\"embedding\":[1]}", "\"embedding\""),
        ("{\"id\":\"x\",\"id\":\"y\"}", "\"id\""),
        ("{\"id\":\"x\"", ""), ("{\"id\":\"x\",\"metadata\":{\"a\":1e999}}", ""),
    ])
    func theFirstBadLineIsNamedAndWhatCameBeforeStays(line: String, named: String) {
        for before in [0, 3, 512, 700] {
            let place = Place()
            let docs = place.file("d.jsonl", documents(before) + line + "\n" + documents(2))
            let outcome = place.run("import", "@", "c", "--docs", docs, "--json")
            #expect(outcome.code == 16)
            #expect(outcome.output == "")
            #expect(outcome.error.contains("line \(before + 1):"), "\(outcome.error)")
            #expect(named.isEmpty || outcome.error.contains(named))
            #expect(
                outcome.error.contains(
                    before == 1 ? "1 document is committed" : "\(before) documents are committed"
                )
            )
            #expect(place.run("count", "@", "c").output == "\(before)\n")
        }
    }

    @Test(arguments: [0, 1, 511, 512, 513, 600])
    func vectorsThatEndTooEarlyAreAnErrorAtTheirLine(rowCount: Int) {
        let docs = place.file("d.jsonl", documents(rowCount + 1))
        let rows = place.file("v.f32", vectors: vectors(rowCount))
        let outcome = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            "--vectors",
            rows,
            "--dimensions",
            "2"
        )
        #expect(outcome.code == 16)
        #expect(outcome.error.contains("line \(rowCount + 1):"), "\(outcome.error)")
        #expect(place.run("count", "@", "c").output == "\(rowCount)\n")
    }

    @Test(arguments: [0, 1, 512, 600])
    func vectorsThatAreLeftOverAreAnError(documentCount: Int) {
        let docs = place.file("d.jsonl", documents(documentCount))
        let rows = place.file("v.f32", vectors: vectors(documentCount + 1))
        let outcome = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            "--vectors",
            rows,
            "--dimensions",
            "2"
        )
        #expect(outcome.code == 16)
        #expect(outcome.error.contains("more vectors"), "\(outcome.error)")
        #expect(place.run("count", "@", "c").output == "\(documentCount)\n")
    }

    @Test func aLengthThatIsNoMultipleIsRefusedBeforeAnythingIsCommitted() {
        let docs = place.file("d.jsonl", documents(3))
        let rows = place.file("v.f32", Data(count: 23))
        let outcome = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            "--vectors",
            rows,
            "--dimensions",
            "2"
        )
        #expect(outcome.code == 16)
        #expect(place.run("count", "@", "c").output == "0\n")
    }

    @Test func aVectorThatCannotBeStoredIsABadLine() {
        var rows = vectors(600)
        rows[520][1] = .nan
        let docs = place.file("d.jsonl", documents(600))
        let outcome = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            "--vectors",
            place.file("v.f32", vectors: rows),
            "--dimensions",
            "2"
        )
        #expect(outcome.code == 16)
        #expect(outcome.error.contains("line 521:"), "\(outcome.error)")
        #expect(outcome.error.contains("520 documents are committed"))
        #expect(place.run("count", "@", "c").output == "520\n")
    }

    @Test(arguments: [0, 1, 2])
    func aSignalStopsItAndKeepsWhatCame(pieceCount: Int) {
        let docs = Array(documents(2_000).utf8)
        let rows = vectors(2_000).flatMap { $0 }.flatMap { value in
            withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
        }
        // 512 vectors are a batch; the signal comes in the middle of one.
        let pieces = (0..<pieceCount).map { Array(rows[($0 * 5_000)..<($0 * 5_000 + 5_000)]) }
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: [
                "import", place.store, "c", "--docs", "d", "--vectors", "v", "--dimensions", "2",
            ],
            environment: [:],
            input: MemorySource([]),
            output: MemorySink(nil),
            error: error,
            cancellation: NoSignals(),
            openInput: { name in
                let source = name == "d" ? MemorySource([docs]) : CancelledSource(pieces)
                return .success(OpenedInput(source: source, byteCount: nil))
            }
        )
        #expect(code == 32)
        let count = pieceCount * 5_000 / 8 / 512 * 512
        #expect(error.text.contains("\(count) documents are committed"), "\(error.text)")
        #expect(place.run("count", "@", "c").output == "\(count)\n")
    }

    @Test(arguments: [(4, 5), (511, 5), (512, 5), (2_000, 0), (2_000, 3)])
    func aPipeOfVectorsMayEndAnywhere(rowCount: Int, extra: Int) {
        let docs = Array(documents(2_000).utf8)
        let rows = [UInt8](repeating: 0x3F, count: rowCount * 8 + extra)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: [
                "import", place.store, "c", "--docs", "d", "--vectors", "v", "--dimensions", "2",
            ],
            environment: [:],
            input: MemorySource([]),
            output: MemorySink(nil),
            error: error,
            cancellation: NoSignals(),
            openInput: { name in
                let source = MemorySource([name == "d" ? docs : rows])
                return .success(OpenedInput(source: source, byteCount: nil))
            }
        )
        #expect(code == (extra == 0 ? 0 : 16))
        #expect(rowCount == 2_000 || error.text.contains("line \(rowCount + 1):"))
        #expect(place.run("count", "@", "c").output == "\(rowCount)\n")
    }

    @Test func theShapeOfAnExistingCollectionNeedNotBeSaid() {
        _ = place.run("create", "@", "c", "--dimensions", "2", "--metric", "l2")
        let docs = place.file("d.jsonl", documents(2))
        let rows = place.file("v.f32", vectors: vectors(2))
        #expect(place.run("import", "@", "c", "--docs", docs, "--vectors", rows).code == 0)
        let other = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            "--vectors",
            rows,
            "--metric",
            "dot"
        )
        #expect(other.code == 16)
        let fresh = place.run("import", "@", "d", "--docs", docs, "--vectors", rows)
        #expect(fresh.code == 16)
        #expect(fresh.error.contains("--dimensions"))
    }

    @Test func documentsMayComeFromStandardInput() {
        let outcome = place.run("import", "@", "c", "--docs", "-", input: documents(5))
        #expect(outcome.code == 0)
        #expect(place.run("count", "@", "c").output == "5\n")
    }

    @Test func aMistypedFileMakesNoStore() {
        let outcome = place.run("import", "@", "c", "--docs", place.path + "/none")
        #expect(outcome.code == 16)
        #expect(place.contents.isEmpty)
    }

    @Test func smallMemtablesMakeManySegmentsOfTheSameContent() {
        let docs = place.file("d.jsonl", documents(3_000))
        let outcome = place.run(
            "import",
            "@",
            "c",
            "--docs",
            docs,
            environment: ["MORAINE_MEMTABLE_BYTES": "65536"]
        )
        #expect(outcome.code == 0, "\(outcome.error)")
        #expect(place.names(".doc").count > 1)
        #expect(place.run("scan", "@", "c", "--json").lines.count == 3_000)
    }
}

/// Some bytes, then a signal.
private final class CancelledSource: MemorySource {
    override func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        let result = super.read(into: buffer)
        return result == .end ? .cancelled : result
    }
}
