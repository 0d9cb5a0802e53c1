// Documents on their way into a store: read from JSON Lines on a thread, committed by another.

import Foundation
import MoraineBytes
import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineJSON
import MoraineStorage

/// Some hundred documents, parsed.
// @unchecked: filled by one thread, handed over under the channel's lock, then only read.
final class Batch: @unchecked Sendable {
    private struct Ends {
        var id: Int
        var text: Int
        var metadata: Int
    }

    private var bytes = ByteWriter()
    private var documents: [Ends] = []
    /// A vector a document, or none at all.
    var floats: [Float] = []

    var documentCount: Int { documents.count }
    var byteCount: Int { bytes.count }

    func add(id: UnsafeRawBufferPointer, text: UnsafeRawBufferPointer, metadata: [UInt8]) {
        bytes.writeBytes(id)
        let idEnd = bytes.count
        bytes.writeBytes(text)
        let textEnd = bytes.count
        bytes.writeBytes(metadata)
        documents.append(Ends(id: idEnd, text: textEnd, metadata: bytes.count))
    }

    /// Forgets everything but the memory.
    func removeAll() {
        bytes.removeAll()
        documents.removeAll(keepingCapacity: true)
        floats.removeAll(keepingCapacity: true)
    }

    /// Puts all documents.
    func put(into builder: inout BatchBuilder, _ collection: CollectionShape) throws(StoreError) {
        try bytes.withBytes { all throws(StoreError) in
            try floats.withUnsafeBufferPointer { floats throws(StoreError) in
                var start = 0
                for (index, ends) in documents.enumerated() {
                    let first = index * collection.dimensions
                    try builder.put(
                        collection,
                        id: UnsafeRawBufferPointer(rebasing: all[start..<ends.id]),
                        text: UnsafeRawBufferPointer(rebasing: all[ends.id..<ends.text]),
                        metadata: UnsafeRawBufferPointer(rebasing: all[ends.text..<ends.metadata]),
                        vector: floats.isEmpty
                            ? nil
                            : UnsafeBufferPointer(
                                rebasing: floats[first..<(first + collection.dimensions)]
                            )
                    )
                    start = ends.metadata
                }
            }
        }
    }
}

/// Reads JSON lines into batches.
struct LineParser: ~Copyable {
    static let batchDocumentCount = 512
    private static let keys: [StaticString] = ["id", "text", "metadata"]

    private var reader = JSONReader(UnsafeRawBufferPointer(start: nil, count: 0))
    private var transcoder = MetadataTranscoder()
    private var metadata = ByteWriter()

    /// Adds the document of one line.
    mutating func parse(_ line: UnsafeRawBufferPointer, into batch: Batch) throws {
        reader.restart(line)
        try reader.beginObject()
        var seen: UInt64 = 0
        var id = UnsafeRawBufferPointer(start: nil, count: 0)
        var text = id
        metadata.removeAll()
        while let key = try reader.nextKey(of: Self.keys, seen: &seen) {
            switch key {
            case 0: id = try reader.readString()
            case 1: text = try reader.readString()
            default: try transcoder.transcodeObject(&reader, into: &metadata)
            }
        }
        try reader.expectEnd()
        batch.add(
            id: id,
            text: text,
            metadata: metadata.bytes.isEmpty ? Metadata.empty : metadata.bytes
        )
    }
}

/// Hands batches from the thread that makes them to the one that commits them.
// @unchecked: all state is under the monitor's lock.
final class BatchChannel: @unchecked Sendable {
    private static let batchesAhead = 3

    private let monitor = Monitor()
    private var ready: [Batch] = []
    /// Batches that were committed: their memory is used again.
    private var spare: [Batch] = []
    private var isFinished = false
    private var isStopped = false
    private var failure: (any Error)?

    /// Hands over a batch and returns an empty one; `nil` when nobody wants more.
    func send(_ batch: Batch) -> Batch? {
        let (next, isStopped) = monitor.withLock { () -> (Batch?, Bool) in
            while ready.count >= Self.batchesAhead && !self.isStopped { monitor.wait() }
            ready.append(batch)
            monitor.broadcast()
            return (spare.popLast(), self.isStopped)
        }
        return isStopped ? nil : next ?? Batch()
    }

    /// Gives a batch back once it was committed.
    func reuse(_ batch: Batch) {
        batch.removeAll()
        monitor.withLock { spare.append(batch) }
    }

    func finish(_ failure: (any Error)?) {
        monitor.withLock {
            self.failure = failure
            isFinished = true
            monitor.broadcast()
        }
    }

    func stop() {
        monitor.withLock {
            isStopped = true
            monitor.broadcast()
        }
    }

    /// The next batch; `nil` at the end.
    func next() throws -> Batch? {
        let (batch, problem) = monitor.withLock { () -> (Batch?, (any Error)?) in
            while ready.isEmpty && !isFinished { monitor.wait() }
            defer { monitor.broadcast() }
            return ready.isEmpty ? (nil, failure) : (ready.removeFirst(), nil)
        }
        if let problem { throw problem }
        return batch
    }
}
