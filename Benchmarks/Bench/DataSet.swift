// What is stored and searched: a data set's folder, or documents made up from a seed.

import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// Documents with vectors, the same each time they are asked for.
protocol DataSet: Sendable {
    var documentCount: Int { get }
    var dimensions: Int { get }
    var metric: Metric { get }
    /// Calls `body` with the documents in batches until it returns `nil`.
    ///
    /// - Parameter body: returns the empty batch to fill next.
    func forEachBatch(_ body: (Batch) throws -> Batch?) throws
    /// That many query vectors, one after the other.
    func queries(_ count: Int) throws -> [Float]
}

extension DataSet {
    /// Commits everything to a collection, unlogged, reading on a thread of its own.
    func load(into engine: Engine, _ collection: CollectionShape) throws {
        let channel = BatchChannel()
        let reader = WorkerThread {
            do {
                try forEachBatch { channel.send($0) }
                channel.finish(nil)
            } catch {
                channel.finish(error)
            }
        }
        guard let reader else { throw Failure.failed("cannot start a thread") }
        defer {
            channel.stop()
            reader.join()
        }
        while let batch = try channel.next() {
            _ = try engine.commit(logged: false) { builder throws(StoreError) in
                try batch.put(into: &builder, collection)
            }
            channel.reuse(batch)
        }
    }

    /// Makes a store with everything in collection "docs", closed cleanly.
    func makeStore(at folder: String, options: EngineOptions) throws {
        let engine = try Engine.open(at: folder, options: options)
        let collection = try engine.makeCollection("docs", dimensions, metric)
        try load(into: engine, collection)
        try engine.checkpoint()
        try engine.close()
    }
}

extension Engine {
    /// Makes a collection.
    func makeCollection(_ name: String, _ dimensions: Int, _ metric: Metric) throws(StoreError)
        -> CollectionShape
    {
        _ = try commit { builder throws(StoreError) in
            try builder.createCollection(name, dimensions: dimensions, metric: metric)
        }
        return try collection(name)
    }

    /// The collection of a name.
    func collection(_ name: String) throws(StoreError) -> CollectionShape {
        guard let shape = try version().collection(name) else {
            throw StoreError(.unknownCollection, "there is no collection \"\(name)\"")
        }
        return shape
    }
}

/// A folder with meta.json, docs.jsonl, base.f32 and queries.f32.
struct FolderData: DataSet {
    private struct Meta: Decodable {
        let n: Int
        let d: Int
        let nq: Int
        let metric: String
    }

    let folder: String
    let documentCount: Int
    let dimensions: Int
    let metric: Metric
    let queryCount: Int
    let documents: Mapping
    private var vectors: Mapping?
    private let queryVectors: Mapping?

    /// The documents alone.
    var withoutVectors: FolderData {
        var data = self
        data.vectors = nil
        return data
    }

    /// Bytes of the documents' and vectors' files.
    var byteCount: Int { documents.bytes.count + (vectors?.bytes.count ?? 0) }

    init(_ folder: String) throws {
        self.folder = folder
        let meta: Meta
        do {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/meta.json"))
            meta = try JSONDecoder().decode(Meta.self, from: bytes)
        } catch {
            throw Failure.usage("\(folder)/meta.json cannot be read: \(error)")
        }
        guard let metric = Metric(name: meta.metric), meta.n > 0, meta.d >= 0, meta.nq >= 0 else {
            throw Failure.usage("\(folder)/meta.json: the metric or a number cannot be used")
        }
        self.metric = metric
        documentCount = meta.n
        dimensions = meta.d
        queryCount = meta.nq
        documents = try map(folder + "/docs.jsonl", byteCount: nil)
        vectors = meta.d == 0 ? nil : try map(folder + "/base.f32", byteCount: meta.n * meta.d * 4)
        queryVectors =
            meta.d == 0 || meta.nq == 0
            ? nil : try map(folder + "/queries.f32", byteCount: meta.nq * meta.d * 4)
    }

