// Compares a store with what it must hold: every document by scan and by id, vectors by search.

import MoraineEngine
import MoraineFormat
import MoraineStorage

/// A store, or the engine, did what it must not.
package struct SimulationFailure: Error, CustomStringConvertible, Sendable {
    /// What was expected and what was found.
    package let description: String

    init(_ description: String) { self.description = description }
}

extension StoreError {
    /// All of the error, for a failure's message.
    var full: String {
        "\(code.rawValue): \(message); \(path ?? "-") at \(offset ?? 0), expected "
            + "\(expected ?? "-"), found \(found ?? "-")"
    }
}

extension Version {
    /// Throws `SimulationFailure` unless this version is exactly `state`; passes on errors of
    /// reading.
    func expect(_ whole: ModelState) throws {
        let state = whole.visible(at: now)
        try require(lsn == state.lsn, "the version has LSN \(lsn), not \(state.lsn)")
        // A merge lets the time go on without a commit.
        try require(time >= state.time, "the version has time \(time), before \(state.time)")
        let names = collections.map(\.name)
        try require(
            names == state.collections.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) },
            "at LSN \(lsn) the collections are \(names)"
        )
        for shape in collections {
            guard let model = state.collections[shape.name] else { continue }
            try require(
                shape.dimensions == model.dimensions && shape.metric == model.metric,
                "collection \(shape.name) has another shape"
            )
            try expectScan(shape, model)
            try expectDocuments(shape, model)
            try expectSearch(shape, model)
        }
    }

    private func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw SimulationFailure(message()) }
    }

    private func expectScan(_ shape: CollectionShape, _ model: ModelCollection) throws {
        var found: [(String, ModelDocument)] = []
        try scan(shape, wantsVectors: true) { view throws(StoreError) in
            found.append((String(decoding: view.id, as: UTF8.self), ModelDocument(view)))
            return true
        }
        let expected = model.documents.sorted {
            $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
        }
        let place = "at LSN \(lsn), collection \(shape.name)"
        let lost = Set(model.documents.keys).subtracting(found.map(\.0)).sorted()
        let extra = Set(found.map(\.0)).subtracting(model.documents.keys).sorted()
        try require(
            lost.isEmpty && extra.isEmpty,
            "\(place): a scan lacks \(lost) and has \(extra) too many"
        )
        try require(
            found.map(\.0) == expected.map(\.key),
            "\(place): a scan gives \(found.map(\.0))"
        )
        for (pair, wanted) in zip(found, expected) {
            try require(
                pair.1 == wanted.value,
                "\(place): a scan gives \(pair.0) with \(pair.1.difference(from: wanted.value))"
            )
        }
        let number = try count(shape)
        try require(
            number == expected.count,
            "\(place): count \(number), not \(expected.count)"
        )
    }

    private func expectDocuments(_ shape: CollectionShape, _ model: ModelCollection) throws {
        for (id, wanted) in model.documents.sorted(by: { $0.key < $1.key }) {
            let found = try document(shape, id)
            try require(
                found == wanted,
                "at LSN \(lsn), collection \(shape.name): get \(id) gives "
                    + (found?.difference(from: wanted) ?? "nothing")
            )
        }
        let absent = try document(shape, "no such document")
        try require(absent == nil, "a document is there that never was")
    }

    /// A document by its id.
    func document(_ shape: CollectionShape, _ id: String) throws(StoreError) -> ModelDocument? {
        let bytes = Array(id.utf8)
        return try bytes.withUnsafeBufferPointer { buffer throws(StoreError) in
            try withDocument(shape, id: UnsafeRawBufferPointer(buffer), wantsVector: true) {
                ModelDocument($0)
            }
        }
    }

    /// Searches some documents by their own vectors.
    private func expectSearch(_ shape: CollectionShape, _ model: ModelCollection) throws {
        let all = model.documents.filter { $0.value.vector != nil }.sorted { $0.key < $1.key }
        guard !all.isEmpty else { return }
        let step = max(1, all.count / 6)
        for index in stride(from: 0, to: all.count, by: step) {
            let (id, document) = all[index]
            let query = (document.vector ?? []).map { Float(bitPattern: $0) }
            let hits = try query.withUnsafeBufferPointer { query throws(StoreError) in
                try search(shape, query: query, SearchRequest(limit: all.count + 1)).hits
            }
            let ids = Set(hits.map { String(decoding: $0.id, as: UTF8.self) })
            let place = "at LSN \(lsn), collection \(shape.name): a search by \(id)"
            try require(hits.count == all.count, "\(place) finds \(hits.count) of \(all.count)")
            try require(ids == Set(all.map(\.key)), "\(place) finds other documents")
            let own = hits.first { $0.id.elementsEqual(id.utf8) }
            let isNearest =
                shape.metric == .dot
                || abs((own?.score ?? .infinity) - (hits.first?.score ?? 0)) < 1e-4
            try require(isNearest, "\(place) does not find it first")
        }
    }
}

extension ModelDocument {
    init(_ view: DocumentView) {
        text = Array(view.text)
        metadata = Array(view.metadata)
        vector = view.vector.map { bytes in
            (0..<bytes.count / 4).map {
                bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)
            }
        }
        version = view.version
        created = view.created
        updated = view.updated
        expiry = view.expiry
    }

    func difference(from other: ModelDocument) -> String {
        var parts: [String] = []
        if text != other.text {
            parts.append("\(text.count) bytes of text, not the \(other.text.count) put")
        }
        if metadata != other.metadata { parts.append("other metadata") }
        if vector != other.vector { parts.append("another vector") }
        if version != other.version { parts.append("version \(version), not \(other.version)") }
        if created != other.created { parts.append("created \(created), not \(other.created)") }
        if updated != other.updated { parts.append("updated \(updated), not \(other.updated)") }
        return parts.joined(separator: ", ")
    }
}
