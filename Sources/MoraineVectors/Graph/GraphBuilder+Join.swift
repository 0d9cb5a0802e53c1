// A build that begins with the links of an older graph.

import MoraineFormat

extension GraphBuilder {
    /// Of the old mean degree, the share below which the old links are not worth it.
    private static let leastDegreeShare: Float = 0.8

    /// Takes the links of an older graph over and puts the nodes that have them first in the
    /// order; `findDuplicates` and `shuffle` have run.
    ///
    /// A node that lost more than half of its links is not among them: it is linked anew like the
    /// nodes that are new, and keeps what it has until then.
    ///
    /// - Returns: how many nodes have their links; 0, and none has any, when too few are left.
    func adopt(_ start: GraphStart) -> Int {
        let heads = heads()
        var isLinked = [Bool](repeating: false, count: codes.count)
        var linkCount = 0
        var nodeCount = 0
        for (old, ordinal) in start.ordinals.enumerated() where ordinal != GraphLinks.unused {
            let node = heads.isEmpty ? ordinal : heads[Int(ordinal)]
            let row = start.row(old)
            // The first of vectors whose codes have become equal has its links.
            guard !row.isEmpty, degree(node) == 0 else { continue }
            for link in row {
                let new = start.ordinals[Int(link)]
                guard new != GraphLinks.unused else { continue }
                add(heads.isEmpty ? new : heads[Int(new)], to: node)
            }
            isLinked[Int(node)] = degree(node) * 2 >= row.count && degree(node) > 0
            linkCount += degree(node)
            nodeCount += 1
        }
        let least = start.graph.entry.meanDegree * Self.leastDegreeShare
        guard nodeCount > 0, Float(linkCount) / Float(nodeCount) >= least else {
            for node in order { clear(node) }
            return 0
        }
        let linked = order.filter { isLinked[Int($0)] }
        order = linked + order.filter { !isLinked[Int($0)] }
        return linked.count
    }

    /// For each code the node that stands for it; empty when all codes differ.
    private func heads() -> [UInt32] {
        guard !duplicates.isEmpty else { return [] }
        var heads = [UInt32](repeating: GraphLinks.unused, count: codes.count)
        for node in order {
            var next = node
            while next != GraphLinks.unused {
                heads[Int(next)] = node
                next = duplicates[Int(next)]
            }
        }
        return heads
    }

    /// Links a node to another one, once; nobody else is at work.
    private func add(_ other: UInt32, to node: UInt32) {
        let links = UnsafeBufferPointer(start: row(node), count: degree(node))
        guard other != node, !links.contains(other) else { return }
        append(other, to: node)
    }
}
