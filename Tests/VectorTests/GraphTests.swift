// Graphs find what comparing everything finds, whatever the metric, duplicates and threads; files of
// them that are not right are refused.

import MoraineFiles
import MoraineFormat
import MoraineStorage
import Synchronization
import Testing

@testable import MoraineVectors

struct GraphTests {
    /// Clusters, so that links must lead out of them, and duplicates, which must not fill links.
    private func clustered(
        _ random: inout SplitMix,
        dimensions: Int,
        count: Int,
        duplicates: Int = 0
    ) -> [[Float]] {
        let centers = (0..<12).map { _ in random.vector(dimensions) }
        var vectors = (0..<count).map { index in
            zip(centers[index % 12], random.vector(dimensions)).map { 3 * $0 + $1 }
        }
        for index in 0..<duplicates { vectors[count - 1 - index * 2] = vectors[index % 3] }
        return vectors
    }

    private func open(
        _ vectors: [[Float]],
        _ metric: Metric,
        threads: Int = 1
    ) throws -> (fixture: VectorFixture, vectors: VectorFile, codes: CodeFile, graph: GraphFile) {
        let fixture = try VectorFixture()
        let dimensions = vectors[0].count
        let space = FixtureSpace(dimensions: dimensions, metric: metric, count: vectors.count) {
            vectors[$0]
        }
        let file = try fixture.open(
            try fixture.write([space], rowCount: UInt64(vectors.count))
        )
        let codes = try fixture.openCodes(try #require(try fixture.writeCodes(of: file)), of: file)
        let reference = try #require(try fixture.writeGraph(file, codes, threads: threads))
        return (fixture, file, codes, try fixture.openGraph(reference, file, codes))
    }

    /// Ordinals that a search of the graph finds, chains included, nearest first.
    private func search(
        _ graph: GraphFile,
        _ query: [Float],
        _ metric: Metric,
        width: Int
    ) throws -> [Int] {
        let space = graph.spaces[0]
        let vector = try withVector(query) { buffer throws(StoreError) in
            try QueryVector(buffer, metric: metric)
        }
        return try space.withSearch { search, view, duplicates throws(StoreError) -> [Int] in
            let coded = GraphQuery(vector, for: space.codes, in: search.values)
            view.entries.withUnsafeBufferPointer { search.run(coded, from: $0, width: width) }
            var found: [Int] = []
            for place in 0..<search.count {
                var ordinal = search.node(place)
                while ordinal != GraphLinks.unused {
                    found.append(Int(ordinal))
                    guard let duplicates else { break }
                    ordinal = duplicates[Int(ordinal)]
                }
            }
            return found
        }
    }

    @Test(arguments: Metric.allCases, [1, 2])
    func aWideSearchFindsTheNearest(metric: Metric, threads: Int) throws {
        var random = SplitMix(seed: 901)
        let vectors = clustered(&random, dimensions: 24, count: 1500, duplicates: 200)
        let opened = try open(vectors, metric, threads: threads)
        var found = 0
        for _ in 0..<20 {
            let query = zip(vectors[random.below(1500)], random.vector(24)).map { $0 + 0.3 * $1 }
            let scores = vectors.map { exactScore(query, $0, metric) }
            let order = scores.indices.sorted { scores[$0] > scores[$1] }
            let bar = scores[order[9]] - abs(scores[order[9]]) * 0.01
            let hits = try search(opened.graph, query, metric, width: 100)
            #expect(Set(hits).count == hits.count)
            found += min(10, hits.count { scores[$0] >= bar })
        }
        #expect(found >= 190, "of 200")
    }

    @Test func everyVectorCanBeReachedAndEqualCodesAreOneNode() throws {
        var random = SplitMix(seed: 902)
        let vectors = clustered(&random, dimensions: 8, count: 1200, duplicates: 300)
        let opened = try open(vectors, .cosine)
        let entry = opened.graph.spaces[0].entry
        #expect(entry.vectorCount == 1200 && entry.nodeCount < 920 && entry.hasDuplicates)
        #expect(entry.entryCount == 16 && entry.meanDegree > 4 && entry.meanDegree <= 32)
        // As wide as the space: what a search finds is all that can be reached.
        let all = try search(opened.graph, vectors[5], .cosine, width: 1200)
        #expect(all.sorted() == Array(0..<1200))
        #expect(entry.recalls.last ?? 0 > 0.95)
        #expect(zip(entry.recalls, entry.recalls.dropFirst()).allSatisfy { $0 <= $1 + 0.05 })
        #expect(entry.width(forRecall: 2) == 256 && entry.width(forRecall: 0) == 16)
    }

    /// A dimension that stands out takes the steps from all others: four bits tell little then.
    @Test(arguments: Metric.allCases)
    func theTrialChoosesTheCodesOfAWalkAndBothFind(metric: Metric) throws {
        for (stretch, walk) in [(Float(1), GraphSpaceEntry.Walk.coarse), (40, .whole)] {
            var random = SplitMix(seed: 906)
            // Of few true dimensions, as embeddings are.
            let basis = (0..<6).map { _ in random.vector(64) }
            let vectors = (0..<1500).map { _ in
                let parts = random.vector(6)
                return (0..<64).map { place in
                    zip(parts, basis).reduce(0) { $0 + $1.0 * $1.1[place] }
                        * (place == 0 ? stretch : 1)
                }
            }
            let opened = try open(vectors, metric)
            #expect(opened.graph.spaces[0].entry.walk == walk)
            var found = 0
            for sample in 0..<20 {
                let query = vectors[sample * 70]
                let scores = vectors.map { exactScore(query, $0, metric) }
                let order = scores.indices.sorted { scores[$0] > scores[$1] }
                let bar = scores[order[9]] - abs(scores[order[9]]) * 0.01
                let hits = try search(opened.graph, query, metric, width: 100)
                found += min(10, hits.count { scores[$0] >= bar })
            }
            #expect(found >= 185, "of 200")
        }
    }

    @Test func theWalkThatTakesLessForTheSameRecallIsChosen() {
        func curve(_ points: (Double, Double)...) -> [WalkPoint] {
            points.map { WalkPoint(recall: $0.0, cost: $0.1) }
        }
        let whole = curve((0.9, 100), (1, 200))
        // Finds less at each width, and takes less for .95: 138 for 150.
        let coarse = curve((0.7, 60), (0.9, 120), (0.98, 150), (1, 180))
        let targets = [0.95, 0.99]
        #expect(WalkPoint.isFirstCheaper(coarse, whole, at: targets))
        #expect(!WalkPoint.isFirstCheaper(whole, coarse, at: targets))
        // On the line between two widths 140, less than 150, though its next width takes 240.
        let wide = curve((0.94, 120), (1, 240))
        #expect(WalkPoint.isFirstCheaper(wide, whole, at: [0.95]))
        // Costly where more is to be found; what only one of them reaches is for that one.
        let steep = curve((0.7, 60), (0.96, 130), (1, 400))
        #expect(WalkPoint.isFirstCheaper(steep, whole, at: [0.95]))
        #expect(!WalkPoint.isFirstCheaper(steep, whole, at: targets))
        let poor = curve((0.7, 10), (0.98, 20))
        #expect(WalkPoint.isFirstCheaper(poor, whole, at: [0.95]))
        #expect(!WalkPoint.isFirstCheaper(poor, whole, at: targets))
        #expect(WalkPoint.isFirstCheaper(whole, poor, at: targets))
        // The first width may do already; where none does neither is better.
        #expect(WalkPoint.isFirstCheaper(curve((0.96, 99)), curve((0.96, 100)), at: [0.95]))
        #expect(!WalkPoint.isFirstCheaper(poor, poor, at: [0.99]))
    }

    @Test func vectorsThatAreAllTheSameMakeAGraphOfOneNode() throws {
        let vectors = Array(repeating: [Float](repeating: 1, count: 5), count: 1100)
        let opened = try open(vectors, .l2)
        #expect(opened.graph.spaces[0].entry.nodeCount == 1)
        let found = try search(opened.graph, vectors[0], .l2, width: 3)
        #expect(found == Array(0..<1100))
    }

    @Test func aBuildEndsWhenItsStepThrowsAndLeavesNoFile() throws {
        var random = SplitMix(seed: 904)
        let vectors = clustered(&random, dimensions: 8, count: 1100)
        let opened = try open(vectors, .cosine)
        let calls = Atomic(0)
        #expect(throws: StoreError.self) {
            try opened.fixture.writeGraph(opened.vectors, opened.codes, fileID: 73, threads: 2) {
                () throws(StoreError) in
                guard calls.add(1, ordering: .relaxed).newValue < 9 else {
                    throw StoreError(.cancelled, "enough")
                }
            }
        }
        #expect(opened.fixture.files.contents(of: opened.fixture.graphPath(fileID: 73)) == nil)
    }

