// The last step of a build: every node can be reached from the entries.

import MoraineFormat
import MoraineStorage

extension GraphBuilder {
    /// Rounds of linking what no path leads to.
    ///
    /// The second is only needed where a link had to give way, which it hardly ever must.
    private static let reachRounds = 4

    /// Links nodes that no path from the entries leads to.
    func reach(_ step: () throws(StoreError) -> Void) throws(StoreError) {
        let worker = GraphWorker(codes, links, parameters)
        for _ in 0..<Self.reachRounds {
            guard try reachOnce(worker, step) else { return }
        }
    }

    /// Returns true when a link gave way to another, so that its node may have been lost.
    private func reachOnce(
        _ worker: GraphWorker,
        _ step: () throws(StoreError) -> Void
    ) throws(StoreError) -> Bool {
        var reached = [Bool](repeating: false, count: codes.count)
        var queue = entries
        for entry in entries { reached[Int(entry)] = true }
        var next = 0
        var hasReplaced = false
        func follow() throws(StoreError) {
            while next < queue.count {
                if next & 0xFFFF == 0 { try step() }
                let row = row(queue[next])
                next += 1
                for index in 0..<GraphSpaceEntry.degree {
                    let node = row[index]
                    if node == GraphLinks.unused { break }
                    if reached[Int(node)] { continue }
                    reached[Int(node)] = true
                    queue.append(node)
                }
            }
        }
        try follow()
        for node in order where !reached[Int(node)] {
            // All that a search finds is reached.
            let search = worker.search
            entries.withUnsafeBufferPointer {
                search.run(worker.query(node), from: $0, width: 64)
            }
            let near = (0..<search.count).map(search.node)
            guard let nearest = near.first else { continue }
            let free = near.first { degree($0) < GraphSpaceEntry.degree }
            let parent = free ?? nearest
            if free == nil {
                removeLast(of: parent)
                hasReplaced = true
            }
            append(node, to: parent)
            reached[Int(node)] = true
            queue.append(node)
            try follow()
        }
        return hasReplaced
    }
}
