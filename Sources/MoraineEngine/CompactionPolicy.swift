// When segments are merged, and which: size-tiered by rows, as each pass rewrites every vector.

import MoraineSegments

/// Chooses what to compact.
package struct CompactionPolicy {
    /// Segments of a tier that are merged into one of the next.
    package static let fanIn = 8
    /// Rows of the lowest tier; each further tier has ``fanIn`` times as many.
    package static let tierRowCount = 4096
    /// More segments than this are too many, whatever their tiers.
    static let segmentCount = 32
    /// The share of dead rows, in percent, above which a segment is rewritten.
    static let deadPercent = 20
    /// Tombstones older than this are merged with what they hide, however few they are: a day.
    static let tombstoneMilliseconds: UInt64 = 86_400_000

    /// A segment as the policy sees it.
    struct Candidate: Equatable {
        let id: UInt64
        let rowCount: Int
        /// Rows that are dead as of the floor.
        let deadRowCount: Int
        let tombstoneCount: Int
        let minLSN: UInt64
        let maxLSN: UInt64
        /// When the first of its tombstones was put, in milliseconds since 1970; `nil` without one.
        var tombstoneTime: UInt64?

        var liveRowCount: Int { rowCount - deadRowCount }

        var tier: Int { CompactionPolicy.tier(liveRowCount: liveRowCount) }
    }

    /// The tier of a segment with so many live rows.
    package static func tier(liveRowCount: Int) -> Int {
        var tier = 0
        var rows = liveRowCount / tierRowCount
        while rows >= fanIn {
            rows /= fanIn
            tier += 1
        }
        return tier
    }

    /// Rows of a merged segment at most.
    let rowLimit: Int
    /// Milliseconds since 1970.
    let now: UInt64

    /// The segments to merge next, `nil` when all is well.
    ///
    /// - Parameters:
    ///   - candidates: segments that nobody compacts.
    ///   - all: every segment of the store, for what a tombstone may still be needed for.
    ///   - settled: segments whose tombstones were kept when they were last looked at, and nothing
    ///     has changed since.
    func choose(_ candidates: [Candidate], all: [Candidate], settled: Set<UInt64>) -> [UInt64]? {
        dead(candidates) ?? tier(candidates) ?? tombstones(candidates, all, settled)
            ?? many(candidates) ?? aged(candidates, all, settled)
    }

    /// Merges everything into as few segments as the row limit allows.
    ///
    /// - Parameter done: segments that this pass has made: not rewritten for their own sake.
    func chooseAll(_ candidates: [Candidate], done: Set<UInt64>) -> [UInt64]? {
        let chosen = fitting(candidates.sorted(by: precedes))
        if chosen.count > 1 { return chosen }
        return candidates.first { !done.contains($0.id) }.map { [$0.id] }
    }

    /// A segment with too many dead rows, and all smaller ones: they would be merged into it later.
    private func dead(_ candidates: [Candidate]) -> [UInt64]? {
        let worst =
            candidates
            .filter { $0.deadRowCount * 100 > $0.rowCount * Self.deadPercent }
            .max { $0.deadRowCount < $1.deadRowCount }
        guard let worst else { return nil }
        let smaller = candidates.filter {
            $0.id != worst.id && $0.liveRowCount < worst.liveRowCount
        }
        return fitting([worst] + smaller.sorted(by: precedes))
    }

    private func tier(_ candidates: [Candidate]) -> [UInt64]? {
        let tiers = Dictionary(grouping: candidates, by: \.tier)
        for (_, members) in tiers.sorted(by: { $0.key < $1.key }) where members.count >= Self.fanIn
        {
            let chosen = fitting(members.sorted(by: precedes))
            if chosen.count >= Self.fanIn { return chosen }
        }
        return nil
    }

    /// Tombstones that nothing older can need, where they are many.
    private func tombstones(
        _ candidates: [Candidate],
        _ all: [Candidate],
        _ settled: Set<UInt64>
    ) -> [UInt64]? {
        candidates.first { candidate in
            let records = candidate.rowCount + candidate.tombstoneCount
            return candidate.tombstoneCount * 100 > records * Self.deadPercent
                && !settled.contains(candidate.id)
                && !all.contains { $0.id != candidate.id && $0.minLSN < candidate.maxLSN }
        }.map { [$0.id] }
    }

    /// A segment with old tombstones, and all that can hold what they hide, where one segment can
    /// take them: then the tombstones go, and what they hide with them.
    ///
    /// The newest first, since its merge is that of the older ones too.
    private func aged(
        _ candidates: [Candidate],
        _ all: [Candidate],
        _ settled: Set<UInt64>
    ) -> [UInt64]? {
        let old = candidates.filter { candidate in
            guard let time = candidate.tombstoneTime, !settled.contains(candidate.id) else {
                return false
            }
            return now >= Self.tombstoneMilliseconds && time <= now - Self.tombstoneMilliseconds
        }
        for candidate in old.sorted(by: { ($0.maxLSN, $0.id) > ($1.maxLSN, $1.id) }) {
            let older = all.filter { $0.id != candidate.id && $0.minLSN < candidate.maxLSN }
            let rowCount = older.reduce(candidate.liveRowCount) { $0 + $1.liveRowCount }
            guard older.isEmpty || rowCount <= rowLimit, older.count < MergePlan.inputLimit,
                older.allSatisfy({ candidates.contains($0) })
            else { continue }
            return [candidate.id] + older.map(\.id)
        }
        return nil
    }

    private func many(_ candidates: [Candidate]) -> [UInt64]? {
        guard candidates.count > Self.segmentCount else { return nil }
        let smallest = candidates.sorted(by: precedes).prefix(Self.fanIn)
        let chosen = fitting(Array(smallest))
        return chosen.count > 1 ? chosen : nil
    }

    /// As many of the first ones as one segment can take; the first one in any case.
    private func fitting(_ candidates: [Candidate]) -> [UInt64] {
        var rows = 0
        var chosen: [UInt64] = []
        for candidate in candidates.prefix(MergePlan.inputLimit) {
            rows += candidate.liveRowCount
            if rows > rowLimit, !chosen.isEmpty { break }
            chosen.append(candidate.id)
        }
        return chosen
    }

    /// Fewer rows first, then the older one.
    private func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
        (a.liveRowCount, a.id) < (b.liveRowCount, b.id)
    }
}
