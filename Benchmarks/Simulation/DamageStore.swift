// Stores for seeded damages: several collections and segments, files of every kind as the engine
// makes them, and a second store of the same layout with other content.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors

/// What a store differs by from others of the same layout.
struct DamageContent {
    /// Of texts and metadata.
    var texts = 0
    var vectors = 0
    /// Of the rows that are deleted.
    var deletes = 0
    /// Of the time.
    var milliseconds: Int64 = 0
    /// Of the writers behind the first, as where a copy of the store goes on by itself.
    var writer: UInt64 = 0

    /// The same with other documents.
    fileprivate var later: DamageContent {
        var content = self
        content.texts += 2
        content.vectors += 2
        return content
    }
}

/// A closed store, what it holds, and how its files were at earlier moments.
struct DamageStore {
    static let folder = "/store"

    /// The closed store.
    private(set) var fileSystem = SimulatedFileSystem()
    /// Copies made on the way, oldest first.
    private(set) var earlier: [SimulatedFileSystem] = []
    private(set) var state = ModelState()
    /// What it held before each commit.
    private(set) var history: [ModelState] = []
    /// The files of the store, in byte order of their paths.
    private(set) var paths: [String] = []

    /// Rows of the large segment: enough for codes and columns.
    private static let largeRowCount = 1100

    /// Options to open the store with: derived files are those that users get, but for the size
    /// from which a graph is worth it.
    static func options(_ fileSystem: SimulatedFileSystem, seed: UInt64 = 1) -> EngineOptions {
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.clock = ManualClock(wallMilliseconds: History.baseTime)
        options.random = SeededRandom(seed: seed)
        options.memoryByteCount = 8 << 20
        options.logFileByteCount = 65_536
        options.runsInBackground = false
        options.scanThreadCount = 1
        options.indexFormats = [
            .codes, .graph(GraphParameters(width: 16, leastVectorCount: 64)), .columns,
        ]
        return options
    }

    /// Makes a store.
    ///
    /// - Parameters:
    ///   - seed: for its id and its first writer.
    init(codec: Codec, content: DamageContent = DamageContent(), seed: UInt64) throws {
        var options = Self.options(fileSystem, seed: seed)
        options.codec = codec
        let founder = try Engine.open(at: Self.folder, options: options)
        let wall = History.baseTime
        try commit(
            founder,
            [
                .create(collection: "notes", dimensions: 16, metric: .cosine),
                .create(collection: "plain", dimensions: 0, metric: .cosine),
                .create(collection: "wide", dimensions: 40, metric: .l2),
            ],
            wall
        )
        try founder.close()
        options.random = SeededRandom(seed: 100 + content.writer)
        options.clock = ManualClock(wallMilliseconds: wall + content.milliseconds)
        let engine = try Engine.open(at: Self.folder, options: options)
        try fill(engine, content, wall + content.milliseconds)
        try engine.close()
        paths = fileSystem.filePaths.filter { fileSystem.contents(of: $0)?.isEmpty == false }
    }

    private mutating func fill(_ engine: Engine, _ content: DamageContent, _ wall: Int64) throws {
        let large = (0..<Self.largeRowCount).map { Self.put("notes", 16, $0, content) }
        try commit(engine, large + (0..<40).map { Self.put("plain", 0, $0, content) }, wall)
        try engine.checkpoint()
        earlier.append(fileSystem.copy())
        for round in 0..<3 {
            let start = 40 * round
            try commit(
                engine,
                (0..<30).map { Self.put("wide", 40, start + $0, content) }
                    + (0..<20).map { Self.put("plain", 0, 1000 + start + $0, content) }
                    + (0..<8).map {
                        .delete(
                            collection: "notes",
                            id: Self.id(100 * round + content.deletes + $0),
                            expectedVersion: nil
                        )
                    }
                    + [Self.put("wide", 40, round, content.later)],
                wall
            )
            try engine.checkpoint()
            earlier.append(fileSystem.copy())
        }
        try engine.buildIndexes()
        earlier.append(fileSystem.copy())
        try commit(
            engine,
            [Self.put("notes", 16, 3, content.later), Self.put("wide", 40, 900, content)],
            wall
        )
        earlier.append(fileSystem.copy())
        try commit(
            engine,
            [.delete(collection: "plain", id: Self.id(5), expectedVersion: nil)]
                + (0..<12).map { Self.put("plain", 0, 500 + $0, content) },
            wall
        )
    }

    /// Other texts, metadata and vectors.
    static let other = DamageContent(texts: 1, vectors: 1)

    /// Commits for a store that was opened again: documents of every collection, new, changed and
    /// deleted.
    static let laterCommits: [[ModelOperation]] = [
        [put("notes", 16, 2000, other)],
        [put("notes", 16, 3, other), put("plain", 0, 7, other)],
        [put("wide", 40, 1, other)],
        [.delete(collection: "notes", id: id(9), expectedVersion: nil)],
        [.delete(collection: "wide", id: id(2), expectedVersion: nil)],
        [.create(collection: "later", dimensions: 4, metric: .dot), put("later", 4, 1, other)],
    ]

    private mutating func commit(
        _ engine: Engine,
        _ operations: [ModelOperation],
        _ wall: Int64
    ) throws {
        try engine.commit { builder throws(StoreError) in
            for operation in operations { try operation.add(to: &builder) }
        }
        history.append(state)
        state = state.applying(operations, wall: wall)
    }

    static func id(_ number: Int) -> String {
        // All of one length, so that blocks of stores with other content are at the same places.
        String("d0000".dropLast(String(number).count)) + String(number)
    }

    private static func put(
        _ collection: String,
        _ dimensions: Int,
        _ number: Int,
        _ content: DamageContent
    ) -> ModelOperation {
        let letter = String(UnicodeScalar(UInt8(97 + (number * 7 + content.texts * 11) % 26)))
        var dice = Dice(seed: UInt64(number * 64 + content.vectors))
        return .put(
            collection: collection,
            id: id(number),
            text: Array(String(repeating: letter, count: 20 + number % 50).utf8),
            metadata: ModelMetadata.bytes(["n": [4, UInt8((number + content.texts) % 128)]]),
            vector: dimensions > 0
                ? (0..<dimensions).map { _ in Float(dice.number(1..<1000)) / 64 } : nil,
            expectedVersion: nil
        )
    }
}

/// What a file is, for counting: the ending of its name, or "ROOT".
func fileKind(_ path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    return name.split(separator: ".").last.map(String.init) ?? String(name)
}
