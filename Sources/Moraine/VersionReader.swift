// Reads of one collection in one version, shared by collections and snapshots.

import MoraineEngine
import MoraineFormat
import MoraineStorage

/// One collection as of one commit.
struct VersionReader: Sendable {
    let version: Version
    let shape: CollectionShape

    func get(_ id: String, withEmbedding: Bool) throws(StoreError) -> StoredDocument? {
        try version.limit?.check()
        return try withUTF8(of: id) { id throws(StoreError) in
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

    func count(where filter: Filter?) throws(MoraineError) -> Int {
        let filter = try filter?.checked()
        return try face { () throws(StoreError) in
            guard let filter else { return try version.count(shape) }
            return try version.count(shape, where: filter)
        }
    }

    func scan(
        _ range: ScanRange,
        where filter: Filter?,
        withEmbeddings: Bool,
        _ visit: (StoredDocument) throws(MoraineError) -> Bool
    ) throws(MoraineError) {
        let filter = try filter?.checked()
        // The engine's scan lets only its own errors through.
        var refusal: MoraineError?
        try face { () throws(StoreError) in
            try version.scan(shape, range: range, where: filter, wantsVectors: withEmbeddings) {
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