    func forEachBatch(_ body: (Batch) throws -> Batch?) throws {
        var parser = LineParser()
        var batch = Batch()
        var row = 0
        func deliver() throws -> Bool {
            addVectors(to: batch, from: row - batch.documentCount)
            guard let next = try body(batch) else { return false }
            batch = next
            return true
        }
        var rest = documents.bytes[...]
        while !rest.isEmpty, row < documentCount {
            let end = newline(in: rest) ?? rest.endIndex
            try parser.parse(UnsafeRawBufferPointer(rebasing: rest[..<end]), into: batch)
            rest = rest[min(end + 1, rest.endIndex)...]
            row += 1
            if batch.documentCount == LineParser.batchDocumentCount, try !deliver() { return }
        }
        guard row == documentCount else {
            throw Failure.usage("\(folder)/docs.jsonl has \(row) lines, not \(documentCount)")
        }
        if batch.documentCount > 0 { _ = try deliver() }
    }

    private func newline(in bytes: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard let start = UnsafeRawBufferPointer(rebasing: bytes).baseAddress,
            let found = memchr(start, 10, bytes.count)
        else { return nil }
        return bytes.startIndex + (UnsafeRawPointer(found) - start)
    }

    private func addVectors(to batch: Batch, from row: Int) {
        guard let vectors else { return }
        let count = batch.documentCount * dimensions
        let bytes = vectors.bytes[(row * dimensions * 4)..<((row * dimensions + count) * 4)]
        UnsafeRawBufferPointer(rebasing: bytes).withMemoryRebound(to: Float.self) {
            batch.floats.append(contentsOf: $0)
        }
    }

    private func floats(_ mapping: Mapping, from first: Int, _ count: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, filled in
            let source = mapping.bytes[(first * 4)..<((first + count) * 4)]
            UnsafeMutableRawBufferPointer(buffer).copyBytes(from: source)
            filled = count
        }
    }

    func queries(_ count: Int) throws -> [Float] {
        guard let queryVectors else { throw Failure.usage("\(folder) has no queries") }
        return floats(queryVectors, from: 0, min(count, queryCount) * dimensions)
    }

    /// The scores of the exact nearest documents, a row for each query; `nil` when not there.
    ///
    /// - Parameter filter: `KEY=VALUE`: only documents whose metadata have it count.
    func expectedScores(filter: String? = nil) throws -> (scores: [Float], width: Int)? {
        let path = folder + (filter.map { "/gt_\($0).f32" } ?? "/gt.f32")
        guard queryCount > 0, FileManager.default.fileExists(atPath: path) else { return nil }
        let mapping = try map(path, byteCount: nil)
        let width = mapping.bytes.count / 4 / queryCount
        return (floats(mapping, from: 0, width * queryCount), width)
    }
}

extension FolderData {
    /// The filters that nearest documents are known for, as `KEY=VALUE`, sorted.
    var filters: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasPrefix("gt_") && $0.hasSuffix(".f32") && $0.contains("=") }
            .map { String($0.dropFirst(3).dropLast(4)) }
            .sorted()
    }
}

/// Maps a file; without a size, all of it.
func map(_ path: String, byteCount: Int?) throws -> Mapping {
    do throws(FileError) {
        let file = try PosixFileSystem().open(path, .read)
        defer { file.close() }
        let size = try file.byteCount()
        return try file.map(byteCount: byteCount.map { UInt64($0) } ?? size)
    } catch {
        throw Failure.usage("\(path) cannot be mapped: \(error.reason)")
    }
}

/// A small generator of random bits (SplitMix64): the same numbers everywhere.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, `bound`.
    mutating func below(_ bound: Int) -> Int {
        Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
    }
}

/// Documents of made-up words with made-up vectors.
struct GeneratedData: DataSet {
    let documentCount: Int
    let dimensions: Int
    let textByteCount: Int
    let seed: UInt64
    let metric = Metric.cosine

    /// 512 words of one to three syllables, so that texts compress about as prose does.
    private static let words: [[UInt8]] = {
        var dice = Dice(7)
        let syllables = "ba co di fu ga he jo ki la mu ne po ra si to vu".split(separator: " ")
        return (0..<512).map { _ in
            Array((0...dice.below(3)).map { _ in syllables[dice.below(16)] }.joined().utf8)
        }
    }()

