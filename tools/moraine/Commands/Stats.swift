// moraine stats: how large a store is, and of what.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage
import MoraineVectors

extension Command {
    static let stats = Command(
        "stats",
        "print figures of a store",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [.json] + Option.reading,
        notes: [
            """
            Rows are those of segments, dead ones included: replaced or deleted, and not yet merged
            away. The backlog is what the log holds above the segments: it is read into memory at
            each opening, and a checkpoint takes it into a segment. compressionRatio is documents
            before : after compression. liveByteCount is documents, before compression, and numbers
            of vectors, without dead rows, which count as average ones. spaceAmplification is all
            files, but for log files, plus the backlog : liveByteCount; readAmplification is the
            segments and memory that a get may have to ask. Unlisted files are not part of the
            newest state: a writer's snapshots keep them, or a crash left them. A graph's recalls are
            the shares of the ten nearest that it found when it was made, by --ef of a search.
            """,
            "What only a process knows, such as snapshots, caches, and write amplification, is in "
                + "the\nlibrary's Store.statistics().",
        ],
        examples: [
            ("moraine stats notes.moraine", "figures, collections, segments"),
            ("moraine stats notes.moraine --json | jq .byteCount", "the size of the store"),
            (
                "moraine stats notes.moraine --json | jq '.segments[] | {id, live: .liveShare}'",
                "which segments a compaction would shrink"
            ),
        ],
        run: { call throws(Failure) in
            let limit = try call.readLimit()
            return try call.withStore(call[0], .read) { engine throws(Failure) in
                let version = try engineCall { () throws(StoreError) in
                    try limit?.check()
                    return try engine.version()
                }
                let report = StoreReport(
                    figures: engine.statistics(),
                    version: version,
                    files: try StoreFiles(engine.folder, version.segmentReports())
                )
                try engineCall { () throws(StoreError) in try limit?.check() }
                call.print(.object(report.fields))
                return .fine
            }
        }
    )
}

/// All that is known of a store.
private struct StoreReport {
    let figures: EngineStatistics
    let version: Version
    let files: StoreFiles

    var fields: Description.Fields {
        let collections = version.collectionReports()
        let segments = version.segmentReports()
        let raw = segments.reduce(0) { $0 + $1.rawByteCount }
        let stored = segments.reduce(0) { $0 + $1.storedByteCount }
        let memory = collections.reduce(0) { $0 + $1.memoryByteCount }
        let live = segments.reduce(memory) { $0 + $1.liveByteCount }
        // Derived files are told apart: how many there are is a matter of how far indexing is.
        let used =
            files.byteCount - files.derivedByteCount - files.logByteCount + figures.logByteCount
        let sources = figures.segmentCount + (figures.lsn > figures.floor ? 1 : 0)
        return [
            ("lsn", .number(figures.lsn)), ("time", .time(version.time)),
            ("floor", .number(figures.floor)),
            ("collectionCount", .number(collections.count)),
            ("documentCount", .number(collections.reduce(0) { $0 + $1.documentCount })),
            ("segmentCount", .number(figures.segmentCount)),
            ("rowCount", .number(figures.rowCount)),
            ("deadRowCount", .number(figures.deadRowCount)),
            ("memtableByteCount", .number(figures.memtableByteCount)),
            ("backlogCommitCount", .number(figures.lsn - min(figures.lsn, figures.floor))),
            ("backlogByteCount", .number(figures.logByteCount)),
            ("backlogFileCount", .number(figures.logFileCount)),
            ("rawByteCount", .number(raw)), ("storedByteCount", .number(stored)),
            ("compressionRatio", ratio(raw, stored)),
            ("liveByteCount", .number(live)), ("spaceAmplification", ratio(used, live)),
            ("readAmplification", .number(sources)),
        ] + files.fields + [
            ("collections", .list(collections.map { .object(Self.fields($0)) })),
            ("segments", .list(segments.map { .object(fields($0)) })),
            ("graphs", .list(graphs)),
        ]
    }

    /// Each graph, with how well it found when it was made: the share of the ten nearest, by width
    /// of search.
    private var graphs: [Description] {
        var graphs: [Description] = []
        for view in version.segments {
            for graph in view.indexes.graph?.spaces ?? [] {
                let name = version.collection(id: graph.collectionID)?.name
                graphs.append(
                    .object(
                        [
                            ("segment", .number(view.segment.id)),
                            ("collection", name.map { .text($0) } ?? .null),
                            ("vectors", .number(graph.entry.vectorCount)),
                        ] + graph.entry.trialFields
                    )
                )
            }
        }
        return graphs
    }

    private static func fields(_ report: CollectionReport) -> Description.Fields {
        [
            ("collection", .text(report.shape.name)),
            ("documents", .number(report.documentCount)),
            ("rows", .number(report.rowCount)), ("deadRows", .number(report.deadRowCount)),
            ("inMemory", .number(report.memoryRowCount)),
            ("segments", .number(report.segmentCount)),
            ("rawByteCount", .number(report.rawByteCount)),
            ("storedByteCount", .number(report.storedByteCount)),
            ("compressionRatio", ratio(report.rawByteCount, report.storedByteCount)),
            ("vectors", .number(report.vectorCount)),
            ("vectorByteCount", .number(report.vectorByteCount)),
        ]
    }

