// Builds a flat graph by inserting nodes one after another, each linked to what a search of the
// graph so far finds near it. Insertion and the choice of links follow Vamana (Subramanya et al.
// 2019) and the bottom layer of HNSW (Malkov and Yashunin 2018).

import CKernels
import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization

/// How a graph is built.
package struct GraphParameters: Sendable, Equatable {
    /// Nodes that the search before an insertion keeps (`efConstruction`).
    package var width: Int
    /// How much nearer a chosen link must be to keep another out, in the second round.
    package var factor: Float
    /// Codes below which a space has no graph.
    ///
    /// So few, 1.5 MiB at 384 dimensions, are compared one after another in about 40 us, as long
    /// as a search of a graph takes.
    package var leastVectorCount: Int

    package init(width: Int = 100, factor: Float = 1.3, leastVectorCount: Int = 4096) {
        self.width = width
        self.factor = factor
        self.leastVectorCount = leastVectorCount
    }
}

/// A graph under construction.
///
/// Memory: 200 bytes a code, and 2 more for each thread. Not for several callers at once; its own
/// threads share it.
// @unchecked: rows are changed under their byte of `locks`, words are read and written whole; the
// rest is only touched by the caller's thread.
package final class GraphBuilder: @unchecked Sendable {
    let codes: GraphCodes
    let parameters: GraphParameters
    /// Words of a row while building: room to collect links before they are chosen anew.
    static let room = 48
    private let words: UnsafeMutablePointer<UInt32>
    private let degrees: UnsafeMutablePointer<UInt8>
    private let locks: UnsafeMutablePointer<UInt8>
    /// Distinct codes in the order of insertion.
    var order: [UInt32] = []
    /// The next row with the same code, `unused` at the end; empty when all codes differ.
    package private(set) var duplicates: [UInt32] = []
    /// Where searches begin.
    package private(set) var entries: [UInt32] = []

    package init(_ codes: GraphCodes, _ parameters: GraphParameters = GraphParameters()) {
        self.codes = codes
        self.parameters = parameters
        let wordCount = max(1, codes.count * Self.room)
        words = .allocate(capacity: wordCount)
        words.initialize(repeating: GraphLinks.unused, count: wordCount)
        degrees = .allocate(capacity: max(1, codes.count))
        degrees.initialize(repeating: 0, count: codes.count)
        locks = .allocate(capacity: max(1, codes.count))
        locks.initialize(repeating: 0, count: codes.count)
    }

    deinit {
        words.deallocate()
        degrees.deallocate()
        locks.deallocate()
    }

    var links: GraphLinks { GraphLinks(words: UnsafePointer(words), stride: Self.room) }

    /// Nodes: distinct codes.
    package var nodeCount: Int { order.count }

    /// The links of a row: ids, then `GraphLinks.unused`; the first `GraphSpaceEntry.degree` count.
    package func row(_ node: UInt32) -> UnsafePointer<UInt32> { links.row(node) }

    /// Whether links of an older graph were taken over.
    private(set) var isJoined = false

    /// Builds the whole graph.
    ///
    /// - Parameters:
    ///   - old: the graph to begin with, if there is one.
    ///   - threads: the caller's and more of its own.
    ///   - step: called now and then by any of them; what it throws ends the build.
    func build(
        from old: GraphStart? = nil,
        threads: Int,
        linked: @escaping @Sendable (Int) -> Void = { _ in },
        step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) {
        findDuplicates()
        linked(codes.count - order.count)
        shuffle()
        guard let first = order.first else { return }
        entries = [first]
        var start = 1
        if let old {
            let count = adopt(old)
            isJoined = count > 0
            start = max(1, count)
            entries = spread(over: start)
        }
        linked(start)
        // Each phase starts from nodes of the one before it.
        for end in [256, 4096, 65_536, Int.max].map({ min($0, order.count) }) where end > start {
            try insert(start..<end, threads: start < 256 ? 1 : threads, linked, step)
            start = end
            entries = spread(over: end)
        }
        try trim(threads: threads, step)
        try reach(step)
    }

    /// Nodes at even distances in the order of insertion.
    ///
    /// Sixteen: four or sixty-four took as many comparisons for the same recall, or more.
    private func spread(over count: Int) -> [UInt32] {
        let wanted = min(count, 16)
        return (0..<wanted).map { order[$0 * count / wanted] }
    }

    // MARK: Order

    /// Chains rows with equal codes to the first of them, which alone becomes a node.
    private func findDuplicates() {
        var bits = 4
        while 1 << bits < codes.count * 2 { bits += 1 }
        let mask = 1 << bits - 1
        var table = [UInt32](repeating: GraphLinks.unused, count: 1 << bits)
        var last: [UInt32: UInt32] = [:]
        order.reserveCapacity(codes.count)
        for node in 0..<UInt32(codes.count) {
            let high = CRC32C.value(codes.highBytes(node))
            var slot = Int(CRC32C.value(codes.lowBytes(node), continuing: high)) & mask
            while true {
                let other = table[slot]
                if other == GraphLinks.unused {
                    table[slot] = node
                    order.append(node)
                    break
                }
                if codes.areSame(node, other) {
                    if duplicates.isEmpty {
                        duplicates = Array(repeating: GraphLinks.unused, count: codes.count)
                    }
                    duplicates[Int(last[other] ?? other)] = node
                    last[other] = node
                    break
                }
                slot = (slot + 1) & mask
            }
        }
    }

    /// By chance, so that neither clusters nor times of arrival shape the graph; always the same.
    private func shuffle() {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for index in stride(from: order.count - 1, to: 0, by: -1) {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            order.swapAt(index, Int(state % UInt64(index + 1)))
        }
    }

    // MARK: Insertion

    /// Runs `body` over ranges of positions on several threads.
    func spread(
        _ positions: Range<Int>,
        batch: Int = 64,
        threads: Int,
        _ step: @escaping @Sendable () throws(StoreError) -> Void,
        _ body: @escaping @Sendable (Range<Int>, GraphWorker) -> Void
    ) throws(StoreError) {
        let next = Atomic(positions.lowerBound)
        let failure = Mutex<StoreError?>(nil)
        let work: @Sendable () -> Void = { [self] in
            let worker = GraphWorker(codes, links, parameters)
            while true {
                let start = next.add(batch, ordering: .relaxed).oldValue
                guard start < positions.upperBound else { return }
                do throws(StoreError) {
                    try step()
                } catch {
                    failure.withLock { $0 = error }
                    next.store(positions.upperBound, ordering: .relaxed)
                    return
                }
                body(start..<min(start + batch, positions.upperBound), worker)
            }
        }
        // Fewer threads than wanted are fine.
        let others = (1..<max(1, threads)).compactMap { _ in
            WorkerThread(isBackground: true, work)
        }
        work()
        for thread in others { thread.join() }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func insert(
        _ positions: Range<Int>,
        threads: Int,
        _ linked: @escaping @Sendable (Int) -> Void,
        _ step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) {
        let entries = entries
        try spread(positions, threads: threads, step) { [self] range, worker in
            entries.withUnsafeBufferPointer { entries in
                for position in range { insert(order[position], from: entries, worker) }
            }
            linked(range.count)
        }
    }

    /// Links a node to what is near it, and that to the node.
    private func insert(
        _ node: UInt32,
        from entries: UnsafeBufferPointer<UInt32>,
        _ worker: GraphWorker
    ) {
        let search = worker.search
        search.run(worker.query(node), from: entries, width: parameters.width)
        var count = 0
        // A node of an older graph that is linked anew can be found.
        for place in 0..<search.count where search.node(place) != node {
            worker.candidates[count] = GraphCandidate(
                key: search.key(place),
                node: search.node(place)
            )
            count += 1
        }
        let chosen = worker.selection.select(
            UnsafeBufferPointer(rebasing: worker.candidates[..<count]),
            of: node,
            limit: GraphSpaceEntry.degree * 3 / 4,
            into: worker.chosen
        )
        // Its own links first: from the first link to it on, others find it.
        mk_spin_lock(locks + Int(node))
        write(worker.chosen, chosen, to: node)
        mk_spin_unlock(locks + Int(node))
        // Choosing links of others uses the same memory.
        worker.neighbours.update(from: worker.chosen, count: chosen)
        for index in 0..<chosen { link(worker.neighbours[index], to: node, worker) }
    }

    private func write(_ chosen: UnsafePointer<UInt32>, _ count: Int, to node: UInt32) {
        let row = words + Int(node) * Self.room
        let old = Int(degrees[Int(node)])
        for index in 0..<count { mk_store_shared(row + index, chosen[index]) }
        for index in count..<max(count, old) { mk_store_shared(row + index, GraphLinks.unused) }
        degrees[Int(node)] = UInt8(count)
    }

    func degree(_ node: UInt32) -> Int { Int(degrees[Int(node)]) }

    /// Adds a link to a node that has room; nobody else is at work.
    func append(_ other: UInt32, to node: UInt32) {
        words[Int(node) * Self.room + degree(node)] = other
        degrees[Int(node)] += 1
    }

    /// Takes the last link from a node; nobody else is at work.
    func removeLast(of node: UInt32) { degrees[Int(node)] -= 1 }

    /// Takes all links from a node; nobody else is at work.
    func clear(_ node: UInt32) {
        (words + Int(node) * Self.room).update(repeating: GraphLinks.unused, count: degree(node))
        degrees[Int(node)] = 0
    }

    private func link(_ node: UInt32, to other: UInt32, _ worker: GraphWorker) {
        mk_spin_lock(locks + Int(node))
        let degree = Int(degrees[Int(node)])
        if degree < Self.room {
            mk_store_shared(words + Int(node) * Self.room + degree, other)
            degrees[Int(node)] = UInt8(degree + 1)
        } else {
            choose(node, adding: other, worker)
        }
        mk_spin_unlock(locks + Int(node))
    }

    /// Chooses a node's links anew among those that it has and one more.
    private func choose(_ node: UInt32, adding other: UInt32?, _ worker: GraphWorker) {
        let degree = Int(degrees[Int(node)])
        worker.ids.update(from: row(node), count: degree)
        if let other { worker.ids[degree] = other }
        let chosen = worker.selection.select(
            worker.ranked(degree + (other == nil ? 0 : 1), by: node),
            of: node,
            limit: GraphSpaceEntry.degree,
            into: worker.chosen
        )
        write(worker.chosen, chosen, to: node)
    }

    /// Brings every row down to the degree.
    private func trim(
        threads: Int,
        _ step: @escaping @Sendable () throws(StoreError) -> Void
    ) throws(StoreError) {
        try spread(0..<order.count, threads: threads, step) { [self] range, worker in
            for position in range {
                let node = order[position]
                guard degrees[Int(node)] > GraphSpaceEntry.degree else { continue }
                choose(node, adding: nil, worker)
            }
        }
    }
}

/// What one thread of a build works with.
// @unchecked: used by one thread.
final class GraphWorker: @unchecked Sendable {
    let codes: GraphCodes
    let search: GraphSearch
    let selection: GraphSelection
    let chosen: UnsafeMutablePointer<UInt32>
    /// As many as a search keeps, or a row and one.
    let candidates: UnsafeMutableBufferPointer<GraphCandidate>
    let neighbours: UnsafeMutablePointer<UInt32>
    /// A row and one.
    let ids: UnsafeMutablePointer<UInt32>
    private let values: UnsafeMutablePointer<Int8>
    private let products: UnsafeMutablePointer<Int32>

    init(_ codes: GraphCodes, _ links: GraphLinks, _ parameters: GraphParameters) {
        self.codes = codes
        search = GraphSearch(codes, links, isCoarse: true)
        candidates = .allocate(capacity: max(parameters.width, GraphBuilder.room + 1))
        selection = GraphSelection(codes, factor: parameters.factor, capacity: candidates.count)
        neighbours = .allocate(capacity: GraphSpaceEntry.degree)
        ids = .allocate(capacity: GraphBuilder.room + 1)
        chosen = .allocate(capacity: GraphSpaceEntry.degree)
        values = UnsafeMutableRawPointer.allocate(byteCount: codes.byteCount, alignment: 64)
            .bindMemory(to: Int8.self, capacity: codes.byteCount)
        products = .allocate(capacity: GraphBuilder.room + 1)
    }

    deinit {
        chosen.deallocate()
        candidates.deallocate()
        neighbours.deallocate()
        ids.deallocate()
        values.deallocate()
        products.deallocate()
    }

    /// A node's code as a query, valid until the next call.
    func query(_ node: UInt32) -> GraphQuery {
        codes.query(node, in: values)
    }

    /// The first `count` of `ids` as candidates of `node`, nearest first; valid until the next call.
    func ranked(_ count: Int, by node: UInt32) -> UnsafeBufferPointer<GraphCandidate> {
        let query = query(node)
        codes.multiply(ids, count, query, products)
        var list = UnsafeMutableBufferPointer(rebasing: candidates[..<count])
        for index in 0..<count {
            let key = query.key(products[index], ids[index], codes)
            list[index] = GraphCandidate(key: key, node: ids[index])
        }
        list.sort { $0.key > $1.key }
        return UnsafeBufferPointer(list)
    }
}
