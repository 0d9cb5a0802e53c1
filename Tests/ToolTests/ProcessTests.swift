// The built program as a process: pipes, signals, exit codes.

import Foundation
import Testing

@Suite(.enabled(if: BuiltProgram.path != nil)) struct ProcessTests {
    private let place = Place()

    private struct Running {
        let process: Process
        let input: Pipe
        let output: Pipe

        func send(_ line: String) { input.fileHandleForWriting.write(Data((line + "\n").utf8)) }

        func readLine() -> String {
            var bytes: [UInt8] = []
            while let byte = output.fileHandleForReading.readData(ofLength: 1).first, byte != 0x0A {
                bytes.append(byte)
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        func finish() -> Int32 {
            try? input.fileHandleForWriting.close()
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    private func start(_ arguments: String...) throws -> Running {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(BuiltProgram.path))
        process.arguments = arguments
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return Running(process: process, input: input, output: output)
    }

    @Test func eachLineOfAPipeIsAnsweredBeforeTheNextIsSent() throws {
        let apply = try start("apply", place.store)
        apply.send(#"{"op":"create","collection":"c"}"#)
        #expect(apply.readLine() == #"{"ok":true,"lsn":1}"#)
        for number in 2..<20 {
            apply.send(#"{"op":"put","collection":"c","id":"\#(number)"}"#)
            #expect(apply.readLine() == #"{"ok":true,"lsn":\#(number)}"#)
        }
        #expect(apply.finish() == 0)
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsApplyInOrder(signal: Int32) throws {
        let apply = try start("apply", place.store)
        apply.send(#"{"op":"create","collection":"c"}"#)
        #expect(apply.readLine() == #"{"ok":true,"lsn":1}"#)
        kill(apply.process.processIdentifier, signal)
        apply.process.waitUntilExit()
        #expect(apply.process.terminationReason == .exit)
        #expect(apply.process.terminationStatus == 32)
        // Closed in order: the root says so, and the lock is free.
        #expect(place.run("inspect", "root", "@").output.contains("closed"))
        #expect(place.apply(#"{"op":"put","collection":"c","id":"a"}"#).code == 0)
    }

    @Test func aKilledApplyKeepsWhatItAnswered() throws {
        let apply = try start("apply", place.store)
        apply.send(#"{"op":"create","collection":"c"}"#)
        _ = apply.readLine()
        for number in 0..<10 {
            apply.send(#"{"op":"put","collection":"c","id":"\#(number)"}"#)
            #expect(apply.readLine().contains("true"))
        }
        kill(apply.process.processIdentifier, SIGKILL)
        apply.process.waitUntilExit()
        #expect(place.run("count", "@", "c").output == "10\n")
        #expect(place.run("apply", "@").code == 0)
        #expect(place.run("count", "@", "c").output == "10\n")
    }

    @Test func aCopyOfAStoppedProcessesFolderIsAStore() throws {
        let apply = try start("apply", place.store)
        apply.send(#"{"op":"create","collection":"c"}"#)
        _ = apply.readLine()
        let text = String(repeating: "moraine ", count: 400)
        var answered = 0
        for round in 0..<6 {
            // Some are answered, some on their way when the process stops in its tracks.
            for number in 0..<20 {
                apply.send(
                    #"{"op":"put","collection":"c","id":"\#(round)-\#(number)","text":"\#(text)"}"#
                )
                if number < 15 {
                    #expect(apply.readLine().contains("true"))
                    answered += 1
                }
            }
            kill(apply.process.processIdentifier, SIGSTOP)
            let copy = place.path + "/copy-\(round)"
            let copied = try runProgram(["cp", "-a", place.store, copy])
            kill(apply.process.processIdentifier, SIGCONT)
            #expect(copied?.code == 0)
            // The holder of the lock was of the other folder: the copy opens, and can be written.
            #expect(place.run("apply", copy, input: "").code == 0)
            let found = place.run("scan", copy, "c", "--json").lines
            #expect(found.count >= answered && found.count <= answered + 5)
            #expect(place.run("verify", copy).code == 0)
            for _ in 15..<20 {
                #expect(apply.readLine().contains("true"))
                answered += 1
            }
        }
        #expect(apply.finish() == 0)
    }

    #if os(Linux)
    /// Built for the address or the thread sanitizer, as the program is.
    private static var isSanitized: Bool {
        dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
    }

    // Swift ends a process whose allocation fails; what is promised is that the store is not hurt
    // by it, and that what was answered is there.
    // A sanitizer takes terabytes of addresses for itself: under a limit nothing starts.
    @Test(.disabled(if: Self.isSanitized)) func aProcessThatRunsOutOfMemoryHurtsNothing() throws {
        let tool = try #require(BuiltProgram.path)
        let create = #"{"op":"create","collection":"c"}"# + "\n"
        let text = String(repeating: "moraine ", count: 12_500)
        let count = 200
        let puts = (0..<count).map {
            #"{"op":"put","collection":"c","id":"\#($0)","text":"\#(text)"}"# + "\n"
        }
        let lines = place.file("lines", puts.joined())
        /// Applies a file under a limit of the address space; the answers and the exit code.
        func apply(_ file: String, _ store: String, mebibytes: Int?) throws -> (Int, String) {
            let limit = mebibytes.map { "\($0 * 1024)" } ?? "unlimited"
            let command =
                "ulimit -c 0; ulimit -v \(limit); SWIFT_BACKTRACE=enable=no "
                + "'\(tool)' apply '\(store)' < '\(file)' 2>/dev/null; echo \"end $?\""
            let result = try #require(try runProgram(["sh", "-c", command]))
            let answers = result.output.split(separator: "\n")
            return (answers.count { $0.contains("true") }, String(answers.last ?? ""))
        }
        // Less than this and the program does not even start.
        let one = place.file("one", create)
        var start = 32
        while try apply(one, place.path + "/least-\(start)", mebibytes: start).1 != "end 0" {
            start += 8
            try #require(start < 512)
        }
        var endedCount = 0
        for limit in stride(from: start + 6, to: start + 36, by: 6).map({ $0 as Int? }) + [nil] {
            let store = place.path + "/\(limit ?? 0).moraine"
            #expect(place.run("apply", store, input: create).code == 0)
            let (answered, end) = try apply(lines, store, mebibytes: limit)
            if answered > 0, end != "end 0" { endedCount += 1 }
            if limit == nil { #expect(answered == count && end == "end 0") }
            #expect(place.run("verify", store).code == 0)
            let found = Int(place.run("count", store, "c").output.dropLast()) ?? -1
            #expect(found >= answered, "\(limit ?? 0) MiB")
        }
        // Else nothing was seen of a process that ends in the middle of its work.
        #expect(endedCount > 0)
    }

    @Test func fewDescriptorsAreEnoughForManySegments() throws {
        let tool = try #require(BuiltProgram.path)
        let text = String(repeating: "moraine ", count: 1_500)
        let puts = (0..<40).map {
            #"{"op":"put","collection":"c","id":"\#($0)","text":"\#(text)"}"#
        }
        #expect(
            place.run(
                "apply",
                "@",
                input: ([#"{"op":"create","collection":"c"}"#] + puts).joined(separator: "\n"),
                environment: ["MORAINE_MEMTABLE_BYTES": "65536"]
            ).code == 0
        )
        // Two files each; the limit is below them, and above what the runtime has open.
        try #require(place.names(".doc").count >= 5)
        let salvaged = place.path + "/salvaged.moraine"
        for arguments in [
            "verify '\(place.store)'", "inspect segment '\(place.store)'",
            "salvage '\(place.store)' --into '\(salvaged)'", "compact '\(place.store)' --all",
        ] {
            let command = "ulimit -n 12; exec '\(tool)' \(arguments)"
            let result = try #require(try runProgram(["sh", "-c", command]))
            #expect(result.code == 0, "\(arguments): \(result.output)")
        }
        #expect(place.run("diff", "@", salvaged).code == 0)
    }

    @Test func aLimitOfFilesLengthsIsAnError() throws {
        let tool = try #require(BuiltProgram.path)
        #expect(place.apply(#"{"op":"create","collection":"c"}"#).code == 0)
        // A document that fits below the limit, and one that does not.
        let lines = [1, 300_000].enumerated().map { number, count in
            let text = String(repeating: "moraine ", count: count)
            return #"{"op":"put","collection":"c","id":"\#(number)","text":"\#(text)"}"# + "\n"
        }
        let file = place.file("lines", lines.joined())
        // Whoever started the tests may have the signal ignored already.
        let command =
            "ulimit -f 500; env --default-signal=XFSZ '\(tool)' apply '\(place.store)' < '\(file)'"
        let result = try #require(try runProgram(["sh", "-c", command]))
        #expect(result.code == 8)
        #expect(result.output == "{\"ok\":true,\"lsn\":2}\n")
        #expect(place.run("verify", "@").code == 0)
        #expect(place.run("apply", "@").code == 0)
        #expect(place.run("count", "@", "c").output == "1\n")
    }

    @Test(arguments: ["<&-", "<&- >&- 2>&-"])
    func closedStandardStreamsAreNoFilesOfTheStore(streams: String) throws {
        let tool = try #require(BuiltProgram.path)
        #expect(place.apply(#"{"op":"create","collection":"c"}"#).code == 0)
        let command = "timeout 60 '\(tool)' apply '\(place.store)' \(streams)"
        let result = try #require(try runProgram(["sh", "-c", command]))
        #expect(result.code == 8)
        #expect(place.run("verify", "@").code == 0)
    }

    @Test func anotherUsersStoreIsRefusedAndLeftAlone() throws {
        guard geteuid() == 0, try runProgram(["setpriv", "--version"])?.code == 0 else { return }
        let tool = try #require(BuiltProgram.path)
        let drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        // Where that user cannot even start the tool there is nothing to see.
        guard try runProgram(drop + [tool, "--version"])?.code == 0 else { return }
        #expect(place.apply(#"{"op":"create","collection":"c"}"#).code == 0)
        chmod(place.path, 0o755)
        let before = place.contents
        for arguments in [["count", place.store, "c"], ["apply", place.store]] {
            let result = try #require(try runProgram(drop + [tool] + arguments))
            #expect((1..<128).contains(result.code), "\(arguments[0]): \(result)")
        }
        #expect(place.contents == before)
        // A folder that it may not write: nothing is made by halves.
        let other = try #require(try runProgram(drop + [tool, "create", place.path + "/new", "c"]))
        #expect((1..<128).contains(other.code))
        #expect(!FileManager.default.fileExists(atPath: place.path + "/new"))
    }
    #endif

    @Test func aWriterKeepsAReserve() throws {
        let apply = try start("apply", place.store)
        apply.send(#"{"op":"create","collection":"c"}"#)
        _ = apply.readLine()
        // The ballast, which a writer without a reserve does not make.
        let ballast = place.contents.values.filter { $0.data?.count == (2 << 20) + 4096 }
        #expect(ballast.count == 1)
        #expect(apply.finish() == 0)
        #expect(place.contents.values.allSatisfy { ($0.data?.count ?? 0) < 1 << 20 })
    }

    @Test func twoWritersAreOneTooMany() throws {
        let apply = try start("apply", place.store)
        apply.send(#"{"op":"create","collection":"c"}"#)
        _ = apply.readLine()
        let other = place.apply(#"{"op":"create","collection":"d"}"#)
        #expect(other.code == 8)
        #expect(other.error.contains("\(apply.process.processIdentifier)"))
        // Reading beside the writer is fine.
        #expect(place.run("collections", "@").code == 0)
        #expect(apply.finish() == 0)
    }

    @Test func aReaderThatGoesAwayEndsAScanQuietly() throws {
        let lines = (0..<5_000).map { #"{"op":"put","collection":"c","id":"\#($0)"}"# }
        let input = [#"{"op":"create","collection":"c"}"#] + lines
        #expect(
            place.run("apply", "@", "--durability", "bulk", input: input.joined(separator: "\n"))
                .code == 0
        )
        let scan = try start("scan", place.store, "c", "--json")
        _ = scan.readLine()
        try scan.output.fileHandleForReading.close()
        #expect(scan.finish() == 0)
        #expect(scan.process.terminationReason == .exit)
    }
}

/// The built tool.
enum BuiltProgram {
    /// The tool beside the running tests.
    static let path: String? = {
        let link = "/proc/self/exe"
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: link))
            ?? CommandLine.arguments[0]
        let beside = URL(fileURLWithPath: own).deletingLastPathComponent()
            .appendingPathComponent("moraine").path
        if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        // The tests may run inside a runner of the toolchain; the folder is then an argument's.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        let other = bundle.map {
            URL(fileURLWithPath: $0).deletingLastPathComponent()
                .appendingPathComponent("moraine").path
        }
        return other.flatMap { FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil }
    }()
}
