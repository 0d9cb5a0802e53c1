// get: documents by id, delivered as Swift values.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

extension Command {
    static let get = Command(
        "get",
        "documents by random ids: cached, on two threads, uncached",
        about: """
            A document is delivered as Swift values: its text as a String, its metadata as a tree.
            On two threads the limit is how a bare loop of random reads from memory scales in the
            same run. Uncached: the same with so small a block cache that nearly every get
            decompresses a block.
            """,
        options: [Option("--gets", "N", "gets of one thread in a round; 400,000 by default")],
        takesData: true,
        examples: [
            ("get DATA", "a data set"), ("get --documents 20000", "generated documents"),
        ],
        run: runGet
    )
}

/// Metadata as a program would hold it.
private indirect enum Value {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    case array([Value])
    case object([(key: String, value: Value)])

    /// Takes canonical metadata apart.
    ///
    /// It was checked when it was stored, so depth is bounded.
    static func object(_ reader: inout ByteReader) throws(FormatError) -> Value {
        let count = try reader.readCount("count", unit: 2)
        var items: [(key: String, value: Value)] = []
        items.reserveCapacity(count)
        for _ in 0..<count {
            let key = String(decoding: try reader.readPrefixed("key"), as: UTF8.self)
            items.append((key, try value(&reader)))
        }
        return .object(items)
    }

    private static func value(_ reader: inout ByteReader) throws(FormatError) -> Value {
        switch try Metadata.readTag(&reader) {
        case .null: return .null
        case .false: return .bool(false)
        case .true: return .bool(true)
        case .integer:
            let bits = try reader.readVarint("integer")
            return .integer(Int64(bitPattern: bits >> 1) ^ -Int64(bits & 1))
        case .double: return .double(Double(bitPattern: try reader.readUInt64("double")))
        case .string:
            return .string(String(decoding: try reader.readPrefixed("string"), as: UTF8.self))
        case .array:
            let count = try reader.readCount("count")
            var items: [Value] = []
            items.reserveCapacity(count)
            for _ in 0..<count { items.append(try value(&reader)) }
            return .array(items)
        case .object: return try object(&reader)
        }
    }
}

/// A document as a program would hold it.
private struct Delivered {
    let text: String
    let metadata: Value
}

/// Gets documents of one store in a random order.
private struct Getter: Sendable {
    let version: Version
    let collection: CollectionShape
    let ids: [[UInt8]]

    init(_ engine: Engine) throws {
        version = try engine.version()
        collection = try engine.collection("docs")
        var ids: [[UInt8]] = []
        try version.scan(collection, wantsVectors: false) { document throws(StoreError) in
            ids.append(Array(document.id))
            return true
        }
        self.ids = ids
    }

    /// Bytes of the texts that were delivered.
    func run(_ count: Int, seed: UInt64) throws -> Int {
        var dice = Dice(seed)
        var byteCount = 0
        for _ in 0..<count {
            let id = ids[dice.below(ids.count)]
            let document = try id.withUnsafeBufferPointer { id throws(StoreError) in
                try version.withDocument(
                    collection,
                    id: UnsafeRawBufferPointer(id),
                    wantsVector: false,
                    Self.deliver
                )
            }
            guard let document else { throw Failure.failed("a document is missing") }
            guard case .object(let items) = document.metadata else { continue }
            byteCount += document.text.utf8.count + items.count
        }
        return byteCount
    }

    private static func deliver(_ view: DocumentView) throws(StoreError) -> Delivered {
        var reader = ByteReader(view.metadata)
        do throws(FormatError) {
            return Delivered(
                text: String(decoding: view.text, as: UTF8.self),
                metadata: try Value.object(&reader)
            )
        } catch {
            throw StoreError(.corrupted, "metadata cannot be read: \(error.field)")
        }
    }
}

/// Random reads from an area far larger than the caches.
private final class BareReads: Sendable {
    private let words: [UInt64]

    init() {
        let count = max(64 << 20, Machine.cacheByteCount * 2) / 8
        words = [UInt64](unsafeUninitializedCapacity: count) { buffer, filled in
            for index in 0..<count { buffer[index] = UInt64(index) }
            filled = count
        }
    }

