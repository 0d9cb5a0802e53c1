// The store that a salvage writes, through the ordinary engine.

import MoraineEngine
import MoraineFiles
import MoraineFormat
import MoraineStorage

/// Puts documents into the new store, in batches.
struct NewStore: ~Copyable {
    private struct Document {
        let id: [UInt8]
        let body: [UInt8]
        let vector: [UInt8]?
        let version: UInt64
        let created: UInt64
        let updated: UInt64
        let expiry: UInt64
    }

    private static let batchByteCount = 4 << 20
    private static let batchCount = 1024

    private let engine: Engine
    private let fileSystem: any FileSystem
    private let folder: String
    /// At or above every version.
    private let lastLSN: UInt64
    private var batch: [Document] = []
    private var batchByteCount = 0
    private var shape: CollectionShape?

    /// Makes the store, which is none before `finish()`: until then its ROOT has another name.
    init(at folder: String, options: EngineOptions, lastLSN: UInt64) throws(StoreError) {
        fileSystem = options.fileSystem
        self.folder = folder
        let root = FileNames.path(folder, FileNames.root)
        let unfinished = FileNames.path(folder, FileNames.unfinishedRoot)
        var options = options
        options.fileSystem = WatchedFileSystem(
            fileSystem,
            place: { $0 == root ? unfinished : $0 }
        )
        options.isReadOnly = false
        options.createsStore = true
        options.durability = .bulk
        engine = try Engine.open(at: folder, options: options)
        self.lastLSN = lastLSN
    }

    /// Makes a collection and goes on with it.
    mutating func begin(_ collection: CollectionShape) throws(StoreError) {
        try flush()
        try engine.commit(logged: false) { builder throws(StoreError) in
            try builder.createCollection(
                collection.name,
                dimensions: collection.dimensions,
                metric: collection.metric
            )
        }
        shape = try engine.version().collection(collection.name)
    }

    /// Adds a document of the collection begun last.
    mutating func add(
        id: [UInt8],
        body: [UInt8],
        vector: [UInt8]?,
        version: UInt64,
        created: UInt64,
        updated: UInt64,
        expiry: UInt64
    ) throws(StoreError) {
        batch.append(
            Document(
                id: id,
                body: body,
                vector: vector,
                version: version,
                created: created,
                updated: updated,
                expiry: expiry
            )
        )
        batchByteCount += id.count + body.count + (vector?.count ?? 0)
        if batch.count >= Self.batchCount || batchByteCount >= Self.batchByteCount { try flush() }
    }

    /// Writes what is left and closes the store: then it is durable, and a store.
    mutating func finish() throws(StoreError) {
        try flush()
        try engine.checkpoint()
        try engine.close()
        try fileCall("name the new store's ROOT") { () throws(FileError) in
            try fileSystem.rename(
                FileNames.path(folder, FileNames.unfinishedRoot),
                to: FileNames.path(folder, FileNames.root)
            )
            // DURABLE: all else is; a crash before this leaves an unfinished store.
            try fileSystem.syncDirectory(folder)
        }
    }

    /// Closes the store after a failure; what there is of it opens as no store.
    mutating func abandon() { try? engine.close() }

    private mutating func flush() throws(StoreError) {
        guard let shape, !batch.isEmpty else { return }
        // One piece of memory, so that all documents can be borrowed at once.
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: batchByteCount,
            alignment: 8
        )
        defer { memory.deallocate() }
        var used = 0
        func place(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
            let target = UnsafeMutableRawBufferPointer(
                rebasing: memory[used..<(used + bytes.count)]
            )
            target.copyBytes(from: bytes)
            used += bytes.count
            return UnsafeRawBufferPointer(target)
        }
        let documents = batch.map { document in
            RestoredDocument(
                id: place(document.id),
                body: place(document.body),
                vector: document.vector.map(place),
                version: document.version,
                created: document.created,
                updated: document.updated,
                expiry: document.expiry
            )
        }
        try engine.restore(
            documents,
            to: shape,
            upTo: lastLSN,
            time: batch.reduce(0) { max($0, $1.created, $1.updated) }
        )
        batch = []
        batchByteCount = 0
    }
}
