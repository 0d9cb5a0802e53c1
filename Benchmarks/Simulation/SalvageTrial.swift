// Seeded damages to seeded stores: what a salvage brings back is held against a model.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineSalvage
import MoraineStorage

/// What a run of salvages led to.
package struct SalvageTrialReport: Sendable {
    /// Trials by kind of damage.
    package var kinds: [String: Int] = [:]
    package var recovered: UInt64 = 0
    package var doubtful: UInt64 = 0
    package var lost: UInt64 = 0
    package var completeCount = 0
    package var trialCount = 0
    /// Salvages that gave up on bytes that verify and say what cannot be.
    package var refusedCount = 0
    /// Seeds that failed, and how.
    package var failures: [String] = []
}

/// Damages stores and salvages them.
package enum SalvageTrial {
    static let folder = "/store"
    private static let target = "/new"

    /// Runs one trial a seed.
    package static func run(seeds: Range<UInt64>, failureLimit: Int = 20) -> SalvageTrialReport {
        var report = SalvageTrialReport()
        for seed in seeds {
            do {
                try runOne(seed: seed, &report)
            } catch {
                report.failures.append("seed \(seed): \(error)")
                if report.failures.count >= failureLimit { return report }
            }
        }
        return report
    }

    private static func runOne(seed: UInt64, _ report: inout SalvageTrialReport) throws {
        var dice = Dice(seed: seed)
        let store = try SalvageStore(&dice)
        let map = try SalvageMap(store.fileSystem, folder: folder, states: store.states)
        let damages = draw(&dice, store.fileSystem)
        let damaged = store.fileSystem.copy()
        for damage in damages { damage.apply(to: damaged) }
        report.trialCount += 1
        for damage in damages { report.kinds[damage.kind, default: 0] += 1 }
        let before = bytes(of: damaged)
        var items: [SalvagedItem] = []
        let label = damages.map(\.description).joined(separator: "; ")
        do {
            let result = try salvage(damaged, &items)
            guard bytes(of: damaged) == before else {
                throw SimulationFailure("the damaged store was changed")
            }
            report.recovered += result.recovered
            report.doubtful += result.doubtful
            report.lost += result.lost
            if result.isComplete { report.completeCount += 1 }
            let check = SalvageCheck(
                states: store.states,
                toll: map.toll(of: damages),
                items: items,
                report: result
            )
            let found = try read(damaged)
            if damages.contains(where: \.isHostile) {
                try check.expectReported(found)
            } else {
                try check.run(found)
            }
        } catch let error as StoreError {
            if damages.contains(where: \.isHostile) {
                report.refusedCount += 1
                return
            }
            throw SimulationFailure("\(label): \(error.full)")
        } catch {
            throw SimulationFailure("\(label): \(error)")
        }
    }

    private static func salvage(_ fileSystem: SimulatedFileSystem, _ items: inout [SalvagedItem])
        throws(StoreError) -> SalvageReport
    {
        try Salvager.salvage(folder, into: target, options: SalvageStore.options(fileSystem)) {
            items.append($0)
        }
    }

    /// The files of the damaged store.
    private static func bytes(of fileSystem: SimulatedFileSystem) -> [String: [UInt8]] {
        var bytes: [String: [UInt8]] = [:]
        for path in fileSystem.filePaths where path.hasPrefix(folder + "/") {
            bytes[path] = fileSystem.contents(of: path)
        }
        return bytes
    }

    /// What the new store holds, after its bytes were checked.
    private static func read(_ fileSystem: SimulatedFileSystem) throws
        -> [DocumentName: ModelDocument]
    {
        var options = SalvageStore.options(fileSystem)
        options.isReadOnly = true
        let verification = try Engine.verify(target, options: options)
        guard verification.isOK else { throw SimulationFailure("the new store is damaged") }
        let engine = try Engine.open(at: target, options: options)
        let version = try engine.version()
        var documents: [DocumentName: ModelDocument] = [:]
        for shape in version.collections {
            try version.scan(shape, range: ScanRange(), wantsVectors: true) {
                view throws(StoreError) in
                let id = String(decoding: view.id, as: UTF8.self)
                documents[DocumentName(collection: shape.name, id: id)] = ModelDocument(view)
                return true
            }
        }
        try engine.close()
        return documents
    }

    // MARK: Damages

    private static func draw(_ dice: inout Dice, _ fileSystem: SimulatedFileSystem)
        -> [SalvageDamage]
    {
        let paths = fileSystem.filePaths.filter {
            $0.hasPrefix(folder + "/") && !$0.hasSuffix("/LOCK") && !$0.contains("/free/")
        }
        let root = folder + "/ROOT"
        let manifest = paths.first { $0.hasSuffix(".mman") } ?? root
        switch dice.number(0..<100) {
        case 0..<5: return [.missing(path: root)]
        case 5..<10: return [.missing(path: manifest)]
        case 10..<16: return [.missing(path: root), .missing(path: manifest)]
        case 16..<30:
            return [.missing(path: root), .missing(path: manifest), one(&dice, paths, fileSystem)]
        case 30..<36: return [.missing(path: root), one(&dice, paths, fileSystem)]
        case 36..<42: return [.missing(path: manifest), one(&dice, paths, fileSystem)]
        case 42..<48:
            // What a document file says beside its blocks.
            let path = dice.pick(paths.filter { $0.hasSuffix(".doc") })
            let count = fileSystem.contents(of: path)?.count ?? 0
            let start = max(0, count - dice.number(1..<700))
            return [
                .missing(path: root), .missing(path: manifest),
                .zero(path: path, range: start..<(start + dice.number(1..<200))),
            ]
        default: return [one(&dice, paths, fileSystem)]
        }
    }

    private static func one(
        _ dice: inout Dice,
        _ paths: [String],
        _ fileSystem: SimulatedFileSystem
    ) -> SalvageDamage {
        // Each kind of file as often as the others.
        let kinds = Dictionary(grouping: paths) { $0.split(separator: ".").last ?? "" }
        let path = dice.pick(kinds[dice.pick(kinds.keys.sorted())] ?? paths)
        let count = max(1, fileSystem.contents(of: path)?.count ?? 1)
        if dice.chance(20) { return .hostile(path: path, seed: dice.seed()) }
        switch dice.number(0..<100) {
        case 0..<45:
            return .flip(
                path: path,
                offset: dice.number(0..<count),
                bit: UInt8(dice.number(0..<8))
            )
        case 45..<60: return .cut(path: path, offset: dice.number(0..<count))
        case 60..<75:
            let start = dice.number(0..<count)
            return .zero(path: path, range: start..<(start + dice.number(1..<6000)))
        case 75..<90: return .missing(path: path)
        default:
            let ending = path.suffix(4)
            let others = paths.filter { $0.suffix(4) == ending && $0 != path }
            guard !others.isEmpty else { return .missing(path: path) }
            return .swap(path, dice.pick(others))
        }
    }
}

