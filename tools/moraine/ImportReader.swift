// The reading half of an import: a thread that turns lines and vectors into batches.

import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage
import Synchronization

/// Some hundred documents, parsed and ready to be committed.
// @unchecked: filled by one thread, handed over and back under the reader's lock, read in between.
final class ImportBatch: @unchecked Sendable {
    /// Where a document's parts end in `bytes`; each part starts where the one before ends.
    private struct Document {
        var idEnd: Int
        var textEnd: Int
        var metadataEnd: Int
    }

    let path: String
    /// The number of the first document's line, from 1.
    fileprivate(set) var firstLine = 1
    private var bytes = ByteWriter()
    private var documents: [Document] = []
    /// A vector a document, or none at all.
    fileprivate(set) var floats: [Float] = []

    init(path: String) { self.path = path }

    var documentCount: Int { documents.count }
    var byteCount: Int { bytes.count }

    fileprivate func add(
        id: UnsafeRawBufferPointer,
        text: UnsafeRawBufferPointer,
        metadata: [UInt8]
    ) {
        bytes.writeBytes(id)
        let idEnd = bytes.count
        bytes.writeBytes(text)
        let textEnd = bytes.count
        bytes.writeBytes(metadata)
        documents.append(
            Document(idEnd: idEnd, textEnd: textEnd, metadataEnd: bytes.count)
        )
    }

    /// Forgets the documents, keeps the memory; the next vectors replace those that are there.
    fileprivate func removeAll() {
        bytes.removeAll()
        documents.removeAll(keepingCapacity: true)
    }

    /// Forgets the documents from `count` on.
    fileprivate func cut(to count: Int) { documents.removeLast(documents.count - count) }

    /// Puts the first `count` documents.
    ///
    /// - Parameter index: the document that is being put; the refused one when this throws.
    func put(
        _ count: Int,
        into builder: inout BatchBuilder,
        _ collection: CollectionShape,
        index: inout Int
    ) throws(StoreError) {
        let dimensions = floats.isEmpty ? 0 : collection.dimensions
        let documents = documents
        try bytes.withBytes { all throws(StoreError) in
            try floats.withUnsafeBufferPointer { floats throws(StoreError) in
                var start = 0
                index = 0
                while index < count {
                    let document = documents[index]
                    let first = index * dimensions
                    let vector = UnsafeBufferPointer(rebasing: floats[first..<(first + dimensions)])
                    try builder.put(
                        collection,
                        id: UnsafeRawBufferPointer(rebasing: all[start..<document.idEnd]),
                        text: UnsafeRawBufferPointer(
                            rebasing: all[document.idEnd..<document.textEnd]
                        ),
                        metadata: UnsafeRawBufferPointer(
                            rebasing: all[document.textEnd..<document.metadataEnd]
                        ),
                        vector: dimensions == 0 ? nil : vector
                    )
                    start = document.metadataEnd
                    index += 1
                }
            }
        }
    }
}

/// Reads documents and vectors on a thread of its own, a few batches ahead of who takes them.
// @unchecked: what the thread works with is its own until `stop` has joined it; the rest is under
// the monitor's lock.
final class ImportReader: @unchecked Sendable {
    private static let batchDocumentCount = 512
    private static let batchByteCount = 4 << 20
    private static let batchesAhead = 3
    private static let lineByteLimit = 256 << 20

    private let docs: String
    private let lines: LineReader
    private var vectors: VectorInput?
    private var reader = JSONReader(UnsafeRawBufferPointer(start: nil, count: 0))
    private var transcoder = MetadataTranscoder()
    private var metadata = ByteWriter()
    private var lineNumber = 0

    private let monitor = Monitor()
    private var ready: [ImportBatch] = []
    /// Batches that were committed: their memory is used again.
    private var spare: [ImportBatch] = []
    private var isFinished = false
    private var isStopped = false
    private var thread: WorkerThread?
    private var firstFailure: Failure?

    /// - Parameter docs: the name of `source`, for messages.
    init(docs: String, source: any ByteSource, vectors: VectorInput?) {
        self.docs = docs
        self.vectors = vectors
        lines = LineReader(source, limit: Self.lineByteLimit)
    }

    /// What ended the reading before the files did; known once `next` has said `nil`.
    var failure: Failure? { monitor.withLock { firstFailure } }

    /// Bytes read from both files; known once `next` has said `nil`.
    var byteCount: UInt64 {
        monitor.withLock { lines.byteCount + (vectors?.byteCount ?? 0) }
    }

    /// Begins to read.
    func start() throws(Failure) {
        guard let thread = WorkerThread({ self.readAll() }) else {
            throw Failure(.operational, "cannot start a thread")
        }
        self.thread = thread
    }

    /// The next batch, in order; `nil` at the end or when reading failed.
    func next() -> ImportBatch? {
        monitor.withLock {
            while ready.isEmpty && !isFinished { monitor.wait() }
            guard !ready.isEmpty else { return nil }
            defer { monitor.broadcast() }
            return ready.removeFirst()
        }
    }

