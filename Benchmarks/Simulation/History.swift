// One random history of a store in a simulated file system: operations, beside a model of what
// they must leave.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// Runs one history.
///
/// Everything happens in the caller's thread, so a seed is a history.
final class History {
    static let folder = "/store"
    static let baseTime: Int64 = 1_700_000_000_000

    let plan: HistoryPlan
    let fileSystem: SimulatedFileSystem
    let clock = ManualClock(wallMilliseconds: History.baseTime)
    let random: SeededRandom
    var dice: Dice
    var model = ModelHistory()
    var engine: Engine?
    var outcome: HistoryOutcome
    /// A fault is set, so calls may fail.
    var expectsFaults = false
    /// A merge that is written and not taken in.
    var pendingMerge: PendingCompaction?
    /// What a reader keeps, and what it must show.
    var held: (version: Version, state: ModelState)?
    /// A reading process beside the writer, and what it showed last.
    var follower: (engine: Engine, lsn: UInt64)?
    /// A fault or a merge that was given up may have left files that nothing names.
    var mayLeaveFiles = false
    /// A write has failed since the store was opened.
    var hasFailed = false
    /// Where the history is, for failures and for comparing two runs.
    var trace: [String] = []
    private var textNumber: UInt64 = 0

    init(seed: UInt64) {
        dice = Dice(seed: seed)
        plan = HistoryPlan(&dice, seed: seed)
        random = SeededRandom(seed: dice.seed())
        fileSystem = SimulatedFileSystem()
        outcome = HistoryOutcome(seed: seed)
        fileSystem.setNoise(plan.noise)
    }

    var options: EngineOptions { plan.options(fileSystem, clock, random) }

    func note(_ line: @autoclosure () -> String) {
        trace.append("\(fileSystem.changeCount) \(line())")
    }

    // MARK: Operations

    /// Does one random operation; false when the store went down or failed under a fault.
    func step() throws -> Bool {
        outcome.operationCount += 1
        if dice.chance(30) { clock.advance(milliseconds: UInt32(dice.number(0..<50))) }
        if dice.chance(2) {
            clock.setWall(milliseconds: Self.baseTime + Int64(dice.number(-5000..<5000)))
        }
        if plan.meetsOthers, dice.chance(14) {
            return try dice.chance(35) ? purge() : follow()
        }
        switch dice.number(0..<100) {
        case 0..<64: return try commit(operations())
        case 64..<72: return try mergeOrHold()
        case 72..<79:
            return try attempt(
                "checkpoint",
                { (e) throws(StoreError) in try e.checkpoint() },
                makesSafe: true
            )
        case 79..<84:
            return try attempt("sync", { (e) throws(StoreError) in try e.sync() }, makesSafe: true)
        case 84..<88: return try reopen()
        case 88..<93 where plan.makesIndexes: return try makeIndexes()
        default: return try compareNow()
        }
    }

    /// Whether a call may fail now.
    var mayFail: Bool { fileSystem.isShutDown || expectsFaults || hasFailed }

    /// Calls the engine; an error is fine only under a crash or a fault.
    func attempt(
        _ what: String,
        _ call: (Engine) throws(StoreError) -> Void,
        makesSafe: Bool = false
    ) throws -> Bool {
        guard let engine else { throw SimulationFailure("\(what): no store is open") }
        do throws(StoreError) {
            try call(engine)
        } catch {
            return try failed(what, error)
        }
        note(what)
        outcome.count(String(what.prefix { $0 != "," }))
        if makesSafe { model.makeSafe() }
        return true
    }

    /// Takes note of an error; throws it when nothing explains it.
    func failed(_ what: String, _ error: StoreError) throws -> Bool {
        note("\(what) failed: \(error.code.rawValue)")
        guard mayFail else { throw SimulationFailure("\(what) failed: \(error.full)") }
        guard error.code != .corrupted else {
            throw SimulationFailure("\(what) calls sound bytes corrupted: \(error.full)")
        }
        hasFailed = true
        outcome.refusedCount += 1
        return false
    }

