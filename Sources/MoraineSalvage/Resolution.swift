// What all sightings of one key add up to. Rules: ARCHITECTURE.md, "Salvage".

import MoraineFormat
import MoraineSegments

/// The newest state of a key, as far as it can be told.
struct Resolution {
    /// Where the newest state stands: never a delete.
    let newest: Sighting
    /// `nil` when the document comes back.
    let loss: SalvagedItem.Reason?
    private(set) var reasons: [SalvagedItem.Reason] = []
    /// Commits up to this one may have held something newer.
    private(set) var doubtUpTo: UInt64 = 0
    /// When the document was first put.
    let created: UInt64

    /// A sighting, and the row that says whether it lives.
    private struct Candidate {
        let sighting: Sighting
        /// A row that only a key file names, when the sighting fills it.
        var ghost: Sighting?
        /// Nothing intact says that the sighting counts.
        var isGuess = false

        var isDead: Bool { ghost?.isDead ?? sighting.isDead }
        var isLivenessKnown: Bool {
            (ghost ?? sighting).segment?.isLivenessKnown ?? false
        }
    }

    /// - Parameters:
    ///   - blind: segments that may hold something about the key that cannot be read.
    ///   - lost: commits that cannot be read.
    /// - Returns: `nil` when the key is deleted, or nothing says that it ever was.
    init?(_ sightings: [Sighting], _ blind: [SegmentSource], _ lost: [ClosedRange<UInt64>]) {
        let hiddenUpTo = blind.reduce(0) { max($0, $1.maxLSN) }
        let candidates = Self.candidates(sightings, hiddenUpTo)
        guard let top = candidates.last, !top.sighting.isDelete else { return nil }
        let version = top.sighting.lsn
        let isHidden = hiddenUpTo > version
        newest = top.sighting
        created = Self.created(candidates)
        if top.isDead {
            // What ended it may itself have been dropped for good; only a place that cannot be
            // read makes it a loss.
            guard isHidden else { return nil }
            loss = .replaced
            doubtUpTo = hiddenUpTo
            return
        }
        if top.sighting.isGhost {
            loss = .unreadable
            return
        }
        loss = nil
        if top.isGuess || (isHidden && !top.isLivenessKnown) {
            reasons.append(.damagedSegment)
            doubtUpTo = max(hiddenUpTo, version)
        }
        if let last = lost.last?.upperBound, last > version {
            reasons.append(.lostCommit)
            doubtUpTo = max(doubtUpTo, last)
        }
        if !Self.isCreatedKnown(candidates, hiddenUpTo, lost) { reasons.append(.createdGuessed) }
    }

    /// Bytes of the vector in the log.
    var vectorByteCount: Int? {
        if case .put(let put, _) = newest.content { return put.vector?.count }
        return nil
    }

    /// What counts, oldest first.
    private static func candidates(_ sightings: [Sighting], _ hiddenUpTo: UInt64) -> [Candidate] {
        var candidates: [Candidate] = []
        for sighting in sightings where !sighting.isStale {
            candidates.append(Candidate(sighting: sighting))
        }
        let stale = sightings.filter { $0.isStale && !$0.isGhost }
        // The last operation of a commit first: it is what the commit left.
        for sighting in stale.sorted(by: { ($0.lsn, $0.order) > ($1.lsn, $1.order) }) {
            let place = candidates.firstIndex {
                $0.sighting.isGhost && $0.sighting.lsn == sighting.lsn
            }
            if let place {
                // The same commit put it: what an intact key file names is found elsewhere.
                let ghost = candidates[place].sighting
                candidates[place] = Candidate(sighting: sighting, ghost: ghost)
            } else if hiddenUpTo >= sighting.lsn {
                let isCovered = candidates.contains { $0.sighting.lsn >= sighting.lsn }
                if !isCovered { candidates.append(Candidate(sighting: sighting, isGuess: true)) }
            }
        }
        return candidates.sorted { a, b in
            let (a, b) = (a.sighting, b.sighting)
            return (a.lsn, a.order, a.isGhost ? 0 : 1) < (b.lsn, b.order, b.isGhost ? 0 : 1)
        }
    }

    /// False when a put took its created time from something that cannot be read.
    private static func isCreatedKnown(
        _ candidates: [Candidate],
        _ hiddenUpTo: UInt64,
        _ lost: [ClosedRange<UInt64>]
    ) -> Bool {
        guard let top = candidates.last, top.ghost == nil, case .put = top.sighting.content
        else { return true }
        // What the first of the puts in a row met.
        let met = candidates.last {
            if case .put = $0.sighting.content { false } else { true }
        }
        let since = met?.sighting.lsn ?? 0
        if lost.contains(where: { $0.upperBound > since && $0.lowerBound < top.sighting.lsn }) {
            return false
        }
        if let met, met.isLivenessKnown, !met.isDead { return true }
        return hiddenUpTo <= since
    }

    /// The created time of the last candidate: that of what it replaced, else its own.
    private static func created(_ candidates: [Candidate]) -> UInt64 {
        var live: UInt64?
        var expiry: UInt64 = 0
        for candidate in candidates {
            let sighting = candidate.ghost ?? candidate.sighting
            switch sighting.content {
            case .record, .ghost: live = sighting.created
            case .put(_, let time):
                // What had expired by then was not replaced.
                if expiry != 0, expiry <= time { live = nil }
                live = live ?? time
            case .delete: live = nil
            }
            expiry = sighting.expiry
            if candidate.isDead { live = nil }
        }
        return live ?? candidates.last?.sighting.created ?? 0
    }
}
