// One run of the fuzz: a store, what is damaged in it, and what is then done with it.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineSalvage
import MoraineStorage

/// A store under damage and work.
///
/// As long as all that was done to its bytes is found by checksums, what it answers is held against
/// a model. From the first damage that verifies, answers may be anything.
final class FuzzRun {
    static let folder = DamageStore.folder

    let base: FuzzBase
    var dice: Dice
    var report = FuzzReport()
    /// What was done, for failures.
    private(set) var trace: [String] = []
    private(set) var fileSystem: SimulatedFileSystem
    private var engine: Engine?
    private var isReadOnly = false
    /// What the store may hold: more than one state after a commit whose end is not known, none
    /// once a damage verifies.
    private var states: [ModelState]
    /// Texts that were put in this run, by id.
    private var texts: [String: Set<[UInt8]>] = [:]
    /// Nothing is damaged: no operation may meet an error.
    private var isSound = true
    /// The last to write closed the store, and all went well.
    private var isClosed = true
    /// A commit failed, so that this engine takes no more.
    private var isDoubtful = false
    /// How often the store did not open.
    private var refusalCount = 0
    private var salvageCount = 0

    init(_ seed: UInt64, _ base: FuzzBase) {
        self.base = base
        dice = Dice(seed: seed)
        fileSystem = base.store.fileSystem.copy()
        states = [base.store.state]
    }

    func run() throws {
        if dice.chance(97) {
            damage(moments: base.store.earlier)
        } else {
            report.damages["none", default: 0] += 1
        }
        for _ in 0..<dice.number(3..<12) where refusalCount < 2 { try step() }
        try leave()
        guard refusalCount > 0 else { return }
        if dice.chance(30) { try verify() }
        if dice.chance(15) { try salvage() }
    }

    private func step() throws {
        guard engine != nil else {
            switch dice.number(0..<100) {
            case 0..<62: try open(readOnly: false)
            case 62..<86: try open(readOnly: true)
            case 86..<92: try verify()
            case 92..<96: try salvage()
            default: if isClosed { damage(moments: []) }
            }
            return
        }
        switch dice.number(0..<100) {
        case 0..<50: try read()
        case 50..<68: try commit()
        case 68..<72: try attempt("checkpoint") { e throws(StoreError) in try e.checkpoint() }
        case 72..<75:
            let all = dice.chance(40)
            try attempt("compact") { e throws(StoreError) in
                try e.compact(all: all, width: 1)
            }
        case 75..<77:
            try attempt("index") { e throws(StoreError) in _ = try e.buildIndexes(width: 1) }
        case 77..<79: try purge()
        case 79..<83:
            let count = dice.number(1..<400_000)
            try attempt("scrub") { e throws(StoreError) in
                _ = try e.scrubStep(byteCount: count)
            }
        case 83..<85: try look()
        case 85..<87: try verify()
        case 87..<88: if isReadOnly { try salvage() }
        case 88..<92: crash()
        default: try leave()
        }
    }

    // MARK: Damage

    private func damage(moments: [SimulatedFileSystem]) {
        let count = dice.chance(80) ? 1 : 3
        // Two old files together can be what the store was: nothing tells that.
        let moments = count == 1 ? moments : []
        for _ in 0..<count {
            let paths = fileSystem.filePaths.filter { path in
                path.hasPrefix(Self.folder + "/")
                    && (((try? fileSystem.info(path)) ?? nil)?.byteCount ?? 0) > 0
            }
            guard !paths.isEmpty else { return }
            var damage = FileDamage.draw(&dice, fileSystem, paths, momentCount: moments.count)
            // What checksums find is soon refused; what they do not reaches farther.
            if dice.chance(40), let path = damage.paths.first {
                damage = .hostile(path: path, seed: dice.seed())
            }
            let damaged = damage.applied(
                to: fileSystem,
                earlier: moments,
                beside: base.other.fileSystem
            )
            guard let damaged else { continue }
            fileSystem = damaged
            trace.append("\(damage)")
            report.damages[damage.kind, default: 0] += 1
            for path in damage.paths { report.files[fileKind(path), default: 0] += 1 }
            isSound = false
            if case .hostile = damage { states = [] }
        }
    }

    // MARK: Operations

    private func options(readOnly: Bool) -> EngineOptions {
        var options = DamageStore.options(fileSystem, seed: dice.seed())
        options.isReadOnly = readOnly
        options.compactionThreadCount = 1
        options.indexThreadCount = 1
        return options
    }

