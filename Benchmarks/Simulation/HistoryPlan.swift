// What one history is like: drawn once from its seed.

import MoraineBytes
import MoraineEngine
import MoraineFiles

/// The settings of one history.
struct HistoryPlan {
    let durability: Durability
    /// Some commits go beside the log.
    let loadsUnlogged: Bool
    let memtableByteCount: Int
    let codec: Codec
    let noise: Noise?
    /// Interruptions by a crash or a fault.
    let roundCount: Int
    /// Rounds end by a fault that is no crash, in percent of cases.
    let faultPercent: Int
    /// Bytes of a large text.
    let largeByteCount: Int

    /// Derived files are made.
    ///
    /// Not with low seeds: those that once found something stay the same.
    let makesIndexes: Bool
    /// There are purges, followers, salvages, and syncs that lie at the end; with high seeds only,
    /// for the same reason.
    let meetsOthers: Bool

    init(_ dice: inout Dice, seed: UInt64) {
        makesIndexes = seed >= 10_000
        meetsOthers = seed >= HistorySimulator.firstFullSeed
        durability = dice.pick([
            .full, .full, .full, .full, .full, .relaxed(milliseconds: 20), .bulk,
        ])
        loadsUnlogged = dice.chance(20)
        // A few histories let the log grow past what a starting writer carries over whole.
        let isLarge = dice.chance(4)
        memtableByteCount = isLarge ? 4 << 20 : dice.pick([4096, 8192, 16_384, 65_536])
        codec = dice.pick([.none, .lz4, .deflate])
        noise =
            dice.chance(25)
            ? Noise(
                seed: dice.seed(),
                interruption: 0.05,
                shortRead: 0.1,
                shortWrite: 0.1
            )
            : nil
        roundCount = dice.number(2..<5)
        faultPercent = dice.pick([0, 0, 30, 70])
        largeByteCount = isLarge ? 900_000 : dice.pick([3000, 20_000, 80_000])
    }

    /// Options to open the store with.
    func options(_ fileSystem: SimulatedFileSystem, _ clock: ManualClock, _ random: SeededRandom)
        -> EngineOptions
    {
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.clock = clock
        options.random = random
        options.durability = durability
        options.memoryByteCount = 4 << 20
        options.memtableByteCount = memtableByteCount
        options.logFileByteCount = 65_536
        options.codec = codec
        options.runsInBackground = false
        options.scanThreadCount = 1
        if makesIndexes { options.indexFormats = SampleIndex.formats(leastRowCount: 3) }
        return options
    }
}