    func commit(_ operations: [ModelOperation]) throws -> Bool {
        guard let engine else { throw SimulationFailure("no store is open") }
        // A merge lets the store's time go on.
        if let version = try? engine.version() { model.goOn(to: version.time) }
        let isLogged = !(plan.loadsUnlogged && dice.chance(40))
        let before = model.newest
        let refusal = before.refusal(of: operations, wall: clock.wallMilliseconds())
        let next = before.applying(operations, wall: clock.wallMilliseconds())
        do throws(StoreError) {
            let lsn = try engine.commit(logged: isLogged) { builder throws(StoreError) in
                for operation in operations { try operation.add(to: &builder) }
            }
            note("commit \(lsn) of \(operations.count), logged \(isLogged)")
            if let refusal {
                throw StoreError(.invalidArgument, "no \(refusal) for a commit that needs one")
            }
            guard lsn == next.lsn else {
                throw StoreError(
                    .invalidArgument,
                    "a commit got another number",
                    expected: "\(next.lsn)",
                    found: "\(lsn)"
                )
            }
            let isFull = plan.durability == .full
            model.acknowledge(next, killSafe: isLogged, powerSafe: isLogged && isFull)
            outcome.commitCount += 1
            for operation in operations { outcome.count(operation.kind) }
            return true
        } catch {
            if error.code == refusal {
                note("refused: \(error.code)")
                outcome.conflictCount += 1
                return true
            }
            if error.code == .invalidArgument { throw SimulationFailure(error.full) }
            // A store that takes no writes has not touched the disk.
            if refusal == nil, error.code != .poisoned { model.doubt(next) }
            return try failed("a commit", error)
        }
    }

    /// Closes and opens the store.
    func reopen() throws -> Bool {
        guard try close() else { return false }
        return try open()
    }

    /// Closes the store; all is safe then.
    func close() throws -> Bool {
        defer { engine = nil }
        letGo()
        let isClosed = try attempt(
            "close",
            { (e) throws(StoreError) in try e.close() },
            makesSafe: true
        )
        if isClosed, !mayFail, dice.chance(40) { try verify() }
        return isClosed
    }

    /// Checks all bytes of the closed store.
    func verify() throws {
        do throws(StoreError) {
            let report = try Engine.verify(Self.folder, options: options)
            let orphans = report.unchecked.filter { $0.hasPrefix("seg/") }
            if !mayLeaveFiles, !orphans.isEmpty {
                throw StoreError(.corrupted, "orphans are left: \(orphans)")
            }
            guard let first = report.findings.first else {
                outcome.verifyCount += 1
                return
            }
            throw StoreError(
                .corrupted,
                "verify finds \(first.kind.rawValue)",
                path: first.file,
                offset: first.offset,
                expected: first.expected,
                found: first.found
            )
        } catch {
            throw SimulationFailure("a closed store: \(error.full)")
        }
    }

    func open() throws -> Bool {
        do throws(StoreError) {
            engine = try Engine.open(at: Self.folder, options: options)
        } catch {
            return try failed("open", error)
        }
        note("open")
        if !expectsFaults { mayLeaveFiles = false }
        hasFailed = false
        return true
    }

    /// Compares what readers see with the newest acknowledged state.
    func compareNow() throws -> Bool {
        guard let engine else { throw SimulationFailure("no store is open") }
        do {
            try engine.version().expect(model.newest)
        } catch let error as StoreError {
            return try failed("reading", error)
        }
        outcome.count("compare")
        note("compared \(model.newest.lsn)")
        return true
    }

    // MARK: Commits

    /// The operations of a random commit; never none.
    func operations() -> [ModelOperation] {
        let state = model.newest
        let isCrowded = state.collections.count >= 5
        if state.collections.isEmpty || (!isCrowded && dice.chance(6)) {
            return creation(state)
        }
        let count = dice.chance(70) ? 1 : dice.number(2..<(dice.chance(15) ? 80 : 12))
        var scratch = state
        return (0..<count).map { _ in
            let next = operation(scratch, isAlone: count == 1)
            scratch.apply(next)
            return next
        }
    }

