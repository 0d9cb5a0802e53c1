// Runs seeded random histories with crashes and counts what they met.

import MoraineFiles
import MoraineStorage
import Synchronization

/// What one history met.
package struct HistoryOutcome: Sendable, Equatable {
    package let seed: UInt64
    package var operationCount = 0
    package var commitCount = 0
    package var conflictCount = 0
    /// What was done, by kind: "purge", "compare".
    package var kinds: [String: Int] = [:]
    /// Merges that were made at once.
    package var mergeCount = 0
    /// Derived files that were made.
    package var indexCount = 0
    /// Crashes by where they stopped: "sync wal/W-#-#.mwal", "rest" between operations.
    package var crashSites: [String: Int] = [:]
    /// Crashes of a recovery.
    package var recoveryCrashCount = 0
    /// Rounds with failing calls.
    package var faultCount = 0
    /// Calls that were refused under a crash or a fault.
    package var refusedCount = 0
    /// Commits whose loss their durability allowed, and that were lost.
    package var lostCount: UInt64 = 0
    /// Checks of all bytes of a closed store.
    package var verifyCount = 0
    /// A hash of everything that was done, in order.
    package var fingerprint: UInt64 = 0

    package var crashCount: Int { crashSites.values.reduce(0, +) }

    init(seed: UInt64) { self.seed = seed }

    mutating func count(_ kind: String) { kinds[kind, default: 0] += 1 }

    mutating func countCrash(at site: String?) { crashSites[site ?? "rest", default: 0] += 1 }
}

/// A history that went wrong.
package struct HistoryFailure: Error, CustomStringConvertible, Sendable, Equatable {
    package let seed: UInt64
    /// What was expected and what was found.
    package let message: String
    /// What was done before, oldest first.
    package let trace: [String]

    package var description: String {
        "seed \(seed): \(message)\n" + trace.suffix(40).joined(separator: "\n")
    }
}

/// What a run of histories met.
package struct SimulationReport: Sendable, Equatable {
    package var historyCount = 0
    package var operationCount = 0
    package var commitCount = 0
    package var conflictCount = 0
    /// What was done, by kind: "purge", "compare".
    package var kinds: [String: Int] = [:]
    package var mergeCount = 0
    package var indexCount = 0
    /// Crashes by where they stopped: "sync wal/W-#-#.mwal", "rest" between operations.
    package var crashSites: [String: Int] = [:]
    package var recoveryCrashCount = 0
    package var faultCount = 0
    package var refusedCount = 0
    package var lostCount: UInt64 = 0
    package var verifyCount = 0
    /// Of all histories, in order: two runs of the same seeds have the same.
    package var fingerprint: UInt64 = 0
    package var failures: [HistoryFailure] = []

    package var crashCount: Int { crashSites.values.reduce(0, +) }

    /// Crashes at a sync of a file or folder, by what was synced.
    package var syncSites: [String: Int] {
        crashSites.filter { $0.key.hasPrefix("sync") }
    }

    mutating func add(_ outcome: HistoryOutcome) {
        historyCount += 1
        operationCount += outcome.operationCount
        commitCount += outcome.commitCount
        conflictCount += outcome.conflictCount
        kinds.merge(outcome.kinds, uniquingKeysWith: +)
        mergeCount += outcome.mergeCount
        indexCount += outcome.indexCount
        crashSites.merge(outcome.crashSites, uniquingKeysWith: +)
        recoveryCrashCount += outcome.recoveryCrashCount
        faultCount += outcome.faultCount
        refusedCount += outcome.refusedCount
        lostCount += outcome.lostCount
        verifyCount += outcome.verifyCount
        fingerprint = (fingerprint ^ outcome.fingerprint) &* 0x100_0000_01B3
    }
}

/// Random histories: operations, crashes and faults, each recovery compared with a model.
package enum HistorySimulator {
    /// From here on histories meet everything; those of lower seeds lack what came later, so that
    /// seeds that once found something stay the same.
    package static let firstFullSeed: UInt64 = 20_000

    /// Runs one history per seed; the same seeds give the same report on any number of threads.
    ///
    /// - Parameters:
    ///   - failureLimit: stops after so many failures.
    ///   - width: threads, the caller's included.
    package static func run(
        seeds: Range<UInt64>,
        failureLimit: Int = 10,
        width: Int = WorkerThread.processorCount
    ) -> SimulationReport {
        let progress = Mutex(Progress(first: seeds.lowerBound))
        @Sendable func work() {
            while true {
                let seed = progress.withLock { progress -> UInt64? in
                    guard progress.next < seeds.upperBound, progress.failureCount < failureLimit
                    else { return nil }
                    defer { progress.next += 1 }
                    return progress.next
                }
                guard let seed else { return }
                let result: Result<HistoryOutcome, HistoryFailure>
                do throws(HistoryFailure) {
                    result = .success(try runOne(seed: seed))
                } catch {
                    result = .failure(error)
                }
                progress.withLock { $0.add(result, seed, failureLimit) }
            }
        }
        let helpers = (1..<max(1, width)).compactMap { _ in WorkerThread(work) }
        work()
        for helper in helpers { helper.join() }
        return progress.withLock(\.report)
    }

    /// Histories that were begun, and the report of those that have ended, in order of their seeds.
    private struct Progress {
        var next: UInt64
        /// Every seed below is in the report.
        var added: UInt64
        var report = SimulationReport()
        var failureCount = 0
        private var ended: [UInt64: Result<HistoryOutcome, HistoryFailure>] = [:]

        init(first: UInt64) {
            next = first
            added = first
        }

        mutating func add(
            _ result: Result<HistoryOutcome, HistoryFailure>,
            _ seed: UInt64,
            _ failureLimit: Int
        ) {
            ended[seed] = result
            if case .failure = result { failureCount += 1 }
            while report.failures.count < failureLimit,
                let result = ended.removeValue(forKey: added)
            {
                added += 1
                switch result {
                case .success(let outcome): report.add(outcome)
                case .failure(let failure):
                    report.historyCount += 1
                    report.failures.append(failure)
                }
            }
        }
    }

    /// Runs the history of a seed: the same seed does the same.
    package static func runOne(seed: UInt64) throws(HistoryFailure) -> HistoryOutcome {
        let history = History(seed: seed)
        do {
            try history.run()
        } catch {
            let message = (error as? StoreError)?.full ?? "\(error)"
            throw HistoryFailure(seed: seed, message: message, trace: history.trace)
        }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for line in history.trace {
            for byte in line.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        history.outcome.fingerprint = hash
        return history.outcome
    }
}
