// A map whose copies share what is the same: a change makes a new map and leaves the old one to its
// readers, at a cost that hardly grows with the number of entries.

/// An immutable map from keys to values.
///
/// A trie over the keys' hashes, five bits a level: looking up and changing cost a few steps,
/// where copying a dictionary of n entries costs n.
struct PersistentMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private typealias Entry = (hash: UInt, key: Key, value: Value)

    private indirect enum Node: Sendable {
        /// The children that are there, in the order of their bits.
        case branch(bits: UInt32, [Node])
        case leaf(Entry)
        /// Entries whose hashes are the same.
        case collision([Entry])
    }

    private static var empty: Node { .branch(bits: 0, []) }

    private let root: Node

    private init(root: Node) { self.root = root }

    /// - Parameter entries: no two with the same key.
    init(_ entries: [(key: Key, value: Value)] = []) {
        // In the order of their hashes they stand as in the trie.
        let sorted = entries.map { (hash: Self.hash($0.key), key: $0.key, value: $0.value) }
            .sorted { $0.hash < $1.hash }
        root = sorted.isEmpty ? Self.empty : Self.node(sorted[...], at: 0)
    }

    /// The value of a key.
    subscript(key: Key) -> Value? {
        let hash = Self.hash(key)
        var node = root
        var level: UInt = 0
        while true {
            switch node {
            case .branch(let bits, let children):
                let bit = Self.bit(hash, level)
                guard bits & bit != 0 else { return nil }
                node = children[Self.place(bits, bit)]
                level += 5
            case .leaf(let entry):
                return entry.hash == hash && entry.key == key ? entry.value : nil
            case .collision(let entries): return entries.first { $0.key == key }?.value
            }
        }
    }

    /// This map with another value for a key, `nil` for none.
    func setting(_ key: Key, to value: Value?) -> PersistentMap {
        let hash = Self.hash(key)
        let entry = value.map { (hash: hash, key: key, value: $0) }
        return PersistentMap(
            root: Self.setting(entry, for: key, hash, in: root, at: 0) ?? Self.empty
        )
    }

    /// All values, in no order.
    var values: [Value] {
        var values: [Value] = []
        Self.collect(root, into: &values)
        return values
    }

    // MARK: Nodes

    private static func hash(_ key: Key) -> UInt { UInt(bitPattern: key.hashValue) }

    /// The bit of a hash's child at a level: of five bits each, the highest first.
    ///
    /// - Parameter level: to 60; there are no branches below, since two hashes differ by then.
    private static func bit(_ hash: UInt, _ level: UInt) -> UInt32 {
        1 << UInt32(truncatingIfNeeded: (hash << level) >> 59)
    }

    private static func place(_ bits: UInt32, _ bit: UInt32) -> Int {
        (bits & (bit - 1)).nonzeroBitCount
    }

    /// A node of entries in the order of their hashes, at least one.
    private static func node(_ entries: ArraySlice<Entry>, at level: UInt) -> Node {
        let first = entries[entries.startIndex]
        if entries.count == 1 { return .leaf(first) }
        if entries[entries.endIndex - 1].hash == first.hash { return .collision(Array(entries)) }
        var bits: UInt32 = 0
        var children: [Node] = []
        var start = entries.startIndex
        while start < entries.endIndex {
            let bit = bit(entries[start].hash, level)
            var end = start + 1
            while end < entries.endIndex, self.bit(entries[end].hash, level) == bit { end += 1 }
            bits |= bit
            children.append(node(entries[start..<end], at: level + 5))
            start = end
        }
        return .branch(bits: bits, children)
    }

    /// A node with another entry for a key; `nil` when nothing is left.
    private static func setting(
        _ entry: Entry?,
        for key: Key,
        _ hash: UInt,
        in node: Node,
        at level: UInt
    ) -> Node? {
        var old: [Entry]
        switch node {
        case .branch(let bits, var children):
            let bit = bit(hash, level)
            let place = place(bits, bit)
            if bits & bit == 0 {
                guard let entry else { return node }
                children.insert(.leaf(entry), at: place)
                return .branch(bits: bits | bit, children)
            }
            let child = setting(entry, for: key, hash, in: children[place], at: level + 5)
            if let child {
                children[place] = child
                return .branch(bits: bits, children)
            }
            if children.count == 1 { return nil }
            children.remove(at: place)
            return .branch(bits: bits & ~bit, children)
        case .leaf(let other): old = [other]
        case .collision(let others): old = others
        }
        old.removeAll { $0.key == key }
        if let entry { old.append(entry) }
        if old.isEmpty { return nil }
        return self.node(old.sorted { $0.hash < $1.hash }[...], at: level)
    }

    private static func collect(_ node: Node, into values: inout [Value]) {
        switch node {
        case .branch(_, let children): for child in children { collect(child, into: &values) }
        case .leaf(let entry): values.append(entry.value)
        case .collision(let entries): values += entries.map(\.value)
        }
    }
}
