// What a graph must be, though no search relies on it; format-spec/graph.md, "Links".

import MoraineFormat
import MoraineStorage

extension GraphSpace {
    /// Checks every id, that only nodes have links and are led to, and that chains are of one code.
    ///
    /// Memory: a byte for each vector, and what a first search takes.
    ///
    /// - Throws: `corrupted`.
    func requireSound() throws(StoreError) {
        let codes = try check().view.codes
        var isNode = [Bool](repeating: true, count: entry.vectorCount)
        if let duplicateSection {
            for (index, next) in try words(duplicateSection).enumerated()
            where next != GraphLinks.unused {
                guard codes.areSame(UInt32(index), next) else {
                    throw mismatch(duplicateSection, index, "a vector with the same code", next)
                }
                isNode[Int(next)] = false
            }
        }
        // A vector that two chains have makes one too many.
        let nodeCount = isNode.count { $0 }
        guard nodeCount == entry.nodeCount else {
            throw file.damage(
                "a graph has not as many nodes as it says",
                at: (duplicateSection ?? linkSection).entry.offset,
                expected: "\(entry.nodeCount)",
                found: "\(nodeCount)"
            )
        }
        try requireLinks(isNode)
        var seen: Set<UInt32> = []
        for (index, node) in try words(entrySection).enumerated() {
            guard isNode[Int(node)], seen.insert(node).inserted else {
                throw mismatch(entrySection, index, "a node that is no other entry", node)
            }
        }
    }

    private func requireLinks(_ isNode: [Bool]) throws(StoreError) {
        let links = try words(linkSection)
        for node in isNode.indices {
            var isOver = !isNode[node]
            for index in (node * GraphSpaceEntry.degree)..<((node + 1) * GraphSpaceEntry.degree) {
                let link = links[index]
                if link == GraphLinks.unused {
                    isOver = true
                } else if isOver {
                    throw mismatch(linkSection, index, "no link", link)
                } else if !isNode[Int(link)] {
                    throw mismatch(linkSection, index, "a node", link)
                }
            }
        }
    }

    private func mismatch(_ section: Section, _ index: Int, _ expected: String, _ found: UInt32)
        -> StoreError
    {
        file.damage(
            "a graph is not what it must be",
            at: section.entry.offset + UInt64(index) * 4,
            expected: expected,
            found: "\(found)"
        )
    }
}