    /// A name that no collection has.
    private func freeName(_ state: ModelState) -> String {
        let free = (0..<9).map { "c\($0)" }.filter { state.collections[$0] == nil }
        return dice.pick(free)
    }

    private func creation(_ state: ModelState) -> [ModelOperation] {
        let name = freeName(state)
        let dimensions = dice.chance(60) ? dice.pick([1, 3, 8, 17]) : 0
        let metric = dice.pick(Metric.allCases)
        var all: [ModelOperation] = [
            .create(collection: name, dimensions: dimensions, metric: metric)
        ]
        for _ in 0..<(dice.chance(50) ? dice.number(1..<4) : 0) {
            all.append(put(name, dimensions, id: identifier(), expectedVersion: nil))
        }
        return all
    }

    func identifier() -> String {
        dice.chance(10) ? "Köln/\(dice.number(0..<6))" : "d\(dice.number(0..<45))"
    }

    private func operation(_ state: ModelState, isAlone: Bool) -> ModelOperation {
        guard !state.collections.isEmpty else {
            return .create(collection: freeName(state), dimensions: 3, metric: .l2)
        }
        let name = dice.pick(state.collections.keys.sorted())
        if dice.chance(3) { return change(name, state) }
        if dice.chance(3) {
            return .deletePrefix(
                collection: name,
                prefix: dice.pick(["d", "d1", "d2", "d37", "K", "Kö", "Köln/", "x"])
            )
        }
        let collection = state.collections[name]
        let id = identifier()
        var expected: UInt64?
        if isAlone, dice.chance(20) {
            expected = collection?.documents[id]?.version ?? 0
            if dice.chance(20) { expected = (expected ?? 0) + 1 }
        }
        if dice.chance(15) { return patch(name, collection, id: id, expectedVersion: expected) }
        if dice.chance(25) { return .delete(collection: name, id: id, expectedVersion: expected) }
        return put(name, collection?.dimensions ?? 0, id: id, expectedVersion: expected)
    }

    /// A change of a collection as a whole.
    private func change(_ name: String, _ state: ModelState) -> ModelOperation {
        let isFull = state.collections.count >= 8
        switch dice.number(0..<3) {
        case 0 where !isFull: return .rename(collection: name, to: freeName(state))
        case 1: return .drop(collection: name)
        default:
            if isFull { return .drop(collection: name) }
            return .create(
                collection: freeName(state),
                dimensions: dice.pick([0, 2, 3]),
                metric: dice.pick(Metric.allCases)
            )
        }
    }

    /// A patch of a document that is mostly there.
    private func patch(
        _ name: String,
        _ collection: ModelCollection?,
        id: String,
        expectedVersion: UInt64?
    ) -> ModelOperation {
        let ids = (collection?.documents ?? [:]).keys.sorted()
        let known = expectedVersion == nil && !ids.isEmpty && dice.chance(95)
        let changes = metadata()
        let removed = ["a", "b", "year"].filter { key in
            dice.chance(30) && ModelMetadata.items(changes)[key] == nil
        }
        return .patch(
            collection: name,
            id: known ? dice.pick(ids) : id,
            changes: changes,
            removed: removed,
            expectedVersion: expectedVersion
        )
    }

    private func put(_ name: String, _ dimensions: Int, id: String, expectedVersion: UInt64?)
        -> ModelOperation
    {
        let count = dice.chance(4) ? dice.number(0..<plan.largeByteCount) : dice.number(0..<200)
        textNumber += 1
        var text = Array("text \(textNumber) ".utf8)
        while text.count < count { text.append(UInt8(ascii: "a") + UInt8(dice.number(0..<26))) }
        var vector: [Float]?
        if dimensions > 0, dice.chance(80) {
            vector = (0..<dimensions).map { _ in Float(dice.number(1..<1000)) / 64 }
        }
        let now = UInt64(max(0, clock.wallMilliseconds()))
        let expiry = dice.chance(12) ? now + UInt64(dice.number(0..<400)) : 0
        return .put(
            collection: name,
            id: id,
            text: text,
            metadata: metadata(),
            vector: vector,
            expectedVersion: expectedVersion,
            expiry: expiry
        )
    }

