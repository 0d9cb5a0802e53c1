// One thread for all stores of the process that looks after what comes due with time: snapshots
// that expire, files to be read again. It ends when nothing is due, so that idle stores have no thread.

import MoraineFiles
import Synchronization

/// Calls engines when they asked to be called.
final class Maintenance: Sendable {
    /// The one of this process.
    static let shared = Maintenance()

    private struct Entry {
        weak var engine: Engine?
        /// Steady nanoseconds of the system's clock.
        var due: UInt64
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var isRunning = false
    }

    private let clock = SystemClock()
    private let monitor = Monitor()
    private let state = Mutex(State())

    /// Asks that `engine.maintain()` be called in so many milliseconds, or earlier.
    ///
    /// Without a thread to be had it is called by nobody: what it does is also done when
    /// statistics are asked for or a version is published.
    func request(_ engine: Engine, afterMilliseconds delay: UInt64) {
        let due = clock.steadyNanoseconds() + min(delay, 1 << 40) * 1_000_000
        let key = ObjectIdentifier(engine)
        let (mustStart, mustWake) = state.withLock { state -> (Bool, Bool) in
            if let entry = state.entries[key], entry.engine === engine, entry.due <= due {
                return (!state.isRunning, false)
            }
            let first = state.entries.values.map(\.due).min() ?? .max
            state.entries[key] = Entry(engine: engine, due: due)
            return (!state.isRunning, due < first)
        }
        if mustStart {
            start()
        } else if mustWake {
            monitor.withLock { monitor.signal() }
        }
    }

    /// Forgets an engine that closes.
    func forget(_ engine: Engine) {
        state.withLock { state in
            if state.entries[ObjectIdentifier(engine)]?.engine === engine {
                state.entries[ObjectIdentifier(engine)] = nil
            }
        }
        monitor.withLock { monitor.signal() }
    }

    private func start() {
        let starts = state.withLock { state -> Bool in
            if state.isRunning { return false }
            state.isRunning = true
            return true
        }
        guard starts else { return }
        guard let thread = WorkerThread({ self.serve() }) else {
            state.withLock { $0.isRunning = false }
            return
        }
        thread.detach()
    }

    private func serve() {
        while let engine = next() {
            let delay = engine.maintain()
            if let delay { request(engine, afterMilliseconds: delay) }
        }
    }

    /// Waits for an engine that is due; `nil` when no engine waits for anything.
    private func next() -> Engine? {
        monitor.withLock { () -> Engine? in
            while true {
                let now = clock.steadyNanoseconds()
                let (engine, pause, isOver) = state.withLock { state -> (Engine?, UInt64, Bool) in
                    state.entries = state.entries.filter { $0.value.engine != nil }
                    guard let first = state.entries.min(by: { $0.value.due < $1.value.due }) else {
                        state.isRunning = false
                        return (nil, 0, true)
                    }
                    guard first.value.due <= now else {
                        return (nil, first.value.due - now, false)
                    }
                    state.entries[first.key] = nil
                    return (first.value.engine, 0, false)
                }
                if isOver { return nil }
                if let engine { return engine }
                // Not above an hour, so that engines that went away do not keep the thread long.
                monitor.wait(milliseconds: Int(min(pause / 1_000_000 + 1, 3_600_000)))
            }
        }
    }
}

extension Engine {
    /// Does what has come due with time; returns the milliseconds until it wants to be called
    /// again, `nil` when nothing waits.
    func maintain() -> UInt64? {
        snapshots.expire()
        if writer != nil { reaper.reap(options.fileSystem, folder: folder) }
        let expiry = snapshots.millisecondsToExpiry
        return [
            expiry, scrubber.tick(self), closeUnusedDescriptors(), retryIndexes(),
            watchTombstones(),
        ].compactMap { $0 }.min()
    }

    /// How long a segment's file that nobody reads stays open.
    static let descriptorMilliseconds: UInt64 = 10_000

    /// Has descriptors closed once nobody has used them for a while.
    func watchDescriptors() {
        descriptors?.setOnOpen { [weak self] in self?.descriptorWasOpened() }
        descriptorWasOpened()
    }

    private func descriptorWasOpened() {
        let now = options.clock.steadyNanoseconds()
        descriptorsDue.store(now + Self.descriptorMilliseconds * 1_000_000, ordering: .relaxed)
        scheduleMaintenance()
    }

    /// Milliseconds until descriptors may be closed; `nil` when none is open.
    private var millisecondsToClosing: UInt64? {
        let due = descriptorsDue.load(ordering: .relaxed)
        if due == .max { return nil }
        let now = options.clock.steadyNanoseconds()
        return now < due ? (due - now) / 1_000_000 + 1 : 0
    }

    private func closeUnusedDescriptors() -> UInt64? {
        guard let rest = millisecondsToClosing, rest == 0, let descriptors else {
            return millisecondsToClosing
        }
        // Before the look: who opens one meanwhile sets it again.
        descriptorsDue.store(.max, ordering: .relaxed)
        guard descriptors.closeUnused() else { return nil }
        let now = options.clock.steadyNanoseconds()
        descriptorsDue.store(now + Self.descriptorMilliseconds * 1_000_000, ordering: .relaxed)
        return Self.descriptorMilliseconds
    }

    /// Sees to it that `maintain()` is called when something comes due.
    func scheduleMaintenance() {
        guard options.runsInBackground else { return }
        let delay = [
            snapshots.millisecondsToExpiry, scrubber.millisecondsToStep, millisecondsToClosing,
            indexing.memory.millisecondsToRetry,
        ].compactMap { $0 }
        if let least = delay.min() { Maintenance.shared.request(self, afterMilliseconds: least) }
    }
}
