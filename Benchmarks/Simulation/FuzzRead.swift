// Reads of one collection that are drawn by chance, each held against a model where there is one.

import MoraineEngine
import MoraineFilters
import MoraineFormat
import MoraineStorage

/// A collection as a version has it, and what it must hold.
struct FuzzRead {
    private let version: Version
    private let shape: CollectionShape
    /// `nil`: answers may be anything.
    private let model: ModelCollection?

    init(_ version: Version, _ shape: CollectionShape, _ model: ModelCollection?) {
        self.version = version
        self.shape = shape
        self.model = model
    }

    // MARK: Filters

    /// A filter, and what it says of the whole number that a document has as "n".
    private struct Test {
        let filter: Filter
        let passes: @Sendable (Int?) -> Bool

        init(_ text: String, _ passes: @escaping @Sendable (Int?) -> Bool) throws(FilterError) {
            filter = try Filter(text: text)
            self.passes = passes
        }

        func passes(_ document: ModelDocument) -> Bool {
            let item = ModelMetadata.items(document.metadata)["n"]
            return passes(item.map { Int($0[1] >> 1) ^ -Int($0[1] & 1) })
        }
    }

    private static let tests = Result {
        try [
            Test("n < 10") { $0.map { $0 < 10 } ?? false },
            Test("n >= 40 or n == -3") { $0.map { $0 >= 40 || $0 == -3 } ?? false },
            Test("n != 5") { $0.map { $0 != 5 } ?? false },
            Test("not n exists") { $0 == nil },
            Test("n == 7") { $0 == 7 },
            Test("not (n > -20 and n < 20)") { $0.map { $0 <= -20 || $0 >= 20 } ?? true },
            Test("z exists") { _ in false },
        ]
    }

    private func drawTest(_ dice: inout Dice, percent: Int) throws -> Test? {
        dice.chance(percent) ? dice.pick(try Self.tests.get()) : nil
    }

    // MARK: Documents

    func get(_ dice: inout Dice) throws {
        for _ in 0..<dice.number(1..<8) {
            let id = dice.chance(95) ? DamageStore.id(dice.number(0..<1200)) : "absent"
            let found = try version.document(shape, id)
            guard let model else { continue }
            let wanted = model.documents[id]
            guard found != wanted else { continue }
            throw SimulationFailure(
                "get \(id) of \(shape.name) gives "
                    + (wanted.map { found?.difference(from: $0) ?? "nothing" } ?? "a document")
            )
        }
    }

    func count(_ dice: inout Dice) throws {
        let test = try drawTest(&dice, percent: 60)
        let count =
            try test.map { try version.count(shape, where: $0.filter) } ?? version.count(shape)
        guard let model else { return }
        let wanted = model.documents.values.count { test?.passes($0) ?? true }
        guard count == wanted else {
            throw SimulationFailure("\(count) documents in \(shape.name), not \(wanted)")
        }
    }

    /// Visits a part of the collection; what comes before an error must be right too.
    func scan(_ dice: inout Dice) throws {
        var range = ScanRange()
        if dice.chance(30) { range.prefix = Array(String("d0012".prefix(dice.number(1..<5))).utf8) }
        if dice.chance(40) { range.from = Array(DamageStore.id(dice.number(0..<1100)).utf8) }
        if dice.chance(30) { range.to = Array(DamageStore.id(dice.number(0..<2000)).utf8) }
        let test = try drawTest(&dice, percent: 40)
        let limit = dice.number(1..<120)
        var found: [(id: String, document: ModelDocument)] = []
        let scanned = Result {
            try version.scan(shape, range: range, where: test?.filter, wantsVectors: true) { view in
                found.append((String(decoding: view.id, as: UTF8.self), ModelDocument(view)))
                return found.count < limit
            }
        }
        if let model {
            let wanted = model.documents.filter { id, document in
                id.utf8.starts(with: range.prefix)
                    && range.from.map { !id.utf8.lexicographicallyPrecedes($0) } ?? true
                    && range.to.map { id.utf8.lexicographicallyPrecedes($0) } ?? true
                    && test?.passes(document) ?? true
            }.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.prefix(limit)
            let isPart = zip(found, wanted).allSatisfy {
                $0.id == $1.key && $0.document == $1.value
            }
            let isWhole = if case .success = scanned { true } else { false }
            guard isPart, isWhole ? found.count == wanted.count : found.count <= wanted.count else {
                throw SimulationFailure(
                    "a scan of \(shape.name) gives \(found.count) documents of \(wanted.count)"
                )
            }
        }
        try scanned.get()
    }

