// Loss of power, end of the process, and the faults to come.

import Synchronization

extension SimulatedFileSystem {
    /// Loses power: keeps what was synced, and of the rest what `model` and `seed` decide.
    ///
    /// Afterwards all that is there is durable, handles and locks of before are dead (`EBADF`),
    /// locks are free, and operations stopped by `crashAt` work again. Faults, noise, quota and
    /// denials stay as they are set. Same history, model and seed: same result.
    package func crash(_ model: CrashModel = .mixed, seed: UInt64) {
        state.withLock { state in
            var random = SplitMix64(seed: seed)
            state.crash(model, &random)
        }
    }

    /// Ends the process without loss of power.
    ///
    /// Handles and locks die and operations stopped by `crashAt` work again, but all bytes and
    /// names stay as they are, and what was not synced can still be lost by a later `crash`.
    package func killProcess() {
        state.withLock { state in
            state.generation += 1
            state.plan.restart()
            forEachNode(from: state.root) { _, node in node.lockToken = nil }
        }
    }

    /// Lets the n-th operation from now, and all later ones, fail with `shutDownErrorNumber` and
    /// without effect, until `crash` or `killProcess`; 1 is the next.
    ///
    /// If it is a write, a part of it that the count decides still happens. Replaces an earlier
    /// `crashAt`; 0 only takes that away.
    package func crashAt(operation n: UInt64) {
        state.withLock { $0.plan.crashAt(operation: n) }
    }

    /// As `crashAt(operation:)`, counting only operations that change something.
    ///
    /// These are: making files and folders, rename, remove, lock, write, truncate, and syncs.
    package func crashAt(change n: UInt64) {
        state.withLock { $0.plan.crashAt(change: n) }
    }

    /// Calls `body` in the middle of the n-th operation from now; it must not use the file system.
    package func callAt(operation n: UInt64, _ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.plan.callAt(operation: n, body) }
    }

    /// Where the last `crashAt` stopped, "sync wal/W-#.mwal"; `nil` while it has not.
    package var crashSite: String? { state.withLock { $0.plan.crashSite } }

    /// True from the stop set by `crashAt` until `crash` or `killProcess`.
    package var isShutDown: Bool { state.withLock { $0.plan.isShutDown } }

    /// All operations so far, failed ones included.
    package var operationCount: UInt64 { state.withLock { $0.plan.operationCount } }

    /// The operations so far that change something, as `crashAt(change:)` counts them.
    package var changeCount: UInt64 { state.withLock { $0.plan.changeCount } }

    /// The operations so far by kind.
    package var operationCounts: [FileError.Operation: UInt64] {
        state.withLock { $0.plan.counts }
    }

    /// Replaces all faults by one, or by none.
    package func setFault(_ fault: Fault?) { setFaults(fault.map { [$0] } ?? []) }

    /// Replaces all faults; ordinals count from now, and the first fault that applies counts.
    package func setFaults(_ faults: [Fault]) {
        state.withLock { $0.plan.faults = faults }
    }

    /// Starts or ends chance disturbances of reads and writes.
    package func setNoise(_ noise: Noise?) { state.withLock { $0.plan.noise = noise } }

    /// Limits the bytes of all files together; `nil` takes the limit away.
    ///
    /// A write that crosses it is short, the next fails with `ENOSPC`.
    package func setQuota(byteCount: Int?) { state.withLock { $0.quota = byteCount } }

    /// Makes everything that would change bytes or names fail with `EROFS`.
    package func denyWrites(_ isDenied: Bool = true) {
        state.withLock { $0.plan.deniesWrites = isDenied }
    }

    /// Makes everything that names `path`, or something under it, fail with `EACCES`.
    ///
    /// Open handles go on working.
    package func denyAll(_ path: String) {
        state.withLock { $0.plan.deniedPaths.append(Self.parts(of: Array(path.utf8))) }
    }

    /// Takes all denials back.
    package func allowAll() {
        state.withLock { state in
            state.plan.deniesWrites = false
            state.plan.deniedPaths = []
        }
    }
}

extension SimulatedState {
    mutating func crash(_ model: CrashModel, _ random: inout SplitMix64) {
        generation += 1
        plan.restart()
        let orders = unsyncedOrders()
        let kept = Int.random(in: 0...orders.count, using: &random)
        let limit = kept == 0 ? 0 : orders[kept - 1]

        keepNames(model, limit: limit, &random)
        usedByteCount = 0
        var survivors: [(Node, Content)] = []
        forEachNode(from: root) { _, node in
            guard !node.isDirectory else { return }
            let content = survivor(of: node, model, limit: limit, &random)
            survivors.append((node, content))
        }
        for (node, content) in survivors {
            node.settle(as: content)
            node.isNamed = true
            usedByteCount += content.byteCount
        }
    }

    /// The places of all unsynced changes, in the order in which they were made.
    private func unsyncedOrders() -> [UInt64] {
        var seen: Set<ObjectIdentifier> = []
        var orders = nameChanges.map(\.order)
        // A file without a name now may get one back.
        let hidden = nameChanges.flatMap { $0.edits.compactMap(\.before) }
        for start in [root] + hidden {
            forEachNode(from: start) { _, node in
                guard seen.insert(ObjectIdentifier(node)).inserted else { return }
                orders += node.changes.map(\.order)
            }
        }
        return orders.sorted()
    }

    /// Takes all unsynced changes of names back and makes those again that survive.
    private mutating func keepNames(
        _ model: CrashModel,
        limit: UInt64,
        _ random: inout SplitMix64
    ) {
        var model = model
        if model == .mixed {
            let models: [CrashModel] = [.prefix, .unsyncedLost, .sectors, .directories]
            model = models[Int.random(in: 0..<models.count, using: &random)]
        }
        for change in nameChanges.reversed() {
            for edit in change.edits { edit.directory.entries[edit.name] = edit.before }
        }
        var broken: Set<Slot> = []
        for change in nameChanges {
            let slots = change.edits.map(\.slot)
            let isKept =
                switch model {
                case .prefix: change.order <= limit
                case .unsyncedLost: false
                case .sectors: true
                case .directories, .mixed:
                    Bool.random(using: &random) && !slots.contains(where: broken.contains)
                }
            if isKept {
                for edit in change.edits { edit.directory.entries[edit.name] = edit.after }
            } else {
                broken.formUnion(slots)
            }
        }
        nameChanges = []
    }

    private func survivor(
        of node: Node,
        _ model: CrashModel,
        limit: UInt64,
        _ random: inout SplitMix64
    ) -> Content {
        switch model {
        case .prefix:
            return node.survivor(keeping: node.changes.prefix { $0.order <= limit }.count)
        case .unsyncedLost:
            return node.survivor(keeping: 0)
        case .sectors, .directories:
            return node.tornSurvivor(&random)
        case .mixed:
            switch UInt8.random(in: 0..<4, using: &random) {
            case 0:
                let count = Int.random(in: 0...node.changes.count, using: &random)
                return node.survivor(keeping: count)
            case 1: return node.survivor(keeping: 0)
            case 2: return node.tornSurvivor(&random)
            default: return node.survivor(keeping: node.changes.count)
            }
        }
    }
}

/// Visits every node once, folders before what is in them, names in byte order.
///
/// `visit` gets the path from `start`, which begins with "/" and is empty for `start` itself.
func forEachNode(from start: Node, path: String = "", _ visit: (String, Node) -> Void) {
    visit(path, start)
    let entries = start.entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    for (name, node) in entries {
        forEachNode(from: node, path: "\(path)/\(String(decoding: name, as: UTF8.self))", visit)
    }
}
