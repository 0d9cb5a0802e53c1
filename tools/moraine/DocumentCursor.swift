// The documents of a collection one at a time, for commands that walk two scans side by side.

import MoraineEngine
import MoraineFormat
import MoraineStorage

/// A document that is kept.
struct HeldDocument {
    let id: [UInt8]
    let text: [UInt8]
    let metadata: [UInt8]
    /// Little-endian Float32.
    let vector: [UInt8]?

    init(_ view: DocumentView) {
        id = Array(view.id)
        text = Array(view.text)
        metadata = Array(view.metadata)
        vector = view.vector.map { Array($0) }
    }

    var byteCount: Int { id.count + text.count + metadata.count + (vector?.count ?? 0) }
}

/// Hands out the documents of a collection by id.
///
/// Reads some ahead; memory is bounded.
struct DocumentCursor {
    private static let aheadCount = 1_024
    private static let aheadByteCount = 4 << 20

    private let version: Version
    /// `nil`: there are none.
    private let collection: CollectionShape?
    private var ahead: [HeldDocument] = []
    private var index = 0
    private var range = ScanRange()
    private var isAtEnd = false

    init(_ version: Version, _ collection: CollectionShape?) {
        self.version = version
        self.collection = collection
        isAtEnd = collection == nil
    }

    /// The next document, `nil` behind the last.
    mutating func next() throws(StoreError) -> HeldDocument? {
        if index == ahead.count { try readAhead() }
        guard index < ahead.count else { return nil }
        defer { index += 1 }
        return ahead[index]
    }

    private mutating func readAhead() throws(StoreError) {
        guard !isAtEnd, let collection else { return }
        // The smallest id behind the last one read.
        if let last = ahead.last { range.from = last.id + [0] }
        ahead.removeAll(keepingCapacity: true)
        index = 0
        var byteCount = 0
        var held: [HeldDocument] = []
        try version.scan(collection, range: range, wantsVectors: true) {
            document throws(StoreError) in
            let document = HeldDocument(document)
            byteCount += document.byteCount
            held.append(document)
            return held.count < Self.aheadCount && byteCount < Self.aheadByteCount
        }
        isAtEnd = held.count < Self.aheadCount && byteCount < Self.aheadByteCount
        ahead = held
    }
}
