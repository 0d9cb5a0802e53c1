// The collections of a store, as a value that versions share.

package import MoraineFormat

/// Collections by id and by name.
///
/// Names are compared as UTF-8 bytes.
package final class CollectionTable: Sendable {
    private let byID: [UInt32: CollectionShape]
    private let byName: [[UInt8]: CollectionShape]

    package init(_ shapes: [CollectionShape] = []) {
        byID = Dictionary(shapes.map { ($0.id, $0) }) { first, _ in first }
        byName = Dictionary(shapes.map { (Array($0.name.utf8), $0) }) { first, _ in first }
    }

    private init(byID: [UInt32: CollectionShape], byName: [[UInt8]: CollectionShape]) {
        self.byID = byID
        self.byName = byName
    }

    package subscript(id: UInt32) -> CollectionShape? { byID[id] }

    package subscript(name: String) -> CollectionShape? { byName[Array(name.utf8)] }

    /// All of them, by the bytes of their names.
    package var shapes: [CollectionShape] {
        byName.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    /// This table after a change; `nil` when the change does not fit it.
    func applying(_ change: CollectionChange) -> CollectionTable? {
        var ids = byID
        var names = byName
        switch change {
        case .created(let shape):
            guard ids[shape.id] == nil, names[Array(shape.name.utf8)] == nil else { return nil }
            ids[shape.id] = shape
            names[Array(shape.name.utf8)] = shape
        case .renamed(let id, let name):
            let bytes = Array(name.utf8)
            guard let old = ids[id], names[bytes] == nil else { return nil }
            let shape = old.renamed(name)
            names[Array(old.name.utf8)] = nil
            ids[id] = shape
            names[bytes] = shape
        case .dropped(let id):
            guard let old = ids.removeValue(forKey: id) else { return nil }
            names[Array(old.name.utf8)] = nil
        }
        return CollectionTable(byID: ids, byName: names)
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
