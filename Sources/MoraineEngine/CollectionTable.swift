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

    package subscript(id: UInt32) -> CollectionShape? { byID[id] }

    package subscript(name: String) -> CollectionShape? { byName[Array(name.utf8)] }

    /// All of them, by the bytes of their names.
    package var shapes: [CollectionShape] {
        byName.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    /// This table with one more collection.
    package func adding(_ shape: CollectionShape) -> CollectionTable {
        CollectionTable(Array(byID.values) + [shape])
    }
}
