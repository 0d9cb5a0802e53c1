// Which of a node's candidates become its links: a candidate stays out when a chosen one is nearer
// to it than the node is (the rule of relative neighbourhoods; with the factor of Vamana,
// Subramanya et al. 2019, in a second round).

import CKernels

/// A node that may become another's link, and its key as the other's query gives it.
struct GraphCandidate {
    let key: Int32
    let node: UInt32
}

/// Chooses links; the memory of one thread.
///
/// Pointers, not arrays: a build spends its time here, and each use of an array of an object is
/// guarded.
final class GraphSelection {
    private let codes: GraphCodes
    private let query: UnsafeMutablePointer<Int8>
    private let products: UnsafeMutablePointer<Int32>
    /// For each candidate: the nearest of the chosen ones it was compared with, and how many.
    private let nearest: UnsafeMutablePointer<Int32>
    private let compared: UnsafeMutablePointer<Int>
    private let capacity: Int
    /// How much nearer a chosen one must be in the second round.
    private let factor: Float
    private static let step = 8

    /// - Parameter capacity: candidates at once at most.
    init(_ codes: GraphCodes, factor: Float, capacity: Int) {
        self.codes = codes
        self.factor = factor
        self.capacity = capacity
        nearest = .allocate(capacity: capacity)
        compared = .allocate(capacity: capacity)
        query = UnsafeMutableRawPointer.allocate(byteCount: codes.byteCount, alignment: 64)
            .bindMemory(to: Int8.self, capacity: codes.byteCount)
        products = .allocate(capacity: Self.step)
    }

    deinit {
        query.deallocate()
        products.deallocate()
        nearest.deallocate()
        compared.deallocate()
    }

    /// Makes a node's code the query.
    ///
    /// Valid until the next call of any method.
    func asQuery(_ node: UInt32) -> GraphQuery { codes.query(node, in: query) }

    /// Chooses at most `limit` of the candidates of `node`.
    ///
    /// - Parameters:
    ///   - candidates: nearest first, with their keys as `node`'s query gives them; without `node`.
    ///   - chosen: room for `limit` nodes.
    /// - Returns: how many were chosen.
    func select(
        _ candidates: UnsafeBufferPointer<GraphCandidate>,
        of node: UInt32,
        limit: Int,
        into chosen: UnsafeMutablePointer<UInt32>
    ) -> Int {
        precondition(candidates.count <= capacity)
        nearest.update(repeating: .min, count: candidates.count)
        compared.update(repeating: 0, count: candidates.count)
        var count = 0
        // Ties count as nearer: equal vectors would otherwise fill all links of a group.
        for (place, candidate) in candidates.enumerated() where count < limit {
            let bound = key(candidate, to: node)
            if isFree(place, candidate.node, bound, chosen, count) {
                chosen[count] = candidate.node
                count += 1
                nearest[place] = .max
            }
        }
        guard factor > 1 else { return count }
        for (place, candidate) in candidates.enumerated() where count < limit {
            guard nearest[place] != .max, let most = mostForFactor(candidate, node) else {
                continue
            }
            if isFree(place, candidate.node, most, chosen, count) {
                chosen[count] = candidate.node
                count += 1
                nearest[place] = .max
            }
        }
        return count
    }

    /// The key of `node` as the candidate's query would give it.
    @inline(__always)
    private func key(_ candidate: GraphCandidate, to node: UInt32) -> Int32 {
        guard let squareSums = codes.squareSums else { return candidate.key }
        return candidate.key &+ squareSums[Int(candidate.node)] &- squareSums[Int(node)]
    }

    /// The key that a chosen one must reach to keep the candidate out in the second round; `nil`
    /// where there are no distances to apply a factor to.
    @inline(__always)
    private func mostForFactor(_ candidate: GraphCandidate, _ node: UInt32) -> Int32? {
        let whole: Int32
        if let squareSums = codes.squareSums {
            whole = squareSums[Int(candidate.node)]
        } else if let selfProduct = codes.selfProduct {
            whole = selfProduct
        } else {
            return nil
        }
        let distance = Float(whole &- key(candidate, to: node))
        return whole &- Int32(max(0, distance) / factor)
    }

    /// Whether all chosen ones are farther from a candidate than `bound` says; goes on from where
    /// an earlier call stopped.
    @inline(__always)
    private func isFree(
        _ place: Int,
        _ candidate: UInt32,
        _ bound: Int32,
        _ chosen: UnsafeMutablePointer<UInt32>,
        _ count: Int
    ) -> Bool {
        if nearest[place] >= bound { return false }
        var done = compared[place]
        guard done < count else { return true }
        let query = asQuery(candidate)
        while done < count {
            let batch = min(Self.step, count - done)
            codes.multiply(chosen + done, batch, query, products)
            for index in 0..<batch {
                let key = query.key(products[index], chosen[done + index], codes)
                nearest[place] = max(nearest[place], key)
            }
            done += batch
            if nearest[place] >= bound { break }
        }
        compared[place] = done
        return nearest[place] < bound
    }
}
