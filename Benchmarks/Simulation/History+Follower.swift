// A reading process beside the writer of a history: it always shows one version, and never an older
// one than before.

import MoraineEngine
import MoraineFiles
import MoraineStorage

extension History {
    /// Lets a follower begin, refresh, or look again at what it had.
    func follow() throws -> Bool {
        let what = follower == nil ? "a follower" : "a refresh"
        do {
            if let follower {
                if dice.chance(85) { try follower.engine.refresh() }
            } else {
                var options = options
                options.isReadOnly = true
                follower = (try Engine.open(at: Self.folder, options: options), 0)
            }
            guard let current = follower else { return true }
            let version = try current.engine.version()
            guard version.lsn >= current.lsn else {
                throw SimulationFailure(
                    "a follower went back from \(current.lsn) to \(version.lsn)"
                )
            }
            guard var state = state(at: version.lsn) else {
                throw SimulationFailure(
                    "a follower shows \(version.lsn), and the newest is \(model.newest.lsn)"
                )
            }
            follower = (current.engine, version.lsn)
            // Merges let the writer's time go on, which nobody else knows of.
            state.time = min(state.time, version.time)
            try version.expect(state)
            outcome.count(what)
            note("\(what) shows \(version.lsn)")
        } catch let error as StoreError {
            try? leaveFollower()
            return try failed(what, error)
        }
        return true
    }

    /// A state that was, or that a commit without an answer may have left.
    private func state(at lsn: UInt64) -> ModelState? {
        if lsn < UInt64(model.states.count) { return model.states[Int(lsn)] }
        return model.doubtful?.lsn == lsn ? model.doubtful : nil
    }

    /// Ends the follower, if there is one.
    func leaveFollower() throws {
        defer { follower = nil }
        try follower?.engine.close()
    }
}