    /// Runs something that may meet what is damaged; false when it did.
    @discardableResult
    private func attempt(_ name: String, _ body: (Engine) throws(StoreError) -> Void) throws
        -> Bool
    {
        guard let engine else { return false }
        report.operations[name, default: 0] += 1
        trace.append(name)
        do throws(StoreError) {
            try body(engine)
            return true
        } catch {
            return try met(error)
        }
    }

    /// Takes note of an error; throws it where nothing is damaged.
    @discardableResult
    func met(_ error: StoreError) throws -> Bool {
        let isExpected = isReadOnly && error.code == .readOnly
        if isSound, !isExpected, !isDoubtful { throw error }
        report.errors[error.code.rawValue, default: 0] += 1
        return false
    }

    private func open(readOnly: Bool) throws {
        let name = readOnly ? "open to read" : "open"
        report.operations[name, default: 0] += 1
        trace.append(name)
        do throws(StoreError) {
            engine = try Engine.open(at: Self.folder, options: options(readOnly: readOnly))
        } catch {
            refusalCount += 1
            try met(error)
            return
        }
        isReadOnly = readOnly
        isDoubtful = false
        if readOnly { return }
        isClosed = false
        // From here on there is one of them only.
        guard let engine, let version = try? engine.version() else { return }
        if let state = try state(of: version) { states = [state] }
    }

    /// The state that a version must show; `nil` when a damage is believed.
    private func state(of version: Version) throws -> ModelState? {
        if states.isEmpty { return nil }
        guard let state = states.first(where: { $0.lsn == version.lsn }) else {
            let known = states.map { String($0.lsn) }.joined(separator: " or ")
            throw SimulationFailure("the version has LSN \(version.lsn), not \(known)")
        }
        return state
    }

    private func read() throws {
        guard let engine else { return }
        let version: Version
        do throws(StoreError) {
            if isReadOnly, dice.chance(20) { try engine.refresh() }
            version = try engine.version()
        } catch {
            try met(error)
            return
        }
        let state = try state(of: version)
        guard let shape = version.collections.randomElement(using: &dice) else { return }
        if state != nil, state?.collections[shape.name] == nil {
            throw SimulationFailure("collection \(shape.name) is there")
        }
        let read = FuzzRead(version, shape, state?.collections[shape.name])
        let name: String
        do {
            switch dice.number(0..<100) {
            case 0..<30:
                name = "get"
                try read.get(&dice)
            case 30..<50:
                name = "scan"
                try read.scan(&dice)
            case 50..<57:
                name = "count"
                try read.count(&dice)
            case 57..<97:
                name = "search"
                try read.search(&dice)
            default:
                name = "all"
                if let state { try version.expect(state) }
            }
            report.operations[name, default: 0] += 1
        } catch let error as StoreError {
            report.operations["read with an error", default: 0] += 1
            try met(error)
        }
    }

    private func commit() throws {
        guard !isReadOnly, !isDoubtful else { return }
        let believed = states.last ?? base.store.state
        var scratch = believed
        var operations: [ModelOperation] = []
        for _ in 0..<(dice.chance(60) ? 1 : dice.number(2..<20)) {
            guard let operation = drawOperation(scratch) else { continue }
            scratch.apply(operation)
            operations.append(operation)
        }
        guard !operations.isEmpty,
            believed.refusal(of: operations, wall: History.baseTime) == nil
        else { return }
        for case .put(_, let id, let text, _, _, _, _) in operations {
            texts[id, default: []].insert(text)
        }
        let after = states.map { $0.applying(operations, wall: History.baseTime) }
        let isDone = try attempt("commit") { e throws(StoreError) in
            try e.commit { builder throws(StoreError) in
                for operation in operations { try operation.add(to: &builder) }
            }
        }
        states = isDone ? after : states + after
        isDoubtful = !isDone
    }

