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