/// A store with several segments, updates, deletes and commits in its log.
private struct SalvageStore {
    private(set) var fileSystem = SimulatedFileSystem()
    /// By LSN.
    private(set) var states = [ModelState()]

    static func options(_ fileSystem: SimulatedFileSystem) -> EngineOptions {
        var options = EngineOptions()
        options.fileSystem = fileSystem
        options.clock = ManualClock(wallMilliseconds: History.baseTime)
        options.random = SeededRandom(seed: 7)
        options.memoryByteCount = 4 << 20
        options.memtableByteCount = 1 << 20
        options.logFileByteCount = 65_536
        options.runsInBackground = false
        options.compactsInBackground = false
        options.scanThreadCount = 1
        options.indexFormats = SampleIndex.formats()
        return options
    }

    init(_ dice: inout Dice) throws {
        var options = Self.options(fileSystem)
        let clock = ManualClock(wallMilliseconds: History.baseTime)
        options.clock = clock
        options.codec = dice.pick([.none, .lz4, .deflate])
        let engine = try Engine.open(at: SalvageTrial.folder, options: options)
        try commit(
            [
                .create(collection: "notes", dimensions: 5, metric: .l2),
                .create(collection: "plain", dimensions: 0, metric: .cosine),
                .create(collection: "wide", dimensions: 40, metric: .cosine),
            ],
            engine,
            clock
        )
        for _ in 0..<dice.number(2..<5) {
            for _ in 0..<dice.number(3..<12) { try commit(Self.operations(&dice), engine, clock) }
            try engine.checkpoint()
            if dice.chance(25) {
                try commit(
                    [
                        .drop(collection: "plain"),
                        .create(collection: "plain", dimensions: 0, metric: .cosine),
                    ],
                    engine,
                    clock
                )
            }
            if dice.chance(25) { try engine.compact(all: dice.chance(50)) }
        }
        if dice.chance(50) { try engine.buildIndexes() }
        for _ in 0..<dice.number(1..<10) { try commit(Self.operations(&dice), engine, clock) }
        let isOpen = dice.chance(50)
        let opened = fileSystem.copy()
        try engine.close()
        if isOpen { fileSystem = opened }
    }

