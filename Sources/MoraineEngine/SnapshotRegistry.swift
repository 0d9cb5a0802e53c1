// Who keeps which version: every snapshot is listed with its age and what it keeps from going, and
// one that was forgotten expires. A version names its segments, and a segment's files go when the
// last version that names it goes.

package import MoraineFormat
import MoraineFiles
package import MoraineStorage
import Synchronization

/// A version that somebody keeps to read from.
///
/// It lets go when it is released, when it expires, or when the object goes. Any thread.
package final class Pin: Sendable {
    private let entry: PinEntry
    private let registry: SnapshotRegistry

    fileprivate init(_ entry: PinEntry, _ registry: SnapshotRegistry) {
        self.entry = entry
        self.registry = registry
    }

    deinit { registry.release(entry) }

    /// Unique among the pins of an engine, ascending.
    package var id: UInt64 { entry.id }
    /// The newest commit that the version contains.
    package var lsn: UInt64 { entry.lsn }
    package var label: String? { entry.label }
    /// The collections of the version, by the bytes of their names; known after expiry too.
    package var collections: [CollectionShape] { entry.table.shapes }

    /// The version, to read from.
    ///
    /// Who holds it finishes with it, whatever becomes of the pin meanwhile.
    ///
    /// - Throws: `snapshotExpired`; `closed` after `release()`.
    package func version() throws(StoreError) -> Version { try registry.version(of: entry) }

    /// Lets go of the version; later calls of `version()` throw.
    ///
    /// Harmless when repeated.
    package func release() { registry.release(entry) }
}

/// A snapshot as statistics list it.
package struct PinnedSnapshot: Sendable, Equatable {
    package let id: UInt64
    package let lsn: UInt64
    package let label: String?
    /// When it was taken, in milliseconds since 1970.
    package let takenMilliseconds: Int64
    package let ageMilliseconds: UInt64
    /// Bytes of the files of its segments that the newest version does not have.
    package let pinnedByteCount: UInt64
    /// Bytes of its memtables that the newest version does not have.
    package let memoryByteCount: Int
    /// Older than the limit, where snapshots do not expire.
    package let isOverAge: Bool
}

/// What is known of a pin, kept by the registry until it ends.
private final class PinEntry: Sendable {
    enum State {
        case held(Version)
        case expired
        case released
    }

    let id: UInt64
    let lsn: UInt64
    let label: String?
    let table: CollectionTable
    let takenMilliseconds: Int64
    let takenNanoseconds: UInt64
    let state: Mutex<State>

    init(_ id: UInt64, _ version: Version, label: String?, clock: any Clock) {
        self.id = id
        self.label = label
        lsn = version.lsn
        table = version.table
        takenMilliseconds = clock.wallMilliseconds()
        takenNanoseconds = clock.steadyNanoseconds()
        state = Mutex(.held(version))
    }

    var version: Version? {
        state.withLock { if case .held(let version) = $0 { version } else { nil } }
    }

    /// Ends the pin if it has not ended; the version goes outside of the lock.
    func end(_ next: State) {
        let version = state.withLock { state -> Version? in
            guard case .held(let version) = state else { return nil }
            state = next
            return version
        }
        withExtendedLifetime(version) {}
    }
}

/// The pins of an engine.
///
/// Any thread. Takes no lock of the engine's.
final class SnapshotRegistry: Sendable {
    private struct State {
        var entries: [UInt64: PinEntry] = [:]
        var nextID: UInt64 = 1
        var expiredCount: UInt64 = 0
    }

    private let clock: any Clock
    /// The age from which a pin is too old; `nil`: never.
    private let limitNanoseconds: UInt64?
    private let expires: Bool
    private let state = Mutex(State())
    /// Before this moment nothing expires, so that looking is cheap.
    private let nextExpiry = Atomic(UInt64.max)

    init(options: EngineOptions) {
        clock = options.clock
        limitNanoseconds = options.snapshotAgeMilliseconds.map {
            $0.multipliedReportingOverflow(by: 1_000_000).overflow ? .max : $0 * 1_000_000
        }
        expires = options.expiresSnapshots
    }

    /// Lists a version as kept; also says whether it is now the first to expire.
    func pin(_ version: Version, label: String?) -> (Pin, isFirst: Bool) {
        let (entry, isFirst) = state.withLock { state -> (PinEntry, Bool) in
            let entry = PinEntry(state.nextID, version, label: label, clock: clock)
            state.nextID += 1
            state.entries[entry.id] = entry
            guard let due = expiry(of: entry), due < nextExpiry.load(ordering: .relaxed) else {
                return (entry, false)
            }
            nextExpiry.store(due, ordering: .relaxed)
            return (entry, true)
        }
        return (Pin(entry, self), isFirst)
    }

