// Which vectors of a space a scan looks at: neighbours, or some that lie apart.

/// Ordinals: all of a range, or those of a list.
///
/// Borrows the list; whoever makes one keeps it alive. The caller's thread.
struct ScanOrdinals {
    /// The first of a range.
    private let first: Int
    private let list: UnsafePointer<UInt32>?
    let count: Int

    init(_ range: Range<Int>) {
        first = range.lowerBound
        list = nil
        count = range.count
    }

    init(_ list: UnsafeBufferPointer<UInt32>) {
        first = 0
        self.list = list.baseAddress
        count = list.count
    }

    private init(first: Int, list: UnsafePointer<UInt32>?, count: Int) {
        self.first = first
        self.list = list
        self.count = count
    }

    /// The ordinal at a place below `count`.
    @inline(__always)
    subscript(place: Int) -> Int {
        guard let list else { return first &+ place }
        return Int(list[place])
    }

    /// The range, when the ordinals are known to follow each other.
    var range: Range<Int>? { list == nil ? first..<(first + count) : nil }

    /// At most `limit` of them, from a place on.
    func part(from place: Int, limit: Int) -> ScanOrdinals {
        precondition(place >= 0 && place < count && limit > 0)
        return ScanOrdinals(
            first: first + place,
            list: list.map { $0 + place },
            count: min(limit, count - place)
        )
    }
}
