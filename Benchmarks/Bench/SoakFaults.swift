// What goes wrong during a soak: calls to the disk that fail, processes that are killed, clocks that
// jump.

import Moraine
import MoraineFiles
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The disk and the clock of a soak.
final class SoakFaults: Clock {
    /// One call to the disk in so many fails.
    static let callsForFault: UInt64 = 10_000
    /// A killed process in about so many seconds: three of ten in five.
    static let secondsForKill = 17
    static let secondsForJump = 5

    private enum Disk { case sound, failing, dead }

    private let disk = Mutex(Disk.sound)
    private let random: SeededRandom
    private let wallOffset = Atomic<Int64>(0)
    private let faults = Atomic(0)
    private let kills = Atomic(0)
    private let jumps = Atomic(0)

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    var faultCount: Int { faults.load(ordering: .relaxed) }
    var killCount: Int { kills.load(ordering: .relaxed) }
    var jumpCount: Int { jumps.load(ordering: .relaxed) }

    // MARK: The disk

    /// The disk of the machine, as far as nothing goes wrong.
    var files: WatchedFileSystem {
        WatchedFileSystem(
            PosixFileSystem(),
            before: { [self] operation, path throws(FileError) in
                guard fails() else { return }
                throw FileError(operation, path: path, errorNumber: EIO)
            }
        )
    }

    private func fails() -> Bool {
        switch disk.withLock({ $0 }) {
        case .sound: return false
        case .dead: return true
        case .failing:
            guard random.next() % Self.callsForFault == 0 else { return false }
            faults.add(1, ordering: .relaxed)
            return true
        }
    }

    /// From now on no call fails; the next store finds what a killed one left.
    func stop() { disk.withLock { $0 = .sound } }

    /// From now on calls fail by chance.
    func start() { disk.withLock { $0 = .failing } }

    /// From now on no call reaches the disk, which is what is left of a killed process: what it
    /// wrote before is in the page cache.
    private func kill() {
        kills.add(1, ordering: .relaxed)
        disk.withLock { $0 = .dead }
    }

    /// What a quarter of a second of life brings; false when it was the last.
    func tick() -> Bool {
        if random.next() % UInt64(Self.secondsForJump * 4) == 0 {
            jumps.add(1, ordering: .relaxed)
            let hours = Int64(random.next() % 49) - 24
            wallOffset.store(hours * 3_600_000, ordering: .relaxed)
        }
        guard random.next() % UInt64(Self.secondsForKill * 4) == 0 else { return true }
        kill()
        return false
    }

    /// True for what a caller must be ready for when calls to the disk fail.
    static func explain(_ error: MoraineError) -> Bool {
        [.inputOutput, .poisoned].contains(error.code)
    }

    // MARK: The clock

    func wallMilliseconds() -> Int64 {
        SystemClock().wallMilliseconds() + wallOffset.load(ordering: .relaxed)
    }

    func steadyNanoseconds() -> UInt64 { SystemClock().steadyNanoseconds() }
}
