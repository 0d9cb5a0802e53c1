// Searches by graphs, codes and columns find what comparing everything finds; no hit is dead, of
// another filter, or of another snapshot.

import MoraineBytes
import MoraineFiles
import MoraineFilters
import MoraineFormat
import MoraineStorage
import MoraineVectors
import Synchronization
import Testing

@testable import MoraineEngine

struct SearchTests {
    /// The model: what the store holds.
    private struct Note {
        var vector: [Float]
        var group: Int
    }

    private struct Numbers {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
        mutating func float() -> Float { Float(Int32(truncatingIfNeeded: next() >> 20)) * 0x1p-31 }
    }

    private static let noteCount = 1400
    private static let dimensions = 12

    private static func id(_ number: Int) -> String { "n" + String(10_000 + number) }

    private static func note(_ number: Int, _ numbers: inout Numbers) -> Note {
        // Ten clusters, and now and then the same vector again.
        let center = number % 10
        var vector = (0..<dimensions).map { Float(($0 * 7 + center * 3) % 11) - 5 }
        if number % 40 != 0 { for place in 0..<dimensions { vector[place] += numbers.float() } }
        return Note(vector: vector, group: number % 50)
    }

    private static func put(
        _ number: Int,
        _ note: Note,
        _ shape: CollectionShape,
        _ batch: inout BatchBuilder
    ) throws(StoreError) {
        // {"group": n}
        let metadata =
            [1, 5] + Array("group".utf8) + [Metadata.Tag.integer.rawValue, UInt8(note.group * 2)]
        try Array(id(number).utf8).withUnsafeBufferPointer { id throws(StoreError) in
            try metadata.withUnsafeBufferPointer { metadata throws(StoreError) in
                try note.vector.withUnsafeBufferPointer { vector throws(StoreError) in
                    try batch.put(
                        shape,
                        id: UnsafeRawBufferPointer(id),
                        text: UnsafeRawBufferPointer(start: nil, count: 0),
                        metadata: UnsafeRawBufferPointer(metadata),
                        vector: vector
                    )
                }
            }
        }
    }

    /// A store of one segment, not indexed yet, and what is in it.
    private static func make(_ metric: Metric = .cosine) throws -> (Engine, [String: Note]) {
        var options = options(SimulatedFileSystem(), memtable: 8 << 20)
        options.indexFormats = [
            .codes, .graph(GraphParameters(width: 40, leastVectorCount: 1024)), .columns,
        ]
        let engine = try Engine.open(at: "store", options: options)
        var numbers = Numbers(state: 4711)
        var notes: [String: Note] = [:]
        try engine.commit { batch throws(StoreError) in
            try batch.createCollection("notes", dimensions: dimensions, metric: metric)
            let shape = try batch.collection("notes")
            for number in 0..<noteCount {
                let note = note(number, &numbers)
                try put(number, note, shape, &batch)
                notes[id(number)] = note
            }
        }
        try engine.checkpoint()
        return (engine, notes)
    }

    private static func answer(
        _ version: Version,
        _ query: [Float],
        _ change: (inout SearchRequest) -> Void = { _ in }
    ) throws -> SearchAnswer {
        var request = SearchRequest(limit: 10)
        change(&request)
        let asked = request
        let shape = try #require(version.collection("notes"))
        return try query.withUnsafeBufferPointer { query throws(StoreError) in
            try version.search(shape, query: query, asked)
        }
    }

    private static func queries(_ count: Int) -> [[Float]] {
        var numbers = Numbers(state: 815)
        return (0..<count).map { number in
            note(number * 7 + 1, &numbers).vector.map { $0 + 0.3 * numbers.float() }
        }
    }