    // MARK: Searches

    func search(_ dice: inout Dice) throws {
        guard shape.dimensions > 0 else { return try count(&dice) }
        var request = SearchRequest(limit: dice.number(1..<30))
        request.isExact = dice.chance(35)
        if dice.chance(20) { request.offset = dice.number(0..<40) }
        if dice.chance(25) { request.width = dice.pick([1, 5, 30, 60, 500]) }
        if dice.chance(20) { request.recall = dice.pick([0.1, 0.9, 1]) }
        let test = try drawTest(&dice, percent: 35)
        request.filter = test?.filter
        let excluded = dice.chance(15) ? DamageStore.id(dice.number(0..<1100)) : nil
        request.excludedID = excluded.map { Array($0.utf8) }
        let queryCount = dice.chance(75) ? 1 : dice.number(2..<20)
        let queries = (0..<(queryCount * shape.dimensions)).map { _ in
            Float(dice.number(-1000..<1000)) / 64 + 0.001
        }
        let lists = try queries.withUnsafeBufferPointer { queries -> [[SearchHit]] in
            if queryCount > 1 { return try version.search(shape, queries: queries, request) }
            return [try version.search(shape, query: queries, request).hits]
        }
        guard let model else { return }
        guard lists.count == queryCount else {
            throw SimulationFailure("\(lists.count) answers to \(queryCount) queries")
        }
        var found: [(id: String, vector: [Float])] = []
        for (id, document) in model.documents where id != excluded {
            guard let vector = document.vector, test?.passes(document) ?? true else { continue }
            found.append((id, vector.map { Float(bitPattern: $0) }))
        }
        for (place, hits) in lists.enumerated() {
            let start = place * shape.dimensions
            let query = Array(queries[start..<(start + shape.dimensions)])
            try expect(hits, query, request, among: found)
        }
    }

    /// Each hit is of a document that may be one, with its score, and none is missing; those of an
    /// exact search are the nearest.
    private func expect(
        _ hits: [SearchHit],
        _ query: [Float],
        _ request: SearchRequest,
        among documents: [(id: String, vector: [Float])]
    ) throws {
        func fail(_ what: String) -> SimulationFailure {
            SimulationFailure("a search of \(shape.name) \(what); \(request)")
        }
        var scores: [String: Float] = [:]
        for (id, vector) in documents { scores[id] = score(query, vector) }
        let wanted = min(request.limit, max(0, documents.count - request.offset))
        guard hits.count == wanted else { throw fail("finds \(hits.count) of \(wanted)") }
        let isDistance = shape.metric == .l2
        let best =
            request.isExact ? scores.values.sorted { isDistance ? $0 < $1 : $0 > $1 } : []
        for (place, hit) in hits.enumerated() {
            let id = String(decoding: hit.id, as: UTF8.self)
            guard let score = scores.removeValue(forKey: id) else {
                throw fail("finds \(id), which it must not, or twice")
            }
            let slack = 1e-4 * (1 + abs(score))
            guard abs(hit.score - score) <= slack else {
                throw fail("gives \(id) the score \(hit.score), not \(score)")
            }
            if request.isExact, abs(hit.score - best[request.offset + place]) > slack {
                throw fail("has \(id) at place \(place), which is not so near")
            }
            if place > 0 {
                let last = hits[place - 1].score
                guard isDistance ? last <= hit.score : last >= hit.score else {
                    throw fail("is out of order at \(id)")
                }
            }
        }
    }

    private func score(_ a: [Float], _ b: [Float]) -> Float {
        var (product, squares, norms) = (0.0, 0.0, (0.0, 0.0))
        for (x, y) in zip(a, b) {
            let (x, y) = (Double(x), Double(y))
            product += x * y
            squares += (x - y) * (x - y)
            norms.0 += x * x
            norms.1 += y * y
        }
        return switch shape.metric {
        case .dot: Float(product)
        case .l2: Float(squares)
        case .cosine: Float(product / (norms.0 * norms.1).squareRoot())
        }
    }
}
