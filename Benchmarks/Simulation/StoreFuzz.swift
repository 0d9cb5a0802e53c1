// Damages to files and operations on the store together: what is read must be right or an error,
// and nothing may end the process.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization

/// What runs of the fuzz led to.
package struct FuzzReport: Sendable {
    /// Runs by kind of damage.
    package var damages: [String: Int] = [:]
    /// Damages by kind of file: the ending of its name, "ROOT" for ROOT.
    package var files: [String: Int] = [:]
    /// Operations that were tried, by name.
    package var operations: [String: Int] = [:]
    /// Of these the ones that met an error, by its code.
    package var errors: [String: Int] = [:]
    /// The longest run and its seed.
    package var slowest: (nanoseconds: UInt64, seed: UInt64) = (0, 0)
    package var runCount = 0
    /// Seeds that failed, how, and what was done until then.
    package var failures: [String] = []

    mutating func add(_ other: FuzzReport) {
        damages.merge(other.damages, uniquingKeysWith: +)
        files.merge(other.files, uniquingKeysWith: +)
        operations.merge(other.operations, uniquingKeysWith: +)
        errors.merge(other.errors, uniquingKeysWith: +)
        if other.slowest.nanoseconds > slowest.nanoseconds { slowest = other.slowest }
        runCount += other.runCount
        failures += other.failures
    }
}

/// Damages stores and works with them.
package enum StoreFuzz {
    /// Runs one store a seed.
    ///
    /// - Parameters:
    ///   - failureLimit: stops after so many failures.
    ///   - width: threads, the caller's included.
    ///   - progress: called with a seed before its run, by any of the threads.
    /// - Throws: `StoreError` when the stores cannot even be made.
    package static func run(
        seeds: Range<UInt64>,
        failureLimit: Int = 10,
        width: Int = WorkerThread.processorCount,
        progress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) throws -> FuzzReport {
        let bases = try [Codec.none, .lz4].map { try FuzzBase(codec: $0) }
        let total = Mutex(FuzzReport())
        let next = Mutex(seeds.lowerBound)
        @Sendable func work() {
            var report = FuzzReport()
            while report.failures.count < failureLimit {
                let seed = next.withLock { next -> UInt64? in
                    guard next < seeds.upperBound else { return nil }
                    defer { next += 1 }
                    return next
                }
                guard let seed else { break }
                progress(seed)
                runOne(seed, bases[Int(seed % 2)], &report)
            }
            total.withLock { $0.add(report) }
        }
        let helpers = (1..<max(1, width)).compactMap { _ in WorkerThread(work) }
        work()
        for helper in helpers { helper.join() }
        return total.withLock { $0 }
    }

    private static func runOne(_ seed: UInt64, _ base: FuzzBase, _ report: inout FuzzReport) {
        let clock = SystemClock()
        let start = clock.steadyNanoseconds()
        let run = FuzzRun(seed, base)
        do {
            try run.run()
        } catch {
            let reason = (error as? StoreError)?.full ?? "\(error)"
            run.report.failures.append(
                "seed \(seed): \(reason) after \(run.trace.joined(separator: ", "))"
            )
        }
        run.report.runCount = 1
        run.report.slowest = (clock.steadyNanoseconds() - start, seed)
        report.add(run.report)
    }
}

/// A closed store that runs begin with, and another one beside it.
struct FuzzBase {
    let store: DamageStore
    let other: DamageStore
    /// Every text that a document of an id ever had, in any collection.
    let texts: [String: Set<[UInt8]>]

    init(codec: Codec) throws {
        store = try DamageStore(codec: codec, seed: 1)
        other = try DamageStore(codec: codec, content: DamageStore.other, seed: 2)
        var texts: [String: Set<[UInt8]>] = [:]
        for state in store.history + [store.state] {
            for collection in state.collections.values {
                for (id, document) in collection.documents {
                    texts[id, default: []].insert(document.text)
                }
            }
        }
        self.texts = texts
    }
}
