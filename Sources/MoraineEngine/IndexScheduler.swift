// Who makes which derived file: in the background one segment at a time and thread, one caller at
// a time when asked to. What failed is tried again later, what proved needless is not.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import MoraineVectors
import Synchronization

/// A derived file that is there or could be.
struct IndexKey: Sendable, Hashable {
    let segmentID: UInt64
    let kind: DerivedKind
}

/// What an engine remembers of builds of derived files.
///
/// Any thread.
final class IndexMemory: Sendable {
    private struct Failure {
        let error: StoreError
        let count: Int
        /// Steady nanoseconds before which it is not tried again; `nil`: it may be tried now.
        var retryAt: UInt64?
    }

    private struct State {
        var needless: Set<IndexKey> = []
        var failures: [IndexKey: Failure] = [:]
        /// For segments that were merged: graphs of their inputs, until they have their own.
        var origins: [UInt64: [GraphOrigin]] = [:]
    }

    /// The pause after the first failure; each further one doubles it.
    private static let firstPause: UInt64 = 5_000_000_000
    /// The longest: an hour, so that a disk with room again is noticed the same day.
    private static let longestPause: UInt64 = 3_600_000_000_000

    private let clock: any Clock
    private let state = Mutex(State())

    init(clock: any Clock) { self.clock = clock }

    /// Files that are not to be made now.
    func blocked() -> Set<IndexKey> {
        let now = clock.steadyNanoseconds()
        return state.withLock { state in
            state.needless.union(
                state.failures.filter { ($0.value.retryAt ?? 0) > now }.keys
            )
        }
    }

    /// Files for which there was nothing to write.
    var needless: Set<IndexKey> { state.withLock { $0.needless } }

    /// What kept the last builds from their ends; one of them.
    var failure: StoreError? {
        state.withLock { state in
            state.failures.min {
                ($0.key.segmentID, $0.key.kind.rawValue) < ($1.key.segmentID, $1.key.kind.rawValue)
            }?.value.error
        }
    }

    func noteNeedless(_ key: IndexKey) {
        state.withLock { state in _ = state.needless.insert(key) }
    }

    /// Takes note of what became of a build, `nil` for success.
    func note(_ key: IndexKey, _ error: StoreError?) {
        let now = clock.steadyNanoseconds()
        state.withLock { state in
            guard let error else {
                if key.kind == .graph { state.origins[key.segmentID] = nil }
                return state.failures[key] = nil
            }
            guard error.code != .cancelled else { return }
            let count = (state.failures[key]?.count ?? 0) + 1
            let pause = min(Self.longestPause, Self.firstPause << UInt64(min(count - 1, 16)))
            state.failures[key] = Failure(error: error, count: count, retryAt: now + pause)
        }
    }

    /// Forgets segments that are no more.
    func keep(_ segments: Set<UInt64>) {
        state.withLock { state in
            if state.needless.isEmpty && state.failures.isEmpty && state.origins.isEmpty { return }
            state.needless = state.needless.filter { segments.contains($0.segmentID) }
            state.failures = state.failures.filter { segments.contains($0.key.segmentID) }
            state.origins = state.origins.filter { segments.contains($0.key) }
        }
    }

    /// Keeps graphs for the first one of a segment.
    ///
    /// Only in memory: after a restart that graph is built from nothing.
    func noteOrigins(_ origins: [GraphOrigin], of segmentID: UInt64) {
        guard !origins.isEmpty else { return }
        state.withLock { $0.origins[segmentID] = origins }
    }

    /// Lets go of all such graphs: they keep the codes of what was purged on the disk.
    func forgetOrigins() { state.withLock { $0.origins.removeAll() } }

    /// The graphs that a derived file can be made from.
    func origins(of key: IndexKey) -> [GraphOrigin] {
        guard key.kind == .graph else { return [] }
        return state.withLock { $0.origins[key.segmentID] ?? [] }
    }

    /// Milliseconds until something that failed may be tried again; `nil` when nothing waits.
    var millisecondsToRetry: UInt64? {
        let now = clock.steadyNanoseconds()
        return state.withLock { state in
            guard let first = state.failures.values.compactMap(\.retryAt).min() else { return nil }
            return first > now ? (first - now) / 1_000_000 + 1 : 0
        }
    }

    /// True when something may be tried again now; answers so once for each failure.
    func takeRetries() -> Bool {
        let now = clock.steadyNanoseconds()
        return state.withLock { state in
            var isDue = false
            for (key, failure) in state.failures {
                guard let retryAt = failure.retryAt, retryAt <= now else { continue }
                state.failures[key]?.retryAt = nil
                isDue = true
            }
            return isDue
        }
    }
}

/// Makes derived files for an engine.
///
/// Any thread.
package final class IndexScheduler: Sendable {
    let memory: IndexMemory
    let jobs: JobScheduler<IndexTask>

    init(options: EngineOptions) {
        let memory = IndexMemory(clock: options.clock)
        self.memory = memory
        jobs = JobScheduler(
            JobKind(
                segments: { [$0.view.segment.id] },
                choose: { engine, busy in
                    engine.chooseIndex(busy: busy, blocked: memory.blocked())
                },
                run: { engine, task, step throws(StoreError) in
                    try engine.run(task, width: 1, step: step)
                },
                finished: { engine, task, error in
                    memory.note(task.key, error)
                    if error != nil { engine.scheduleMaintenance() }
                    return true
                },
                duty: { $0.indexDuty }
            ),
            threadCount: options.indexThreadCount
        )
    }

    /// Why a derived file could not be made, if so; it is tried again.
    var failure: StoreError? { memory.failure }

    /// Begins no build, and lets those under way wait at their next step, until `resume()`.
    package func pause() { jobs.pause() }

    /// Ends one `pause()`.
    ///
    /// Without one there is nothing to do.
    package func resume() { jobs.resume() }
}
