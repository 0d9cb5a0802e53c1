// moraine load: operations in bulk, beside the log.

import MoraineEngine
import MoraineFiles
import MoraineJSON
import MoraineStorage

extension Command {
    static let loadDump = Command(
        "load",
        "read a dump in bulk",
        positionals: [
            Positional("STORE", "the folder of the store; made when nothing is there"),
            Positional(
                "FILE",
                "what dump wrote; standard input when absent or \"-\"",
                count: .optional
            ),
        ],
        options: [
            Option("--json", nil, "end with {\"operations\":N,\"seconds\":S,\"bytes\":B}")
        ] + Option.writing,
        notes: [
            """
            Takes every operation that "moraine apply" takes, without answering each. The load
            stops at the first line that is refused, names it, and says how many operations are
            committed: those stay, and the exit code is 16. Nothing is durable before the end; a
            crash before it leaves the store as it was, or with a part of the operations.
            """
        ],
        examples: [
            ("moraine load notes.moraine notes.jsonl", "what a dump holds, into a store"),
            ("moraine dump a.moraine | moraine load b.moraine", "copy a store"),
            ("zstdcat notes.zst | moraine load notes.moraine --json", "from a pipe"),
        ],
        run: { call throws(Failure) in
            let path = call.optional(1) ?? "-"
            // Opened before the store, so that a mistyped name makes none.
            let input = try call.console.open(path)
            call.console.cancellation.hold()
            return try call.withStore(call[0], .write(creates: true, durability: .full)) {
                engine throws(Failure) in
                var loader = Loader(engine, path, input, call)
                return try loader.run()
            }
        }
    )
}

/// The stream of one call.
private struct Loader: ~Copyable {
    private static let lineByteLimit = 256 << 20
    /// Lines and bytes of one commit.
    private static let batchLineCount = 512
    private static let batchByteCount = 4 << 20

    private let engine: Engine
    private let path: String
    private let call: Call
    private let totalByteCount: UInt64?
    private let lines: LineReader
    private let progress: Progress
    private var parser = OperationParser()
    /// The lines of the batch, one after the other, and where each ends.
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    /// Operations that are committed: one a line.
    private var committedCount = 0

    init(_ engine: Engine, _ path: String, _ input: OpenedInput, _ call: Call) {
        self.engine = engine
        self.path = path
        self.call = call
        totalByteCount = input.byteCount
        lines = LineReader(input.source, limit: Self.lineByteLimit)
        progress = Progress(call.console.error)
    }

    mutating func run() throws(Failure) -> ExitCode {
        let load = BulkLoad(verb: "loaded", noun: "operation")
        var failure: Failure?
        do throws(Failure) {
            try readAll()
        } catch {
            failure = error
        }
        progress.clear()
        return try load.finish(
            failure,
            count: committedCount,
            byteCount: lines.byteCount,
            engine,
            call
        )
    }

    private mutating func readAll() throws(Failure) {
        while true {
            while let line = lines.next() {
                guard case .line(let content) = line else {
                    try commit()
                    throw refused(
                        committedCount,
                        Refusal(.tooLarge, "the line is longer than \(Self.lineByteLimit) bytes")
                    )
                }
                bytes.append(contentsOf: content)
                ends.append(bytes.count)
                if ends.count == Self.batchLineCount || bytes.count >= Self.batchByteCount {
                    try commit()
                }
            }
            if call.console.cancellation.isRequested {
                try commit()
                throw Failure(.cancelled, "stopped by a signal")
            }
            switch lines.fill() {
            case .more, .cancelled: continue
            case .end: return try commit()
            case .failed(let number):
                try commit()
                throw readFailure(path, number)
            }
        }
    }

    /// Commits the batch; when a line of it is refused, those before it.
    private mutating func commit() throws(Failure) {
        guard !ends.isEmpty else { return }
        defer {
            bytes.removeAll(keepingCapacity: bytes.count <= 2 * Self.batchByteCount)
            ends.removeAll(keepingCapacity: true)
        }
        if try commit(0..<ends.count) == nil { return }
        for index in ends.indices {
            if let refusal = try commit(index..<(index + 1)) {
                throw refused(committedCount, refusal)
            }
        }
    }

    /// Commits some lines of the batch as one, or says why not.
    private mutating func commit(_ range: Range<Int>) throws(Failure) -> Refusal? {
        var refusal: Refusal?
        do throws(StoreError) {
            _ = try engine.commit(logged: false) { batch throws(StoreError) in
                do throws(Refusal) {
                    for index in range { try parse(index, into: &batch) }
                } catch {
                    refusal = error
                    throw StoreError(.invalidArgument, "a line is refused")
                }
            }
        } catch {
            if let refusal { return refusal }
            switch ExitCode(error.code) {
            case .usage, .absent: return Refusal(error)
            default: throw Failure(error)
            }
        }
        committedCount += range.count
        progress.show(progressText)
        return nil
    }

    private mutating func parse(_ index: Int, into batch: inout BatchBuilder) throws(Refusal) {
        let start = index == 0 ? 0 : ends[index - 1]
        let end = ends[index]
        try bytes.withUnsafeBufferPointer { bytes throws(Refusal) in
            try parser.parse(
                UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[start..<end])),
                into: &batch
            )
        }
    }

    /// The failure of the line behind `count` lines that are fine.
    private func refused(_ count: Int, _ refusal: Refusal) -> Failure {
        Failure(.usage, "\(path): line \(count + 1): \(refusal.code): \(refusal.message)")
    }

    private var progressText: String {
        let operations = "loaded \(grouped(committedCount)) operations"
        guard let totalByteCount, totalByteCount > 0 else { return operations }
        let share = 100 * Double(lines.byteCount) / Double(totalByteCount)
        return "\(operations), \(decimal(min(share, 100), digits: 0)) %"
    }
}
