// Rebuilds a store from what can still be read of a damaged one. How it decides what is newest,
// what is doubtful and what is lost: ARCHITECTURE.md, "Salvage".

import MoraineBytes
package import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineSegments
package import MoraineStorage

/// Rebuilds damaged stores.
package enum Salvager {
    /// Reads what is left of the store in `damaged` and writes it to a new store in `target`.
    ///
    /// The damaged store is only read. Documents keep text, metadata, vector, version, times and
    /// expiry to the bit; collections keep name, dimensions and metric.
    ///
    /// - Parameters:
    ///   - target: nothing, or an empty folder, outside of `damaged`.
    ///   - options: file system, memory, codec; for the new store.
    ///   - limit: ends it early; what one segment's files hold is looked for to the end first.
    ///   - item: called with each document, by collection and id, and with rows that have no name.
    /// - Throws: `cancelled`, `deadline-exceeded`, `locked` when a writer has the damaged store
    ///   open, `notAStore`, `notFound` when nothing can be told from it, `invalidArgument` for a
    ///   target that is not empty, and what writing the new store throws; then the target is no
    ///   store, does not open as one, and is to be removed.
    package static func salvage(
        _ damaged: String,
        into target: String,
        options: EngineOptions,
        within limit: ReadLimit? = nil,
        item: (SalvagedItem) -> Void = { _ in }
    ) throws(StoreError) -> SalvageReport {
        var options = options
        options.fileSystem = DescriptorCache(
            options.fileSystem,
            limit: options.openFileCount,
            isKept: FileNames.isSegmentFile
        )
        let fileSystem = options.fileSystem
        try refuseWriter(damaged, fileSystem)
        try checkTarget(target, damaged, fileSystem)
        var inventory = try Inventory(fileSystem, folder: trimmed(damaged))
        let facts = try ManifestFacts(inventory)
        inventory.leaveOutStrangers(facts.footerChecksums)
        let sources = try Sources(inventory, facts, limit)
        var store = try NewStore(
            at: trimmed(target),
            options: options,
            lastLSN: sources.highestLSN
        )
        var merge = SalvageMerge(sources)
        do throws(StoreError) {
            try merge.run(&store, within: limit, item)
            try limit?.check()
            try store.finish()
        } catch {
            store.abandon()
            throw error
        }
        return merge.report(inventory)
    }

    private static func trimmed(_ folder: String) -> String {
        var path = folder
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    private static func refuseWriter(_ folder: String, _ fileSystem: any FileSystem)
        throws(StoreError)
    {
        let path = FileNames.path(trimmed(folder), FileNames.lock)
        guard let holder = try? fileSystem.lockHolder(path) else { return }
        throw StoreError(
            .locked,
            "the store is in use by process \(holder); salvage reads only stores that stand still",
            path: path,
            expected: "no writer",
            found: "process \(holder)"
        )
    }

    private static func checkTarget(
        _ target: String,
        _ damaged: String,
        _ fileSystem: any FileSystem
    ) throws(StoreError) {
        let new = trimmed(target)
        let old = trimmed(damaged)
        guard new != old, !new.hasPrefix(old + "/") else {
            throw StoreError(
                .invalidArgument,
                "the new store must not stand in the damaged one",
                path: new
            )
        }
        let found = try fileCall("look at the new store's folder") {
            () throws(FileError) -> String? in
            guard let info = try fileSystem.info(new) else { return nil }
            guard info.isDirectory else { return "a file" }
            let names = try fileSystem.list(new).map(\.name)
            if names.contains(FileNames.unfinishedRoot) { return "a salvage without an end" }
            return names.isEmpty ? nil : "files"
        }
        guard found == nil else {
            throw StoreError(
                .invalidArgument,
                "the new store's folder is not empty",
                path: new,
                expected: "nothing, or an empty folder",
                found: found
            )
        }
    }
}

/// Everything that is left of a damaged store, opened.
struct Sources {
    let facts: ManifestFacts
    let log: LogSource
    let commits: [ParsedCommit]
    let oldCommits: [ParsedCommit]
    private(set) var segments: [SegmentSource] = []
    let removals: KnownRemovals
    var shapes: CollectionShapes
    private(set) var findings: [Finding] = []

    init(_ inventory: Inventory, _ facts: ManifestFacts, _ limit: ReadLimit?) throws(StoreError) {
        self.facts = facts
        segments = try Self.segments(inventory, facts, limit)
        let floor =
            facts.state?.floor ?? segments.reduce(facts.floor) { max($0, $1.floor) }
        log = LogSource(
            inventory,
            facts,
            floor: floor,
            wantsOld: segments.contains { $0.hasGaps && !$0.isStale },
            within: limit
        )
        try limit?.check()
        var unread: [Finding] = []
        func parse(_ commits: [UInt64: LogPayload]) -> [ParsedCommit] {
            commits.sorted { $0.key < $1.key }.compactMap { lsn, payload in
                if let commit = ParsedCommit(payload, lsn: lsn) { return commit }
                unread.append(
                    Finding(
                        .record,
                        file: FileNames.logFolder,
                        offset: 0,
                        expected: "operations of commit \(lsn)",
                        found: "other bytes"
                    )
                )
                return nil
            }
        }
        commits = parse(log.commits)
        oldCommits = parse(log.oldCommits)
        findings = unread
        removals = KnownRemovals(facts, segments, commits + oldCommits)
        shapes = CollectionShapes(facts, segments, commits, removals)
    }

    /// The segments that count, and those that a damaged compaction was made of.
    private static func segments(
        _ inventory: Inventory,
        _ facts: ManifestFacts,
        _ limit: ReadLimit?
    ) throws(StoreError) -> [SegmentSource] {
        let documents = Dictionary(
            inventory.files(.document).map { ($0.fileID, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        var ids = Set(documents.keys)
        if let state = facts.state {
            ids = Set(state.segments.map(\.id))
        } else {
            ids.formUnion(facts.segments.keys)
            for file in inventory.files {
                switch file.place {
                case .vector(let id), .key(let id, _), .deletions(let id, _): ids.insert(id)
                default: continue
                }
            }
        }
        var sources: [UInt64: SegmentSource] = [:]
        func open(_ id: UInt64) throws(StoreError) -> SegmentSource {
            try limit?.check()
            let source = try SegmentSource(
                id: id,
                document: documents[id],
                entry: facts.segments[id],
                in: inventory
            )
            source.readDeletions(
                named: facts.state?.deletions[id],
                isGuided: facts.state?.segments.contains { $0.id == id } ?? false,
                in: inventory
            )
            return source
        }
        for id in ids { sources[id] = try open(id) }
        try supersede(&sources, facts, isOnDisk: { documents[$0] != nil }, open)
        return sources.values.sorted { $0.id < $1.id }
    }

    /// Leaves out the inputs of every compaction whose output is whole; those of a damaged one
    /// stay, to fill its gaps.
    private static func supersede(
        _ sources: inout [UInt64: SegmentSource],
        _ facts: ManifestFacts,
        isOnDisk: (UInt64) -> Bool,
        _ open: (UInt64) throws(StoreError) -> SegmentSource
    ) throws(StoreError) {
        func inputs(_ id: UInt64) -> [UInt64] {
            let inputs = (sources[id]?.document?.inputs ?? []) + (facts.segments[id]?.inputs ?? [])
            return inputs.filter { $0 < id }
        }
        var left = sources.keys.sorted()
        // What is covered stays covered, with all that it was made of.
        var covered: Set<UInt64> = []
        while let id = left.popLast() {
            let isCovered = covered.contains(id)
            guard isCovered || sources[id] != nil else { continue }
            let isWhole = isCovered || !(sources[id]?.hasGaps ?? true)
            for input in inputs(id) {
                if isWhole || !isOnDisk(input) {
                    covered.insert(input)
                } else if !covered.contains(input) {
                    if sources[input] == nil { sources[input] = try open(input) }
                    sources[input]?.isStale = true
                }
                left.append(input)
            }
            left.sort()
            if isCovered { sources[id] = nil }
        }
    }

    /// At or above every number of a commit that is known.
    var highestLSN: UInt64 {
        let known =
            segments.map(\.maxLSN) + [facts.root?.durableLSN ?? 0, facts.floor, log.lastLSN]
        return known.filter { commitNumbers.contains($0) }.max() ?? 0
    }
}
