// moraine apply: answers, refusals, order, and that an answer never waits for the next line.

import Foundation
import Testing
import moraine_cli

@Suite struct ApplyTests {
    private let place = Place()
    private let create = #"{"op":"create","collection":"c","dimensions":2,"metric":"cosine"}"#

    /// Lines that need collection `c`, each run on its own.
    private func answer(_ line: String) -> String {
        _ = place.apply(create)
        return place.run("apply", "@", input: line + "\n").lines.first ?? ""
    }

    @Test func eachLineIsAnsweredInOrder() {
        let outcome = place.apply(
            create,
            #"{"op":"put","collection":"c","id":"a","embedding":[1,0]}"#,
            #"{"op":"delete","collection":"c","id":"b"}"#,
            #"{"op":"put","collection":"d","id":"a"}"#,
            create
        )
        #expect(outcome.code == 1)
        let lines = outcome.lines
        #expect(lines.count == 5)
        #expect(lines[0] == #"{"ok":true,"lsn":1}"#)
        #expect(lines[1] == #"{"ok":true,"lsn":2}"#)
        #expect(lines[2].hasPrefix(#"{"ok":true,"lsn":"#))
        #expect(
            lines[3].hasPrefix(#"{"ok":false,"error":{"code":"unknown-collection","message":""#)
        )
        #expect(lines[4].hasPrefix(#"{"ok":true,"lsn":"#))
        #expect(outcome.error == "")
    }

    @Test func emptyInputMakesTheStore() {
        let outcome = place.run("apply", "@")
        #expect(outcome.code == 0)
        #expect(outcome.output == "")
        #expect(place.contents["ROOT"] != nil)
        #expect(place.run("collections", "@", "--json").code == 0)
    }

    @Test func theLastLineNeedsNoLineFeedAndCarriageReturnsAreWhiteSpace() {
        let outcome = place.run(
            "apply",
            "@",
            input: create + "\r\n" + #"{"op":"put","collection":"c","id":"a"}"#
        )
        #expect(outcome.code == 0)
        #expect(outcome.lines.count == 2)
        #expect(place.run("count", "@", "c").output == "1\n")
    }

