// moraine apply: operations in, answers out, line by line.
//
// A line is answered before the next one is needed. Lines that are here already share one sync:
// with full durability they are written without one, then all are synced together, then all are
// answered, so that an answer still means that its commit is on disk.

import MoraineEngine
import MoraineJSON
import MoraineStorage

extension Command {
    static let apply = Command(
        "apply",
        "read operations as JSON Lines, answer each",
        positionals: [Positional("STORE", "the folder of the store; made when nothing is there")],
        options: [
            Option(
                "--durability",
                "D",
                "full (default): answered when synced; relaxed: synced within a second; bulk: "
                    + "at the end"
            )
        ] + Option.writing,
        notes: [
            """
            Operations, one JSON object a line on standard input:
              {"op":"create","collection":"notes","dimensions":3,"metric":"cosine"}
              {"op":"put","collection":"notes","id":"a","text":"...","metadata":{},"embedding":[1,0,0]}
              {"op":"delete","collection":"notes","id":"a"}
              {"op":"delete_prefix","collection":"notes","prefix":"2024-"}
              {"op":"patch","collection":"notes","id":"a","set":{"year":2024},"remove":["draft"]}
              {"op":"rename","collection":"notes","to":"archive"}
              {"op":"drop","collection":"notes"}
              {"op":"batch","ops":[...]}
            "embedding_b64" takes the base64 of little-endian Float32 instead; "expected_version"
            makes put, delete and patch depend on the version a document has (0: it must not exist).
            "expires" of a put is when the document expires, in milliseconds since 1970.
            A patch sets and removes keys of the metadata itself, values are replaced whole; text
            and embedding stay. All operations of a batch happen together or not at all.
            Answers: {"ok":true,"lsn":12}, with "deleted":N behind a delete_prefix, or {"ok":false,"error":{"code":"...","message":"..."}}.
            A refused line changes nothing, and the stream goes on.
            """,
            "Exit code 0: every line was accepted; 1: a line was refused; 4, 8, 32: the stream "
                + "ended early,\nand lines without an answer may or may not be in the store.",
        ],
        examples: [
            ("moraine apply notes.moraine < operations.jsonl", "apply a file"),
            (
                "moraine scan a.moraine notes --json --vectors | moraine apply b.moraine > log",
                "copy a collection that b has too"
            ),
        ],
        run: { call throws(Failure) in
            let (durability, syncs) = try durability(call)
            call.console.cancellation.hold()
            return try call.withStore(call[0], .write(creates: true, durability: durability)) {
                engine throws(Failure) in
                var stream = ApplyStream(engine, call.console, syncsGroups: syncs)
                return try stream.run()
            }
        }
    )
}

/// What to open the store with, and whether each group of lines is synced before its answers.
private func durability(_ call: Call) throws(Failure) -> (Durability, Bool) {
    switch call.arguments["--durability"] ?? "full" {
    case "full": return (.bulk, true)
    case "relaxed": return (.relaxed(milliseconds: 1_000), false)
    case "bulk": return (.bulk, false)
    case let other:
        throw Failure(
            .usage,
            "--durability must be full, relaxed or bulk, not \"\(visible(other))\""
        )
    }
}

/// The stream of one call.
private struct ApplyStream: ~Copyable {
    /// Above every line that could be accepted, and far below what memory allows.
    private static let lineByteLimit = 256 << 20
    /// Lines that share a sync at most, so that nobody waits long for the first answer.
    private static let groupLineCount = 4_096

    private let engine: Engine
    private let console: Console
    private let syncsGroups: Bool
    private let lines: LineReader
    private var parser = OperationParser()
    /// Answers of the group, not shown yet.
    private var answers = JSONWriter(capacity: 1 << 16)
    private var answerCount = 0
    private var hasCommits = false
    private var wasRefused = false

    init(_ engine: Engine, _ console: Console, syncsGroups: Bool) {
        self.engine = engine
        self.console = console
        self.syncsGroups = syncsGroups
        lines = LineReader(console.input, limit: Self.lineByteLimit)
    }

    mutating func run() throws(Failure) -> ExitCode {
        while true {
            do throws(Failure) {
                while answerCount < Self.groupLineCount, !console.cancellation.isRequested,
                    let line = lines.next()
                {
                    try answer(line)
                }
            } catch {
                // What was committed before the failure is still answered, when it can be synced.
                try? endGroup()
                throw error
            }
            let wasFull = answerCount == Self.groupLineCount
            try endGroup()
            if console.cancellation.isRequested {
                throw Failure(.cancelled, "stopped by a signal; every answered line is done")
            }
            if wasFull { continue }
            switch lines.fill() {
            case .more, .cancelled: continue
            case .end: return wasRefused ? .absent : .fine
            case .failed(let number): throw readFailure("standard input", number)
            }
        }
    }

    private mutating func answer(_ line: LineReader.Line) throws(Failure) {
        switch line {
        case .tooLong:
            refuse(
                Refusal(
                    .tooLarge,
                    "the line is longer than \(Self.lineByteLimit) bytes"
                )
            )
        case .line(let bytes):
            switch try commit(bytes) {
            case .success(let result):
                answers.writeRaw("{\"ok\":true,\"lsn\":")
                answers.writeUInt(result.lsn)
                if parser.deletesPrefixes {
                    answers.writeRaw(",\"deleted\":")
                    answers.writeUInt(UInt64(result.removedCount))
                }
                answers.writeRaw("}\n")
                hasCommits = true
            case .failure(let refusal): refuse(refusal)
            }
        }
        answerCount += 1
    }

    /// Commits the operations of a line.
    ///
    /// Throws when the stream cannot go on.
    private mutating func commit(_ line: UnsafeRawBufferPointer) throws(Failure)
        -> Result<CommitResult, Refusal>
    {
        var refusal: Refusal?
        do throws(StoreError) {
            let result = try engine.commitCounting { batch throws(StoreError) in
                do throws(Refusal) {
                    try parser.parse(line, into: &batch)
                } catch {
                    refusal = error
                    throw StoreError(.invalidArgument, "the line is refused")
                }
            }
            return .success(result)
        } catch {
            if let refusal { return .failure(refusal) }
            switch ExitCode(error.code) {
            case .usage, .absent: return .failure(Refusal(error))
            default: throw Failure(error)
            }
        }
    }

    private mutating func refuse(_ refusal: Refusal) {
        wasRefused = true
        answers.writeRaw("{\"ok\":false,\"error\":{\"code\":")
        answers.writeString(refusal.code)
        answers.writeRaw(",\"message\":")
        answers.writeString(refusal.message)
        answers.writeRaw("}}\n")
    }

    /// Makes the group durable and shows its answers.
    private mutating func endGroup() throws(Failure) {
        guard answerCount > 0 else { return }
        if hasCommits, syncsGroups {
            try engineCall { () throws(StoreError) in try engine.sync() }
        }
        let output = console.output
        answers.withBytes { output.write($0) }
        output.flush()
        answers.removeAll(keepingCapacity: answers.count <= 1 << 20)
        answerCount = 0
        hasCommits = false
        if let failure = output.failure {
            throw Failure(
                .operational,
                "cannot write answers to standard output: \(failure.reason)"
            )
        }
    }
}
