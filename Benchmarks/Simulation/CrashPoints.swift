// Crashes one scene at each of its changes in turn: nothing that was acknowledged is lost,
// wherever the power goes.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// A short piece of a store's life, crashed at every place.
package enum CrashScene: String, Sendable, CaseIterable {
    case creation, checkpoint, rotation, close, recovery
}

extension CrashScene {
    private static let folder = "/store"

    private static func options(_ fileSystem: SimulatedFileSystem, seed: UInt64) -> EngineOptions {
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.clock = ManualClock(wallMilliseconds: History.baseTime)
        options.random = SeededRandom(seed: seed)
        options.memoryByteCount = 4 << 20
        options.logFileByteCount = 65_536
        options.runsInBackground = false
        options.scanThreadCount = 1
        return options
    }

    /// Crashes the scene at its first change, its second and so on, until it is over.
    ///
    /// - Returns: how many changes it has.
    /// - Throws: `SimulationFailure` naming the change and the crash model.
    package func crashEverywhere() throws -> Int {
        let (before, state) = try prepared()
        for change in 1..<10_000 {
            for (index, model) in CrashModel.allCases.enumerated() {
                let fileSystem = before.copy(keepingUnsynced: true)
                var history = ModelHistory()
                for state in state { history.acknowledge(state, killSafe: true, powerSafe: true) }
                fileSystem.crashAt(change: UInt64(change))
                try? play(fileSystem, &history)
                if !fileSystem.isShutDown { return change - 1 }
                let site = fileSystem.crashSite ?? ""
                fileSystem.crash(model, seed: UInt64(change * 8 + index))
                do {
                    try expect(history, fileSystem)
                } catch {
                    let message = (error as? StoreError)?.full ?? "\(error)"
                    throw SimulationFailure(
                        "\(rawValue), change \(change) (\(site)), \(model): \(message)"
                    )
                }
            }
        }
        throw SimulationFailure("\(rawValue) has no end")
    }

    /// The store before the scene, and its states by LSN from 1 on.
    private func prepared() throws -> (SimulatedFileSystem, [ModelState]) {
        let fileSystem = SimulatedFileSystem()
        if self == .creation { return (fileSystem, []) }
        var history = ModelHistory()
        let engine = try Engine.open(
            at: Self.folder,
            options: Self.options(fileSystem, seed: 1)
        )
        try Self.commit(engine, &history, textByteCount: 10)
        try Self.commit(engine, &history, textByteCount: 300)
        if self == .recovery {
            try engine.checkpoint()
            try Self.commit(engine, &history, textByteCount: 40)
            fileSystem.crash(.sectors, seed: 5)
        } else {
            try engine.close()
        }
        return (fileSystem, Array(history.states.dropFirst()))
    }

    private func play(_ fileSystem: SimulatedFileSystem, _ history: inout ModelHistory) throws {
        let engine = try Engine.open(
            at: Self.folder,
            options: Self.options(fileSystem, seed: 2)
        )
        switch self {
        case .creation, .recovery: break
        case .checkpoint:
            try Self.commit(engine, &history, textByteCount: 20)
            try engine.checkpoint()
        case .rotation:
            for _ in 0..<3 { try Self.commit(engine, &history, textByteCount: 30_000) }
        case .close:
            try Self.commit(engine, &history, textByteCount: 20)
            try engine.close()
        }
    }

    private static func commit(
        _ engine: Engine,
        _ history: inout ModelHistory,
        textByteCount: Int
    ) throws {
        var operations: [ModelOperation] = []
        if history.newest.collections.isEmpty {
            operations.append(.create(collection: "c", dimensions: 2, metric: .l2))
        }
        let number = Int(history.newest.lsn)
        for id in ["same", "d\(number)"] {
            operations.append(
                .put(
                    collection: "c",
                    id: id,
                    text: Array(repeating: 0x61, count: textByteCount),
                    metadata: [0],
                    vector: [Float(number), 1],
                    expectedVersion: nil
                )
            )
        }
        let next = history.newest.applying(operations, wall: History.baseTime)
        history.doubt(next)
        try engine.commit { builder throws(StoreError) in
            for operation in operations { try operation.add(to: &builder) }
        }
        history.acknowledge(next, killSafe: true, powerSafe: true)
    }

    private func expect(_ history: ModelHistory, _ fileSystem: SimulatedFileSystem) throws {
        let engine = try Engine.open(
            at: Self.folder,
            options: Self.options(fileSystem, seed: 3)
        )
        let version = try engine.version()
        let states = history.admissible(afterLossOfPower: true)
        guard let state = states.first(where: { $0.lsn == version.lsn }) else {
            throw SimulationFailure(
                "recovered to LSN \(version.lsn), not to one of \(states.map(\.lsn))"
            )
        }
        try version.expect(state)
        var next = ModelHistory()
        for lsn in 1..<(state.lsn + 1) {
            let all = history.states + (history.doubtful.map { [$0] } ?? [])
            next.acknowledge(all[Int(lsn)], killSafe: true, powerSafe: true)
        }
        try Self.commit(engine, &next, textByteCount: 15)
        try engine.version().expect(next.newest)
        try engine.close()
    }
}