    private func drawOperation(_ state: ModelState) -> ModelOperation? {
        guard let name = state.collections.keys.sorted().randomElement(using: &dice),
            let collection = state.collections[name]
        else { return .create(collection: "notes", dimensions: 16, metric: .cosine) }
        let id = DamageStore.id(dice.number(0..<(dice.chance(70) ? 1100 : 3000)))
        switch dice.number(0..<100) {
        case 0..<60:
            let vector = (0..<collection.dimensions).map { _ in Float(dice.number(1..<1000)) / 64 }
            return .put(
                collection: name,
                id: id,
                text: Array(repeating: UInt8(dice.number(97..<123)), count: dice.number(0..<900)),
                metadata: dice.chance(80)
                    ? ModelMetadata.bytes(["n": [4, UInt8(dice.number(0..<128))]]) : Metadata.empty,
                vector: vector.isEmpty || dice.chance(10) ? nil : vector,
                expectedVersion: nil
            )
        case 60..<85: return .delete(collection: name, id: id, expectedVersion: nil)
        case 85..<90: return .deletePrefix(collection: name, prefix: String(id.prefix(4)))
        case 90..<95:
            guard state.collections[name]?.documents[id] != nil else { return nil }
            return .patch(
                collection: name,
                id: id,
                changes: ModelMetadata.bytes(["m": [4, UInt8(dice.number(0..<128))]]),
                removed: [],
                expectedVersion: nil
            )
        case 95..<96: return .drop(collection: name)
        default:
            let other = "c\(dice.number(0..<4))"
            if state.collections[other] != nil { return nil }
            if dice.chance(50) { return .rename(collection: name, to: other) }
            return .create(collection: other, dimensions: 4, metric: .dot)
        }
    }

    private func purge() throws {
        guard !isReadOnly, !isDoubtful,
            let name = (states.last ?? base.store.state).collections.keys.sorted()
                .randomElement(using: &dice)
        else { return }
        let ids = (0..<dice.number(1..<4)).map { _ in DamageStore.id(dice.number(0..<1100)) }
        let deletes = Set(ids).sorted().map {
            ModelOperation.delete(collection: name, id: $0, expectedVersion: nil)
        }
        let after = states.map { $0.applying(deletes, wall: History.baseTime) }
        let proves = dice.chance(30)
        let isDone = try attempt("purge") { e throws(StoreError) in
            _ = try e.purge(
                name,
                ids: Set(ids).sorted().map { Array($0.utf8) },
                waitMilliseconds: 0,
                proves: proves
            )
        }
        states = isDone ? after : states + after
        isDoubtful = !isDone
    }

    /// Asks what the engine says of itself.
    private func look() throws {
        try attempt("look") { e throws(StoreError) in
            _ = e.statistics()
            _ = e.health()
            _ = try e.version().segmentReports()
        }
    }

    private func verify() throws {
        report.operations["verify", default: 0] += 1
        trace.append("verify")
        do throws(StoreError) {
            let found = try Engine.verify(Self.folder, options: options(readOnly: true))
            if isSound, let finding = found.findings.first {
                throw StoreError(
                    .corrupted,
                    "verify finds \(finding.kind.rawValue)",
                    path: finding.file,
                    offset: finding.offset,
                    expected: finding.expected,
                    found: finding.found
                )
            }
        } catch {
            try met(error)
        }
    }

    /// Salvages into a new store, which must be sound and hold nothing that was never put.
    private func salvage() throws {
        report.operations["salvage", default: 0] += 1
        trace.append("salvage")
        salvageCount += 1
        let target = "/saved\(salvageCount)"
        do throws(StoreError) {
            _ = try Salvager.salvage(Self.folder, into: target, options: options(readOnly: false))
        } catch {
            try met(error)
            return
        }
        let found = try Engine.verify(target, options: options(readOnly: true))
        if let finding = found.findings.first {
            throw SimulationFailure("a salvaged store: \(finding.kind) in \(finding.file)")
        }
        let saved = try Engine.open(at: target, options: options(readOnly: true))
        let version = try saved.version()
        for shape in version.collections {
            var strange: String?
            try version.scan(shape, wantsVectors: true) { view in
                let id = String(decoding: view.id, as: UTF8.self)
                let text = Array(view.text)
                let isKnown =
                    base.texts[id]?.contains(text) ?? false || texts[id]?.contains(text) ?? false
                if !isKnown { strange = id }
                return isKnown
            }
            if let strange, !states.isEmpty {
                throw SimulationFailure("a salvage made up \(strange) in \(shape.name)")
            }
        }
        try saved.close()
    }

    /// Ends the process, as it were: what was not synced stays.
    private func crash() {
        guard engine != nil else { return }
        trace.append("crash")
        report.operations["crash", default: 0] += 1
        let files = fileSystem.copy()
        try? engine?.close()
        engine = nil
        fileSystem = files
    }

    private func leave() throws {
        guard engine != nil else { return }
        let isDone = try attempt("close") { e throws(StoreError) in try e.close() }
        engine = nil
        if !isReadOnly { isClosed = isDone && !isDoubtful }
    }
}