    @Test func spacesThatAreTooSmallHaveNoGraph() throws {
        var random = SplitMix(seed: 905)
        let vectors = clustered(&random, dimensions: 8, count: 1100)
        let opened = try open(vectors, .cosine)
        let reference = try opened.fixture.writeGraph(
            opened.vectors,
            opened.codes,
            fileID: 73,
            least: 1101
        )
        #expect(reference == nil)
    }

    @Test func aGraphOfOtherCodesIsRefused() throws {
        var random = SplitMix(seed: 906)
        let vectors = clustered(&random, dimensions: 8, count: 1100)
        let opened = try open(vectors, .cosine)
        let other = try #require(
            try opened.fixture.writeCodes(of: opened.vectors, fileID: 75)
        )
        let codes = try opened.fixture.openCodes(other, of: opened.vectors)
        let error = #expect(throws: StoreError.self) {
            try opened.fixture.openGraph(opened.graph.file.reference, opened.vectors, codes)
        }
        #expect(error?.code == .corrupted)
    }

    @Test func everyFlippedBitIsFoundAndNoForgedIDIsFollowed() throws {
        var random = SplitMix(seed: 907)
        let vectors = clustered(&random, dimensions: 4, count: 1100, duplicates: 40)
        let opened = try open(vectors, .cosine)
        let path = opened.fixture.graphPath()
        let bytes = try #require(opened.fixture.files.contents(of: path))
        for _ in 0..<60 {
            let at = random.below(bytes.count)
            var damaged = bytes
            damaged[at] ^= UInt8(1 << random.below(8))
            opened.fixture.files.replace(path: path, bytes: damaged)
            do throws(StoreError) {
                let graph = try opened.fixture.openGraph(
                    opened.graph.file.reference,
                    opened.vectors,
                    opened.codes
                )
                var findings: [Finding] = []
                graph.verify { findings.append($0) }
                #expect(!findings.isEmpty, "byte \(at)")
            } catch {
                #expect(error.code == .corrupted || error.code == .newerFormat, "byte \(at)")
            }
        }
        for (type, value) in [
            (SectionType.links, UInt32(1100)), (SectionType.graphEntries, 1100),
            (SectionType.graphEntries, .max), (SectionType.duplicates, 0),
        ] {
            let reference = try opened.fixture.forgeGraph(opened.graph, type, value)
            let graph = try opened.fixture.openGraph(reference, opened.vectors, opened.codes)
            let error = #expect(throws: StoreError.self) {
                try search(graph, vectors[0], .cosine, width: 10)
            }
            #expect(error?.code == .corrupted, "section \(type)")
        }
    }

    /// Searches do without, so that only `verify` asks.
    @Test func linksToOtherVectorsThanNodesAndChainsOfSeveralCodesAreFound() throws {
        var random = SplitMix(seed: 908)
        let vectors = clustered(&random, dimensions: 4, count: 1100, duplicates: 40)
        let opened = try open(vectors, .cosine)
        func findings(_ type: UInt32, _ place: Int, _ value: UInt32) throws -> [Finding] {
            let reference = try opened.fixture.forgeGraph(opened.graph, type, value, at: place)
            let graph = try opened.fixture.openGraph(reference, opened.vectors, opened.codes)
            _ = try search(graph, vectors[0], .cosine, width: 10)
            var findings: [Finding] = []
            graph.verify { findings.append($0) }
            return findings
        }
        let space = opened.graph.spaces[0]
        let next = Array(try space.words(try #require(space.duplicateSection)))
        let links = Array(try space.words(space.linkSection))
        let entries = Array(try space.words(space.entrySection))
        let unused = UInt32.max
        // Behind another vector, and the end of its chain.
        let last = try #require(next.last { $0 != unused })
        let node = try #require(
            (1..<1099).first { !next.contains(UInt32($0)) && next[$0] == unused }
        )
        // A chain of three: its first leads to the third, as the second does.
        let first = try #require(next.first { $0 != unused && next[Int($0)] != unused })
        let second = next[Int(first)]
        let gap = try #require(links.indices.first { $0 % 32 > 1 && links[$0] == unused })
        #expect(try findings(SectionType.graphEntries, 0, entries[0]).isEmpty)
        let count = "\(space.entry.nodeCount)"
        for (type, place, value, expected) in [
            (SectionType.links, 0, last, "a node"),
            (SectionType.links, gap - 2, unused, "no link"),
            (SectionType.links, Int(last) * 32, UInt32(node), "no link"),
            (SectionType.graphEntries, 0, last, "a node that is no other entry"),
            (SectionType.graphEntries, 0, entries[1], "a node that is no other entry"),
            (SectionType.duplicates, node, UInt32(node + 1), "a vector with the same code"),
            (SectionType.duplicates, next.firstIndex(of: last) ?? 0, unused, count),
            (SectionType.duplicates, next.firstIndex(of: first) ?? 0, second, count),
        ] {
            let found = try findings(type, place, value)
            #expect(found.map(\.kind) == [.mismatch], "section \(type), word \(place)")
            #expect(found.first?.expected == expected)
        }
    }
}
