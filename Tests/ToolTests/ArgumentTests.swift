// The command line: what is refused, what is suggested, and the help.

import Testing
import moraine_cli

@Suite struct ArgumentTests {
    private let place = Place()

    @Test func nothingAtAllIsAMisuse() {
        let outcome = place.run()
        #expect(outcome.code == 16)
        #expect(outcome.output == "")
        #expect(outcome.error.contains("moraine help"))
    }

    @Test(arguments: [
        ("serch", "search"), ("veryfy", "verify"), ("collection", "collections"),
        ("inspct", "inspect"),
    ])
    func aMistypedCommandGetsASuggestion(typed: String, meant: String) {
        let outcome = place.run(typed, "@")
        #expect(outcome.code == 16)
        #expect(outcome.error.contains("did you mean \(meant)?"))
    }

    @Test func aMistypedOptionGetsASuggestion() {
        let outcome = place.run("scan", "@", "notes", "--limt", "3")
        #expect(outcome.code == 16)
        #expect(outcome.error.contains("did you mean --limit?"))
    }

    @Test(arguments: [
        ["scan", "s"], ["scan", "s", "c", "d"], ["scan", "s", "c", "--limit"],
        ["scan", "s", "c", "--json", "--json"], ["scan", "s", "c", "--json=yes"],
        ["scan", "s", "c", "--limit", "-1"], ["scan", "s", "c", "--limit", "+1"],
        ["scan", "s", "c", "--limit", "0x10"], ["scan", "s", "c", "--limit", ""],
        ["search", "s", "c", "--like", "a", "-k", "0"], ["search", "s", "c"],
        ["search", "s", "c", "--like", "a", "--embedding", "[1]"],
        ["apply", "s", "--durability", "some"], ["import", "s", "c"],
        ["create", "s", "c", "--metric", "l3"], ["create", "s", "c", "--dimensions", "0"],
        ["create", "s", "c", "--dimensions", "16385"], ["create", "s", "--dimensions", "3"],
        ["inspect"], ["inspect", "all", "s"], ["inspect", "segment", "s", "x"],
        ["apply", "s", "--memtable-bytes", "65535"], ["version", "s"],
        ["scan", "s", "c", "--vectors"],
    ])
    func misuseIsRefusedBeforeAnythingHappens(arguments: [String]) {
        let sink = MemorySink(nil)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: arguments.map { $0 == "s" ? place.store : $0 },
            environment: [:],
            input: MemorySource([]),
            output: sink,
            error: error,
            cancellation: NoSignals(),
            openInput: open
        )
        // Only this one needs a store to be seen as wrong.
        #expect(code == (arguments.last == "x" ? 8 : 16), "\(arguments): \(error.text)")
        #expect(sink.bytes.isEmpty)
        #expect(!error.bytes.isEmpty)
        #expect(place.contents.isEmpty)
    }

    @Test(arguments: ["MORAINE_MEMTABLE_BYTES", "MORAINE_WAL_FILE_BYTES", "MORAINE_MEMORY_BYTES"])
    func badSettingsInTheEnvironmentAreRefused(name: String) {
        for value in ["65535", "many", "-1", "99999999999999999999"] {
            let outcome = place.run("create", "@", environment: [name: value])
            #expect(outcome.code == 16)
            #expect(outcome.error.contains(name))
            #expect(place.contents.isEmpty)
        }
    }

    @Test func aMemtableIsNotLargerThanTheMemory() {
        let text = String(repeating: "x", count: 30_000)
        let lines = (0..<100).map {
            #"{"op":"put","collection":"c","id":"\#($0)","text":"\#(text)"}"# + "\n"
        }
        let create = #"{"op":"create","collection":"c"}"# + "\n"
        let outcome = place.run(
            "apply",
            "@",
            input: create + lines.joined(),
            environment: [
                "MORAINE_MEMORY_BYTES": "65536", "MORAINE_MEMTABLE_BYTES": "1073741824",
            ]
        )
        #expect(outcome.code == 0, "\(outcome.error)")
        // With the memtable asked for only closing would have made one.
        let count = place.run("stats", "@", "--json").json["segmentCount"] as? Int
        #expect((count ?? 0) > 1)
    }

    @Test func aFlagBeatsTheEnvironment() {
        let outcome = place.run(
            "create",
            "@",
            "--memtable-bytes=65536",
            "--wal-file-bytes",
            "65536",
            environment: [
                "MORAINE_MEMTABLE_BYTES": "bad", "MORAINE_WAL_FILE_BYTES": "bad", "NO_COLOR": "1",
            ]
        )
        #expect(outcome.code == 0, "\(outcome.error)")
    }

    @Test func optionsComeInAllTheirForms() {
        _ = place.apply(
            #"{"op":"create","collection":"c","dimensions":1}"#,
            #"{"op":"put","collection":"c","id":"-a","embedding":[1]}"#,
            #"{"op":"put","collection":"c","id":"b","embedding":[2]}"#
        )
        for k in [["-k", "1"], ["-k1"], ["-k=1"]] {
            let sink = MemorySink(nil)
            let code = Tool().run(
                arguments: ["search", "--embedding=[1]", place.store, "c", "--json"] + k,
                environment: [:],
                input: MemorySource([]),
                output: sink,
                error: MemorySink(nil),
                cancellation: NoSignals(),
                openInput: open
            )
            #expect(code == 0)
            #expect(sink.text.contains(#""id":"-a""#) && !sink.text.contains(#""id":"b""#))
        }
        #expect(place.run("get", "@", "c", "-a").code == 16)
        #expect(place.run("get", "@", "c", "--", "-a").code == 0)
    }

    @Test(arguments: [
        "create", "apply", "import", "get", "scan", "search", "count", "delete", "collections",
        "stats", "verify", "inspect", "inspect root", "inspect manifest", "inspect wal",
        "inspect segment", "inspect vectors",
    ])
    func everyCommandExplainsItself(name: String) {
        let words = name.split(separator: " ").map(String.init)
        for arguments in [words + ["--help"], ["help"] + words] {
            let sink = MemorySink(nil)
            let code = Tool().run(
                arguments: arguments,
                environment: [:],
                input: MemorySource([]),
                output: sink,
                error: MemorySink(nil),
                cancellation: NoSignals(),
                openInput: open
            )
            #expect(code == 0)
            #expect(sink.text.contains("usage: moraine"))
            #expect(sink.text.contains("examples:"))
        }
    }

    @Test func helpListsEveryCommandAndExitCode() {
        let outcome = place.run("help")
        #expect(outcome.code == 0)
        for word in ["create", "apply", "import", "inspect wal", "32  cancelled", "NO_COLOR"] {
            #expect(outcome.output.contains(word))
        }
        #expect(place.run("--help").output == outcome.output)
        #expect(place.run("version").output.hasPrefix("moraine "))
    }

    @Test func whatATerminalWouldActOnIsNotPrintedToIt() {
        _ = place.apply(
            #"{"op":"create","collection":"c"}"#,
            #"{"op":"put","collection":"c","id":"a\u001b[2Jb","text":"x\u0007y"}"#
        )
        for arguments in [["scan", place.store, "c"], ["get", place.store, "c", "a\u{1B}[2Jb"]] {
            let sink = MemorySink(80)
            _ = Tool().run(
                arguments: arguments,
                environment: ["NO_COLOR": "1"],
                input: MemorySource([]),
                output: sink,
                error: MemorySink(nil),
                cancellation: NoSignals(),
                openInput: open
            )
            #expect(!sink.text.isEmpty)
            #expect(!sink.bytes.contains(0x1B) && !sink.bytes.contains(0x07))
        }
    }

    @Test func coloursComeOnATerminalOnlyAndNeverWithNoColor() {
        _ = place.apply(
            #"{"op":"create","collection":"c"}"#,
            #"{"op":"put","collection":"c","id":"a"}"#
        )
        #expect(place.run("scan", "@", "c", columns: 80).output.contains("\u{1B}["))
        #expect(!place.run("scan", "@", "c").output.contains("\u{1B}["))
        let plain = place.run("scan", "@", "c", environment: ["NO_COLOR": "1"], columns: 80)
        #expect(!plain.output.contains("\u{1B}["))
    }
}