    private func expiry(of entry: PinEntry) -> UInt64? {
        guard expires, let limitNanoseconds else { return nil }
        let (due, overflow) = entry.takenNanoseconds.addingReportingOverflow(limitNanoseconds)
        return overflow ? nil : due
    }

    fileprivate func version(of entry: PinEntry) throws(StoreError) -> Version {
        if let due = expiry(of: entry), clock.steadyNanoseconds() >= due { expire() }
        let (version, hasExpired) = entry.state.withLock { state -> (Version?, Bool) in
            switch state {
            case .held(let version): (version, false)
            case .expired: (nil, true)
            case .released: (nil, false)
            }
        }
        if let version { return version }
        guard hasExpired else { throw StoreError(.closed, "the snapshot was closed") }
        throw StoreError(
            .snapshotExpired,
            "the snapshot of commit \(entry.lsn) is older than snapshots may become; take a new "
                + "one",
            expected: "at most \((limitNanoseconds ?? 0) / 1_000_000) ms",
            found: "\(age(of: entry) / 1_000_000) ms"
        )
    }

    private func age(of entry: PinEntry) -> UInt64 {
        let now = clock.steadyNanoseconds()
        return now > entry.takenNanoseconds ? now - entry.takenNanoseconds : 0
    }

    fileprivate func release(_ entry: PinEntry) {
        entry.end(.released)
        state.withLock { $0.entries[entry.id] = nil }
    }

    /// Ends the pins that are too old.
    ///
    /// One load when there is none.
    func expire() {
        let due = nextExpiry.load(ordering: .relaxed)
        guard due != .max, clock.steadyNanoseconds() >= due else { return }
        let ended = state.withLock { state -> [PinEntry] in
            let now = clock.steadyNanoseconds()
            let ended = state.entries.values.filter { (expiry(of: $0) ?? .max) <= now }
            for entry in ended { state.entries[entry.id] = nil }
            state.expiredCount += UInt64(ended.count)
            let next = state.entries.values.compactMap { expiry(of: $0) }.min()
            nextExpiry.store(next ?? .max, ordering: .relaxed)
            return ended
        }
        for entry in ended { entry.end(.expired) }
    }

    /// Milliseconds until the next pin expires; `nil` when none will.
    var millisecondsToExpiry: UInt64? {
        let due = nextExpiry.load(ordering: .relaxed)
        if due == .max { return nil }
        let now = clock.steadyNanoseconds()
        return due > now ? (due - now) / 1_000_000 + 1 : 0
    }

    /// Pins that have expired since the engine was opened.
    var expiredCount: UInt64 { state.withLock { $0.expiredCount } }

    /// The pins, oldest first, and the bytes of files that they hold together beyond those of
    /// `newest`.
    func list(beside newest: Version?) -> (pins: [PinnedSnapshot], byteCount: UInt64) {
        expire()
        let entries = state.withLock { $0.entries.values.sorted { $0.id < $1.id } }
        let live = Set(newest?.segments.map(\.segment.id) ?? [])
        let tables = Set(newest?.memtables.map { ObjectIdentifier($0) } ?? [])
        var dropped: [UInt64: UInt64] = [:]
        var pins: [PinnedSnapshot] = []
        for entry in entries {
            guard let version = entry.version else { continue }
            var byteCount: UInt64 = 0
            for view in version.segments where !live.contains(view.segment.id) {
                let fileByteCount = view.segment.byteCount + view.indexes.byteCount
                byteCount += fileByteCount
                dropped[view.segment.id] = max(dropped[view.segment.id] ?? 0, fileByteCount)
            }
            let memory = version.memtables.filter { !tables.contains(ObjectIdentifier($0)) }
            let age = age(of: entry)
            pins.append(
                PinnedSnapshot(
                    id: entry.id,
                    lsn: entry.lsn,
                    label: entry.label,
                    takenMilliseconds: entry.takenMilliseconds,
                    ageMilliseconds: age / 1_000_000,
                    pinnedByteCount: byteCount,
                    memoryByteCount: memory.reduce(0) { $0 + $1.byteCount },
                    isOverAge: limitNanoseconds.map { age >= $0 } ?? false
                )
            )
        }
        return (pins, dropped.values.reduce(0, +))
    }
}

extension Engine {
    /// The newest committed state, listed as kept until the pin ends.
    ///
    /// - Parameter label: names it in statistics.
    /// - Throws: `closed`.
    package func pin(label: String? = nil) throws(StoreError) -> Pin {
        let (pin, isFirst) = snapshots.pin(try version(), label: label)
        if isFirst { scheduleMaintenance() }
        return pin
    }
}
