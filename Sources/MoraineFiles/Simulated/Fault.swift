// What can be made to go wrong in a simulated file system.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One thing that goes wrong at the n-th operation of a kind.
package struct Fault: Sendable, Equatable {
    /// How it goes wrong.
    package enum Effect: Sendable, Equatable {
        /// The operation does nothing and fails with this errno.
        case fail(Int32)
        /// A read or write moves one byte.
        case oneByte
        /// A read or write moves half of what was asked, at least one byte.
        case half
        /// A sync fails with `EIO`, and what it should have made durable counts as clean: later
        /// syncs pass over it, reads see it, a crash takes it. A folder's sync just fails.
        case failedSync
        /// A sync reports success and makes nothing durable.
        case lyingSync
    }

    package let operation: FileError.Operation
    /// Which operation of that kind, counted from when the fault is set; 1 is the next.
    package let ordinal: UInt64
    package let effect: Effect
    /// False: that operation and every later one of its kind.
    package let once: Bool

    package init(
        operation: FileError.Operation,
        ordinal: UInt64,
        effect: Effect,
        once: Bool = true
    ) {
        self.operation = operation
        self.ordinal = ordinal
        self.effect = effect
        self.once = once
    }

    /// A fault with an errno.
    package init(
        operation: FileError.Operation,
        ordinal: UInt64,
        errorNumber: Int32,
        once: Bool = true
    ) {
        self.init(
            operation: operation,
            ordinal: ordinal,
            effect: .fail(errorNumber),
            once: once
        )
    }

    /// The `ordinal`-th sync of a file fails once and for all.
    package static func failOnceSync(ordinal: UInt64) -> Fault {
        Fault(operation: .sync, ordinal: ordinal, effect: .failedSync)
    }
}

/// Harmless disturbances by chance: none may change what a correct caller does.
package struct Noise: Sendable, Equatable {
    package let seed: UInt64
    /// Probability that a read or write fails with `EINTR`, 0..<1.
    package let interruption: Double
    /// Probability that a read moves fewer bytes than it could, 0...1.
    package let shortRead: Double
    /// Probability that a write moves fewer bytes than asked, 0...1.
    package let shortWrite: Double

    package init(seed: UInt64, interruption: Double, shortRead: Double, shortWrite: Double) {
        self.seed = seed
        self.interruption = interruption
        self.shortRead = shortRead
        self.shortWrite = shortWrite
    }
}

/// What survives a loss of power, besides what was synced.
package enum CrashModel: Sendable, Equatable, CaseIterable {
    /// Everything up to a random point of the order in which it was done, nothing after.
    case prefix
    /// Nothing.
    case unsyncedLost
    /// All names. Each 512-byte sector and the lengths by chance, apart from each other.
    case sectors
    /// As `sectors`, and each change of a name by chance; a later change of the same name needs
    /// the earlier one.
    case directories
    /// One of the above for the names, and for each file one of the above or everything.
    case mixed
}

/// Counts operations and decides which go wrong.
struct FaultPlan {
    var faults: [Fault] = [] { didSet { startCounts = counts } }
    var noise: Noise? { didSet { noiseRandom = SplitMix64(seed: noise?.seed ?? 0) } }
    var deniesWrites = false
    var deniedPaths: [[Name]] = []

    private(set) var operationCount: UInt64 = 0
    private(set) var changeCount: UInt64 = 0
    private(set) var counts: [FileError.Operation: UInt64] = [:]
    private(set) var crashSite: String?
    private(set) var isShutDown = false

    private var startCounts: [FileError.Operation: UInt64] = [:]
    private var noiseRandom = SplitMix64(seed: 0)
    private var crashOperation: UInt64?
    private var crashChange: UInt64?
    private var call: (operation: UInt64, body: @Sendable () -> Void)?

    /// What becomes of an operation.
    enum Outcome: Equatable {
        case proceed
        /// A read or write moves at most so many bytes.
        case atMost(Int)
        /// A write puts so many bytes down, and then the machine stops.
        case stopAfter(Int)
        case failedSync
        case lyingSync
    }

    mutating func crashAt(operation: UInt64) {
        crashOperation = operation > 0 ? operationCount + operation : nil
        crashChange = nil
        crashSite = nil
    }

    mutating func crashAt(change: UInt64) {
        crashChange = change > 0 ? changeCount + change : nil
        crashOperation = nil
        crashSite = nil
    }

    mutating func callAt(operation: UInt64, _ body: @escaping @Sendable () -> Void) {
        call = (operationCount + operation, body)
    }

    /// After a crash: operations work again, and none is set to stop.
    mutating func restart() {
        isShutDown = false
        crashOperation = nil
        crashChange = nil
    }

    /// Counts one operation and says what becomes of it, or throws its failure.
    ///
    /// - Parameters:
    ///   - isChange: whether it alters bytes, names or their durability.
    ///   - byteCount: how much a read or write was asked to move.
    mutating func begin(
        _ operation: FileError.Operation,
        _ path: String,
        isChange: Bool,
        byteCount: Int = 0
    ) throws(FileError) -> Outcome {
        func failure(_ number: Int32) -> FileError {
            FileError(operation, path: path, errorNumber: number)
        }
        if isShutDown { throw failure(SimulatedFileSystem.shutDownErrorNumber) }
        operationCount += 1
        counts[operation, default: 0] += 1
        if isChange { changeCount += 1 }
        if operationCount == call?.operation { call?.body() }
        if operationCount == crashOperation || (isChange && changeCount == crashChange) {
            isShutDown = true
            crashSite = "\(operation.rawValue) \(SimulatedFileSystem.pattern(of: path))"
            guard operation == .write else {
                throw failure(SimulatedFileSystem.shutDownErrorNumber)
            }
            var random = SplitMix64(seed: operationCount)
            return .stopAfter(Int.random(in: 0...byteCount, using: &random))
        }
        if deniesWrites, isChange, operation != .sync, operation != .syncDirectory {
            throw failure(EROFS)
        }
        if !faults.isEmpty, let effect = nextEffect(operation) {
            return try outcome(of: effect, byteCount, failure(EIO))
        }
        return try noise.map { noise throws(FileError) in
            try disturb(operation, byteCount, noise, failure(EINTR))
        } ?? .proceed
    }

    private func nextEffect(_ operation: FileError.Operation) -> Fault.Effect? {
        let count = (counts[operation] ?? 0) - (startCounts[operation] ?? 0)
        return faults.first {
            $0.operation == operation && ($0.once ? $0.ordinal == count : $0.ordinal <= count)
        }?.effect
    }

    private func outcome(of effect: Fault.Effect, _ byteCount: Int, _ failure: FileError)
        throws(FileError) -> Outcome
    {
        switch effect {
        case .fail(let number):
            throw FileError(failure.operation, path: failure.path, errorNumber: number)
        case .oneByte: return .atMost(1)
        case .half: return .atMost(max(byteCount / 2, 1))
        case .lyingSync: return .lyingSync
        case .failedSync:
            guard failure.operation == .sync else { throw failure }
            return .failedSync
        }
    }

    private mutating func disturb(
        _ operation: FileError.Operation,
        _ byteCount: Int,
        _ noise: Noise,
        _ interruption: FileError
    ) throws(FileError) -> Outcome {
        guard operation == .read || operation == .write else { return .proceed }
        if noiseRandom.chance(noise.interruption) { throw interruption }
        let short = operation == .read ? noise.shortRead : noise.shortWrite
        guard byteCount > 1, noiseRandom.chance(short) else { return .proceed }
        return .atMost(Int.random(in: 1..<byteCount, using: &noiseRandom))
    }
}
