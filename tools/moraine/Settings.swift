// From options and environment to an open store.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// What a command wants of a store.
enum Access {
    /// Takes no lock, changes no byte.
    case read
    case write(creates: Bool, durability: Durability)
}

extension Option {
    static let json = Option("--json", nil, "print JSON instead of a table")

    /// For every command that opens a store.
    static let memory = Option(
        "--memory-bytes",
        "N",
        "budget for all memory (MORAINE_MEMORY_BYTES)"
    )

    /// For every command that may read for long.
    static let timeout = Option(
        "--timeout",
        "TIME",
        "end after 500ms, 10s, 2m or 1h, with exit code 32"
    )

    /// For every command that reads documents.
    static let reading = [timeout, memory]

    /// For every command that opens a store to write.
    static let writing =
        [memory] + [
            Option(
                "--memtable-bytes",
                "N",
                "bytes of commits before they become a segment (MORAINE_MEMTABLE_BYTES)"
            ),
            Option("--wal-file-bytes", "N", "the largest log file (MORAINE_WAL_FILE_BYTES)"),
        ]
}

extension Call {
    /// Opens a store, runs `body`, and closes it whatever happens.
    func withStore<R>(
        _ folder: String,
        _ access: Access,
        _ body: (Engine) throws(Failure) -> R
    ) throws(Failure) -> R {
        let options = try engineOptions(access)
        let engine = try engineCall { () throws(StoreError) in
            try Engine.open(at: PosixFileSystem.folder(linkedBy: folder), options: options)
        }
        for note in engine.openingNotes { console.note(Failure.text(note)) }
        let result: R
        do throws(Failure) {
            result = try body(engine)
        } catch {
            // The first failure is the one to tell; closing after it can only repeat it.
            try? engine.close()
            throw error
        }
        try engineCall { () throws(StoreError) in try engine.close() }
        return result
    }

    /// Opens a store to read, and hands over its newest state.
    func withVersion<R>(
        _ folder: String,
        _ body: (Version) throws(Failure) -> R
    ) throws(Failure) -> R {
        // The time begins before the store is opened, which may read a log.
        let limit = try readLimit()
        return try withStore(folder, .read) { engine throws(Failure) in
            let version = try engineCall { () throws(StoreError) in try engine.version() }
            try engineCall { () throws(StoreError) in try limit?.check() }
            return try body(limit.map { version.limited(by: $0) } ?? version)
        }
    }

    /// What `--timeout` says, and a signal where these are held.
    func readLimit(orAt cancellation: any Cancellation) throws(Failure) -> ReadLimit {
        let clock = SystemClock()
        return ReadLimit(deadline: try deadline(clock) ?? .max, clock: clock) {
            cancellation.isRequested
        }
    }

    /// The end of `--timeout`, `nil` without it.
    func readLimit() throws(Failure) -> ReadLimit? {
        let clock = SystemClock()
        return try deadline(clock).map { ReadLimit(deadline: $0, clock: clock) }
    }

    private func deadline(_ clock: SystemClock) throws(Failure) -> UInt64? {
        guard let text = arguments["--timeout"] else { return nil }
        guard let timeout = Self.duration(text) else {
            throw Failure(
                .usage,
                "--timeout must be a time like 500ms, 10s, 2m or 1h, not \"\(visible(text))\""
            )
        }
        return ReadLimit.deadline(after: timeout, clock)
    }

    private static func duration(_ text: String) -> Duration? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let count = Int64(digits), count <= 1_000_000_000 else { return nil }
        switch text.dropFirst(digits.count) {
        case "ms": return .milliseconds(count)
        case "s": return .seconds(count)
        case "m": return .seconds(count * 60)
        case "h": return .seconds(count * 3_600)
        default: return nil
        }
    }

    /// Opens a store to read, and hands over one of its collections.
    func withCollection<R>(
        _ folder: String,
        _ name: String,
        _ body: (Version, CollectionShape) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withVersion(folder) { version throws(Failure) in
            guard let collection = version.collection(name) else {
                throw unknownCollection(name, version)
            }
            return try body(version, collection)
        }
    }

    func unknownCollection(_ name: String, _ version: Version) -> Failure {
        Failure(
            .absent,
            "there is no collection \"\(visible(name))\"",
            hint: didYouMean(name, version.collections.map(\.name))
        )
    }

    /// The engine's settings.
    ///
    /// A flag beats the environment.
    func engineOptions(_ access: Access) throws(Failure) -> EngineOptions {
        var options = EngineOptions()
        switch access {
        case .read:
            options.isReadOnly = true
            options.createsStore = false
        case .write(let creates, let durability):
            options.createsStore = creates
            options.durability = durability
            options.diskReserveByteCount = EngineOptions.usualDiskReserveByteCount
        }
        if let count = try setting("--memory-bytes", "MORAINE_MEMORY_BYTES") {
            options.memoryByteCount = count
        }
        if let count = try setting("--memtable-bytes", "MORAINE_MEMTABLE_BYTES") {
            // Not refused when it is above the budget: the two come from different places.
            options.memtableByteCount = min(count, max(options.memoryByteCount, 1 << 20))
        }
        if let count = try setting("--wal-file-bytes", "MORAINE_WAL_FILE_BYTES") {
            options.logFileByteCount = count
        }
        return options
    }

    private func setting(_ option: String, _ variable: String) throws(Failure) -> Int? {
        // Above 1 TiB it is a mistake, and sums of it could overflow.
        let range: ClosedRange<UInt64> = 65_536...(1 << 40)
        if let count = try arguments.number(option, in: range) { return Int(count) }
        guard let text = console.environment[variable], !text.isEmpty else { return nil }
        return Int(try wholeNumber(text, of: variable, in: range))
    }

    /// The value of `--metric`, `nil` when it is not given.
    func metric() throws(Failure) -> Metric? {
        guard let name = arguments["--metric"] else { return nil }
        guard let metric = Metric(name: name) else {
            throw Failure(
                .usage,
                "--metric must be cosine, dot or l2, not \"\(visible(name))\""
            )
        }
        return metric
    }

    /// The value of `--dimensions`, `nil` when it is not given.
    func dimensions() throws(Failure) -> Int? {
        try arguments.number("--dimensions", in: 1...UInt64(FormatLimits.dimensions))
            .map { Int($0) }
    }
}

/// Calls `body` with the text's UTF-8.
func withUTF8<R, E: Error>(
    _ text: String,
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
) throws(E) -> R {
    let bytes = Array(text.utf8)
    return try bytes.withUnsafeBufferPointer { buffer throws(E) in
        try body(UnsafeRawBufferPointer(buffer))
    }
}
