// A scan for asynchronous code: portions are read when they are asked for, so that a slow consumer
// holds no thread and memory stays bounded.

import MoraineEngine
import MoraineFormat
import MoraineStorage

/// Documents of one state in id order, read in portions while they are iterated.
///
/// Each iteration begins anew, over the same state. It holds one portion at a time: at most 4,096
/// documents, and no more once they have passed 1 MiB. A read timeout is for the whole iteration.
public struct DocumentSequence: AsyncSequence, Sendable {
    /// A document.
    public typealias Element = StoredDocument
    /// The only error.
    public typealias Failure = MoraineError

    let snapshot: Store.Snapshot
    let shape: CollectionShape
    let range: ScanRange
    let filter: Filter?
    let withEmbeddings: Bool
    let timeout: Duration?

    /// A new iteration.
    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// A place in the sequence.
    public struct Iterator: AsyncIteratorProtocol {
        private let sequence: DocumentSequence
        private let deadline: UInt64
        private var range: ScanRange
        private var documents: ArraySlice<StoredDocument> = []
        /// What reading met behind `documents`.
        private var error: MoraineError?
        private var isOver = false
        /// Documents of the next portion at most.
        ///
        /// The first is small, for an early first result; later ones are large, since each
        /// beginning of a scan has a cost of its own.
        private var limit = 64

        fileprivate init(_ sequence: DocumentSequence) {
            self.sequence = sequence
            deadline = ReadLimit.deadline(
                after: sequence.timeout,
                sequence.snapshot.store.engine.options.clock
            )
            range = sequence.range
        }

        /// The next document; `nil` at the end and after an error.
        ///
        /// - Throws: `corrupted` at the first damaged document, after those before it;
        ///   `invalidFilter`, `inputOutput`, `closed`, `snapshotExpired`, `cancelled`,
        ///   `deadlineExceeded`.
        public mutating func next() async throws(MoraineError) -> StoredDocument? {
            if let document = documents.popFirst() { return document }
            if isOver {
                defer { error = nil }
                if let error { throw error }
                return nil
            }
            isOver = true
            let portion = try await sequence.read(range, limit: limit, until: deadline)
            documents = portion.documents[...]
            error = portion.error
            isOver = portion.isLast
            if let last = portion.documents.last {
                // The next id in byte order, as ids have no NUL.
                range.from = Array(last.id.utf8) + [0]
            }
            limit = Swift.min(limit * 4, 4_096)
            if let document = documents.popFirst() { return document }
            defer { error = nil }
            if let error { throw error }
            return nil
        }
    }

    /// What one turn on a thread of the store's own read.
    fileprivate struct Portion: Sendable {
        var documents: [StoredDocument] = []
        /// What ended the reading behind `documents`.
        var error: MoraineError?
        var isLast = true
    }

    fileprivate func read(_ range: ScanRange, limit: Int, until deadline: UInt64)
        async throws(MoraineError) -> Portion
    {
        try await snapshot.store.read(until: deadline) { end throws(MoraineError) in
            let state = try snapshot.state().limited(by: end)
            let reader = VersionReader(version: state, shape: shape)
            var portion = Portion()
            var byteCount = 0
            do throws(MoraineError) {
                try reader.scan(range, where: filter, withEmbeddings: withEmbeddings) { document in
                    portion.documents.append(document)
                    byteCount += document.text.utf8.count + (document.embedding?.count ?? 0) * 4
                    portion.isLast =
                        portion.documents.count < limit && byteCount < Self.portionByteCount
                    return portion.isLast
                }
            } catch {
                portion.error = error
            }
            return portion
        }
    }

    /// Bytes of texts and embeddings at which a portion ends.
    private static let portionByteCount = 1 << 20
}
