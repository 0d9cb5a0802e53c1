// Searches of one collection in one version, shared by collections and snapshots.

import MoraineEngine
import MoraineFormat
import MoraineStorage

extension VersionReader {
    func search(near query: [Float], _ options: SearchOptions) throws(MoraineError)
        -> (hits: [Hit], plan: SearchPlan)
    {
        try search(near: query, try options.request(), options.parts)
    }

    func search(like id: String, _ options: SearchOptions) throws(MoraineError) -> [Hit] {
        var request = try options.request()
        request.excludedID = Array(id.utf8)
        let query = try face { () throws(StoreError) in try embedding(of: id) }
        return try search(near: query, request, options.parts).hits
    }

    /// The hits of each of many queries, in the queries' order.
    func search(near queries: [[Float]], _ options: SearchOptions) throws(MoraineError) -> [[Hit]] {
        let request = try options.request()
        return try face { () throws(StoreError) in
            var numbers: [Float] = []
            numbers.reserveCapacity(queries.count * shape.dimensions)
            for (place, query) in queries.enumerated() {
                guard query.count == shape.dimensions, !query.isEmpty else {
                    throw StoreError(
                        .wrongDimension,
                        "query \(place) has not the dimensions of collection \"\(shape.name)\"",
                        expected: "\(shape.dimensions)",
                        found: "\(query.count)"
                    )
                }
                numbers += query
            }
            return try numbers.withUnsafeBufferPointer { numbers throws(StoreError) in
                try version.search(shape, queries: numbers, request) {
                    found throws(StoreError) in try hits(found, options.parts)
                }
            }
        }
    }

    private func search(
        near query: [Float],
        _ request: SearchRequest,
        _ parts: SearchOptions.Parts
    ) throws(MoraineError) -> (hits: [Hit], plan: SearchPlan) {
        try face { () throws(StoreError) in
            let answer = try query.withUnsafeBufferPointer { query throws(StoreError) in
                try version.search(shape, query: query, request)
            }
            return (try hits(answer.hits, parts), SearchPlan(answer.plan))
        }
    }

    private func embedding(of id: String) throws(StoreError) -> [Float] {
        guard let document = try get(id, withEmbedding: true) else {
            throw StoreError(
                .notFound,
                "collection \"\(shape.name)\" has no document \"\(id)\""
            )
        }
        guard let embedding = document.embedding else {
            throw StoreError(.invalidVector, "document \"\(id)\" has no embedding")
        }
        return embedding
    }

    private func hits(_ found: [SearchHit], _ parts: SearchOptions.Parts) throws(StoreError)
        -> [Hit]
    {
        var hits: [Hit] = []
        hits.reserveCapacity(found.count)
        for hit in found {
            let document =
                parts.isEmpty
                ? try StoredDocument(id: hit.id)
                : try version.withDocument(
                    of: hit,
                    in: shape,
                    wantsVector: parts.contains(.embedding)
                ) { view throws(StoreError) in try StoredDocument(view, parts: parts) }
            hits.append(Hit(document: document, score: hit.score))
        }
        return hits
    }
}
