// dataset: made-up documents as a data set's folder, with queries and what is nearest to them.

import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFilters

extension Command {
    static let dataset = Command(
        "dataset",
        "made-up documents, queries and their nearest as a data set's folder",
        about: """
            Writes meta.json, docs.jsonl, base.f32, queries.f32, queries.jsonl, and the exact nearest
            of all queries: gt.i32 and gt.f32 (rows and scores of the hundred nearest), and
            gt_share=VALUE.i32 and .f32 (the ten nearest where one, twenty and fifty of a hundred
            documents pass). The nearest are found by this engine's exact search.
            """,
        options: [
            Option("--out", "DIR", "the folder to make; it must not exist"),
            Option("--queries", "N", "queries; 1000 by default"),
            Option("--documents", "N", "documents; 200000 by default, from 1000"),
            Option("--dimensions", "D", "numbers in a vector; 384 by default"),
            Option("--text-bytes", "N", "bytes of a text, about; 400 by default"),
        ],
        takesData: false,
        examples: [("dataset --out big --documents 200000", "a set of 200000 documents")],
        run: runDataSet
    )
}

private func runDataSet(_ arguments: Arguments) throws {
    guard let out = arguments.word("--out") else { throw Failure.usage("--out DIR is missing") }
    try WorkFolder.with(arguments, needsDisk: false) { folder in
        let report = Report("dataset", arguments, machine: try Machine.description(of: folder.path))
        let data = try arguments.generated(documentCount: arguments.isQuick ? 5000 : 200_000)
        guard data.documentCount >= 1000 else {
            throw Failure.usage("a data set needs 1000 documents: each query has nearest")
        }
        let count =
            try arguments.number("--queries", in: 1...1_000_000)
            ?? (arguments.isQuick ? 100 : 1000)
        try data.write(to: out, queryCount: count)
        var options = EngineOptions()
        options.indexesInBackground = false  // exact search of the vectors themselves
        try data.makeStore(at: folder.path("store"), options: options)
        let searcher = try IndexedSearcher(folder.path("store"), threads: 2)
        let queries = data.queries(count)
        try writeNearest(searcher, queries, limit: 100, nil, out + "/gt")
        for share in GeneratedData.shares {
            let name = "share=\(share)"
            let filter = try equalityFilter(name)
            try writeNearest(searcher, queries, limit: nearestCount, filter, out + "/gt_\(name)")
        }
        try searcher.engine.close()
        report.setting("documents", "\(data.documentCount) of \(data.dimensions) dimensions")
        report.setting("queries", "\(count)")
        try report.finish()
    }
}

/// Writes the rows and the scores of the exact nearest.
private func writeNearest(
    _ searcher: IndexedSearcher,
    _ queries: [Float],
    limit: Int,
    _ filter: Filter?,
    _ path: String
) throws {
    let rows = try OutputFile(path + ".i32")
    let scores = try OutputFile(path + ".f32")
    let hits = try searcher.nearest(queries, limit: limit, isExact: true, filter: filter)
    for hits in hits {
        for hit in hits {
            guard let row = GeneratedData.row(ofID: Array(hit.id)) else {
                throw Failure.failed("a hit is none of the documents")
            }
            try withUnsafeBytes(of: Int32(row).littleEndian) { try rows.append(Array($0)) }
            try withUnsafeBytes(of: hit.score.bitPattern.littleEndian) {
                try scores.append(Array($0))
            }
        }
    }
    try rows.finish()
    try scores.finish()
}

extension GeneratedData {
    /// The row that an id was made for.
    fileprivate static func row(ofID id: [UInt8]) -> Int? {
        Int(String(decoding: id.dropFirst("doc-".utf8.count), as: UTF8.self))
    }

    /// Writes the data as a data set's folder, without the nearest of its queries.
    func write(to folder: String, queryCount: Int) throws {
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false
        )
        let meta =
            "{\"n\":\(documentCount),\"d\":\(dimensions),\"nq\":\(queryCount),"
            + "\"metric\":\"cosine\"}\n"
        try Data(meta.utf8).write(to: URL(fileURLWithPath: folder + "/meta.json"))
        let lines = try OutputFile(folder + "/docs.jsonl")
        let vectors = try OutputFile(folder + "/base.f32")
        var floats: [Float] = []
        let rows = self.vectors
        for row in 0..<documentCount {
            try lines.append(line(row) + [10])
            floats.removeAll(keepingCapacity: true)
            rows.append(row, to: &floats)
            try floats.withUnsafeBytes { try vectors.append(Array($0)) }
        }
        try lines.finish()
        try vectors.finish()
        guard queryCount > 0 else { return }
        let queryLines = try OutputFile(folder + "/queries.jsonl")
        for query in 0..<queryCount {
            try queryLines.append(Array("{\"id\":\"query-\(query)\",\"text\":\"\"}\n".utf8))
        }
        try queryLines.finish()
        let queryVectors = try OutputFile(folder + "/queries.f32")
        try queries(queryCount).withUnsafeBytes { try queryVectors.append(Array($0)) }
        try queryVectors.finish()
    }
}
