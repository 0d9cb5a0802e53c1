// Stores whose checksums are right and whose numbers are the largest that fit: opening them,
// writing to them and closing them is an error or works, and never ends the process.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineSimulation
import MoraineStorage
import Testing

@testable import MoraineEngine

struct HostileNumberTests {
    private static let edges: [UInt64] = [
        .max, .max - 1, 1 << 63, (1 << 63) - 1, (1 << 62) + 1, 1 << 62, (1 << 62) - 1, 1 << 61,
        (1 << 61) - 1, (1 << 32) - 1, 0,
    ]

    /// A closed store with a segment, dead rows and a log.
    private let base: SimulatedFileSystem
    private let edited: EditedManifest
    private var root: Root { edited.root }
    private var state: StoreState { edited.state }

    init() throws {
        base = SimulatedFileSystem()
        let engine = try Engine.open(at: "store", options: options(base))
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: 2, metric: .l2)
        }
        for number in 0..<8 {
            try engine.put("notes", "k\(number)", text: "\(number)", vector: [1, Float(number)])
        }
        try engine.delete("notes", "k7")
        try engine.checkpoint()
        try engine.delete("notes", "k6")
        try engine.checkpoint()
        try engine.put("notes", "k0", text: "again", vector: [0, 0])
        try engine.put("notes", "k8", text: "8", vector: [1, 8])
        try engine.close()
        edited = try EditedManifest(base)
    }

    // MARK: What is done with it

    /// Opens the store, writes to it, merges, closes and opens it again.
    private func exercise(_ disk: SimulatedFileSystem, _ scene: String) throws {
        var options = options(disk)
        do throws(StoreError) {
            options.isReadOnly = true
            let reader = try Engine.open(at: "store", options: options)
            _ = try reader.contents("notes")
            try reader.close()
            _ = try Engine.verify("store", options: options)
            options.isReadOnly = false
            let engine = try Engine.open(at: "store", options: options)
            defer { try? engine.close() }
            let before = try engine.contents("notes")
            for round in 0..<3 {
                try engine.put("notes", "later\(round)", text: "x", vector: [1, 2])
                try engine.delete("notes", "k\(round)")
                try engine.checkpoint()
            }
            try engine.compact(all: true)
            try engine.put("notes", "last", text: "x", vector: [1, 2])
            try engine.close()
            let expected = before.filter { !["k0", "k1", "k2"].contains($0.prefix(2)) }
            let again = try Engine.open(at: "store", options: options)
            defer { try? again.close() }
            #expect(
                try again.contents("notes")
                    == (expected + ["last=x", "later0=x", "later1=x", "later2=x"]).sorted(),
                "\(scene)"
            )
        } catch {
            #expect(error.code == .corrupted, "\(scene): \(error)")
            #expect(error.path != nil, "\(scene): \(error)")
        }
    }

    private func exercise(
        _ scene: String,
        _ change: (SimulatedFileSystem, UInt64) throws -> Void
    ) throws {
        for edge in Self.edges {
            let disk = base.copy(keepingUnsynced: true)
            try change(disk, edge)
            try exercise(disk, "\(scene) \(edge)")
        }
    }

    // MARK: Scenes

    @Test func theBaseIsWritten() throws {
        try exercise(base.copy(keepingUnsynced: true), "as it is")
        try exercise("the same edits") { disk, _ in try EditedManifest(disk).write(state) }
    }

    @Test func inTheRoot() throws {
        let fields: [WritableKeyPath<Root, UInt64>] = [
            \.sequence, \.incarnation, \.parentIncarnation, \.epoch, \.manifestID, \.manifestEnd,
            \.manifestEdit, \.durableLSN, \.logSequence, \.logEnd, \.createdTime,
        ]
        for (index, field) in fields.enumerated() {
            for isClosed in [true, false] {
                try exercise("field \(index)") { disk, edge in
                    var root = root
                    root[keyPath: field] = edge
                    if !isClosed { root.state = .inUse }
                    try EditedManifest(disk).write(root)
                }
            }
        }
    }

    @Test func inTheManifest() throws {
        let scenes: [(inout StoreState, UInt64) -> Void] = [
            { $0.nextFileID = $1 },
            { state, edge in state.nextCollectionID = UInt32(truncatingIfNeeded: edge) },
            { $0.floor = $1 },
            { $0.floorTime = $1 },
            { state, edge in
                state.floor = edge
                state.logs = []
            },
            { state, edge in state.logs = state.logs.map { $0.with(sequence: edge) } },
            { state, edge in state.logs = state.logs.map { $0.with(epoch: edge) } },
            { state, edge in state.logs = state.logs.map { $0.with(firstLSN: edge) } },
            { state, edge in state.segments = state.segments.map { $0.with(minLSN: edge) } },
            { state, edge in state.segments = state.segments.map { $0.with(maxLSN: edge) } },
            { state, edge in state.segments = state.segments.map { $0.with(rowCount: edge) } },
            { state, edge in state.segments = state.segments.map { $0.with(tombstoneCount: edge) }
            },
            { state, edge in state.segments = state.segments.map { $0.with(id: edge) } },
            { state, edge in state.dropped = [edge] },
        ]
        for (index, scene) in scenes.enumerated() {
            try exercise("scene \(index)") { disk, edge in
                var state = state
                scene(&state, edge)
                try EditedManifest(disk).write(state)
            }
        }
    }

    /// The log file begins where its head says, also with the largest numbers there are.
    @Test func inTheHeadOfALogFile() throws {
        let entry = try #require(state.logs.last)
        for field in 0..<6 {
            try exercise("field \(field)") { disk, edge in
                let path = "store/" + FileNames.log(epoch: entry.epoch, sequence: entry.sequence)
                let file = try disk.open(path, .readWrite)
                let old = try LogFiles.link(
                    file,
                    kind: .log,
                    storeID: root.storeID,
                    fileID: entry.sequence
                ).header
                let head = LogHeader(
                    kind: .log,
                    storeID: root.storeID,
                    fileID: entry.sequence,
                    createdLSN: field == 0 ? edge : old.createdLSN,
                    epoch: field == 1 ? edge : old.epoch,
                    incarnation: old.incarnation,
                    predecessor: field == 2 ? edge : old.predecessor,
                    predecessorEnd: field == 3 ? edge : old.predecessorEnd,
                    firstNumber: field == 4 ? edge : old.firstNumber,
                    carriedEnd: field == 5 ? max(edge, 4096) : old.carriedEnd
                )
                try head.encode().withUnsafeBytes { try file.writeAll($0, at: 0) }
                var state = state
                state.logs = [LogEntry(head)]
                if field == 1 {
                    try disk.rename(
                        path,
                        to: "store/" + FileNames.log(epoch: edge, sequence: entry.sequence)
                    )
                }
                if field == 4 { state.floor = edge &- 1 }
                try EditedManifest(disk).write(state)
            }
        }
    }

    @Test func inRecordsAndCommits() throws {
        let entry = try #require(state.logs.last)
        for field in 0..<4 {
            try exercise("field \(field)") { disk, edge in
                let path = "store/" + FileNames.log(epoch: entry.epoch, sequence: entry.sequence)
                let file = try disk.open(path, .readWrite)
                let header = try LogFiles.link(
                    file,
                    kind: .log,
                    storeID: root.storeID,
                    fileID: entry.sequence
                ).header
                let number = root.durableLSN + 1
                var commit = CommitWriter()
                Array("new".utf8).withUnsafeBytes { id in
                    let none = UnsafeRawBufferPointer(start: nil, count: 0)
                    Metadata.empty.withUnsafeBytes { metadata in
                        commit.put(
                            collectionID: 1,
                            id: id,
                            vector: nil,
                            text: none,
                            metadata: metadata,
                            expiry: field == 2 ? edge : 0
                        )
                    }
                }
                var payload = commit.finish()
                if field == 3 {
                    withUnsafeBytes(of: edge.littleEndian) {
                        payload.replaceSubrange(0..<8, with: $0)
                    }
                }
                let log = LogWriter(
                    file: file,
                    header: header,
                    position: root.logEnd,
                    lastNumber: number - 1,
                    promised: field == 1 ? edge : number - 1
                )
                payload.withUnsafeBytes {
                    log.append(
                        .commit,
                        number: field == 0 ? edge : number,
                        operationCount: 1,
                        payload: $0
                    )
                }
                try log.flush()
                var root = root
                root.state = .inUse
                try EditedManifest(disk).write(root)
            }
        }
    }

    /// Counting goes on from the largest number that a writer starts from.
    @Test func theLastNumberThatAWriterStartsFrom() throws {
        let disk = base.copy(keepingUnsynced: true)
        var state = state
        state.floor = FormatLimits.startNumbers.upperBound - 1
        state.nextFileID = FormatLimits.startNumbers.upperBound - 1
        state.logs = []
        try EditedManifest(disk).write(state)
        var root = try RootFile.read(disk, folder: "store").chosen()
        root.sequence = FormatLimits.startNumbers.upperBound - 1
        root.epoch = FormatLimits.startNumbers.upperBound - 1
        try EditedManifest(disk).write(root)
        let engine = try Engine.open(at: "store", options: options(disk))
        try engine.put("notes", "new", text: "1", vector: [1, 2])
        try engine.checkpoint()
        let contents = try engine.contents("notes")
        try engine.close()
        // What was written can be read, and no more is written.
        let again = try Engine.open(at: "store", options: options(disk))
        #expect(try again.contents("notes") == contents)
        let error = #expect(throws: StoreError.self) {
            try again.put("notes", "newer", text: "1", vector: [1, 2])
        }
        #expect(error?.code == .corrupted)
        try again.close()
        #expect(try Engine.verify("store", options: options(disk)).isOK)
    }
}

extension LogEntry {
    fileprivate func with(
        sequence: UInt64? = nil,
        epoch: UInt64? = nil,
        firstLSN: UInt64? = nil
    ) -> LogEntry {
        LogEntry(
            sequence: sequence ?? self.sequence,
            epoch: epoch ?? self.epoch,
            firstLSN: firstLSN ?? self.firstLSN,
            incarnation: incarnation
        )
    }
}

extension SegmentEntry {
    fileprivate func with(
        id: UInt64? = nil,
        rowCount: UInt64? = nil,
        tombstoneCount: UInt64? = nil,
        minLSN: UInt64? = nil,
        maxLSN: UInt64? = nil
    ) -> SegmentEntry {
        SegmentEntry(
            id: id ?? self.id,
            rowCount: rowCount ?? self.rowCount,
            tombstoneCount: tombstoneCount ?? self.tombstoneCount,
            minLSN: minLSN ?? self.minLSN,
            maxLSN: maxLSN ?? self.maxLSN,
            inputs: inputs,
            document: document,
            key: key,
            vector: vector
        )
    }
}
