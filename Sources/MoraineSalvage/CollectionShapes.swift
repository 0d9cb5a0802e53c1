// What the collections of a damaged store were called and held.

import MoraineFormat

/// The collections, from whatever names them.
struct CollectionShapes {
    private var shapes: [UInt32: CollectionShape] = [:]
    /// Collections whose name or metric nothing intact tells.
    private(set) var guessed: Set<UInt32> = []
    /// Names that were given to somebody else before.
    private var renamed: [UInt32: String] = [:]
    /// A manifest names all that there were at its floor.
    private let isGuided: Bool

    init(
        _ facts: ManifestFacts,
        _ segments: [SegmentSource],
        _ commits: [ParsedCommit],
        _ removals: KnownRemovals
    ) {
        isGuided = facts.state != nil
        if !isGuided {
            // Where a newer segment's schema is lost, a name may be an old one.
            let hidden = segments.filter { !$0.hasAllRemovals }.map(\.maxLSN).max() ?? 0
            for segment in segments.sorted(by: { $0.floor < $1.floor }) {
                for collection in segment.schema {
                    add(collection.shape)
                    if segment.floor >= hidden {
                        guessed.remove(collection.shape.id)
                    } else {
                        guessed.insert(collection.shape.id)
                    }
                }
            }
        }
        for shape in facts.collections.values where isGuided || shapes[shape.id] == nil {
            add(shape)
        }
        // The log goes on where segments and manifest end.
        for operation in commits.flatMap(\.operations) {
            if case .createCollection(let shape) = operation {
                add(shape)
                guessed.remove(shape.id)
            }
            if case .renameCollection(let id, let name) = operation {
                shapes[id] = shapes[id]?.renamed(name)
                guessed.remove(id)
            }
        }
        if !isGuided { guess(segments) }
        for id in shapes.keys where removals.isDropped(id) {
            shapes[id] = nil
            guessed.remove(id)
        }
        resolveNames()
    }

    /// False for what is left of a collection that a manifest no longer names.
    func mayHold(_ sighting: Sighting, collectionID: UInt32) -> Bool {
        // One that only a lost commit can have made has its documents in the log.
        !isGuided || shapes[collectionID] != nil || sighting.segment == nil
    }

    /// All of them, ascending by id.
    var all: [CollectionShape] {
        shapes.values.sorted { $0.id < $1.id }.map { shape in
            guard let name = renamed[shape.id] else { return shape }
            return shape.renamed(name)
        }
    }

    private mutating func add(_ shape: CollectionShape) { shapes[shape.id] = shape }

    /// Collections that only vector files know.
    private mutating func guess(_ segments: [SegmentSource]) {
        for entry in segments.flatMap(\.vectors).flatMap(\.entries)
        where shapes[entry.collectionID] == nil {
            add(Self.unnamed(entry.collectionID, entry.dimensions, entry.metric))
            guessed.insert(entry.collectionID)
        }
    }

    /// A collection of which only the id is known, and the dimensions of a vector in it.
    mutating func addUnnamed(_ id: UInt32, dimensions: Int) -> CollectionShape {
        let shape = Self.unnamed(id, dimensions, .cosine)
        add(shape)
        guessed.insert(id)
        resolveNames()
        return all.first { $0.id == id } ?? shape
    }

    private static func unnamed(_ id: UInt32, _ dimensions: Int, _ metric: Metric)
        -> CollectionShape
    {
        CollectionShape(
            id: id,
            name: "collection \(id)",
            dimensions: dimensions,
            metric: metric
        )
    }

    /// Gives each collection a name of its own: where two claim one, the newer has it.
    private mutating func resolveNames() {
        var taken: Set<[UInt8]> = []
        renamed = [:]
        for shape in shapes.values.sorted(by: { $0.id > $1.id }) {
            var name = shape.name
            var number = shape.id
            while !taken.insert(Array(name.utf8)).inserted {
                let suffix = " (\(number))"
                let room = FormatLimits.nameByteCount - suffix.utf8.count
                var base = shape.name
                while base.utf8.count > room { base.removeLast() }
                name = base + suffix
                number &+= 1
            }
            if name != shape.name {
                renamed[shape.id] = name
                guessed.insert(shape.id)
            }
        }
    }
}
