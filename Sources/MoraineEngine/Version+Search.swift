// Exact nearest-neighbour search over a version.

import MoraineBytes
import MoraineSegments
package import MoraineFormat
package import MoraineStorage
import MoraineVectors

/// A document near a query.
package struct SearchHit: Sendable, Equatable {
    package let id: [UInt8]
    /// Cosine and dot: the similarity, higher is nearer.
    ///
    /// L2: the squared distance, lower is nearer.
    package let score: Float
}

extension Version {
    /// The documents nearest to a query, nearest first, equal scores by id.
    ///
    /// Compares the query with every vector of the collection, on all the engine's scan threads.
    ///
    /// - Parameters:
    ///   - query: as many numbers as the collection has dimensions.
    ///   - limit: hits at most; 1 or more.
    ///   - id: a document to leave out.
    /// - Throws: `wrongDimension`, `invalidVector`, `invalidArgument`, `corrupted`.
    package func search(
        _ collection: CollectionShape,
        query: UnsafeBufferPointer<Float>,
        limit: Int,
        excluding id: UnsafeRawBufferPointer? = nil
    ) throws(StoreError) -> [SearchHit] {
        guard limit >= 1 else {
            throw StoreError(
                .invalidArgument,
                "a search needs a limit",
                expected: "1 or more",
                found: "\(limit)"
            )
        }
        guard query.count == collection.dimensions, collection.dimensions > 0 else {
            throw StoreError(
                .wrongDimension,
                "the query has not the dimensions of collection \"\(collection.name)\"",
                expected: "\(collection.dimensions)",
                found: "\(query.count)"
            )
        }
        let vector = try QueryVector(query, metric: collection.metric)
        // One more, since the document to leave out may be among them.
        let wanted = id == nil ? limit : limit &+ (limit < .max ? 1 : 0)
        let candidates = try candidates(collection, vector, limit: wanted)
        var hits: [SearchHit] = []
        hits.reserveCapacity(min(limit, candidates.count))
        for candidate in candidates where hits.count < limit {
            let found = try candidateID(candidate)
            if let id, found.elementsEqual(id) { continue }
            hits.append(
                SearchHit(id: found, score: Score.value(ofKey: candidate.key, vector.metric))
            )
        }
        return hits
    }

    /// The best rows of all sources.
    ///
    /// Sources are the memtables, then the segments.
    private func candidates(_ collection: CollectionShape, _ query: QueryVector, limit: Int)
        throws(StoreError) -> [Candidate]
    {
        var lists: [[Candidate]] = []
        for (source, memtable) in memtables.enumerated() {
            lists.append(scan(memtable, collection, query, limit: limit, source: source))
        }
        var sources: [ScanSource] = []
        for (index, view) in segments.enumerated() {
            guard let space = view.segment.vectors?.space(ofCollection: collection.id) else {
                continue
            }
            guard space.dimensions == collection.dimensions, space.metric == collection.metric
            else {
                throw StoreError(
                    .corrupted,
                    "a segment's vectors have not the shape of their collection",
                    path: view.segment.vectors?.path,
                    expected: "\(collection.dimensions)",
                    found: "\(space.dimensions)"
                )
            }
            let dead = try hidden(view, collection.id)
            sources.append(
                ScanSource(
                    space: space,
                    codes: view.indexes.codes?.space(ofCollection: collection.id),
                    source: memtables.count + index
                ) { dead.isDead($0) }
            )
        }
        // What the k-th of a memtable's list does not reach is of no interest elsewhere.
        let floor = lists.map { $0.count == limit ? $0[limit - 1].key : 0 }.max() ?? 0
        lists += try ExactScan.nearest(
            [query],
            in: sources,
            limit: limit,
            floor: floor,
            pool: scanPool
        )
        return try Candidate.nearest(of: lists, limit: limit) {
            candidate throws(StoreError) -> [UInt8] in
            try candidateID(candidate)
        }
    }

    private func scan(
        _ memtable: MemTable,
        _ collection: CollectionShape,
        _ query: QueryVector,
        limit: Int,
        source: Int
    ) -> [Candidate] {
        var rows: [UInt32] = []
        var vectors: [UnsafePointer<Float>] = []
        var norms: [Float] = []
        memtable.forEachRow(collectionID: collection.id) { number, row in
            guard sees(row), let vector = row.pointee.vector else { return }
            rows.append(UInt32(number))
            vectors.append(vector)
            norms.append(row.pointee.norm)
        }
        guard !rows.isEmpty else { return [] }
        let order = rows
        var top = TopK(capacity: limit) { a, b in
            KeyBytes.compare(
                memtable.row(Int(order[Int(a)])).pointee.id,
                memtable.row(Int(order[Int(b)])).pointee.id
            ) < 0
        }
        vectors.withUnsafeBufferPointer { vectors in
            norms.withUnsafeBufferPointer { norms in
                ExactScan.scan(
                    query,
                    vectors: vectors,
                    norms: norms,
                    isDead: { _ in false },
                    into: &top
                )
            }
        }
        return top.sorted(source: source).map {
            Candidate(key: $0.key, source: source, row: rows[Int($0.row)])
        }
    }

    /// The id of a candidate's document.
    private func candidateID(_ candidate: Candidate) throws(StoreError) -> [UInt8] {
        if candidate.source < memtables.count {
            return Array(memtables[candidate.source].row(Int(candidate.row)).pointee.id)
        }
        let segment = segments[candidate.source - memtables.count].segment
        let cursor = segment.files.keys.cursor(from: candidate.row)
        guard try cursor.next() else {
            throw StoreError(
                .corrupted,
                "a vector belongs to a row that has no key",
                path: segment.vectors?.path,
                expected: "below \(segment.rowCount)",
                found: "row \(candidate.row)"
            )
        }
        return Array(KeyBytes.id(of: cursor.key))
    }
}
