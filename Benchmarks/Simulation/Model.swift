// What a store must hold after each commit, kept beside it in the plainest way.

import MoraineFormat
import MoraineStorage

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
    /// 0 for never.
    var expiry: UInt64 = 0

    func isExpired(at now: UInt64) -> Bool { expiry != 0 && expiry <= now }
}

/// A collection and its documents by id.
struct ModelCollection: Equatable {
    let dimensions: Int
    let metric: Metric
    /// Another for each collection, whatever its name is or becomes.
    let identity: Int
    var documents: [String: ModelDocument] = [:]
}

/// The store after one commit.
struct ModelState: Equatable {
    var lsn: UInt64 = 0
    /// When the last commit was.
    var time: UInt64 = 0
    var collections: [String: ModelCollection] = [:]
    /// Collections that were ever made.
    var createdCount = 0
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
        expectedVersion: UInt64?,
        expiry: UInt64 = 0
    )
    case delete(collection: String, id: String, expectedVersion: UInt64?)
    case rename(collection: String, to: String)
    case drop(collection: String)
    case deletePrefix(collection: String, prefix: String)
    /// The changes are a canonical object.
    case patch(
        collection: String,
        id: String,
        changes: [UInt8],
        removed: [String],
        expectedVersion: UInt64?
    )
}

extension ModelState {
    /// The state after one more commit, made at `wall` milliseconds.
    func applying(_ operations: [ModelOperation], wall: Int64) -> ModelState {
        var next = self
        next.lsn = lsn + 1
        next.time = max(time, UInt64(max(0, wall)))
        for operation in operations { next.apply(operation) }
        return next
    }

    /// Does one operation of the commit that this is the state after.
    mutating func apply(_ operation: ModelOperation) {
        switch operation {
        case .create(let name, let dimensions, let metric):
            if collections[name] == nil {
                collections[name] = ModelCollection(
                    dimensions: dimensions,
                    metric: metric,
                    identity: createdCount
                )
                createdCount += 1
            }
        case .put(let name, let id, let text, let metadata, let vector, _, let expiry):
            let old = collections[name]?.documents[id]
            let created = old.flatMap { $0.isExpired(at: time) ? nil : $0.created }
            collections[name]?.documents[id] = ModelDocument(
                text: text,
                metadata: metadata,
                vector: vector?.map(\.bitPattern),
                version: lsn,
                created: created ?? time,
                updated: time,
                expiry: expiry
            )
        case .delete(let name, let id, _): collections[name]?.documents[id] = nil
        case .rename(let name, let newName):
            collections[newName] = collections.removeValue(forKey: name)
        case .drop(let name): collections[name] = nil
        case .deletePrefix(let name, let prefix):
            for id in (collections[name]?.documents ?? [:]).keys
            where id.utf8.starts(with: prefix.utf8) {
                collections[name]?.documents[id] = nil
            }
        case .patch(let name, let id, let changes, let removed, _):
            guard var document = collections[name]?.documents[id] else { return }
            var items = ModelMetadata.items(document.metadata)
            for key in removed { items[key] = nil }
            items.merge(ModelMetadata.items(changes)) { _, new in new }
            document.metadata = ModelMetadata.bytes(items)
            document.version = lsn
            document.updated = time
            collections[name]?.documents[id] = document
        }
    }

    /// What of it a reader at a time sees.
    func visible(at now: UInt64) -> ModelState {
        var state = self
        for (name, collection) in collections {
            state.collections[name]?.documents = collection.documents.filter {
                !$0.value.isExpired(at: now)
            }
        }
        return state
    }

    /// Why a commit at a time must be refused; `nil` when it must not.
    func refusal(of operations: [ModelOperation], wall: Int64) -> StoreError.Code? {
        let now = max(time, UInt64(max(0, wall)))
        let before = visible(at: now)
        var scratch = before
        for operation in operations {
            switch operation {
            case .put(let name, let id, _, _, _, let expected?, _),
                .delete(let name, let id, let expected?):
                if expected != before.collections[name]?.documents[id]?.version ?? 0 {
                    return .versionConflict
                }
            case .patch(let name, let id, _, _, let expected):
                guard let document = scratch.collections[name]?.documents[id],
                    !document.isExpired(at: now)
                else { return .notFound }
                if let expected, expected != document.version { return .versionConflict }
            default: break
            }
            scratch.apply(operation)
        }
        return nil
    }
}

/// Metadata of the histories: an object of numbers below 128, whose keys are short.
enum ModelMetadata {
    /// Keys, each with tag and value.
    static func items(_ bytes: [UInt8]) -> [String: [UInt8]] {
        var items: [String: [UInt8]] = [:]
        var at = 1
        while at < bytes.count {
            let end = at + 1 + Int(bytes[at])
            items[String(decoding: bytes[(at + 1)..<end], as: UTF8.self)] = Array(
                bytes[end..<(end + 2)]
            )
            at = end + 2
        }
        return items
    }

    static func bytes(_ items: [String: [UInt8]]) -> [UInt8] {
        var bytes = [UInt8(items.count)]
        for (key, value) in items.sorted(by: { $0.key < $1.key }) {
            bytes += [UInt8(key.utf8.count)] + Array(key.utf8) + value
        }
        return bytes
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
