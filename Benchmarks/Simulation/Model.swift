// What a store must hold after each commit, kept beside it in the plainest way.

import MoraineFormat

/// A document as it was put.
struct ModelDocument: Equatable {
    var text: [UInt8]
    var metadata: [UInt8]
    /// The bits of the vector's numbers.
    var vector: [UInt32]?
    /// The LSN of the commit that put it.
    var version: UInt64
    var created: UInt64
    var updated: UInt64
}

/// A collection and its documents by id.
struct ModelCollection: Equatable {
    let dimensions: Int
    let metric: Metric
    var documents: [String: ModelDocument] = [:]
}

/// The store after one commit.
struct ModelState: Equatable {
    var lsn: UInt64 = 0
    /// When the last commit was.
    var time: UInt64 = 0
    var collections: [String: ModelCollection] = [:]
}

/// One operation of a commit.
enum ModelOperation {
    case create(collection: String, dimensions: Int, metric: Metric)
    case put(
        collection: String,
        id: String,
        text: [UInt8],
        metadata: [UInt8],
        vector: [Float]?,
        expectedVersion: UInt64?
    )
    case delete(collection: String, id: String, expectedVersion: UInt64?)
}

extension ModelState {
    /// The state after one more commit, made at `wall` milliseconds.
    func applying(_ operations: [ModelOperation], wall: Int64) -> ModelState {
        var next = self
        next.lsn = lsn + 1
        next.time = max(time, UInt64(max(0, wall)))
        for operation in operations {
            switch operation {
            case .create(let name, let dimensions, let metric):
                if next.collections[name] == nil {
                    next.collections[name] = ModelCollection(
                        dimensions: dimensions,
                        metric: metric
                    )
                }
            case .put(let name, let id, let text, let metadata, let vector, _):
                let created = next.collections[name]?.documents[id]?.created
                next.collections[name]?.documents[id] = ModelDocument(
                    text: text,
                    metadata: metadata,
                    vector: vector?.map(\.bitPattern),
                    version: next.lsn,
                    created: created ?? next.time,
                    updated: next.time
                )
            case .delete(let name, let id, _):
                next.collections[name]?.documents[id] = nil
            }
        }
        return next
    }

    /// Whether a commit's expectations hold.
    func meetsExpectations(of operations: [ModelOperation]) -> Bool {
        operations.allSatisfy { operation in
            switch operation {
            case .create: return true
            case .put(let name, let id, _, _, _, let expected),
                .delete(let name, let id, let expected):
                guard let expected else { return true }
                return expected == collections[name]?.documents[id]?.version ?? 0
            }
        }
    }
}

/// The order of commits, and which of them may be lost.
struct ModelHistory {
    /// By LSN.
    private(set) var states = [ModelState()]
    /// A commit that failed without a word on whether it is on disk.
    private(set) var doubtful: ModelState?
    /// The newest commit that must outlive a killed process.
    private(set) var killSafeLSN: UInt64 = 0
    /// The newest commit that must outlive a loss of power.
    private(set) var powerSafeLSN: UInt64 = 0

    /// The state after all acknowledged commits.
    var newest: ModelState { states[states.count - 1] }

    mutating func acknowledge(_ state: ModelState, killSafe: Bool, powerSafe: Bool) {
        states.append(state)
        doubtful = nil
        if killSafe { killSafeLSN = state.lsn }
        if powerSafe { powerSafeLSN = state.lsn }
    }

    /// The store's time has gone on to `time` without a commit, or is there already.
    mutating func goOn(to time: UInt64) {
        states[states.count - 1].time = max(newest.time, time)
    }

    mutating func doubt(_ state: ModelState) { doubtful = state }

    /// All acknowledged commits are safe now.
    mutating func makeSafe() {
        killSafeLSN = newest.lsn
        powerSafeLSN = newest.lsn
    }

    /// The states in which the store may be found.
    func admissible(afterLossOfPower isPowerLost: Bool) -> [ModelState] {
        let first = isPowerLost ? powerSafeLSN : killSafeLSN
        return Array(states[Int(first)...]) + (doubtful.map { [$0] } ?? [])
    }

    /// Goes on from what was found: what is behind it never was.
    ///
    /// Recovery has made it safe.
    mutating func goOn(from state: ModelState) {
        if state.lsn == doubtful?.lsn, Int(state.lsn) == states.count { states.append(state) }
        states.removeSubrange(Int(state.lsn + 1)...)
        doubtful = nil
        makeSafe()
    }
}
