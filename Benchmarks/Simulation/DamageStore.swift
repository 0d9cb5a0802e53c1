// Stores for seeded damages: several collections and segments, files of every kind as the engine
// makes them, and a second store of the same layout with other content.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors

/// A closed store, what it holds, and how its files were at earlier moments.
struct DamageStore {
    static let folder = "/store"

    /// The closed store.
    private(set) var fileSystem = SimulatedFileSystem()
    /// Copies made on the way, oldest first.
    private(set) var earlier: [SimulatedFileSystem] = []
    private(set) var state = ModelState()
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
    ///   - salt: what its content differs by from that of other stores; the layout is the same.
    ///   - seed: for its id and incarnations.
    init(codec: Codec, salt: Int, seed: UInt64) throws {
        var options = Self.options(fileSystem, seed: seed)
        options.codec = codec
        let engine = try Engine.open(at: Self.folder, options: options)
        try commit(
            engine,
            [
                .create(collection: "notes", dimensions: 16, metric: .cosine),
                .create(collection: "plain", dimensions: 0, metric: .cosine),
                .create(collection: "wide", dimensions: 40, metric: .l2),
            ]
        )
        let large = (0..<Self.largeRowCount).map { Self.put("notes", 16, $0, salt) }
        try commit(engine, large + (0..<40).map { Self.put("plain", 0, $0, salt) })
        try engine.checkpoint()
        earlier.append(fileSystem.copy())
        for round in 0..<3 {
            let start = 40 * round
            try commit(
                engine,
                (0..<30).map { Self.put("wide", 40, start + $0, salt) }
                    + (0..<20).map { Self.put("plain", 0, 1000 + start + $0, salt) }
                    + (0..<8).map {
                        .delete(
                            collection: "notes",
                            id: Self.id(100 * round + $0),
                            expectedVersion: nil
                        )
                    }
                    + [Self.put("wide", 40, round, salt + 2)]
            )
            try engine.checkpoint()
            earlier.append(fileSystem.copy())
        }
        try engine.buildIndexes()
        earlier.append(fileSystem.copy())
        try commit(engine, [Self.put("notes", 16, 3, salt + 2), Self.put("wide", 40, 900, salt)])
        earlier.append(fileSystem.copy())
        try commit(
            engine,
            [.delete(collection: "plain", id: Self.id(5), expectedVersion: nil)]
                + (0..<12).map { Self.put("plain", 0, 500 + $0, salt) }
        )
        try engine.close()
        paths = fileSystem.filePaths.filter { fileSystem.contents(of: $0)?.isEmpty == false }
    }

    /// Commits for a store that was opened again: documents of every collection, new, changed and
    /// deleted.
    static let laterCommits: [[ModelOperation]] = [
        [put("notes", 16, 2000, 1)],
        [put("notes", 16, 3, 1), put("plain", 0, 7, 1)],
        [put("wide", 40, 1, 1)],
        [.delete(collection: "notes", id: id(9), expectedVersion: nil)],
        [.delete(collection: "wide", id: id(2), expectedVersion: nil)],
        [.create(collection: "later", dimensions: 4, metric: .dot), put("later", 4, 1, 1)],
    ]

    private mutating func commit(_ engine: Engine, _ operations: [ModelOperation]) throws {
        try engine.commit { builder throws(StoreError) in
            for operation in operations { try operation.add(to: &builder) }
        }
        state = state.applying(operations, wall: History.baseTime)
    }

    private static func id(_ number: Int) -> String {
        // All of one length, so that blocks of stores with other content are at the same places.
        String("d0000".dropLast(String(number).count)) + String(number)
    }

    private static func put(_ collection: String, _ dimensions: Int, _ number: Int, _ salt: Int)
        -> ModelOperation
    {
        let letter = String(UnicodeScalar(UInt8(97 + (number * 7 + salt * 11) % 26)))
        var dice = Dice(seed: UInt64(number * 64 + salt))
        return .put(
            collection: collection,
            id: id(number),
            text: Array(String(repeating: letter, count: 20 + number % 50).utf8),
            metadata: ModelMetadata.bytes(["n": [4, UInt8((number + salt) % 128)]]),
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
