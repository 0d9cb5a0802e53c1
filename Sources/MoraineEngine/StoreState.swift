// What the manifest says: which files make up the store. Bytes: format-spec/manifest.md.

package import MoraineBytes
package import MoraineFormat

/// The state that the edits of a manifest add up to.
package struct StoreState: Sendable, Equatable {
    /// A collection that is in the manifest.
    package struct Collection: Sendable, Equatable {
        package let shape: CollectionShape
        package let createdLSN: UInt64
    }

    /// Above every file id in use.
    package var nextFileID: UInt64 = 2
    package var nextCollectionID: UInt32 = 1
    package private(set) var collections: [UInt32: Collection] = [:]
    /// Their names' bytes.
    private var names: Set<[UInt8]> = []
    /// In the order in which they were added.
    package var segments: [SegmentEntry] = []
    /// By segment.
    package var deletions: [UInt64: DeletionsEntry] = [:]
    /// Derived files by segment, then by number of their kind, those of later versions included.
    package var derived: [UInt64: [UInt8: SealedFileReference]] = [:]
    /// Segments that edits have taken out of the store and whose files may still be there.
    package var dropped: Set<UInt64> = []
    /// Live log files, oldest first.
    package var logs: [LogEntry] = []
    /// Every commit up to here is in segments.
    package var floor: UInt64 = 0
    /// The time of the last commit at or below the floor.
    package var floorTime: UInt64 = 0

    package init() {}

    /// Applies one edit; throws when it does not fit what is there.
    package mutating func apply(_ edit: ManifestEdit) throws(FormatError) {
        switch edit {
        case .counters(let nextFileID, let nextCollectionID):
            try expect(
                nextFileID >= self.nextFileID && nextCollectionID >= self.nextCollectionID,
                "counters",
                "at least \(self.nextFileID) and \(self.nextCollectionID)",
                "\(nextFileID) and \(nextCollectionID)"
            )
            self.nextFileID = nextFileID
            self.nextCollectionID = nextCollectionID
        case .collection(let shape, let createdLSN):
            let isNew =
                collections[shape.id] == nil && names.insert(Array(shape.name.utf8)).inserted
            try expect(isNew, "collection", "a new id and name", "\(shape.id) \(shape.name)")
            collections[shape.id] = Collection(shape: shape, createdLSN: createdLSN)
        case .segment(let entry):
            try expect(
                !segments.contains { $0.id == entry.id },
                "segment",
                "a new id",
                "\(entry.id)"
            )
            for input in entry.inputs { drop(input) }
            segments.append(entry)
        case .deletions(let entry):
            let segment = segments.first { $0.id == entry.segmentID }
            try expect(
                entry.deadRowCount <= segment?.rowCount ?? 0,
                "deletions",
                "a segment with that many rows",
                "segment \(entry.segmentID), \(entry.deadRowCount) dead"
            )
            deletions[entry.segmentID] = entry
        case .log(let entry):
            try expect(
                entry.sequence > logs.last?.sequence ?? 0,
                "log",
                "a higher sequence",
                "\(entry.sequence)"
            )
            logs.append(entry)
        case .logDropped(let sequence):
            try expect(
                logs.contains { $0.sequence == sequence },
                "logDropped",
                "a live log file",
                "\(sequence)"
            )
            logs.removeAll { $0.sequence == sequence }
        case .floor(let lsn, let commitTime):
            try expect(
                lsn >= floor && commitTime >= floorTime,
                "floor",
                "at least \(floor)",
                "\(lsn)"
            )
            floor = lsn
            floorTime = commitTime
        case .segmentDropped(let id): drop(id)
        case .derived(let entry):
            try expect(
                segments.contains { $0.id == entry.segmentID },
                "derived",
                "a segment",
                "\(entry.segmentID)"
            )
            derived[entry.segmentID, default: [:]][entry.kindNumber] = entry.file
        case .derivedDropped(let segmentID, let kindNumber):
            derived[segmentID]?[kindNumber] = nil
        case .collectionRenamed(let id, let name):
            guard let old = collections[id], names.insert(Array(name.utf8)).inserted else {
                return try expect(
                    false,
                    "collectionRenamed",
                    "a collection, a new name",
                    "\(id) \(name)"
                )
            }
            names.remove(Array(old.shape.name.utf8))
            collections[id] = Collection(
                shape: old.shape.renamed(name),
                createdLSN: old.createdLSN
            )
        case .collectionDropped(let id):
            guard let old = collections.removeValue(forKey: id) else {
                return try expect(false, "collectionDropped", "a collection", "\(id)")
            }
            names.remove(Array(old.shape.name.utf8))
        }
    }

    private mutating func drop(_ segmentID: UInt64) {
        segments.removeAll { $0.id == segmentID }
        deletions[segmentID] = nil
        derived[segmentID] = nil
        dropped.insert(segmentID)
    }

    /// The derived files of a segment, by the numbers of their kinds.
    package func derivedEntries(of segmentID: UInt64) -> [DerivedEntry] {
        (derived[segmentID] ?? [:]).sorted { $0.key < $1.key }.map { kindNumber, file in
            DerivedEntry(segmentID: segmentID, kindNumber: kindNumber, file: file)
        }
    }

    /// The segment files that the state is made of, relative to the store's folder.
    package var segmentFileNames: Set<String> {
        var names: Set<String> = []
        for segment in segments {
            names.insert(FileNames.document(segment.id))
            names.insert(FileNames.key(segment.id, fileID: segment.key.fileID))
            if segment.vector != nil { names.insert(FileNames.vector(segment.id)) }
            if let file = deletions[segment.id]?.file {
                names.insert(FileNames.deletions(segment.id, fileID: file.fileID))
            }
            names.formUnion(derivedEntries(of: segment.id).compactMap(\.name))
        }
        return names
    }

    private func expect(
        _ condition: Bool,
        _ field: String,
        _ expected: @autoclosure () -> String,
        _ found: @autoclosure () -> String
    ) throws(FormatError) {
        guard condition else {
            throw FormatError(
                .mismatch,
                at: 0,
                field: field,
                expected: expected(),
                found: found()
            )
        }
    }

    /// Edits that build this state from nothing.
    package func wholeState() -> [ManifestEdit] {
        var edits: [ManifestEdit] = [
            .counters(nextFileID: nextFileID, nextCollectionID: nextCollectionID),
            .floor(lsn: floor, commitTime: floorTime),
        ]
        for collection in collections.values.sorted(by: { $0.shape.id < $1.shape.id }) {
            edits.append(.collection(collection.shape, createdLSN: collection.createdLSN))
        }
        for segment in segments { edits.append(.segment(segment)) }
        for segment in segments {
            if let entry = deletions[segment.id] { edits.append(.deletions(entry)) }
        }
        for segment in segments {
            edits += derivedEntries(of: segment.id).map { .derived($0) }
        }
        for id in dropped.sorted() { edits.append(.segmentDropped(id: id)) }
        for log in logs { edits.append(.log(log)) }
        return edits
    }
}