    /// A canonical object of none to two numbers.
    private func metadata() -> [UInt8] {
        let keys = ["a", "year"].filter { _ in dice.chance(40) }
        var bytes = [UInt8(keys.count)]
        for key in keys {
            bytes.append(UInt8(key.utf8.count))
            bytes += Array(key.utf8)
            bytes += [Metadata.Tag.integer.rawValue, UInt8(dice.number(0..<128))]
        }
        return bytes
    }
}

extension ModelOperation {
    /// What it does, for counting.
    fileprivate var kind: String {
        switch self {
        case .create: "create a collection"
        case .put(_, _, _, _, _, _, let expiry): expiry > 0 ? "put for a time" : "put"
        case .delete: "delete"
        case .rename: "rename a collection"
        case .drop: "drop a collection"
        case .deletePrefix: "delete by prefix"
        case .patch: "patch"
        }
    }

    /// Adds the operation to a commit.
    func add(to builder: inout BatchBuilder) throws(StoreError) {
        switch self {
        case .create(let name, let dimensions, let metric):
            try builder.createCollection(name, dimensions: dimensions, metric: metric)
        case .put(let name, let id, let text, let metadata, let vector, let expected, let expiry):
            let shape = try builder.collection(name)
            try Self.withBytes(Array(id.utf8), text, metadata, vector ?? []) {
                id,
                text,
                metadata,
                floats throws(StoreError) in
                try builder.put(
                    shape,
                    id: id,
                    text: text,
                    metadata: metadata,
                    vector: vector == nil ? nil : floats,
                    expectedVersion: expected,
                    expiry: expiry
                )
            }
        case .delete(let name, let id, let expected):
            let shape = try builder.collection(name)
            try Self.withBytes(Array(id.utf8), [], [], []) { id, _, _, _ throws(StoreError) in
                try builder.delete(shape, id: id, expectedVersion: expected)
            }
        case .rename(let name, let newName): try builder.renameCollection(name, to: newName)
        case .drop(let name): try builder.dropCollection(name)
        case .deletePrefix(let name, let prefix):
            let shape = try builder.collection(name)
            try Self.withBytes(Array(prefix.utf8), [], [], []) {
                bytes,
                _,
                _,
                _ throws(StoreError) in
                try builder.delete(shape, prefix: bytes)
            }
        case .patch(let name, let id, let changes, let removed, let expected):
            let shape = try builder.collection(name)
            try Self.withBytes(Array(id.utf8), changes, [], []) {
                id,
                changes,
                _,
                _ throws(StoreError) in
                try builder.patch(
                    shape,
                    id: id,
                    setting: changes,
                    removing: removed.map { Array($0.utf8) },
                    expectedVersion: expected
                )
            }
        }
    }

    private static func withBytes(
        _ id: [UInt8],
        _ text: [UInt8],
        _ metadata: [UInt8],
        _ vector: [Float],
        _ body: (
            UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer,
            UnsafeBufferPointer<Float>
        ) throws(StoreError) -> Void
    ) throws(StoreError) {
        try id.withUnsafeBufferPointer { id throws(StoreError) in
            try text.withUnsafeBufferPointer { text throws(StoreError) in
                try metadata.withUnsafeBufferPointer { metadata throws(StoreError) in
                    try vector.withUnsafeBufferPointer { vector throws(StoreError) in
                        try body(
                            UnsafeRawBufferPointer(id),
                            UnsafeRawBufferPointer(text),
                            UnsafeRawBufferPointer(metadata),
                            vector
                        )
                    }
                }
            }
        }
    }
}
