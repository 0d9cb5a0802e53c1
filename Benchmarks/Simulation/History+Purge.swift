// Purges of a history: what they take away is in no file afterwards.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineStorage

extension History {
    /// Purges some documents, there or not.
    func purge() throws -> Bool {
        guard let engine else { throw SimulationFailure("no store is open") }
        let before = model.newest
        guard let name = before.collections.keys.sorted().randomElement(using: &dice) else {
            return true
        }
        if pendingMerge != nil {
            // It would bring back rows of the segments that go; the engine lets none run meanwhile.
            mayLeaveFiles = true
            pendingMerge = nil
        }
        if dice.chance(70) { held = nil }
        if dice.chance(70) { try? leaveFollower() }
        let ids = Set((0..<dice.number(1..<5)).map { _ in identifier() }).sorted()
        if let version = try? engine.version() { model.goOn(to: version.time) }
        let next = model.newest.applying(
            ids.map { .delete(collection: name, id: $0, expectedVersion: nil) },
            wall: clock.wallMilliseconds()
        )
        let texts = texts(of: ids, in: name)
        var report: PurgeReport?
        var isPinned = false
        do throws(StoreError) {
            report = try engine.purge(
                name,
                ids: ids.map { Array($0.utf8) },
                waitMilliseconds: 0,
                proves: true
            )
        } catch {
            isPinned = error.code == .pinned && held != nil
            // The delete is a commit of its own, before everything else.
            let isDeleted = (try? engine.version().lsn) == next.lsn
            if isPinned || isDeleted {
                model.acknowledge(next, killSafe: true, powerSafe: plan.durability == .full)
                outcome.commitCount += 1
            } else if error.code != .poisoned {
                model.doubt(next)
            }
            if !isPinned { return try failed("a purge", error) }
        }
        if isPinned {
            outcome.count("purge that waits for a reader")
            note("purged \(ids.count), pinned")
            return true
        }
        model.acknowledge(next, killSafe: true, powerSafe: true)
        model.makeSafe()
        outcome.commitCount += 1
        outcome.count("purge")
        note("purged \(ids.count)")
        // Files that nothing names go at the next opening.
        if mayLeaveFiles { return true }
        if let finding = report?.proof?.findings.first {
            throw SimulationFailure(
                "a purge finds \(finding.found) in \(finding.file) at \(finding.offset)"
            )
        }
        try expectNowhere(texts)
        return true
    }

    /// The beginnings of all texts that documents ever had, as far as they are their own.
    private func texts(of ids: [String], in name: String) -> [[UInt8]] {
        var texts: Set<[UInt8]> = []
        let identity = model.newest.collections[name]?.identity
        for collection in model.states.flatMap(\.collections.values)
        where collection.identity == identity {
            for id in ids {
                guard let text = collection.documents[id]?.text else { continue }
                // "text 17 " and nothing after it may be a part of "text 17 abc".
                if text.count >= 16 { texts.insert(Array(text.prefix(16))) }
            }
        }
        return texts.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private func expectNowhere(_ texts: [[UInt8]]) throws {
        guard !texts.isEmpty else { return }
        let wanted = Dictionary(grouping: texts) { $0.prefix(16) }
        for path in fileSystem.filePaths where path.hasPrefix(Self.folder + "/") {
            guard let bytes = fileSystem.contents(of: path), bytes.count >= 16 else { continue }
            for start in 0...(bytes.count - 16) where bytes[start] == UInt8(ascii: "t") {
                guard bytes[start + 1] == UInt8(ascii: "e"), bytes[start + 2] == UInt8(ascii: "x"),
                    wanted[bytes[start..<(start + 16)]] != nil
                else { continue }
                let text = String(decoding: bytes[start..<(start + 16)], as: UTF8.self)
                throw SimulationFailure("\"\(text)\" is purged, and stands in \(path) at \(start)")
            }
        }
    }
}
