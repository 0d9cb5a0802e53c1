// Seeded damages to a store that holds files of every kind: the check must find each, and reading
// must answer right or refuse.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// What damages of one kind led to.
package struct DamageCounts: Sendable, Equatable {
    package var count = 0
    /// The check of the store had a finding, or could not begin.
    package var reportedCount = 0
    /// The store did not open.
    package var refusedCount = 0
    /// The store opened, and reading met an error.
    package var readErrorCount = 0
    /// The store opened and everything read was right.
    package var rightCount = 0
}

/// What a run of damages led to.
package struct DamageReport: Sendable {
    /// By kind of damage.
    package var kinds: [String: DamageCounts] = [:]
    /// Damages by kind of file: the ending of its name, "ROOT" for ROOT.
    package var files: [String: Int] = [:]
    /// Damages that were not found, or that made a reader return something wrong, with their seeds.
    package var failures: [String] = []

    package var count: Int { kinds.values.reduce(0) { $0 + $1.count } }
}

/// Damages stores.
package enum DamageTrial {
    /// Runs one damage a seed.
    ///
    /// - Throws: `StoreError` when the stores cannot even be made.
    package static func run(seeds: Range<UInt64>, failureLimit: Int = 20) throws -> DamageReport {
        // Without compression blocks of other content lie at the same places; with it not.
        let pairs = try [Codec.none, .lz4].map { codec in
            (
                store: try DamageStore(codec: codec, seed: 1),
                other: try DamageStore(codec: codec, content: DamageStore.other, seed: 2)
            )
        }
        var report = DamageReport()
        for seed in seeds {
            let pair = pairs[Int(seed % 2)]
            var dice = Dice(seed: seed)
            var damage: FileDamage
            var damaged: SimulatedFileSystem?
            repeat {
                damage = FileDamage.draw(&dice, pair.store)
                damaged = damage.applied(to: pair.store, beside: pair.other)
            } while damaged == nil
            guard let damaged else { continue }
            check(damage, damaged, pair.store.state, seed, &report)
            if report.failures.count >= failureLimit { break }
        }
        return report
    }

    /// Takes each file away, empties it, and cuts one to sixteen bytes from it.
    ///
    /// - Throws: `StoreError` when the store cannot even be made.
    package static func runOnEveryFile() throws -> DamageReport {
        let store = try DamageStore(codec: .lz4, seed: 1)
        var report = DamageReport()
        for (index, path) in store.paths.enumerated() {
            let byteCount = store.fileSystem.contents(of: path)?.count ?? 0
            let damages =
                [FileDamage.missing(path: path), .cut(path: path, count: 0)]
                + (1...16).map { .cut(path: path, count: byteCount - $0) }
            for damage in damages {
                guard let damaged = damage.applied(to: store, beside: store) else { continue }
                check(damage, damaged, store.state, UInt64(index), &report)
            }
        }
        return report
    }

    static func check(
        _ damage: FileDamage,
        _ damaged: SimulatedFileSystem,
        _ state: ModelState,
        _ seed: UInt64,
        _ report: inout DamageReport
    ) {
        for path in damage.paths { report.files[fileKind(path), default: 0] += 1 }
        var counts = report.kinds[damage.kind] ?? DamageCounts()
        defer { report.kinds[damage.kind] = counts }
        counts.count += 1
        var options = DamageStore.options(damaged)
        options.isReadOnly = true
        let isReported = isReported(options)
        if isReported { counts.reportedCount += 1 }
        var isRight = false
        do throws(StoreError) {
            let engine = try Engine.open(at: DamageStore.folder, options: options)
            defer { try? engine.close() }
            do {
                try engine.version().expect(state)
                counts.rightCount += 1
                isRight = true
            } catch is StoreError {
                counts.readErrorCount += 1
            } catch {
                // What verifies is believed; it must do no harm beyond that.
                if case .hostile = damage { return }
                report.failures.append("seed \(seed), \(damage): \(error)")
            }
        } catch {
            counts.refusedCount += 1
        }
        if case .hostile = damage { write(damaged) }
        let isHarmless =
            switch damage {
            // Lost writes that took nothing with them leave a store as a crash would.
            case .older: isRight
            // Flags that may be ignored, and numbers that only a salvage reads.
            case .hostile: true
            default: false
            }
        if !isReported, !isHarmless {
            report.failures.append("seed \(seed), \(damage): the check does not find it")
        }
    }

    /// Writes to a store that says what cannot be: any error will do, and nothing else may happen.
    private static func write(_ damaged: SimulatedFileSystem) {
        do throws(StoreError) {
            let engine = try Engine.open(
                at: DamageStore.folder,
                options: DamageStore.options(damaged)
            )
            defer { try? engine.close() }
            for operations in DamageStore.laterCommits {
                // Each by itself: what meets the damage leaves the others their turn.
                _ = try? engine.commit { builder throws(StoreError) in
                    for operation in operations { try operation.add(to: &builder) }
                }
            }
            try? engine.checkpoint()
            _ = try? engine.buildIndexes()
            try engine.compact(all: true)
        } catch {
            return
        }
    }

    private static func isReported(_ options: EngineOptions) -> Bool {
        do throws(StoreError) {
            return try !Engine.verify(DamageStore.folder, options: options).isOK
        } catch {
            return true
        }
    }
}