    private func fields(_ report: SegmentReport) -> Description.Fields {
        [
            ("id", .number(report.entry.id)), ("rows", .number(report.entry.rowCount)),
            ("deadRows", .number(report.deadRowCount)),
            ("tombstones", .number(report.entry.tombstoneCount)),
            ("minLSN", .number(report.entry.minLSN)), ("maxLSN", .number(report.entry.maxLSN)),
            ("documentByteCount", .number(report.entry.document.byteCount)),
            ("keyByteCount", .number(report.entry.key.byteCount)),
            ("vectorByteCount", .number(report.entry.vector?.byteCount ?? 0)),
            ("deletionsByteCount", .number(files.deletions[report.entry.id] ?? 0)),
            ("derivedByteCount", .number(files.derived[report.entry.id] ?? 0)),
            ("compressionRatio", ratio(report.rawByteCount, report.storedByteCount)),
            ("liveShare", .json(decimal(report.liveShare, digits: 3))),
        ]
    }
}

/// One number for each of another; null where there is nothing to compare with.
private func ratio(_ a: UInt64, _ b: UInt64) -> Description {
    b == 0 ? .null : .json(decimal(Double(a) / Double(b), digits: 2))
}

/// The files of a store, by what they are.
private struct StoreFiles {
    private var counts: [String: (fileCount: UInt64, byteCount: UInt64)] = [:]
    /// Bytes of deletion files by segment.
    private(set) var deletions: [UInt64: UInt64] = [:]
    /// Bytes of derived files by segment.
    private(set) var derived: [UInt64: UInt64] = [:]
    private var unlisted: (fileCount: UInt64, byteCount: UInt64) = (0, 0)

    /// The kinds in the order in which they are printed.
    private static let kinds = [
        "document", "key", "vector", "deletions", "derived", "log", "manifest",
    ]

    /// - Parameter segments: those of the newest state.
    init(_ folder: String, _ segments: [SegmentReport]) throws(Failure) {
        let listed = Set(segments.map(\.entry.id))
        let fileSystem = PosixFileSystem()
        for part in [""] + FileNames.folders {
            let path = part.isEmpty ? folder : FileNames.path(folder, part)
            do throws(FileError) {
                for entry in try fileSystem.list(path) where !entry.isDirectory {
                    let name = part.isEmpty ? entry.name : FileNames.path(part, entry.name)
                    // A file may go while a writer is at work beside.
                    guard let info = try fileSystem.info(FileNames.path(folder, name)) else {
                        continue
                    }
                    add(info.byteCount, to: Self.kind(of: name))
                    guard let segment = Self.segment(of: name) else { continue }
                    if !listed.contains(segment) {
                        unlisted.fileCount += 1
                        unlisted.byteCount += info.byteCount
                        continue
                    }
                    switch Self.kind(of: name) {
                    case "deletions": deletions[segment, default: 0] += info.byteCount
                    case "derived": derived[segment, default: 0] += info.byteCount
                    default: break
                    }
                }
            } catch {
                if error.isNotFound { continue }
                throw Failure(StoreError(error, doing: "list the store's files"))
            }
        }
    }

    /// The segment that a file belongs to.
    private static func segment(of name: String) -> UInt64? {
        switch FileNames.parse(name) {
        case .document(let segment), .vector(let segment), .key(let segment, _),
            .deletions(let segment, _), .derived(_, let segment, _):
            segment
        default: nil
        }
    }

    private static func kind(of name: String) -> String {
        switch FileNames.parse(name) {
        case .document: "document"
        case .key: "key"
        case .vector: "vector"
        case .deletions: "deletions"
        case .derived: "derived"
        case .log, .spareLog: "log"
        case .manifest: "manifest"
        default: "other"
        }
    }

    private mutating func add(_ byteCount: UInt64, to kind: String) {
        counts[kind, default: (0, 0)].fileCount += 1
        counts[kind, default: (0, 0)].byteCount += byteCount
    }

    /// Bytes of files that can be made again, but for keys.
    var derivedByteCount: UInt64 { counts["derived"]?.byteCount ?? 0 }

    var byteCount: UInt64 { counts.values.reduce(0) { $0 + $1.byteCount } }
    /// Bytes of log files, unused parts and spare files included.
    var logByteCount: UInt64 { counts["log"]?.byteCount ?? 0 }

    var fields: Description.Fields {
        var fields: Description.Fields = [
            ("fileCount", .number(counts.values.reduce(0) { $0 + $1.fileCount })),
            ("byteCount", .number(byteCount)),
            ("unlistedFileCount", .number(unlisted.fileCount)),
            ("unlistedByteCount", .number(unlisted.byteCount)),
        ]
        for kind in Self.kinds {
            fields.append(("\(kind)FileCount", .number(counts[kind]?.fileCount ?? 0)))
            fields.append(("\(kind)ByteCount", .number(counts[kind]?.byteCount ?? 0)))
        }
        return fields
    }
}
