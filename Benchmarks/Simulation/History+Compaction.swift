// Merges of a history, and a reader that keeps its version through them.

import MoraineEngine
import MoraineStorage

extension History {
    /// Does a step of a merge, a whole one, or something of a reader that keeps a version.
    func mergeOrHold() throws -> Bool {
        if let merge = pendingMerge {
            pendingMerge = nil
            return try attempt("take a merge in") { (e) throws(StoreError) in try e.install(merge) }
        }
        let all = dice.chance(60)
        switch dice.number(0..<6) {
        case 0: return try hold()
        case 1..<4:
            var built: PendingCompaction?
            let isDone = try attempt("write a merge, all \(all)") { (e) throws(StoreError) in
                built = try e.buildCompaction(all: all)
            }
            pendingMerge = built
            return isDone
        default: return try mergeNow(all: all)
        }
    }

    /// Merges; what the store holds stays the same.
    private func mergeNow(all: Bool) throws -> Bool {
        var before: [UInt8] = []
        var after: [UInt8] = []
        let isDone = try attempt(
            "merge, all \(all)",
            { (e) throws(StoreError) in
                before = try e.version().hash()
                let summary = try e.compact(all: all)
                after = try e.version().hash()
                outcome.mergeCount += summary.mergeCount
            },
            makesSafe: true
        )
        if isDone, before != after { throw SimulationFailure("a merge changed the content hash") }
        return isDone
    }

    /// Keeps the newest version, or looks whether the one that is kept still shows the same.
    private func hold() throws -> Bool {
        guard let engine else { throw SimulationFailure("no store is open") }
        do {
            if let (version, state) = held {
                held = nil
                try version.expect(state)
                note("a kept version shows the same")
            } else {
                held = (try engine.version(), model.newest)
                note("kept a version")
            }
        } catch let error as StoreError {
            return try failed("reading a kept version", error)
        }
        return true
    }

    /// Lets go of what holds files of the store that is being closed or went down.
    func letGo() {
        // The files of a merge that is never taken in stay until the next opening.
        if pendingMerge != nil { mayLeaveFiles = true }
        pendingMerge = nil
        held = nil
    }
}

extension Version {
    fileprivate func hash() throws(StoreError) -> [UInt8] {
        var hashes: [CollectionHash] = []
        for collection in collections { hashes.append(try contentHash(of: collection) { _ in }) }
        return Version.contentHash(of: hashes)
    }
}