    private mutating func commit(
        _ operations: [ModelOperation],
        _ engine: Engine,
        _ clock: ManualClock
    ) throws {
        clock.advance(milliseconds: 3)
        try engine.commit { builder throws(StoreError) in
            for operation in operations { try operation.add(to: &builder) }
        }
        let state = states[states.count - 1]
        states.append(state.applying(operations, wall: clock.wallMilliseconds()))
    }

    private static func operations(_ dice: inout Dice) -> [ModelOperation] {
        (0..<dice.number(1..<25)).map { _ in
            let (name, dimensions) = dice.pick([("notes", 5), ("plain", 0), ("wide", 40)])
            let id = "d\(dice.number(0..<70))"
            if dice.chance(2) {
                return .deletePrefix(collection: name, prefix: "d\(dice.number(1..<7))")
            }
            if dice.chance(25) { return .delete(collection: name, id: id, expectedVersion: nil) }
            let count = dice.chance(5) ? dice.number(0..<20_000) : dice.number(0..<1200)
            let text = (0..<count).map { _ in UInt8(ascii: "a") + UInt8(dice.number(0..<26)) }
            let vector: [Float]? =
                dimensions > 0 && dice.chance(85)
                ? (0..<dimensions).map { _ in Float(dice.number(1..<1000)) / 64 } : nil
            return .put(
                collection: name,
                id: id,
                text: text,
                metadata: [1, 1, UInt8(ascii: "n"), 4, UInt8(dice.number(0..<128))],
                vector: vector,
                expectedVersion: nil
            )
        }
    }
}

/// Holds a new store against what the damaged one had held.
private struct SalvageCheck {
    let states: [ModelState]
    let toll: SalvageMap.Toll
    let items: [SalvagedItem]
    let report: SalvageReport

    func run(_ found: [DocumentName: ModelDocument]) throws {
        var wanted: [DocumentName: ModelDocument] = [:]
        // What no intact byte knows of cannot be missed: it looks like a torn end.
        let last = Int(min(toll.lastKnown, UInt64(states.count - 1)))
        for (name, collection) in states[last].collections {
            for (id, document) in collection.documents {
                wanted[DocumentName(collection: name, id: id)] = document
            }
        }
        var outcomes: [DocumentName: SalvagedItem] = [:]
        for item in items {
            guard let id = item.id else { continue }
            outcomes[DocumentName(collection: item.collection, id: id)] = item
        }
        for (name, document) in wanted {
            // Where no schema is left a collection has its number for a name.
            let isUnnamed = found.contains { other, value in
                var near = value
                near.created = document.created
                return other.isUnnamed && other.id == name.id && near == document
            }
            if found[name] == nil, isUnnamed { continue }
            try expect(name, document, found[name], outcomes[name])
        }
        for (name, document) in found {
            guard let item = outcomes[name], item.outcome != .lost else {
                throw SimulationFailure("\(name) is there and not reported so")
            }
            if wanted[name] == nil { try expectDoubt(name, document, item) }
        }
        try expectReported(found)
        if report.isComplete, found != wanted {
            throw SimulationFailure("called complete, and is not")
        }
    }