    @Test(arguments: Metric.allCases) func graphsFindTheNearestAndSnapshotsStayAsTheyAre(
        metric: Metric
    ) throws {
        let (engine, _) = try Self.make(metric)
        defer { try? engine.close() }
        let before = try engine.version()
        let queries = Self.queries(20)
        let exact = try queries.map { try Self.answer(before, $0).hits }
        #expect(try Self.answer(before, queries[0]).plan.steps.map(\.method) == [.vectors])
        #expect(try engine.buildIndexes() == 3)
        let after = try engine.version()
        var found = 0
        for (query, hits) in zip(queries, exact) {
            let answer = try Self.answer(after, query) { $0.width = 30 }
            #expect(answer.plan.steps.map(\.method) == [.graph])
            #expect(answer.plan.cost.codeCount > 0 && answer.plan.cost.codeCount < 1400)
            #expect(answer.hits.count == 10)
            found += answer.hits.count { hit in hits.contains { $0.score == hit.score } }
            // The same snapshot gives the same answer, index files or not.
            #expect(try Self.answer(before, query).hits == hits)
            let again = try Self.answer(after, query) { $0.isExact = true }
            #expect(again.hits == hits && again.plan.steps.map(\.method) == [.codes])
        }
        #expect(found >= 180, "of 200")
        let shape = try #require(after.collection("notes"))
        let flat = queries.flatMap { $0 }
        var request = SearchRequest(limit: 10)
        request.width = 30
        let asked = request
        let batch = try flat.withUnsafeBufferPointer { flat throws(StoreError) in
            try after.search(shape, queries: flat, asked)
        }
        let alone = try queries.map { try Self.answer(after, $0) { $0.width = 30 }.hits }
        #expect(batch == alone)
    }

    /// A narrow search keeps what is wanted: for more than there is, that is no graph's work.
    @Test(arguments: [100, 1400, .max - 1, .max]) func anyLimitFindsWhatThereIs(limit: Int) throws {
        let (engine, _) = try Self.make()
        defer { try? engine.close() }
        #expect(try engine.buildIndexes() == 3)
        let version = try engine.version()
        let answer = try Self.answer(version, Self.queries(1)[0]) {
            $0.limit = limit
            $0.width = 1
        }
        let whole = try Self.answer(version, Self.queries(1)[0]) {
            $0.limit = Self.noteCount
            $0.isExact = true
        }
        #expect(answer.hits == Array(whole.hits.prefix(limit)))
        #expect(answer.plan.steps.map(\.method) == [.codes])
    }

    @Test func deadDocumentsAreNoHitsAndAsManyAsThereAreAreFound() throws {
        var (engine, notes) = try Self.make()
        defer { try? engine.close() }
        try engine.buildIndexes()
        // Most of a cluster goes, so that a search near it meets little but dead nodes.
        for number in stride(from: 3, to: Self.noteCount, by: 10) where number % 100 != 3 {
            try engine.delete("notes", Self.id(number))
            notes[Self.id(number)] = nil
        }
        let version = try engine.version()
        var numbers = Numbers(state: 99)
        let query = Self.note(3, &numbers).vector
        for width in [10, 30] {
            let hits = try Self.answer(version, query) { $0.width = width }.hits
            #expect(hits.count == 10)
            #expect(hits.allSatisfy { notes[String(decoding: $0.id, as: UTF8.self)] != nil })
        }
        let all = try Self.answer(version, query) { $0.limit = 5000 }
        #expect(Set(all.hits.map(\.id)).count == notes.count)
    }

