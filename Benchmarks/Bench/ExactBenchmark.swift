// exact: the exact ten nearest, told by codes of one byte a number, beside a scan of the floats.

import CKernels
import Foundation
import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors

extension Command {
    static let exact = Command(
        "exact",
        "the exact ten nearest by codes, beside a scan of the floats",
        about: """
            One vector file and its codes, searched with and without the codes, query by query in
            turn. Both must find the same rows with the same scores, bit for bit. The codes are a
            quarter of the bytes, so that a scan four times as fast is the most to be had. Without
            DATA, vectors are made up around centres in a space of few dimensions. With --share
            only rows drawn at random are searched, as a filter leaves them; beside them the time
            of a scan of all codes that drops the others at the end.
            """,
        options: [
            Option("--queries", "N", "queries in a round; 20 by default"),
            Option("--metric", "NAME", "cosine, dot or l2; of a data set its own by default"),
            Option("--share", "PERCENT", "rows that count, 1 to 100; 100 by default"),
        ],
        takesData: true,
        examples: [
            ("exact DATA", "a data set"), ("exact --documents 300000", "made-up vectors"),
            ("exact DATA --share 1", "one row in a hundred"),
        ],
        run: runExact
    )
}

private let limit = 10
private let storeID = StoreID(low: 1, high: 2)

private func runExact(_ arguments: Arguments) throws {
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("exact", arguments, machine: try Machine.description(of: folder.path))
        let input = try Input(arguments)
        report.setting(
            "vectors",
            "\(input.count) of \(input.dimensions) dimensions, \(input.metric)"
        )
        let made = try MadeFiles(input, folder: folder.path, report)
        let count = try arguments.number("--queries", in: 1...1_000_000) ?? 20
        let queries = try input.queries(count).map { values throws(StoreError) in
            try values.withUnsafeBufferPointer { buffer throws(StoreError) in
                try QueryVector(buffer, metric: input.metric)
            }
        }
        let share = try arguments.number("--share", in: 1...100) ?? 100
        let listed = share < 100 ? rows(share, of: input.count, try arguments.seed()) : nil
        if let listed { report.setting("rows that count", "\(listed.count)") }
        for threads in [1, 2] {
            let rounds = try arguments.rounds()
            try measure(made, listed, queries, threads: threads, rounds: rounds, report)
        }
        try report.finish()
    }
}

/// So many rows in a hundred, by chance.
private func rows(_ share: Int, of count: Int, _ seed: UInt64) -> [UInt32] {
    var dice = Dice(seed)
    return (0..<UInt32(count)).filter { _ in Int.random(in: 0..<100, using: &dice) < share }
}

/// Where the vectors come from.
private struct Input {
    let count: Int
    let dimensions: Int
    let metric: Metric
    private let folder: FolderData?
    private let generated: LowRankVectors

    init(_ arguments: Arguments) throws {
        folder = try arguments.data.map { try FolderData($0) }
        count =
            try folder?.documentCount ?? arguments.number("--documents", in: 1024...100_000_000)
            ?? (arguments.isQuick ? 5000 : 300_000)
        dimensions =
            try folder?.dimensions ?? arguments.number("--dimensions", in: 1...16_384) ?? 384
        guard dimensions > 0 else { throw Failure.usage("the data set has no vectors") }
        let name = arguments.word("--metric")
        guard let metric = name.map({ Metric(name: $0) }) ?? folder?.metric ?? .cosine else {
            throw Failure.usage("--metric must be cosine, dot or l2")
        }
        self.metric = metric
        generated = LowRankVectors(dimensions: dimensions, seed: try arguments.seed())
    }

    /// Calls `body` with the vectors in order, many at a time.
    func forEachBatch(_ body: ([Float]) throws -> Void) throws {
        if let folder {
            try folder.forEachBatch { batch in
                try body(batch.floats)
                return Batch()
            }
            return
        }
        for start in stride(from: 0, to: count, by: 1024) {
            var floats: [Float] = []
            floats.reserveCapacity(1024 * dimensions)
            for row in start..<min(start + 1024, count) { generated.append(row, to: &floats) }
            try body(floats)
        }
    }

    func queries(_ count: Int) throws -> [[Float]] {
        var floats: [Float] = []
        if let folder {
            floats = try folder.queries(count)
        } else {
            for query in 0..<count { generated.append(-1 - query, to: &floats) }
        }
        return stride(from: 0, to: floats.count, by: dimensions).map {
            Array(floats[$0..<($0 + dimensions)])
        }
    }
}