    /// About so many bytes of words.
    static func text(_ byteCount: Int, _ dice: inout Dice) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(byteCount + 8)
        while text.count < byteCount {
            text += words[dice.below(words.count)]
            text.append(0x20)
        }
        return text
    }

    static func id(_ row: Int) -> [UInt8] {
        let digits = String(row)
        return Array(
            ("doc-" + String(repeating: "0", count: max(0, 9 - digits.count)) + digits).utf8
        )
    }

    /// The names of the shares that documents are divided into, for filters that let so many pass.
    static let shares = ["one", "twenty", "half"]

    /// Of a hundred documents one, twenty, fifty, and the rest.
    private static func share(_ row: Int) -> String {
        switch row % 100 {
        case 0: shares[0]
        case 1...20: shares[1]
        case 21...70: shares[2]
        default: "rest"
        }
    }

    /// Row `row` as a line of docs.jsonl, without the line's end.
    func line(_ row: Int) -> [UInt8] {
        var dice = Dice(seed &+ UInt64(truncatingIfNeeded: row) &* 0xD134_2543_DE82_EF95)
        var line = Array("{\"id\":\"".utf8)
        line += Self.id(row)
        line += Array("\",\"text\":\"".utf8)
        line += Self.text(textByteCount, &dice)
        line += Array(
            ("\",\"metadata\":{\"group\":\"g\(row % 16)\",\"number\":\(row),"
                + "\"section\":\"s\(row % 50)\",\"share\":\"\(Self.share(row))\","
                + "\"weight\":0.5}}").utf8
        )
        return line
    }

    /// Its vectors lie around centres, as embeddings do.
    var vectors: LowRankVectors { LowRankVectors(dimensions: dimensions, seed: seed) }

    func forEachBatch(_ body: (Batch) throws -> Batch?) throws {
        let vectors = vectors
        var parser = LineParser()
        var batch = Batch()
        var row = 0
        while row < documentCount {
            let end = min(documentCount, row + LineParser.batchDocumentCount)
            batch.floats.reserveCapacity((end - row) * dimensions)
            for row in row..<end {
                let line = line(row)
                try line.withUnsafeBytes { try parser.parse($0, into: batch) }
                vectors.append(row, to: &batch.floats)
            }
            row = end
            guard let next = try body(batch) else { return }
            batch = next
        }
    }

    func queries(_ count: Int) -> [Float] {
        let vectors = vectors
        var floats: [Float] = []
        for query in 0..<count { vectors.append(-1 - query, to: &floats) }
        return floats
    }

    /// The scores of the exact nearest documents to a query, best first, in double precision.
    func nearestScores(to query: ArraySlice<Float>, limit: Int) -> [Double] {
        let query = query.map(Double.init)
        let norm = query.reduce(0) { $0 + $1 * $1 }.squareRoot()
        var best: [Double] = []
        var vector: [Float] = []
        let vectors = vectors
        for row in 0..<documentCount {
            vector.removeAll(keepingCapacity: true)
            vectors.append(row, to: &vector)
            var product = 0.0
            var square = 0.0
            for index in 0..<dimensions {
                let value = Double(vector[index])
                product += value * query[index]
                square += value * value
            }
            let score = product / (norm * square.squareRoot())
            guard best.count < limit || score > best[best.count - 1] else { continue }
            best.insert(score, at: best.firstIndex { $0 < score } ?? best.count)
            if best.count > limit { best.removeLast() }
        }
        return best
    }
}

/// A new file, written piece by piece and made durable at the end.
final class OutputFile {
    private let file: any File
    private var buffer: [UInt8] = []
    private var position: UInt64 = 0

    init(_ path: String) throws { file = try PosixFileSystem().open(path, .createNew) }

    func append(_ bytes: [UInt8]) throws {
        buffer += bytes
        if buffer.count >= 1 << 20 { try flush() }
    }

    private func flush() throws {
        try buffer.withUnsafeBytes { try file.writeAll($0, at: position) }
        position += UInt64(buffer.count)
        buffer.removeAll(keepingCapacity: true)
    }

    func finish() throws {
        try flush()
        try file.sync()
        file.close()
    }
}

extension Arguments {
    /// The data set that the arguments name or describe.
    ///
    /// - Parameter documentCount: how many to generate when nothing is said.
    func dataSet(documentCount: Int) throws -> any DataSet {
        if let data { return try FolderData(data) }
        return try generated(documentCount: documentCount)
    }

    func generated(documentCount: Int) throws -> GeneratedData {
        GeneratedData(
            documentCount: try number("--documents", in: 1...100_000_000) ?? documentCount,
            dimensions: try number("--dimensions", in: 1...16_384) ?? 384,
            textByteCount: try number("--text-bytes", in: 0...1_000_000) ?? 400,
            seed: try seed()
        )
    }
}