    @Test(arguments: [false, true]) func filtersLetOnlyTheirDocumentsPass(isIndexed: Bool) throws {
        let (engine, notes) = try Self.make()
        defer { try? engine.close() }
        if isIndexed { try engine.buildIndexes() }
        // Some that are only in memory.
        var numbers = Numbers(state: 77)
        let fresh = Self.note(7, &numbers)
        try engine.commit { batch throws(StoreError) in
            let shape = try batch.collection("notes")
            try Self.put(9000, fresh, shape, &batch)
        }
        var all = notes
        all[Self.id(9000)] = fresh
        let version = try engine.version()
        for (text, passes) in [
            ("group == 7", { $0 == 7 }), ("group < 20", { $0 < 20 }), ("group >= 2", { $0 >= 2 }),
            ("group > 90", { _ in false }), ("not group == 1", { $0 != 1 }),
        ] as [(String, (Int) -> Bool)] {
            let filter = try Filter(text: text)
            let passing = all.filter { passes($0.value.group) }
            let answer = try Self.answer(version, fresh.vector) { $0.filter = filter }
            #expect(answer.hits.count == min(10, passing.count), "\(text)")
            #expect(
                answer.hits.allSatisfy { passing[String(decoding: $0.id, as: UTF8.self)] != nil }
            )
            let exact = try Self.answer(version, fresh.vector) {
                $0.filter = filter
                $0.isExact = true
            }
            #expect(answer.hits.first == exact.hits.first)
            let matched = answer.plan.steps.reduce(0) { $0 + ($1.matchCount ?? 0) }
            #expect(matched == passing.count)
            #expect(answer.plan.steps.last?.hasColumns == isIndexed)
        }
    }

    @Test(arguments: Metric.allCases)
    func whereManyPassHopsLeadFromOneToTheNext(metric: Metric) throws {
        let (engine, notes) = try Self.make(metric)
        defer { try? engine.close() }
        try engine.buildIndexes()
        // Some are dead, and no hits whether they pass or not.
        let dead = Set((0..<Self.noteCount).filter { $0 % 9 == 0 }.map(Self.id))
        try engine.commit { batch throws(StoreError) in
            let shape = try batch.collection("notes")
            for id in dead.sorted() {
                try Array(id.utf8).withUnsafeBufferPointer { id throws(StoreError) in
                    try batch.delete(shape, id: UnsafeRawBufferPointer(id))
                }
            }
        }
        let version = try engine.version()
        for (text, least) in [("group < 17", 17), ("group >= 10", 40), ("group >= 0", 50)] {
            let filter = try Filter(text: text)
            var found = 0
            for query in Self.queries(10) {
                let answer = try Self.answer(version, query) {
                    $0.filter = filter
                    $0.limit = 6
                    $0.width = 6
                }
                let step = try #require(answer.plan.steps.last)
                #expect(step.method == .hops && step.width == 6, "\(text)")
                #expect(step.matchCount ?? 0 < Self.noteCount * least / 50)
                let exact = try Self.answer(version, query) {
                    $0.filter = filter
                    $0.limit = 6
                    $0.isExact = true
                }
                #expect(answer.hits.count == 6)
                for hit in answer.hits {
                    let id = String(decoding: hit.id, as: UTF8.self)
                    let group = try #require(notes[id]).group
                    #expect(!dead.contains(id))
                    #expect(least == 17 ? group < 17 : group >= 50 - least)
                }
                found += Set(answer.hits.map(\.id)).intersection(exact.hits.map(\.id)).count
            }
            // By inner products the nearest are farther from each other.
            #expect(found >= (metric == .dot ? 28 : 42), "\(text): \(found) of 60")
        }
        // The same without a filter by the graph, whose searches took the same memory.
        let plain = try Self.answer(version, Self.queries(1)[0]) { $0.width = 6 }
        #expect(plain.plan.steps.last?.method == .graph && plain.hits.count == 10)
    }

    @Test func threadsThatShareAGraphFindWhatOneFinds() throws {
        let (engine, _) = try Self.make()
        defer { try? engine.close() }
        try engine.buildIndexes()
        let version = try engine.version()
        let filters = try ["group < 17", "group >= 10"].map { try Filter(text: $0) }
        // The first of them checks the graph; each goes by hops and without a filter in turn.
        let answers = Mutex<[Int: [[SearchHit]]]>([:])
        @Sendable func ask() throws -> [[SearchHit]] {
            try Self.queries(12).enumerated().map { place, query in
                try Self.answer(version, query) {
                    if place % 3 > 0 { $0.filter = filters[place % 3 - 1] }
                    $0.limit = 6
                    $0.width = 6
                }.hits
            }
        }
        let threads = try (0..<4).map { number in
            try #require(
                WorkerThread {
                    let found = try? ask()
                    answers.withLock { $0[number] = found }
                }
            )
        }
        for thread in threads { thread.join() }
        let alone = try ask()
        for number in threads.indices { #expect(answers.withLock { $0[number] } == alone) }
    }

    @Test func aFieldThatNobodyHasIsNamed() throws {
        let (engine, _) = try Self.make()
        defer { try? engine.close() }
        try engine.buildIndexes()
        let filter = try Filter(text: "grup == 7 or group == 7")
        let answer = try Self.answer(try engine.version(), Self.queries(1)[0]) {
            $0.filter = filter
        }
        #expect(answer.plan.unknownFields == ["grup"])
        #expect(answer.hits.count == 10)
    }

    @Test func pagesBoundsAndExclusionsAreCutFromOneOrder() throws {
        let (engine, _) = try Self.make()
        defer { try? engine.close() }
        try engine.buildIndexes()
        let version = try engine.version()
        let query = Self.queries(1)[0]
        let whole = try Self.answer(version, query) {
            $0.limit = 40
            $0.width = 90
        }.hits
        for start in [0, 1, 15, 35] {
            let page = try Self.answer(version, query) {
                $0.limit = 5
                $0.offset = start
                $0.width = 90
            }.hits
            #expect(page == Array(whole[start..<(start + 5)]))
        }
        let bound = whole[12].score
        let near = try Self.answer(version, query) {
            $0.limit = 40
            $0.width = 90
            $0.scoreBound = bound
        }.hits
        #expect(near == whole.filter { $0.score >= bound })
        let without = try Self.answer(version, query) {
            $0.limit = 5
            $0.offset = 2
            $0.width = 90
            $0.excludedID = Array(whole[1].id)
        }.hits
        #expect(without == Array((Array(whole[..<1]) + Array(whole[2...]))[2..<7]))
    }

    @Test func aGraphThatFindsLessIsSearchedHarder() {
        func graph(_ recalls: [Float]) -> GraphSpaceEntry {
            GraphSpaceEntry(
                collectionID: 1,
                vectorCount: 1_000_000,
                nodeCount: 1_000_000,
                entryCount: 16,
                joinCount: 0,
                width: 100,
                factor: 1,
                meanDegree: 28,
                sampleCount: 100,
                recalls: recalls,
                walk: .whole
            )
        }
        // Widths 16, 24, 32, 48, 64, 96, 128, 256.
        let easy = graph([0.94, 0.96, 0.97, 0.98, 0.99, 1, 1, 1])
        let hard = graph([0.55, 0.65, 0.74, 0.87, 0.93, 0.97, 0.99, 1])
        let hopeless = graph([0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.5, 0.9])
        var request = SearchRequest(limit: 10)
        #expect([easy, hard, hopeless].map { request.width($0) } == [48, 96, 256])
        request.limit = 60
        #expect([easy, hard, hopeless].map { request.width($0) } == [120, 120, 256])
        request.limit = 10
        request.recall = 0.9
        #expect([easy, hard, hopeless].map { request.width($0) } == [20, 64, 256])
        request.recall = 0.985
        #expect(request.width(easy) == 64)
        request.width = 5
        #expect(request.width(hard) == 5)
    }

    @Test func whatCannotBeAskedIsRefused() throws {
        let (engine, _) = try Self.make()
        defer { try? engine.close() }
        let version = try engine.version()
        let query = Self.queries(1)[0]
        for change in [
            { $0.limit = 0 }, { $0.offset = -1 }, { $0.width = 0 }, { $0.recall = 0 },
            { $0.recall = 1.5 }, { $0.recall = .nan }, { $0.scoreBound = .nan },
        ] as [(inout SearchRequest) -> Void] {
            let error = #expect(throws: StoreError.self) {
                try Self.answer(version, query, change)
            }
            #expect(error?.code == .invalidArgument)
        }
        let beyond = try Self.answer(version, query) {
            $0.limit = .max
            $0.offset = .max
        }
        #expect(beyond.hits.isEmpty)
    }
}
