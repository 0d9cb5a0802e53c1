// Runs the tool inside the test's process: streams in memory, stores in a temporary folder.

import Foundation
import Testing
import moraine_cli

/// What a run of the tool came to.
struct Outcome {
    let code: Int32
    let output: String
    let error: String

    /// The lines of standard output.
    var lines: [String] {
        var lines = output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// Standard output as one JSON object.
    var json: [String: Any] { object(output) }

    /// Each line of standard output as a JSON object.
    var jsonLines: [[String: Any]] { lines.map(object) }
}

/// A JSON object; empty when the text is none.
func object(_ text: String) -> [String: Any] {
    let value = try? JSONSerialization.jsonObject(with: Data(text.utf8))
    return value as? [String: Any] ?? [:]
}

/// A folder that goes with the test.
final class Place {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "moraine-tool-" + UUID().uuidString
        try? FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The store of the test.
    var store: String { path + "/s.moraine" }

    /// Writes a file beside the store; returns its path.
    func file(_ name: String, _ text: String) -> String { file(name, Data(text.utf8)) }

    func file(_ name: String, _ data: Data) -> String {
        let file = path + "/" + name
        _ = FileManager.default.createFile(atPath: file, contents: data)
        return file
    }

    /// Writes vectors beside the store; returns the path.
    func file(_ name: String, vectors: [[Float]]) -> String {
        var data = Data()
        for value in vectors.joined() {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
        }
        return file(name, data)
    }

    /// Runs the tool; `@` in an argument stands for the store.
    func run(
        _ arguments: String...,
        input: String = "",
        environment: [String: String] = [:],
        columns: Int? = nil
    ) -> Outcome {
        run(arguments, input: input, environment: environment, columns: columns)
    }

    /// Runs the tool; `@` in an argument stands for the store.
    func run(
        _ arguments: [String],
        input: String = "",
        environment: [String: String] = [:],
        columns: Int? = nil
    ) -> Outcome {
        let output = MemorySink(columns)
        let error = MemorySink(nil)
        let code = Tool().run(
            arguments: arguments.map { $0 == "@" ? store : $0 },
            environment: environment,
            input: MemorySource([Array(input.utf8)]),
            output: output,
            error: error,
            cancellation: NoSignals(),
            openInput: open
        )
        return Outcome(code: code, output: output.text, error: error.text)
    }

    /// Runs `apply` with the given lines, which must all be accepted.
    func apply(_ lines: String...) -> Outcome {
        run("apply", "@", input: lines.map { $0 + "\n" }.joined())
    }

    /// Every file of the store with its bytes and times.
    var contents: [String: StoredFile] {
        var files: [String: StoredFile] = [:]
        for name in FileManager.default.enumerator(atPath: store)?.allObjects ?? [] {
            guard let name = name as? String else { continue }
            let file = store + "/" + name
            let attributes = try? FileManager.default.attributesOfItem(atPath: file)
            files[name] = StoredFile(
                data: FileManager.default.contents(atPath: file),
                modified: attributes?[.modificationDate] as? Date,
                mode: attributes?[.posixPermissions] as? Int
            )
        }
        return files
    }

    /// The names of the store's files that end so.
    func names(_ suffix: String) -> [String] {
        contents.keys.filter { $0.hasSuffix(suffix) }.sorted()
    }

    /// Changes one byte of a file of the store.
    func damage(_ name: String, at offset: Int) {
        let file = store + "/" + name
        guard var data = FileManager.default.contents(atPath: file), offset < data.count else {
            Issue.record("\(name) has no byte \(offset)")
            return
        }
        data[offset] ^= 0x10
        try? data.write(to: URL(fileURLWithPath: file))
    }
}

/// Runs a program to its end; `nil` when there is none of that name.
func runProgram(_ arguments: [String]) throws -> (code: Int32, output: String)? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    if process.terminationStatus == 127 { return nil }
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}

struct StoredFile: Equatable {
    let data: Data?
    let modified: Date?
    let mode: Int?
}

/// Opens a file of the test as a source.
func open(_ path: String) -> Result<OpenedInput, SystemFailure> {
    guard let data = FileManager.default.contents(atPath: path) else {
        return .failure(SystemFailure(2))
    }
    return .success(
        OpenedInput(source: MemorySource([Array(data)]), byteCount: UInt64(data.count))
    )
}

/// Bytes of memory, in the pieces that reads return.
class MemorySource: ByteSource {
    private let pieces: [[UInt8]]
    private var index = 0
    private var offset = 0

    init(_ pieces: [[UInt8]]) { self.pieces = pieces.filter { !$0.isEmpty } }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        guard index < pieces.count else { return .end }
        let count = min(pieces[index].count - offset, buffer.count)
        buffer.copyBytes(from: pieces[index][offset..<(offset + count)])
        offset += count
        if offset == pieces[index].count {
            index += 1
            offset = 0
        }
        return .bytes(count)
    }
}

/// Collects what is written.
final class MemorySink: ByteSink {
    let columnCount: Int?
    private(set) var bytes: [UInt8] = []
    /// After so many bytes writing fails with this errno.
    var failure: (after: Int, number: Int32)?

    init(_ columnCount: Int?) { self.columnCount = columnCount }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func write(_ new: UnsafeRawBufferPointer) -> Int32 {
        if let failure, bytes.count + new.count > failure.after { return failure.number }
        bytes.append(contentsOf: new)
        return 0
    }
}

struct NoSignals: Cancellation {
    var isRequested: Bool { false }
    func hold() {}
}