    /// Gives a batch back once it was committed.
    func reuse(_ batch: ImportBatch) {
        // A rare huge document's memory is not kept.
        guard batch.byteCount <= 2 * Self.batchByteCount else { return }
        batch.removeAll()
        monitor.withLock { spare.append(batch) }
    }

    /// Ends the thread, which may be in the middle of the files.
    func stop() {
        monitor.withLock {
            isStopped = true
            monitor.broadcast()
        }
        thread?.join()
        thread = nil
    }

    // MARK: The thread

    private func readAll() {
        var failure: Failure?
        do throws(Failure) {
            while let batch = try readBatch(), hand(over: batch) {}
        } catch {
            failure = error
        }
        monitor.withLock {
            firstFailure = failure
            isFinished = true
            monitor.broadcast()
        }
    }

    /// False when nobody wants more.
    private func hand(over batch: ImportBatch) -> Bool {
        monitor.withLock {
            while ready.count >= Self.batchesAhead && !isStopped { monitor.wait() }
            guard !isStopped else { return false }
            ready.append(batch)
            monitor.broadcast()
            return true
        }
    }

    /// The next batch, `nil` at the end.
    ///
    /// Documents before a bad line are handed over first.
    private func readBatch() throws(Failure) -> ImportBatch? {
        let batch = monitor.withLock { spare.popLast() } ?? ImportBatch(path: docs)
        batch.firstLine = lineNumber + 1
        var failure: Failure?
        do throws(Failure) {
            while batch.documentCount < Self.batchDocumentCount,
                batch.byteCount < Self.batchByteCount, let line = try nextLine()
            {
                lineNumber += 1
                try parse(line, into: batch)
            }
        } catch {
            failure = error
        }
        do throws(Failure) {
            if failure == nil || batch.documentCount > 0 { try readVectors(for: batch) }
        } catch {
            // A missing vector belongs to an earlier line than the one that could not be parsed.
            failure = error
        }
        if let failure {
            if batch.documentCount > 0 { _ = hand(over: batch) }
            throw failure
        }
        return batch.documentCount > 0 ? batch : nil
    }

    private func nextLine() throws(Failure) -> LineReader.Line? {
        while true {
            if let line = lines.next() { return line }
            switch lines.fill() {
            case .more: continue
            case .end: return nil
            case .cancelled: throw Failure(.cancelled, "stopped by a signal")
            case .failed(let number): throw readFailure(docs, number)
            }
        }
    }

    private func readVectors(for batch: ImportBatch) throws(Failure) {
        guard var vectors else { return }
        defer { self.vectors = vectors }
        let wanted = batch.documentCount
        // At the end of the documents one more is asked for: there must be none.
        guard wanted > 0 else {
            var extra: [Float] = []
            guard try vectors.next(1, into: &extra) == 0, !vectors.endsInside else {
                throw Failure(
                    .usage,
                    "\(vectors.path) holds more vectors than \(docs) has documents"
                )
            }
            return
        }
        let found: Int
        do throws(Failure) {
            found = try vectors.next(wanted, into: &batch.floats)
        } catch {
            // How many of them came is not known, so none of the batch counts.
            batch.cut(to: 0)
            throw error
        }
        guard found == wanted else {
            batch.cut(to: found)
            throw badLine(
                batch.firstLine + found,
                "there is no vector for it: \(vectors.path) ends before"
            )
        }
    }

    private static let keys: [StaticString] = ["id", "text", "metadata"]

    private func parse(_ line: LineReader.Line, into batch: ImportBatch) throws(Failure) {
        guard case .line(let bytes) = line else {
            throw badLine(lineNumber, "it is longer than \(Self.lineByteLimit) bytes")
        }
        do throws(JSONError) {
            reader.restart(bytes)
            try reader.beginObject()
            let start = reader.tokenOffset
            var seen: UInt64 = 0
            var id: UnsafeRawBufferPointer?
            var text = UnsafeRawBufferPointer(start: nil, count: 0)
            metadata.removeAll()
            while let key = try reader.nextKey(of: Self.keys, seen: &seen) {
                switch key {
                case 0: id = try reader.readString()
                case 1: text = try reader.readString()
                default: try transcoder.transcodeObject(&reader, into: &metadata)
                }
            }
            try reader.expectEnd()
            guard let id else { throw JSONError.missingKey("id", at: start) }
            batch.add(
                id: id,
                text: text,
                metadata: metadata.bytes.isEmpty ? Metadata.empty : metadata.bytes
            )
        } catch {
            throw badLine(lineNumber, "byte \(error.offset): \(error.message)")
        }
    }

    private func badLine(_ number: Int, _ message: String) -> Failure {
        Failure(.usage, "\(docs): line \(number): \(message)")
    }
}
