// Different strings, each once, with numbers in the order of their first appearance.

import MoraineBytes
import MoraineFormat

/// A hash table of strings.
///
/// Memory: the bytes, 8 bytes for each string, and 5 to 11 for its place in the table.
struct StringTable {
    private var bytes: [UInt8] = []
    /// Where each string ends.
    private var ends: [Int] = []
    /// Numbers, plus one; 0 is empty.
    ///
    /// A power of two, at most three quarters full.
    private var places: [UInt32] = []

    var count: Int { ends.count }
    var byteCount: Int { bytes.count }

    /// The number of a string, which is kept if it is new.
    mutating func number(of string: UnsafeRawBufferPointer) -> Int {
        if ends.count * 4 >= places.count * 3 { grow() }
        let mask = places.count - 1
        var place = Int(truncatingIfNeeded: hash64(string, seed: 0)) & mask
        while places[place] != 0 {
            let number = Int(places[place]) - 1
            if equals(number, string) { return number }
            place = (place + 1) & mask
        }
        let number = ends.count
        places[place] = UInt32(number + 1)
        bytes.append(contentsOf: string)
        ends.append(bytes.count)
        return number
    }

    private mutating func grow() {
        places = [UInt32](repeating: 0, count: max(places.count * 2, 16))
        let mask = places.count - 1
        for number in ends.indices {
            var place = withString(number) { Int(truncatingIfNeeded: hash64($0, seed: 0)) } & mask
            while places[place] != 0 { place = (place + 1) & mask }
            places[place] = UInt32(number + 1)
        }
    }

    private func equals(_ number: Int, _ string: UnsafeRawBufferPointer) -> Bool {
        withString(number) { $0.count == string.count && KeyBytes.compare($0, string) == 0 }
    }

    /// Calls `body` with the bytes of a string.
    @inline(__always)
    func withString<R>(_ number: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let start = number == 0 ? 0 : ends[number - 1]
        let end = ends[number]
        return bytes.withUnsafeBufferPointer {
            body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer($0)[start..<end]))
        }
    }

    /// The numbers in the order of the strings' bytes.
    func sorted() -> [Int] {
        // Most comparisons are decided by the first eight bytes, which need no look at the table.
        var order = ends.indices.map { number in
            (head: withString(number) { StringTable.head($0) }, number: number)
        }
        order.sort { a, b in
            if a.head != b.head { return a.head < b.head }
            return withString(a.number) { x in
                withString(b.number) { y in KeyBytes.compare(x, y) < 0 }
            }
        }
        return order.map(\.number)
    }

    /// The first eight bytes as a number that sorts as they do.
    private static func head(_ string: UnsafeRawBufferPointer) -> UInt64 {
        var head: UInt64 = 0
        for index in 0..<min(string.count, 8) {
            head |= UInt64(string[index]) << UInt64(56 - 8 * index)
        }
        return head
    }
}
