// Looking up what is kept in ascending order: tables of a store may have thousands of entries.

extension RandomAccessCollection where Index == Int {
    /// The element with that key; `nil` when none has it.
    ///
    /// - Parameters:
    ///   - key: the key looked for.
    ///   - keyOf: the key of an element; ascends from each element to the next.
    /// - Complexity: logarithmic.
    @inlinable
    package func element<Key: Comparable>(withKey key: Key, _ keyOf: (Element) -> Key) -> Element? {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = low + (high - low) / 2
            if keyOf(self[middle]) < key { low = middle + 1 } else { high = middle }
        }
        return low < endIndex && keyOf(self[low]) == key ? self[low] : nil
    }
}
