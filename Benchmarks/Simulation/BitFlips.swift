// Flips bits of a small store that holds every kind of file, one at a time, each in a copy, and
// checks that each is reported and none makes a reader return anything wrong.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// What flips in one kind of file led to.
package struct BitFlipCounts: Sendable, Equatable {
    package var flipCount = 0
    /// `verify` had a finding.
    package var reportedCount = 0
    /// The store did not open.
    package var refusedCount = 0
    /// The store opened, and reading met an error.
    package var readErrorCount = 0
    /// The store opened and everything read was right.
    package var rightCount = 0
}

/// What a run of flips led to.
package struct BitFlipReport: Sendable {
    /// By the ending of the file's name, "ROOT" for ROOT.
    package var kinds: [String: BitFlipCounts] = [:]
    /// Flips that were not reported, or that made a reader return something wrong.
    package var failures: [String] = []

    package var flipCount: Int { kinds.values.reduce(0) { $0 + $1.flipCount } }
}

/// Flips bits of a store.
package enum BitFlips {
    private static let folder = "/store"

    /// Flips every `step`-th bit of every file, beginning with bit `first`.
    ///
    /// - Parameter progress: called after each file.
    /// - Throws: `StoreError`, `SimulationFailure` when the store cannot even be made.
    package static func run(
        step: Int,
        first: Int = 0,
        progress: (BitFlipReport) -> Void = { _ in }
    ) throws -> BitFlipReport {
        let (fileSystem, state) = try makeStore()
        var report = BitFlipReport()
        for path in fileSystem.filePaths {
            let bitCount = (fileSystem.contents(of: path)?.count ?? 0) * 8
            for bit in stride(from: first, to: bitCount, by: step) {
                let copy = fileSystem.copy()
                copy.corrupt(path: path, offset: bit / 8, xor: 1 << UInt8(bit % 8))
                flip(copy, state, path: path, bit: bit, into: &report)
            }
            progress(report)
        }
        return report
    }

    private static func options(_ fileSystem: SimulatedFileSystem) -> EngineOptions {
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.clock = ManualClock(wallMilliseconds: History.baseTime)
        options.random = SeededRandom(seed: 1)
        options.memoryByteCount = 4 << 20
        options.logFileByteCount = 65_536
        options.runsInBackground = false
        options.scanThreadCount = 1
        options.indexFormats = SampleIndex.formats()
        return options
    }

    private static func flip(
        _ fileSystem: SimulatedFileSystem,
        _ state: ModelState,
        path: String,
        bit: Int,
        into report: inout BitFlipReport
    ) {
        let kind = path.split(separator: ".").last.map(String.init) ?? path
        let name = path.hasSuffix("/ROOT") ? "ROOT" : kind
        var counts = report.kinds[name] ?? BitFlipCounts()
        defer { report.kinds[name] = counts }
        counts.flipCount += 1
        var options = options(fileSystem)
        options.isReadOnly = true
        do throws(StoreError) {
            if try Engine.verify(folder, options: options).isOK {
                report.failures.append("\(path), bit \(bit): verify does not report it")
            } else {
                counts.reportedCount += 1
            }
        } catch {
            counts.reportedCount += 1
        }
        let engine: Engine
        do throws(StoreError) {
            engine = try Engine.open(at: folder, options: options)
        } catch {
            counts.refusedCount += 1
            return
        }
        do {
            try engine.version().expect(state)
            counts.rightCount += 1
        } catch is StoreError {
            counts.readErrorCount += 1
        } catch {
            report.failures.append("\(path), bit \(bit): \(error)")
        }
        try? engine.close()
    }

    /// A closed store with files of all kinds and commits in its log, and what it holds.
    private static func makeStore() throws -> (SimulatedFileSystem, ModelState) {
        let fileSystem = SimulatedFileSystem()
        var state = ModelState()
        let engine = try Engine.open(at: folder, options: options(fileSystem))
        func commit(_ operations: [ModelOperation]) throws {
            try engine.commit { builder throws(StoreError) in
                for operation in operations { try operation.add(to: &builder) }
            }
            state = state.applying(operations, wall: History.baseTime)
        }
        func put(_ collection: String, _ number: Int) -> ModelOperation {
            let text = String(repeating: "text \(number) ", count: 1 + number % 5)
            return .put(
                collection: collection,
                id: "d\(number)",
                text: Array(text.utf8),
                metadata: Metadata.empty,
                vector: collection == "a" ? (0..<4).map { Float($0 * 3 + number) + 0.5 } : nil,
                expectedVersion: nil
            )
        }
        try commit([
            .create(collection: "a", dimensions: 4, metric: .l2),
            .create(collection: "b", dimensions: 0, metric: .cosine),
        ])
        try commit((0..<12).map { put("a", $0) } + (0..<6).map { put("b", $0) })
        try engine.checkpoint()
        try commit([
            .delete(collection: "a", id: "d3", expectedVersion: nil), put("a", 5), put("b", 2),
        ])
        try engine.checkpoint()
        try engine.buildIndexes()
        try commit([put("a", 20), put("b", 21)])
        try commit([.delete(collection: "b", id: "d1", expectedVersion: nil), put("a", 0)])
        try engine.close()
        return (fileSystem, state)
    }
}
