// The order of the rows of a merge's output.

import MoraineFormat
import MoraineStorage

/// The live keys of all inputs in order: a heap of cursors, the one with the lowest key first.
struct KeyOrder: ~Copyable {
    private struct Head {
        let number: Int
        /// The cursor's memory.
        var key: UnsafeRawBufferPointer
    }

    private let inputs: [MergeInput]
    private let cursors: [KeyCursor]
    private var heap: [Head] = []
    /// The key that was given out last.
    private let last = UnsafeMutableRawBufferPointer.allocate(
        byteCount: KeyBytes.maximumByteCount,
        alignment: 8
    )
    private var lastByteCount = 0

    init(_ inputs: [MergeInput]) throws(StoreError) {
        self.inputs = inputs
        cursors = inputs.map { $0.segment.keys.cursor(from: 0) }
        for number in inputs.indices {
            guard let key = try nextKey(number) else { continue }
            heap.append(Head(number: number, key: key))
            var child = heap.count - 1
            while child > 0, precedes(heap[child], heap[(child - 1) / 2]) {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        }
    }

    deinit { last.deallocate() }

    /// The next key, its input and what is known of it; `nil` behind the last one.
    ///
    /// The key is valid until the next call.
    mutating func next() throws(StoreError) -> (
        number: Int, key: UnsafeRawBufferPointer, entry: KeyEntry
    )? {
        if lastByteCount > 0 { try advance() }
        guard let first = heap.first else { return nil }
        let entry = cursors[first.number].entry
        guard
            KeyBytes.compare(UnsafeRawBufferPointer(rebasing: last[..<lastByteCount]), first.key)
                < 0
        else { throw inputs[first.number].disorder(entry.row) }
        last.copyMemory(from: first.key)
        lastByteCount = first.key.count
        return (first.number, UnsafeRawBufferPointer(rebasing: last[..<lastByteCount]), entry)
    }

    /// Moves the first input to its next live row.
    private mutating func advance() throws(StoreError) {
        if let key = try nextKey(heap[0].number) {
            heap[0].key = key
        } else {
            let last = heap.removeLast()
            if heap.isEmpty { return }
            heap[0] = last
        }
        var parent = 0
        while true {
            var lowest = parent
            let left = 2 * parent + 1
            if left < heap.count, precedes(heap[left], heap[lowest]) { lowest = left }
            if left + 1 < heap.count, precedes(heap[left + 1], heap[lowest]) { lowest = left + 1 }
            if lowest == parent { return }
            heap.swapAt(parent, lowest)
            parent = lowest
        }
    }

    /// The key of an input's next live row.
    private func nextKey(_ number: Int) throws(StoreError) -> UnsafeRawBufferPointer? {
        let dead = inputs[number].dead
        let cursor = cursors[number]
        while try cursor.next() {
            if !dead.isDead(cursor.row) { return cursor.key }
        }
        return nil
    }

    private func precedes(_ a: Head, _ b: Head) -> Bool { KeyBytes.compare(a.key, b.key) < 0 }
}

extension MergeInput {
    /// What is thrown where keys of the inputs do not ascend.
    func disorder(_ row: UInt32) -> StoreError {
        StoreError(
            .corrupted,
            "two live documents have the same key, or keys do not ascend",
            path: segment.keys.file.path,
            offset: segment.keys.blocks.entry.offset,
            expected: "a key above the one before",
            found: "row \(row)"
        )
    }
}
