// One graph of a graph file: that of one collection's codes. Bytes: format-spec/graph.md.

package import MoraineFormat
package import MoraineStorage
import Synchronization

/// The graph over the codes of a collection in a mapped graph file.
///
/// Any thread.
package final class GraphSpace: Sendable {
    package let entry: GraphSpaceEntry
    package let codes: CodeSpace
    /// Kept because the sections borrow it.
    let file: SealedFile
    let linkSection: Section
    let entrySection: Section
    let duplicateSection: Section?
    /// What the first search checked and found.
    private let ready = Mutex<Ready?>(nil)

    /// What searches need, checked.
    // @unchecked: pointers into a mapping that is never written and that the space keeps.
    struct Ready: @unchecked Sendable {
        let view: GraphView
        let duplicates: UnsafePointer<UInt32>?
        /// Vectors behind which a chain goes on, and which is the next; the last first.
        let chained: [(node: UInt32, next: UInt32)]
        /// Searches that nobody uses at the moment.
        var idle: [GraphSearch] = []
    }

    init(_ entry: GraphSpaceEntry, index: Int, codes: CodeSpace, in file: SealedFile)
        throws(StoreError)
    {
        func section(_ type: UInt32, count: Int) throws(StoreError) -> Section {
            // No overflow: at most 2^31 rows of 128 bytes.
            try file.requiredSection(type, ordinal: index, byteCount: count * 4)
        }
        linkSection = try section(
            SectionType.links,
            count: entry.vectorCount * GraphSpaceEntry.degree
        )
        entrySection = try section(SectionType.graphEntries, count: entry.entryCount)
        duplicateSection =
            entry.hasDuplicates
            ? try section(SectionType.duplicates, count: entry.vectorCount) : nil
        self.entry = entry
        self.codes = codes
        self.file = file
    }

    package var collectionID: UInt32 { entry.collectionID }

    // MARK: Searching

    /// Lends the memory of a search, and tells which vectors have the same code.
    ///
    /// The first call checks every chunk of graph and codes and every id in the graph.
    ///
    /// - Throws: `corrupted` when a chunk fails its checksum or an id is out of range, and what
    ///   `body` throws.
    package func withSearch<R>(
        _ body: (GraphSearch, GraphView, UnsafePointer<UInt32>?) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        let (view, duplicates, idle) = try ready.withLock { ready throws(StoreError) in
            if ready == nil { ready = try check() }
            guard let known = ready else { preconditionFailure("just checked") }
            return (known.view, known.duplicates, ready?.idle.popLast())
        }
        let search = idle ?? view.makeSearch()
        defer { ready.withLock { $0?.idle.append(search) } }
        return try body(search, view, duplicates)
    }

    /// Vectors behind which a chain of equal codes goes on, and which is the next; the last first.
    ///
    /// - Throws: `corrupted` as `withSearch`.
    func chained() throws(StoreError) -> [(node: UInt32, next: UInt32)] {
        try ready.withLock { ready throws(StoreError) in
            if ready == nil { ready = try check() }
            return ready?.chained ?? []
        }
    }

    /// The links of every row, after every chunk and id of them was checked.
    ///
    /// - Returns: `GraphSpaceEntry.degree` words a vector.
    /// - Throws: `corrupted` as `withSearch`.
    func checkedLinks() throws(StoreError) -> UnsafePointer<UInt32> {
        let links = try words(linkSection)
        try requireIDs(links, linkSection)
        guard let base = links.baseAddress else {
            preconditionFailure("a graph has at least one row")
        }
        return base
    }

    /// Checks every chunk and id.
    func check() throws(StoreError) -> Ready {
        let links = try checkedLinks()
        let entries = try words(entrySection)
        try requireIDs(entries, entrySection, allowsUnused: false)
        var duplicates: UnsafePointer<UInt32>?
        var chained: [(node: UInt32, next: UInt32)] = []
        if let duplicateSection {
            let next = try words(duplicateSection)
            try requireAscending(next, duplicateSection)
            duplicates = next.baseAddress
            for (node, word) in next.enumerated().reversed() where word != GraphLinks.unused {
                chained.append((UInt32(node), word))
            }
        }
        return Ready(
            view: GraphView(
                try GraphCodes(codes),
                links: links,
                entries: Array(entries),
                isCoarse: entry.walk == .coarse
            ),
            duplicates: duplicates,
            chained: chained
        )
    }

    func words(_ section: Section) throws(StoreError) -> UnsafeBufferPointer<UInt32> {
        // Sections start at multiples of 64 of a mapping that starts on a page.
        let bytes = try section.allBytes()
        return UnsafeBufferPointer(
            start: bytes.baseAddress?.assumingMemoryBound(to: UInt32.self),
            count: bytes.count / 4
        )
    }

    /// Searches follow ids without looking: each must be one of a vector.
    private func requireIDs(
        _ words: UnsafeBufferPointer<UInt32>,
        _ section: Section,
        allowsUnused: Bool = true
    ) throws(StoreError) {
        let count = UInt32(entry.vectorCount)
        var isGood = true
        for word in words {
            isGood = isGood && (word < count || (allowsUnused && word == GraphLinks.unused))
        }
        guard !isGood else { return }
        for (index, word) in words.enumerated()
        where word >= count && !(allowsUnused && word == GraphLinks.unused) {
            throw file.damage(
                "a graph leads to a vector that is not there",
                at: section.entry.offset + UInt64(index) * 4,
                expected: "below \(count)",
                found: "\(word)"
            )
        }
    }

    /// Chains that ascend end.
    private func requireAscending(
        _ next: UnsafeBufferPointer<UInt32>,
        _ section: Section
    ) throws(StoreError) {
        let count = UInt32(entry.vectorCount)
        for (index, word) in next.enumerated() where word != GraphLinks.unused {
            guard word < count, Int(word) > index else {
                throw file.damage(
                    "a chain of equal codes does not ascend",
                    at: section.entry.offset + UInt64(index) * 4,
                    expected: "from \(index + 1) to \(count - 1)",
                    found: "\(word)"
                )
            }
        }
    }
}

extension GraphSpaceEntry {
    /// True when some vectors have the code of an earlier one.
    package var hasDuplicates: Bool { nodeCount < vectorCount }

    /// The least width whose trial found the share `recall`; the largest when none did.
    package func width(forRecall recall: Float) -> Int {
        let place = recalls.firstIndex { $0 >= recall } ?? recalls.count - 1
        return Self.recallWidths[place]
    }
}
