// Keys and values beside a document's text, in the order in which they are stored.

import MoraineFormat

/// What is known about a document beside its text: values by key, ordered by the keys' bytes.
///
/// Keys are compared as UTF-8 bytes: two spellings of "é" that Swift's `==` calls equal are two
/// keys. At most 128 levels of arrays and objects can be stored, this one counted. Looking up a
/// key is a binary search; setting one moves those behind it.
public struct Metadata: Sendable, Hashable {
    /// A key and its value.
    public typealias Element = (key: String, value: MetadataValue)

    /// Ascending by the keys' bytes, each key once.
    var elements: [Element] = []

    /// No keys.
    public init() {}

    /// Keys and values in any order; of equal keys the last one counts.
    public init(_ elements: [(String, MetadataValue)]) {
        // The place breaks ties, so that the last of equal keys stays.
        let ordered = elements.enumerated().sorted { a, b in
            let order = compareUTF8(a.element.0, b.element.0)
            return order < 0 || order == 0 && a.offset < b.offset
        }
        for (_, (key, value)) in ordered {
            if let last = self.elements.last, compareUTF8(last.key, key) == 0 {
                self.elements.removeLast()
            }
            self.elements.append((key, value))
        }
    }

    init(literal elements: [(String, MetadataValue)]) {
        self.init(elements)
        precondition(self.elements.count == elements.count, "a metadata key stands there twice")
    }

    /// Takes elements that are in order.
    init(sorted elements: [Element]) { self.elements = elements }

    /// The value of a key; `nil` when there is none.
    ///
    /// Setting `nil` removes the key.
    ///
    /// A value of `.null` is a value: `metadata["a"] = .some(.null)` stores it.
    public subscript(key: String) -> MetadataValue? {
        get {
            let index = lowerBound(key)
            return holds(key, at: index) ? elements[index].value : nil
        }
        set {
            let index = lowerBound(key)
            switch (holds(key, at: index), newValue) {
            case (true, let value?): elements[index].value = value
            case (true, nil): elements.remove(at: index)
            case (false, let value?): elements.insert((key, value), at: index)
            case (false, nil): break
            }
        }
    }

    /// The first element whose key is not before `key`.
    private func lowerBound(_ key: String) -> Int {
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            if compareUTF8(elements[middle].key, key) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    private func holds(_ key: String, at index: Int) -> Bool {
        index < elements.count && compareUTF8(elements[index].key, key) == 0
    }

    /// True when both would be stored as the same bytes; see ``MetadataValue/==(_:_:)``.
    public static func == (a: Metadata, b: Metadata) -> Bool {
        a.elements.elementsEqual(b.elements) {
            compareUTF8($0.key, $1.key) == 0 && $0.value == $1.value
        }
    }

    /// Hashes what `==` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(elements.count)
        for (key, value) in elements {
            hasher.combine(key)
            hasher.combine(value)
        }
    }
}

extension Metadata: RandomAccessCollection, ExpressibleByDictionaryLiteral {
    /// The position of the first key.
    public var startIndex: Int { 0 }

    /// The position behind the last key.
    public var endIndex: Int { elements.count }

    /// The key and value at a position, from 0.
    public subscript(position: Int) -> Element { elements[position] }

    /// Keys and values; a key must not stand there twice.
    public init(dictionaryLiteral elements: (String, MetadataValue)...) {
        self.init(literal: elements)
    }
}