    func run(_ count: Int, seed: UInt64) throws {
        var dice = Dice(seed)
        var sum: UInt64 = 0
        for _ in 0..<count { sum &+= words[dice.below(words.count)] ^ (sum & 1) }
        guard sum != 0 else { throw Failure.failed("memory reads as zeros") }
    }
}

private func runGet(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("get", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.dataSet(documentCount: arguments.isQuick ? 2000 : 20_000)
        let count =
            try arguments.number("--gets", in: 1...1_000_000_000)
            ?? (arguments.isQuick ? 20_000 : 400_000)
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        try data.makeStore(at: folder.path("store"), options: EngineOptions())
        var options = EngineOptions()
        options.isReadOnly = true
        let cached = try Engine.open(at: folder.path("store"), options: options)
        options.memoryByteCount = 1 << 20
        let uncached = try Engine.open(at: folder.path("store"), options: options)
        try measure(
            Getter(cached),
            Getter(uncached),
            count: count,
            rounds: try arguments.rounds(),
            seed: try arguments.seed(),
            report
        )
        let statistics = cached.statistics()
        report.setting(
            "block cache",
            "\(statistics.blockCacheByteCount >> 20) MiB, \(statistics.blockCacheMisses) misses"
        )
        try cached.close()
        try uncached.close()
        try report.finish()
    }
}

private func measure(
    _ cached: Getter,
    _ uncached: Getter,
    count: Int,
    rounds: Int,
    seed: UInt64,
    _ report: Report
) throws {
    let bare = BareReads()
    let sliceCount = 10
    let count = max(1, count / sliceCount)
    let bareCount = count * 20
    let uncachedCount = max(1, count / 10)
    var one: [Double] = []
    var two: [Double] = []
    var bareOne: [Double] = []
    var bareTwo: [Double] = []
    var missing: [Double] = []
    for round in 0...rounds {
        var times = [0.0, 0.0, 0.0, 0.0, 0.0]
        // Slice by slice, so that a change of the machine's speed meets all alike.
        for slice in 0..<sliceCount {
            let seed = seed &+ UInt64(round * sliceCount + slice) * 16
            times[0] += try secondsOnThreads(1) { _ in _ = try cached.run(count, seed: seed) }
            times[1] += try secondsOnThreads(2) { number in
                _ = try cached.run(count, seed: seed + UInt64(number))
            }
            times[2] += try secondsOnThreads(1) { _ in try bare.run(bareCount, seed: seed) }
            times[3] += try secondsOnThreads(2) { number in
                try bare.run(bareCount, seed: seed + UInt64(number))
            }
            times[4] += try secondsOnThreads(1) { _ in
                _ = try uncached.run(uncachedCount, seed: seed)
            }
        }
        guard round > 0 else { continue }  // the first one warms up
        one.append(Double(sliceCount * count) / times[0])
        two.append(Double(sliceCount * 2 * count) / times[1])
        bareOne.append(Double(sliceCount * bareCount) / times[2])
        bareTwo.append(Double(sliceCount * 2 * bareCount) / times[3])
        missing.append(Double(sliceCount * uncachedCount) / times[4])
    }
    report.figure("get, one thread", "documents/s", one)
    report.figure("get, two threads", "documents/s", two)
    report.figure("bare random reads, one thread", "reads/s", bareOne)
    report.figure("bare random reads, two threads", "reads/s", bareTwo)
    report.figure("get uncached, one thread", "documents/s", missing)
    report.ratio(
        "get, one thread / 400,000 a second",
        one.map { $0 / 400_000 },
        target: .atLeast(1)
    )
    report.ratio("get, two threads / one", quotients(two, one))
    report.ratio("bare reads, two threads / one", quotients(bareTwo, bareOne))
    report.ratio(
        "scaling of get / scaling of bare reads",
        quotients(quotients(two, one), quotients(bareTwo, bareOne)),
        target: .atLeast(0.85)
    )
    report.ratio("uncached / cached", quotients(missing, one))
}
