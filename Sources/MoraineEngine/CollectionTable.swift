// The collections of a store, as a value that versions share.

package import MoraineFormat

/// Collections by id and by name.
///
/// Names are compared as UTF-8 bytes. Tables share what is the same: each commit that makes or
/// drops a collection has three of its own, also where there are thousands of collections.
package final class CollectionTable: Sendable {
    private let byID: PersistentMap<UInt32, CollectionShape>
    private let byName: PersistentMap<[UInt8], CollectionShape>

    package init(_ shapes: [CollectionShape] = []) {
        byID = PersistentMap(shapes.map { (key: $0.id, value: $0) })
        byName = PersistentMap(shapes.map { (key: Array($0.name.utf8), value: $0) })
    }

    private init(
        byID: PersistentMap<UInt32, CollectionShape>,
        byName: PersistentMap<[UInt8], CollectionShape>
    ) {
        self.byID = byID
        self.byName = byName
    }

    package subscript(id: UInt32) -> CollectionShape? { byID[id] }

    package subscript(name: String) -> CollectionShape? { byName[Array(name.utf8)] }

    /// All of them, by the bytes of their names.
    package var shapes: [CollectionShape] {
        byID.values.map { (name: Array($0.name.utf8), shape: $0) }
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }.map(\.shape)
    }

    /// This table after a change; `nil` when the change does not fit it.
    func applying(_ change: CollectionChange) -> CollectionTable? {
        switch change {
        case .created(let shape):
            let name = Array(shape.name.utf8)
            guard byID[shape.id] == nil, byName[name] == nil else { return nil }
            return CollectionTable(
                byID: byID.setting(shape.id, to: shape),
                byName: byName.setting(name, to: shape)
            )
        case .renamed(let id, let name):
            let bytes = Array(name.utf8)
            guard let old = byID[id], byName[bytes] == nil else { return nil }
            let shape = old.renamed(name)
            return CollectionTable(
                byID: byID.setting(id, to: shape),
                byName: byName.setting(Array(old.name.utf8), to: nil).setting(bytes, to: shape)
            )
        case .dropped(let id):
            guard let old = byID[id] else { return nil }
            return CollectionTable(
                byID: byID.setting(id, to: nil),
                byName: byName.setting(Array(old.name.utf8), to: nil)
            )
        }
    }
}

/// What an operation does to the collections.
enum CollectionChange: Sendable {
    case created(CollectionShape)
    case renamed(id: UInt32, name: String)
    case dropped(id: UInt32)

    /// The manifest's edit for it.
    func edit(at lsn: UInt64) -> ManifestEdit {
        switch self {
        case .created(let shape): .collection(shape, createdLSN: lsn)
        case .renamed(let id, let name): .collectionRenamed(id: id, name: name)
        case .dropped(let id): .collectionDropped(id: id)
        }
    }
}
