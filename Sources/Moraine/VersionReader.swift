// Reads of one collection in one version, shared by collections and snapshots.

import MoraineEngine
import MoraineFormat
import MoraineStorage

/// One collection as of one commit.
struct VersionReader: Sendable {
    let version: Version
    let shape: CollectionShape

    func get(_ id: String, withEmbedding: Bool) throws(StoreError) -> StoredDocument? {
        try withUTF8(of: id) { id throws(StoreError) in
            try version.withDocument(shape, id: id, wantsVector: withEmbedding) {
                view throws(StoreError) in try StoredDocument(view)
            }
        }
    }

    func get(_ ids: [String], withEmbeddings: Bool) throws(StoreError) -> [StoredDocument?] {
        var documents: [StoredDocument?] = []
        documents.reserveCapacity(ids.count)
        for id in ids { documents.append(try get(id, withEmbedding: withEmbeddings)) }
        return documents
    }

    func count() throws(StoreError) -> Int { try version.count(shape) }

    func scan(
        _ range: ScanRange,
        withEmbeddings: Bool,
        _ visit: (StoredDocument) throws(MoraineError) -> Bool
    ) throws(MoraineError) {
        // The engine's scan lets only its own errors through.
        var refusal: MoraineError?
        try face { () throws(StoreError) in
            try version.scan(shape, range: range, wantsVectors: withEmbeddings) {
                view throws(StoreError) in
                let document = try StoredDocument(view)
                do throws(MoraineError) {
                    return try visit(document)
                } catch {
                    refusal = error
                    return false
                }
            }
        }
        if let refusal { throw refusal }
    }

    func search(near query: [Float], limit: Int, withEmbeddings: Bool) throws(StoreError) -> [Hit] {
        let found = try query.withUnsafeBufferPointer { query throws(StoreError) in
            try version.search(shape, query: query, SearchRequest(limit: limit)).hits
        }
        return try hits(found, withEmbeddings: withEmbeddings)
    }

    func search(like id: String, limit: Int, withEmbeddings: Bool) throws(StoreError) -> [Hit] {
        guard let document = try get(id, withEmbedding: true) else {
            throw StoreError(
                .notFound,
                "collection \"\(shape.name)\" has no document \"\(id)\""
            )
        }
        guard let query = document.embedding else {
            throw StoreError(.invalidVector, "document \"\(id)\" has no embedding")
        }
        var request = SearchRequest(limit: limit)
        request.excludedID = Array(id.utf8)
        let found = try query.withUnsafeBufferPointer { query throws(StoreError) in
            try version.search(shape, query: query, request).hits
        }
        return try hits(found, withEmbeddings: withEmbeddings)
    }

    private func hits(_ found: [SearchHit], withEmbeddings: Bool) throws(StoreError) -> [Hit] {
        var hits: [Hit] = []
        hits.reserveCapacity(found.count)
        for hit in found {
            let document = try hit.id.withUnsafeBufferPointer { id throws(StoreError) in
                try version.withDocument(
                    shape,
                    id: UnsafeRawBufferPointer(id),
                    wantsVector: withEmbeddings
                ) { view throws(StoreError) in try StoredDocument(view) }
            }
            guard let document else {
                throw StoreError(
                    .corrupted,
                    "a vector of collection \"\(shape.name)\" has no document",
                    expected: "a document \"\(String(decoding: hit.id, as: UTF8.self))\"",
                    found: "none"
                )
            }
            hits.append(Hit(document: document, score: hit.score))
        }
        return hits
    }
}

extension ScanRange {
    /// The range of ids that the parameters of a scan describe.
    init(prefix: String, from: String?, to: String?) {
        self.init(
            prefix: Array(prefix.utf8),
            from: from.map { Array($0.utf8) },
            to: to.map { Array($0.utf8) }
        )
    }
}