    /// Every document that came back is reported, and no other.
    func expectReported(_ found: [DocumentName: ModelDocument]) throws {
        var named: Set<DocumentName> = []
        for item in items where item.outcome != .lost {
            guard let id = item.id else { continue }
            named.insert(DocumentName(collection: item.collection, id: id))
        }
        guard named == Set(found.keys), report.recovered + report.doubtful == UInt64(named.count)
        else {
            throw SimulationFailure(
                "\(named.count) documents are reported, \(found.count) are there"
            )
        }
    }

    private func expect(
        _ name: DocumentName,
        _ wanted: ModelDocument,
        _ found: ModelDocument?,
        _ item: SalvagedItem?
    ) throws {
        if found == wanted { return }
        guard let found else {
            guard toll.documents.contains(name) else {
                throw SimulationFailure("\(name) is whole and did not come back")
            }
            // Where no schema is left a collection has its number for a name.
            let isNamed =
                item?.outcome == .lost
                || items.contains {
                    $0.id == name.id && $0.outcome == .lost && $0.version == wanted.version
                        && DocumentName(collection: $0.collection, id: name.id).isUnnamed
                }
            let isNameless = items.contains { $0.id == nil && $0.count > 0 }
            let isInLostCommit = report.lostCommits.contains { $0.contains(wanted.version) }
            guard isNamed || isNameless || isInLostCommit else {
                throw SimulationFailure(
                    "\(name) of commit \(wanted.version) did not come back and nothing says so"
                )
            }
            return
        }
        guard let item, item.outcome == .doubtful else {
            throw SimulationFailure(
                "\(name) is called recovered with \(found.difference(from: wanted))"
            )
        }
        var near = wanted
        if item.reasons.contains(.createdGuessed) { near.created = found.created }
        if near == found { return }
        if item.reasons.contains(.vectorLost) {
            var bare = near
            bare.vector = nil
            guard toll.vectors.contains(name), found == bare else {
                throw SimulationFailure("\(name) came back without its vector")
            }
            return
        }
        guard toll.documents.contains(name) else {
            throw SimulationFailure(
                "\(name) is whole and came back with \(found.difference(from: wanted))"
            )
        }
        try expectHistory(name, found)
    }

    /// A document that is not in the newest state must be doubtful, for a reason.
    private func expectDoubt(_ name: DocumentName, _ found: ModelDocument, _ item: SalvagedItem)
        throws
    {
        guard item.outcome == .doubtful else {
            throw SimulationFailure("\(name) was deleted and is called recovered")
        }
        if name.isUnnamed {
            let isKnown = states.contains { state in
                state.collections.values.contains { collection in
                    var old = collection.documents[name.id]
                    old?.created = found.created
                    return old == found
                }
            }
            if !isKnown { throw SimulationFailure("\(name) came back as it never was") }
            return
        }
        // Two collections may claim one name; then the older one has its number behind it.
        let plain = DocumentName(
            collection: String(name.collection.prefix { $0 != " " }),
            id: name.id
        )
        guard toll.documents.contains(plain) else {
            throw SimulationFailure("\(name) was deleted, its delete is whole, and it is back")
        }
        try expectHistory(plain, found)
    }

    private func expectHistory(_ name: DocumentName, _ found: ModelDocument) throws {
        let wasThere = states.contains { state in
            guard var old = state.collections[name.collection]?.documents[name.id] else {
                return false
            }
            if old == found { return true }
            if toll.vectors.contains(name) { old.vector = nil }
            // The created time goes with what was replaced, when that cannot be read.
            old.created = found.created
            return old == found
        }
        guard wasThere else { throw SimulationFailure("\(name) came back as it never was") }
    }
}