/// A vector file and its codes.
private struct MadeFiles {
    let space: VectorSpace
    let codes: CodeSpace
    /// Kept because the spaces borrow them.
    private let files: (VectorFile, CodeFile)

    init(_ input: Input, folder: String, _ report: Report) throws {
        let fileSystem = PosixFileSystem()
        try fileSystem.createDirectory(folder + "/" + FileNames.segmentFolder)
        let writer = try VectorFileWriter(
            fileSystem: fileSystem,
            root: folder,
            segment: 1,
            storeID: storeID,
            fileID: 1,
            createdLSN: 1,
            spaces: [
                VectorSpaceEntry(
                    collectionID: 1,
                    dimensions: input.dimensions,
                    vectorCount: input.count,
                    metric: input.metric
                )
            ],
            rowCount: UInt64(input.count)
        )
        var row: UInt32 = 0
        try input.forEachBatch { floats in
            try floats.withUnsafeBufferPointer { floats in
                guard let base = floats.baseAddress else { return }
                for start in stride(from: 0, to: floats.count, by: input.dimensions) {
                    try writer.append(row: row, vector: base + start)
                    row += 1
                }
            }
        }
        let vectors = try VectorFile(
            fileSystem: fileSystem,
            root: folder,
            segment: 1,
            storeID: storeID,
            reference: try writer.finish(minLSN: 1, maxLSN: 1)
        )
        var reference: SealedFileReference?
        let time = try seconds {
            reference = try CodeFileWriter.write(
                vectors: vectors,
                fileSystem: fileSystem,
                root: folder,
                segment: 1,
                storeID: storeID,
                fileID: 2,
                createdLSN: 1,
                step: {}
            )
        }
        guard let reference else { throw Failure.usage("fewer than 1024 vectors are not coded") }
        let codes = try CodeFile(
            fileSystem: fileSystem,
            root: folder,
            segment: 1,
            storeID: storeID,
            reference: reference,
            vectors: vectors
        )
        report.figure("coding", "vectors/s", [Double(input.count) / time])
        space = vectors.spaces[0]
        self.codes = codes.spaces[0]
        files = (vectors, codes)
    }
}

/// Ways to search that find the same.
private enum Way: String, CaseIterable {
    case floats, codes
    /// All codes, and the rows that do not count dropped at the end.
    case allCodes = "all codes"
}

private func measure(
    _ made: MadeFiles,
    _ listed: [UInt32]?,
    _ queries: [QueryVector],
    threads: Int,
    rounds: Int,
    _ report: Report
) throws {
    let pool = ScanPool(width: threads)
    let ways: [Way] = listed == nil ? [.floats, .codes] : Way.allCases
    var counts = [Bool](repeating: listed == nil, count: made.space.vectorCount)
    for row in listed ?? [] { counts[Int(row)] = true }
    let passes = counts
    func search(_ query: QueryVector, _ way: Way) throws -> [Candidate] {
        let source = ScanSource(
            space: made.space,
            codes: way == .floats ? nil : made.codes,
            listed: way == .allCodes ? nil : listed,
            source: 0
        ) { !passes[Int($0)] }
        return try ExactScan.nearest([query], in: [source], limit: limit, pool: pool)[0]
            .prefix(limit).map { $0 }
    }
    var times: [Way: [Double]] = [:]
    for round in 0...rounds {
        var sums: [Way: Double] = [:]
        for (number, query) in queries.enumerated() {
            var found: [Way: [Candidate]] = [:]
            // In changing order, so that what came just before meets all alike.
            for index in ways.indices {
                let way = ways[(round + number + index) % ways.count]
                let time = try seconds { found[way] = try search(query, way) }
                sums[way, default: 0] += time
            }
            guard found.values.allSatisfy({ $0 == found[.floats] }) else {
                throw Failure.failed("query \(number): codes find other rows than floats")
            }
        }
        guard round > 0 else { continue }  // the first one warms up
        for way in ways { times[way, default: []].append(sums[way] ?? 0) }
    }
    let name = threads == 1 ? "one thread" : "\(threads) threads"
    let codes = times[.codes] ?? []
    for way in ways {
        let values = times[way] ?? []
        report.figure(
            "\(way.rawValue), \(name)",
            "ms a query",
            values.map { $0 / Double(queries.count) * 1e3 }
        )
        guard way != .codes else { continue }
        // The aim is for whole scans: how much of a list is worth the most depends on its share.
        report.ratio(
            "\(way.rawValue) / codes, \(name)",
            zip(values, codes).map { $0 / $1 },
            target: listed == nil ? .atLeast(3) : nil
        )
    }
}
