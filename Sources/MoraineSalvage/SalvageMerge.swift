// Goes over all that is left, key by key, and decides about each. Rules: ARCHITECTURE.md,
// "Salvage".

import MoraineBytes
import MoraineFormat
import MoraineSegments
import MoraineStorage
import MoraineVectors

/// The merge of all streams into the new store.
struct SalvageMerge: ~Copyable {
    private var sources: Sources
    private var streams: [any SightingStream] = []
    private var segmentStreams: [SegmentStream] = []
    /// The collection that is being written.
    private var shape: CollectionShape?
    private var counts: [UInt32: SalvagedCollection] = [:]

    init(_ sources: consuming Sources) {
        self.sources = sources
        for segment in self.sources.segments {
            for stream in [
                SegmentStream(segment, documents: true), SegmentStream(segment, documents: false),
            ] {
                segmentStreams.append(stream)
                streams.append(stream)
            }
        }
        streams.append(LogStream(self.sources.commits, isStale: false))
        streams.append(LogStream(self.sources.oldCommits, isStale: true))
    }

    /// Writes every document that can be recovered and reports each.
    mutating func run(
        _ store: inout NewStore,
        within limit: ReadLimit?,
        _ item: (SalvagedItem) -> Void
    ) throws(StoreError) {
        var known = sources.shapes.all[...]
        while let key = streams.lazy.compactMap({ $0.current?.key }).min(by: precedes) {
            // What could not be read for want of time is not lost.
            try limit?.check()
            var sightings: [Sighting] = []
            for stream in streams {
                guard stream.current?.key == key else { continue }
                while let sighting = stream.current, sighting.key == key {
                    sightings.append(sighting)
                    stream.advance()
                }
            }
            let blind = blindSegments(beside: sightings)
            let collectionID = key.withUnsafeBytes { KeyBytes.collection(of: $0) }
            if sources.removals.isDropped(collectionID) { continue }
            sightings += sources.removals.deletes(of: key)
            guard let newest = Resolution(sightings, blind, sources.log.lost),
                sources.shapes.mayHold(newest.newest, collectionID: collectionID)
            else { continue }
            if shape?.id != collectionID {
                while let next = known.first, next.id <= collectionID {
                    known.removeFirst()
                    try begin(next, &store)
                }
                if shape?.id != collectionID {
                    let dimensions = newest.vectorByteCount.map { $0 / 4 } ?? 0
                    try begin(
                        sources.shapes.addUnnamed(collectionID, dimensions: dimensions),
                        &store
                    )
                }
            }
            try settle(newest, key, &store, item)
        }
        for shape in known { try begin(shape, &store) }
        reportNameless(item)
    }

    private mutating func begin(_ shape: CollectionShape, _ store: inout NewStore)
        throws(StoreError)
    {
        try store.begin(shape)
        self.shape = shape
        counts[shape.id] = SalvagedCollection(
            name: shape.name,
            dimensions: shape.dimensions,
            metric: shape.metric
        )
    }

    /// The segments that may hold something about a key that cannot be read: those with a stream
    /// that passed over something on its way to a later key, or with removals that are lost.
    private func blindSegments(beside sightings: [Sighting]) -> [SegmentSource] {
        var blind: [SegmentSource] = []
        for stream in streams {
            guard let segment = stream.segment, !segment.isStale,
                stream.isBlind || !segment.hasAllRemovals
            else { continue }
            // A segment says one thing about a key.
            if sightings.contains(where: { $0.segment === segment }) { continue }
            blind.append(segment)
        }
        return blind
    }

    // MARK: One document

    private mutating func settle(
        _ resolution: Resolution,
        _ key: [UInt8],
        _ store: inout NewStore,
        _ item: (SalvagedItem) -> Void
    ) throws(StoreError) {
        guard let shape else { return }
        let id = Array(key[KeyBytes.prefixByteCount...])
        var reasons = resolution.reasons
        if let loss = resolution.loss {
            reasons = [loss]
        } else {
            if sources.shapes.guessed.contains(shape.id) { reasons.append(.collectionGuessed) }
            let isWhole = try put(resolution, id, shape, &store)
            if !isWhole { reasons.append(.vectorLost) }
        }
        let outcome: SalvagedItem.Outcome =
            resolution.loss != nil ? .lost : reasons.isEmpty ? .recovered : .doubtful
        count(outcome, shape.id)
        item(
            SalvagedItem(
                outcome: outcome,
                collection: shape.name,
                id: String(decoding: id, as: UTF8.self),
                version: resolution.newest.lsn,
                reasons: reasons,
                doubtUpTo: resolution.doubtUpTo,
                count: 1
            )
        )
    }

