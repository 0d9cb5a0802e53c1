// Salvages of what a crash of a history left: everything that was acknowledged comes back, and
// nothing that was deleted.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineSalvage
import MoraineStorage

extension History {
    /// Salvages a copy of the store as it lies there after a crash.
    func salvageCrashed(afterLossOfPower: Bool) throws {
        let copy = fileSystem.copy()
        guard copy.filePaths.contains(Self.folder + "/ROOT") else { return }
        let isGuided = dice.chance(60)
        if !isGuided { copy.removeForTest(Self.folder + "/ROOT") }
        var options = plan.options(copy, clock, SeededRandom(seed: dice.seed()))
        options.durability = .full
        let before = copy.filePaths.map { copy.contents(of: $0) }
        var items: [SalvagedItem] = []
        let report: SalvageReport
        do throws(StoreError) {
            report = try Salvager.salvage(Self.folder, into: "/new", options: options) {
                items.append($0)
            }
        } catch {
            // A crash while the store is made leaves nothing to salvage.
            guard error.code == .notFound || error.code == .notAStore,
                model.admissible(afterLossOfPower: afterLossOfPower).first?.lsn == 0
            else { throw SimulationFailure("a salvage: \(error.full)") }
            return
        }
        let old = copy.filePaths.filter { $0.hasPrefix(Self.folder + "/") }
        guard before == old.map({ copy.contents(of: $0) }) else {
            throw SimulationFailure("a salvage changed the crashed store")
        }
        let (found, now) = try documents(of: "/new", options)
        let states = model.admissible(afterLossOfPower: afterLossOfPower)
        outcome.count(isGuided ? "salvage" : "salvage without ROOT")
        note("salvaged \(found.count) documents of \(report.lastLSN), guided \(isGuided)")
        let expected = states.map { Self.documents(of: $0.visible(at: now)) }
        if expected.contains(found) { return }
        // Without ROOT the end of the log is not known for certain; what is called recovered must
        // be the newest all the same.
        guard !isGuided else {
            throw SimulationFailure(
                "a salvage gives \(found.count) documents as of \(report.lastLSN), as at none of "
                    + "\(states.map(\.lsn)): "
                    + Self.difference(of: found, from: expected.last ?? [:])
            )
        }
        for item in items where item.outcome == .recovered {
            guard let id = item.id else { continue }
            let name = DocumentName(collection: item.collection, id: id)
            guard expected.contains(where: { $0[name] == found[name] }) else {
                let other = Self.difference(of: found, from: expected.last ?? [:])
                throw SimulationFailure(
                    "\(name) is called recovered, and is not the newest: \(other)"
                )
            }
        }
    }

    private static func difference(
        of found: [DocumentName: ModelDocument],
        from expected: [DocumentName: ModelDocument]
    ) -> String {
        let names = Set(found.keys).union(expected.keys).sorted { $0.description < $1.description }
        return names.filter { found[$0] != expected[$0] }.prefix(5).map { name in
            guard let document = found[name] else { return "\(name) is lost" }
            guard let wanted = expected[name] else { return "\(name) is too many" }
            return "\(name) has \(document.difference(from: wanted))"
        }.joined(separator: "; ")
    }

    /// What a store shows, and at which time.
    private func documents(of folder: String, _ options: EngineOptions) throws
        -> (documents: [DocumentName: ModelDocument], now: UInt64)
    {
        var options = options
        options.isReadOnly = true
        let engine = try Engine.open(at: folder, options: options)
        let version = try engine.version()
        var documents: [DocumentName: ModelDocument] = [:]
        for shape in version.collections {
            try version.scan(shape, wantsVectors: true) { view throws(StoreError) in
                let id = String(decoding: view.id, as: UTF8.self)
                documents[DocumentName(collection: shape.name, id: id)] = ModelDocument(view)
                return true
            }
        }
        try engine.close()
        return (documents, version.now)
    }

    private static func documents(of state: ModelState) -> [DocumentName: ModelDocument] {
        var documents: [DocumentName: ModelDocument] = [:]
        for (name, collection) in state.collections {
            for (id, document) in collection.documents {
                documents[DocumentName(collection: name, id: id)] = document
            }
        }
        return documents
    }
}
