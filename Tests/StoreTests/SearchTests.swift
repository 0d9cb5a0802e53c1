// Searches with options: filters, pages, bounds, parts, many queries, and the plan.

import Moraine
import Testing

@Suite struct SearchTests {
    /// 400 documents on a circle; those with an even number are "even".
    private func make(metric: Metric = .cosine) throws -> Store.Collection {
        let notes = try makeNotes(metric: metric)
        try notes.put(
            documents(0..<400).map { document in
                var document = document
                document.metadata["even"] = .bool(document.metadata["number"].isEven)
                return document
            }
        )
        return notes
    }

    @Test func aFilterInTheShortFormCounts() async throws {
        let notes = try make()
        let query = vector(42)
        let some = try await notes.search(near: query, limit: 3, where: .field("number") >= 50)
        #expect(some.map(\.id) == ["d050", "d051", "d052"])
        let like = try await notes.search(like: "d042", limit: 2, where: .field("even") == true)
        #expect(like.map(\.id).sorted() == ["d040", "d044"])
        #expect(try await notes.count(where: .field("even") == true) == 200)
        let snapshot = try notes.store.snapshot()
        #expect(try await snapshot.count(in: "notes", where: .field("number") < 10) == 10)
        let there = try await snapshot.search(
            near: query,
            in: "notes",
            limit: 1,
            where: !(.field("number") == 42)
        )
        #expect(["d041", "d043"].contains(there.first?.id))
    }

    @Test func filtersCountInSegmentsWithAndWithoutColumns() throws {
        let notes = try make()
        try notes.store.checkpoint()
        #expect(try notes.count(where: .field("number") < 10) == 10)
        var options = SearchOptions()
        options.filter = .field("even") == true && .field("numbr") >= 0
        let before = try notes.explain(near: vector(7), options: options)
        #expect(before.plan.steps.allSatisfy { !$0.hasColumns && $0.matchCount == 0 })
        #expect(before.plan.steps.map(\.method) == [.nothing])
        try notes.store.buildIndexes()
        options.filter = .field("number") < 10
        let after = try notes.explain(near: vector(7), options: options)
        #expect(after.plan.steps.map(\.matchCount) == [10])
        #expect(after.hits.count == 10)
        #expect(try notes.count(where: .field("number") < 10) == 10)
    }

    @Test func pagesFitTogether() throws {
        let snapshot = try make().store.snapshot()
        var options = SearchOptions()
        options.isExact = true
        options.limit = 30
        let all = try snapshot.search(near: vector(9), in: "notes", options: options)
        options.limit = 7
        var pages: [String] = []
        while pages.count < 28 {
            options.offset = pages.count
            pages += try snapshot.search(near: vector(9), in: "notes", options: options).map(\.id)
        }
        #expect(pages == all.prefix(28).map(\.id))
        options.offset = 400
        #expect(try snapshot.search(near: vector(9), in: "notes", options: options).isEmpty)
        options.offset = 1
        let like = try snapshot.search(like: "d009", in: "notes", options: options)
        #expect(like.map(\.id) == all[2..<9].map(\.id))
    }

    @Test func nothingBeyondTheBoundIsFound() throws {
        for metric in [Metric.cosine, .l2] {
            let notes = try make(metric: metric)
            var options = SearchOptions()
            options.limit = 50
            let all = try notes.search(near: vector(100), options: options)
            let bound = all[20].score
            options.scoreBound = bound
            let near = try notes.search(near: vector(100), options: options)
            #expect(near.count >= 21 && near.count < 50)
            #expect(near.allSatisfy { metric == .l2 ? $0.score <= bound : $0.score >= bound })
            #expect(near.map(\.id) == all.prefix(near.count).map(\.id))
        }
    }

    @Test func hitsCarryTheirParts() throws {
        let notes = try make()
        var options = SearchOptions()
        options.limit = 1
        func hit(_ parts: SearchOptions.Parts) throws -> StoredDocument? {
            options.parts = parts
            return try notes.search(near: vector(42), options: options).first?.document
        }
        let ids = try hit([])
        #expect(ids?.id == "d042" && ids?.text == "" && ids?.version == 0)
        let text = try hit(.text)
        #expect(text?.text == "text 42" && text?.metadata.isEmpty == true && text?.version != 0)
        let metadata = try hit(.metadata)
        #expect(metadata?.text == "" && metadata?.metadata["number"] == 42)
        let all = try hit([.text, .metadata, .embedding])
        #expect(all?.text == "text 42" && all?.embedding == vector(42))
    }