    private mutating func count(
        _ outcome: SalvagedItem.Outcome,
        _ collectionID: UInt32,
        _ count: UInt64 = 1
    ) {
        switch outcome {
        case .recovered: counts[collectionID]?.recovered += count
        case .doubtful: counts[collectionID]?.doubtful += count
        case .lost: counts[collectionID]?.lost += count
        }
    }

    /// Puts a document into the new store; false when its vector is lost.
    private func put(
        _ resolution: Resolution,
        _ id: [UInt8],
        _ shape: CollectionShape,
        _ store: inout NewStore
    ) throws(StoreError) -> Bool {
        let newest = resolution.newest
        switch newest.content {
        case .put(let put, let time):
            let bytes = put.vector.map { Array($0) }
            let vector = bytes.flatMap { Self.isValid($0, shape) ? $0 : nil }
            try store.add(
                id: id,
                body: Array(put.body),
                vector: vector,
                version: newest.lsn,
                created: resolution.created,
                updated: time,
                expiry: put.expiry
            )
            return (bytes == nil) == (vector == nil)
        case .record(let block, let index, let ordinals):
            let record = try block.record(index)
            var vector: [UInt8]?
            if let checksum = record.vectorChecksum {
                vector = newest.segment?.vector(
                    of: newest.row,
                    collectionID: shape.id,
                    checksum: checksum,
                    ordinals: ordinals
                )
                vector = vector.flatMap { Self.isValid($0, shape) ? $0 : nil }
            }
            try store.add(
                id: id,
                body: Array(record.body),
                vector: vector,
                version: newest.lsn,
                created: record.created,
                updated: record.updated,
                expiry: record.expiry
            )
            return (record.vectorChecksum == nil) == (vector == nil)
        case .ghost, .delete: return true
        }
    }

    /// True for bytes that are a vector of the collection.
    private static func isValid(_ bytes: [UInt8], _ shape: CollectionShape) -> Bool {
        guard shape.dimensions > 0, bytes.count == shape.dimensions * 4 else { return false }
        let floats = (0..<shape.dimensions).map { index in
            bytes.withUnsafeBytes {
                Float(
                    bitPattern: UInt32(
                        littleEndian: $0.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
                    )
                )
            }
        }
        return floats.withUnsafeBufferPointer {
            (try? VectorMath.validatedNorm(of: $0, metric: shape.metric)) != nil
        }
    }

    // MARK: In sum

    /// Reports rows that no key names, collection by collection.
    private mutating func reportNameless(_ item: (SalvagedItem) -> Void) {
        for stream in segmentStreams {
            guard let segment = stream.segment, !segment.isStale else { continue }
            for rows in stream.nameless {
                for collection in segment.schema
                where !sources.removals.isDropped(collection.shape.id) {
                    let part = rows.clamped(to: collection.rows)
                    report(part, of: segment, in: collection.shape.id, item)
                }
                if segment.schema.isEmpty { report(rows, of: segment, in: nil, item) }
            }
        }
    }

    private mutating func report(
        _ rows: Range<UInt32>,
        of segment: SegmentSource,
        in collectionID: UInt32?,
        _ item: (SalvagedItem) -> Void
    ) {
        var lost = UInt64(rows.count)
        if let dead = segment.dead { lost -= min(lost, UInt64(dead.count(in: rows))) }
        guard lost > 0 else { return }
        let id = collectionID ?? 0
        if counts[id] == nil {
            counts[id] = SalvagedCollection(name: "", dimensions: 0, metric: .cosine)
        }
        count(.lost, id, lost)
        item(
            SalvagedItem(
                outcome: .lost,
                collection: counts[id]?.name ?? "",
                id: nil,
                version: 0,
                reasons: [.unreadable],
                doubtUpTo: segment.maxLSN == .max ? 0 : segment.maxLSN,
                count: lost
            )
        )
    }

    /// What was found, after `run`.
    func report(_ inventory: Inventory) -> SalvageReport {
        var report = SalvageReport()
        report.guide = sources.facts.guide
        report.collections = counts.values.sorted { $0.name < $1.name }
        report.findings =
            inventory.findings + sources.facts.findings + sources.log.findings + sources.findings
            + sources.segments.flatMap(\.allFindings)
        report.notes = sources.facts.notes + sources.log.notes
        report.lostCommits = sources.log.lost
        report.lastLSN = sources.highestLSN
        report.fileCount = inventory.files.count
        report.byteCount = inventory.files.reduce(0) { $0 &+ $1.byteCount }
        return report
    }
}
