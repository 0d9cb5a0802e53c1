// moraine stats: how large a store is, and of what.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage

extension Command {
    static let stats = Command(
        "stats",
        "print figures of a store",
        positionals: [Positional("STORE", "the folder of the store")],
        options: [.json] + Option.reading,
        notes: [
            "Rows are those of segments, dead ones included: replaced or deleted, and not yet merged "
                + "away.\nmemtableByteCount is what the log holds above the segments, read into "
                + "memory. Files and\ntheir bytes are as the folder lists them."
        ],
        examples: [
            ("moraine stats notes.moraine", "a table"),
            ("moraine stats notes.moraine --json | jq .byteCount", "the size of the store"),
        ],
        run: { call throws(Failure) in
            try call.withStore(call[0], .read) { engine throws(Failure) in
                let version = try engineCall { () throws(StoreError) in try engine.version() }
                var documentCount = 0
                for shape in version.collections {
                    documentCount += try engineCall { () throws(StoreError) in
                        try version.count(shape)
                    }
                }
                let figures = engine.statistics()
                var fields: Description.Fields = [
                    ("lsn", .number(figures.lsn)), ("time", .time(version.time)),
                    ("collectionCount", .number(version.collections.count)),
                    ("documentCount", .number(documentCount)),
                    ("segmentCount", .number(figures.segmentCount)),
                    ("rowCount", .number(figures.rowCount)),
                    ("deadRowCount", .number(figures.deadRowCount)),
                    ("memtableByteCount", .number(figures.memtableByteCount)),
                ]
                fields += try StoreFiles(call[0]).fields
                call.print(.object(fields))
                return .fine
            }
        }
    )
}

/// The files of a store, by what they are.
private struct StoreFiles {
    private var counts: [String: (fileCount: UInt64, byteCount: UInt64)] = [:]

    /// The kinds in the order in which they are printed.
    private static let kinds = ["document", "key", "vector", "deletions", "log", "manifest"]

    init(_ folder: String) throws(Failure) {
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
                }
            } catch {
                if error.isNotFound { continue }
                throw Failure(StoreError(error, doing: "list the store's files"))
            }
        }
    }

    private static func kind(of name: String) -> String {
        switch FileNames.parse(name) {
        case .document: "document"
        case .key: "key"
        case .vector: "vector"
        case .deletions: "deletions"
        case .log, .spareLog: "log"
        case .manifest: "manifest"
        default: "other"
        }
    }

    private mutating func add(_ byteCount: UInt64, to kind: String) {
        counts[kind, default: (0, 0)].fileCount += 1
        counts[kind, default: (0, 0)].byteCount += byteCount
    }

    var fields: Description.Fields {
        let all = counts.values
        var fields: Description.Fields = [
            ("fileCount", .number(all.reduce(0) { $0 + $1.fileCount })),
            ("byteCount", .number(all.reduce(0) { $0 + $1.byteCount })),
        ]
        for kind in Self.kinds {
            fields.append(("\(kind)FileCount", .number(counts[kind]?.fileCount ?? 0)))
            fields.append(("\(kind)ByteCount", .number(counts[kind]?.byteCount ?? 0)))
        }
        return fields
    }
}