    @Test(arguments: [
        ("", "invalid-json", ""), ("{}", "invalid-json", #"\"op\""#), ("[]", "invalid-json", ""),
        (#"{"op":"put","collection":"c"}"#, "invalid-json", #"\"id\""#),
        (#"{"op":"put","collection":"c","id":"a","id":"b"}"#, "invalid-json", #"\"id\""#),
        (#"{"op":"put","collection":"c","id":"a","txt":""}"#, "invalid-json", #"\"txt\""#),
        (#"{"op":"put","collection":"c","id":"a","dimensions":2}"#, "invalid-json", "dimensions"),
        (#"{"op":"put","collection":"c","id":"a"} x"#, "invalid-json", ""),
        (#"{"op":"put","collection":"c","id":null}"#, "invalid-json", ""),
        (#"{"op":"put","collection":"c","id":"a","embedding":null}"#, "invalid-json", ""),
        (#"{"op":"put","collection":"c","id":"a","text":"\ud800"}"#, "invalid-json", ""),
        (#"{"op":"put","collection":"c","id":"a","metadata":[]}"#, "invalid-json", ""),
        (
            #"{"op":"put","collection":"c","id":"a","metadata":{"n":9223372036854775808}}"#,
            "invalid-metadata", ""
        ),
        (
            #"{"op":"put","collection":"c","id":"a","metadata":{"k":1,"k":2}}"#,
            "invalid-metadata", #"\"k\""#
        ),
        (#"{"op":"put","collection":"c","id":""}"#, "invalid-id", ""),
        (#"{"op":"put","collection":"c","id":"a\u0000b"}"#, "invalid-id", ""),
        (#"{"op":"put","collection":"c","id":"a","embedding":[1]}"#, "wrong-dimension", ""),
        (#"{"op":"put","collection":"c","id":"a","embedding":[]}"#, "wrong-dimension", ""),
        (#"{"op":"put","collection":"c","id":"a","embedding":[0,0]}"#, "invalid-vector", ""),
        (#"{"op":"put","collection":"c","id":"a","embedding":[1e39,0]}"#, "invalid-vector", ""),
        (
            #"{"op":"put","collection":"c","id":"a","embedding_b64":"AADAfwAAAAA="}"#,
            "invalid-vector", ""
        ),
        (
            #"{"op":"put","collection":"c","id":"a","embedding":[1,0],"embedding_b64":""}"#,
            "invalid-argument", "embedding_b64"
        ),
        (#"{"op":"put","collection":"c","id":"a","expected_version":7}"#, "version-conflict", ""),
        (#"{"op":"set","collection":"c","id":"a"}"#, "invalid-argument", "set"),
        (#"{"op":"create","collection":"c","dimensions":3}"#, "collection-mismatch", ""),
        (
            #"{"op":"create","collection":"c","dimensions":2,"metric":"l2"}"#,
            "collection-mismatch", ""
        ),
        (#"{"op":"create","collection":"x","metric":"l3"}"#, "invalid-argument", ""),
        (#"{"op":"create","collection":"x","dimensions":0}"#, "invalid-argument", ""),
        (#"{"op":"create","collection":""}"#, "invalid-name", ""),
        (#"{"op":"batch"}"#, "invalid-json", #"\"ops\""#),
        (#"{"op":"batch","ops":[{"op":"batch","ops":[]}]}"#, "invalid-argument", ""),
        (#"{"op":"put","ops":[],"collection":"c","id":"a"}"#, "invalid-json", #"\"ops\""#),
    ])
    func aRefusalHasItsCodeAndNamesTheKey(line: String, code: String, named: String) {
        let answer = answer(line)
        let error = object(answer)["error"] as? [String: Any]
        #expect(object(answer)["ok"] as? Bool == false, "\(line)")
        #expect(error?["code"] as? String == code, "\(line): \(answer)")
        #expect(named.isEmpty || answer.contains(named), "\(answer)")
        #expect(place.run("count", "@", "c").output == "0\n")
    }

    @Test func dimensionsMayBeNullForACollectionWithoutVectors() {
        let outcome = place.apply(
            #"{"op":"create","collection":"c","dimensions":null}"#,
            #"{"op":"create","collection":"c"}"#,
            #"{"metric":"cosine","collection":"c","op":"create"}"#,
            #"{"op":"put","collection":"c","id":"a","embedding":[1]}"#
        )
        #expect(outcome.code == 1)
        #expect(outcome.lines[..<3].allSatisfy { $0.contains("true") })
        #expect(outcome.lines[3].contains("wrong-dimension"))
    }

    @Test func aBatchHappensWholeOrNotAtAll() {
        _ = place.apply(create)
        let outcome = place.apply(
            """
            {"op":"batch","ops":[{"op":"create","collection":"d"},\
            {"op":"put","collection":"d","id":"a","text":"1"},\
            {"op":"put","collection":"d","id":"a","text":"2"},\
            {"op":"put","collection":"d","id":"b"},{"op":"delete","collection":"d","id":"b"}]}
            """,
            #"{"op":"batch","ops":[{"op":"put","collection":"d","id":"x"},{"op":"nope"}]}"#,
            #"{"ops":[{"op":"put","collection":"d","id":"y"}],"op":"batch"}"#
        )
        #expect(outcome.lines.map { $0.contains("true") } == [true, false, true])
        let documents = place.run("scan", "@", "d", "--json").jsonLines
        #expect(documents.map { $0["id"] as? String } == ["a", "y"])
        #expect(documents[0]["text"] as? String == "2")
    }

    @Test(arguments: [
        (#"{"op":"put","collection":"d","id":"a"}"#, "unknown-collection"),
        (#"{"op":"put","collection":"c","id":""}"#, "invalid-id"),
    ])
    func aRefusedBatchTellsWhichOperation(operation: String, code: String) {
        let outcome = place.apply(
            create,
            #"{"op":"batch","ops":[{"op":"put","collection":"c","id":"a"},\#(operation)]}"#
        )
        #expect(outcome.lines[1].contains(#""\#(code)","message":"byte 60: "#), "\(outcome.lines)")
    }

    @Test func expectedVersionsGuardPutsAndDeletes() {
        let outcome = place.apply(
            create,
            #"{"op":"put","collection":"c","id":"a","expected_version":0}"#,
            #"{"op":"put","collection":"c","id":"a","expected_version":0}"#,
            #"{"op":"put","collection":"c","id":"a","expected_version":2}"#,
            #"{"op":"delete","collection":"c","id":"a","expected_version":2}"#,
            #"{"op":"delete","collection":"c","id":"a","expected_version":3}"#
        )
        #expect(
            outcome.lines.map { $0.contains(#""ok":true"#) }
                == [true, true, false, true, false, true],
            "\(outcome.output)"
        )
        #expect(outcome.lines[2].contains("version-conflict"))
    }

    @Test func metadataOf128LevelsFitsIntoABatchToo() {
        let deep =
            String(repeating: #"{"a":"#, count: 127) + "{}" + String(repeating: "}", count: 127)
        let put = #"{"op":"put","collection":"c","id":"a","metadata":"# + deep + "}"
        let outcome = place.apply(create, put, #"{"op":"batch","ops":[\#(put)]}"#)
        #expect(outcome.code == 0, "\(outcome.output)")
        let deeper = put.replacingOccurrences(of: "{}", with: #"{"a":{}}"#)
        #expect(place.apply(deeper).output.contains("invalid-metadata"))
    }

    @Test(arguments: ["full", "relaxed", "bulk"])
    func everyDurabilityKeepsWhatItAnswered(durability: String) {
        let lines = (0..<50).map { #"{"op":"put","collection":"c","id":"\#($0)"}"# }
        let outcome = place.run(
            "apply",
            "@",
            "--durability",
            durability,
            input: ([create] + lines).joined(separator: "\n")
        )
        #expect(outcome.code == 0)
        #expect(outcome.lines.count == 51)
        #expect(place.run("count", "@", "c").output == "50\n")
    }

    @Test(arguments: [1, 2, 3, 7])
    func everyLineIsAnsweredBeforeMoreIsRead(linesAtOnce: Int) {
        let output = MemorySink(nil)
        let lines = [create] + (0..<20).map { #"{"op":"put","collection":"c","id":"\#($0)"}"# }
        let pieces = stride(from: 0, to: 21, by: linesAtOnce).map { first in
            // Half of the next line is here already: it is not waited for.
            let next = first + linesAtOnce
            let whole = lines[first..<min(next, 21)].map { $0 + "\n" }.joined()
            let start = first == 0 ? whole : String(whole.dropFirst(10))
            return Array((start + (next < 21 ? String(lines[next].prefix(10)) : "")).utf8)
        }
        let source = WatchingSource(pieces, output)
        let code = Tool().run(
            arguments: ["apply", place.store],
            environment: [:],
            input: source,
            output: output,
            error: MemorySink(nil),
            cancellation: NoSignals(),
            openInput: open
        )
        #expect(code == 0)
        let whole = (0...pieces.count).map { min(21, $0 * linesAtOnce) }
        #expect(source.answersBeforeRead == whole)
    }

    @Test func aLineMayComeInManyPieces() {
        let bytes = Array((create + "\n" + #"{"op":"put","collection":"c","id":"ö"}"#).utf8)
        let output = MemorySink(nil)
        let code = Tool().run(
            arguments: ["apply", place.store],
            environment: [:],
            input: MemorySource(bytes.map { [$0] }),
            output: output,
            error: MemorySink(nil),
            cancellation: NoSignals(),
            openInput: open
        )
        #expect(code == 0)
        #expect(output.text == "{\"ok\":true,\"lsn\":1}\n{\"ok\":true,\"lsn\":2}\n")
    }

    @Test func aTextAboveTheLimitIsRefusedAndTheStreamGoesOn() {
        let text = String(repeating: "x", count: 65 << 20)
        let outcome = place.apply(
            create,
            #"{"op":"put","collection":"c","id":"a","text":"\#(text)"}"#,
            #"{"op":"put","collection":"c","id":"b"}"#
        )
        #expect(outcome.code == 1)
        #expect(outcome.lines[1].contains("too-large"))
        #expect(outcome.lines[2] == #"{"ok":true,"lsn":2}"#)
    }

    @Test func answersThatNobodyReadsEndTheStream() {
        let output = MemorySink(nil)
        output.failure = (0, 32)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: ["apply", place.store],
            environment: [:],
            input: MemorySource([Array((create + "\n").utf8)]),
            output: output,
            error: error,
            cancellation: NoSignals(),
            openInput: open
        )
        #expect(code == 8)
        #expect(error.text.contains("answers"))
    }

    @Test func aFolderOfSomethingElseIsLeftAlone() {
        try? FileManager.default.createDirectory(
            atPath: place.store,
            withIntermediateDirectories: true
        )
        _ = FileManager.default.createFile(
            atPath: place.store + "/letter.txt",
            contents: Data("dear".utf8)
        )
        let outcome = place.apply(create)
        #expect(outcome.code == 8)
        #expect(place.contents.count == 1)
    }
}

/// Hands out a line at a time and notes how many answers stood on the output before.
private final class WatchingSource: MemorySource {
    private let output: MemorySink
    private(set) var answersBeforeRead: [Int] = []

    init(_ pieces: [[UInt8]], _ output: MemorySink) {
        self.output = output
        super.init(pieces)
    }

    override func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        answersBeforeRead.append(output.bytes.count { $0 == 0x0A })
        return super.read(into: buffer)
    }
}
