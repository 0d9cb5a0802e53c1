// Of many neighbouring vectors of a scan those whose coarse codes say that they may be near.

import MoraineFormat

/// Ordinals and their coarse reaches, in memory that is used again for the next window.
///
/// One thread.
struct CodeWindow: ~Copyable {
    /// Leaders for each vector that a list takes: of texts the ten nearest are mostly among the
    /// twenty whose coarse codes are nearest.
    private static let leadersForEach = 2
    private static let leastLeaderCount = 32
    /// For fewer vectors that may be near no leaders are chosen.
    private static let vectorsForLeader = 4

    private let ordinals: UnsafeMutablePointer<UInt32>
    private let reaches: UnsafeMutablePointer<Float>
    private let leaders: UnsafeMutablePointer<UInt32>
    private let capacity: Int
    private var count = 0

    /// - Parameter capacity: vectors that fit; 1 or more.
    init(capacity: Int) {
        self.capacity = capacity
        ordinals = .allocate(capacity: capacity)
        reaches = .allocate(capacity: capacity)
        leaders = .allocate(capacity: capacity)
    }

    deinit {
        ordinals.deallocate()
        reaches.deallocate()
        leaders.deallocate()
    }

    /// Those that may be near; valid until the next call.
    var near: ScanOrdinals {
        ScanOrdinals(UnsafeBufferPointer(start: UnsafePointer(ordinals), count: count))
    }

    /// Takes the vectors whose coarse codes reach a threshold in the place of what it holds.
    ///
    /// - Parameters:
    ///   - ordinals: no more than fit; of codes that were checked.
    ///   - batch: what compares them.
    mutating func fill(
        _ ordinals: ScanOrdinals,
        _ batch: borrowing CodeBatch,
        _ bound: CodeBound,
        atLeast threshold: Float
    ) {
        precondition(ordinals.count <= capacity)
        count = 0
        var place = 0
        while place < ordinals.count {
            let part = ordinals.part(from: place, limit: batch.capacity)
            place += part.count
            let reaches = batch.coarseReaches(part, bound)
            // The loop writes through these, and must not look again where they lead.
            let (nextOrdinals, nextReaches) = (self.ordinals + count, self.reaches + count)
            var end = 0
            if let range = part.range {
                var ordinal = UInt32(truncatingIfNeeded: range.lowerBound)
                for index in 0..<reaches.count {
                    // Without a branch: one in ten or twenty passes, and which cannot be foretold.
                    nextOrdinals[end] = ordinal
                    nextReaches[end] = reaches[index]
                    end &+= reaches[index] >= threshold ? 1 : 0
                    ordinal &+= 1
                }
            } else {
                for index in 0..<reaches.count {
                    nextOrdinals[end] = UInt32(truncatingIfNeeded: part[index])
                    nextReaches[end] = reaches[index]
                    end &+= reaches[index] >= threshold ? 1 : 0
                }
            }
            count += end
        }
    }

    /// Takes those out that seem nearest, more than a list takes, nearest first; `nil` when there
    /// are too few for that to be worth it.
    ///
    /// Valid until the next call.
    mutating func takeLeaders(toFill wanted: Int) -> ScanOrdinals? {
        guard wanted <= count else { return nil }
        let number = max(Self.leastLeaderCount, wanted * Self.leadersForEach)
        guard number * Self.vectorsForLeader <= count else { return nil }
        var top = TopK(capacity: number)
        for place in 0..<count {
            let key = Score.key(reaches[place], .dot)
            guard key >= top.bar else { continue }
            top.offer(key: key, row: UInt32(truncatingIfNeeded: place))
        }
        for (place, leader) in top.sorted(source: 0).enumerated() {
            leaders[place] = ordinals[Int(leader.row)]
            reaches[Int(leader.row)] = -.infinity
        }
        return ScanOrdinals(UnsafeBufferPointer(start: UnsafePointer(leaders), count: number))
    }

    /// Drops those that do not reach a threshold, and the leaders that were taken out.
    mutating func narrow(atLeast threshold: Float) {
        // No reach but that of a leader that was taken is below all numbers.
        let threshold = max(threshold, -.greatestFiniteMagnitude)
        var end = 0
        for place in 0..<count {
            let reach = reaches[place]
            ordinals[end] = ordinals[place]
            reaches[end] = reach
            end &+= reach >= threshold ? 1 : 0
        }
        count = end
    }
}