    @Test func manyQueriesAreAnsweredAsOneByOne() async throws {
        let notes = try make()
        try await notes.store.checkpoint()
        var options = SearchOptions()
        options.limit = 4
        options.filter = .field("even") == true
        let queries = (0..<70).map { vector($0 * 5) }
        let all = try await notes.search(near: queries, options: options)
        #expect(all.count == queries.count)
        for (query, hits) in zip(queries, all) {
            let alone = try await notes.search(near: query, options: options)
            #expect(hits.map(\.id) == alone.map(\.id))
            #expect(hits.map(\.score) == alone.map(\.score))
        }
        let none: [[Float]] = []
        #expect(try await notes.search(near: none, options: options).isEmpty)
        // Six numbers are one and a half queries, not two that are wrong.
        let ragged: [[Float]] = [[1, 0], [0, 1, 0, 0, 0, 0]]
        let error = await asyncCode { () async throws(MoraineError) in
            try await notes.search(near: ragged, options: options)
        }
        #expect(error == .wrongDimension)
    }

    @Test func thePlanTellsOfEverySource() throws {
        let notes = try make()
        try notes.store.checkpoint()
        try notes.put(documents(400..<420))
        var options = SearchOptions()
        options.filter = .field("number") >= 390
        let (hits, plan) = try notes.explain(near: vector(400), options: options)
        #expect(hits.first?.id == "d400")
        #expect(plan.steps.map(\.vectorCount) == [20, 400])
        #expect(plan.steps.map(\.matchCount) == [20, 10])
        #expect(plan.steps[0].segmentID == nil && plan.steps[1].segmentID != nil)
        #expect(plan.steps.allSatisfy { $0.width == nil })
        #expect(plan.unknownFields.isEmpty && plan.graphCodeCount == 0)
        #expect("\(plan.steps[0].method)" == "vectors")
    }

    @Test func graphsAreSearchedAsHardAsAskedFor() throws {
        var configuration = Store.Configuration()
        configuration.indexesInBackground = false
        let store = try Store.inMemory(configuration: configuration)
        let notes = try store.collection("notes", dimensions: 8, metric: .l2)
        var state: UInt64 = 7
        func number() -> Float {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40)
        }
        try notes.load(
            (0..<4_200).map { place in
                Document(
                    id: "\(place)",
                    metadata: ["tenth": .bool(place % 10 == 0)],
                    embedding: (0..<8).map { _ in number() }
                )
            }
        )
        try store.buildIndexes()
        let query = (0..<8).map { _ in number() }
        func plan(_ change: (inout SearchOptions) -> Void) throws -> SearchPlan {
            var options = SearchOptions()
            options.parts = []
            change(&options)
            let (hits, plan) = try notes.explain(near: query, options: options)
            #expect(hits.count == 10)
            return plan
        }
        let usual = try plan { _ in }
        #expect(usual.steps.map(\.method) == [.graph] && usual.graphVectorCount > 0)
        #expect((usual.steps[0].width ?? 0) >= 20)
        let wide = try plan { $0.width = 100 }
        #expect(wide.steps[0].width == 100 && wide.graphCodeCount > usual.graphCodeCount)
        #expect(try plan { $0.recall = 0.5 }.steps[0].width ?? 0 <= wide.steps[0].width ?? 0)
        let exact = try plan { $0.isExact = true }
        #expect(exact.steps.map(\.method) == [.codes] && exact.graphCodeCount == 0)
        // Few enough to compare them all.
        let few = try plan { $0.filter = .field("tenth") == true }
        #expect(few.steps.map(\.method) == [.codes] && few.steps[0].matchCount == 420)
        #expect(few.steps[0].hasColumns)
        try store.close()
    }

    @Test func valuesOutOfRangeAreRefused() throws {
        let notes = try make()
        func refuses(_ change: (inout SearchOptions) -> Void) -> MoraineError.Code? {
            var options = SearchOptions()
            change(&options)
            return code { () throws(MoraineError) in
                try notes.search(near: vector(1), options: options)
            }
        }
        #expect(refuses { $0.limit = 0 } == .invalidArgument)
        #expect(refuses { $0.offset = -1 } == .invalidArgument)
        #expect(refuses { $0.width = 0 } == .invalidArgument)
        #expect(refuses { $0.recall = 1.5 } == .invalidArgument)
        #expect(refuses { $0.scoreBound = .nan } == .invalidArgument)
        #expect(refuses { $0.filter = .field("") == 1 } == .invalidFilter)
        #expect(refuses { $0.recall = 0.9 } == nil)
    }
}

extension MetadataValue? {
    fileprivate var isEven: Bool {
        guard case .int(let number) = self else { return false }
        return number % 2 == 0
    }
}
