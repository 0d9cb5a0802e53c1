// Columns answer what documents answer.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineFilters

@Suite struct ColumnTests {
    /// The rows of a range that pass by their documents.
    private func passing(_ filter: Filter, _ documents: [[UInt8]], _ range: Range<UInt32>) throws
        -> [UInt32]
    {
        var evaluator = FilterEvaluator(filter)
        return try range.filter { row in
            try documents[Int(row)].withUnsafeBytes { try evaluator.matches($0) }
        }
    }

    @Test(arguments: 0..<6)
    func columnsAnswerAsDocumentsDoAndAsTold(seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed) + 31)
        let fixture = try ColumnFixture()
        let counts = (0..<3).map { _ in random.pick([0, 1, 63, 64, 65, 130, 300]) }
        var documents: [Value] = []
        var rows: [(collection: UInt32, metadata: [UInt8])] = []
        for (index, count) in counts.enumerated() {
            for _ in 0..<count {
                documents.append(Value.object(&random))
                rows.append((UInt32(index) * 10 + 1, documents[documents.count - 1].encoded))
            }
        }
        guard let reference = try fixture.write(rows) else {
            #expect(documents.isEmpty || seed != 0)
            return
        }
        let file = try fixture.open(reference, rowCount: rows.count)
        file.verify { Issue.record("\($0)") }
        for _ in 0..<80 {
            let meaning = Meaning.random(&random)
            let filter = meaning.filter
            var start = 0
            for (index, count) in counts.enumerated() {
                let first =
                    start + (count > 0 ? random.below(count) / random.pick([1, 1, 1000]) : 0)
                let last = start + count - (count > 0 ? random.below(start + count - first) / 2 : 0)
                start += count
                let range = UInt32(first)..<UInt32(last)
                let set = try #require(
                    try file.matches(filter, collection: UInt32(index) * 10 + 1, rows: range)
                )
                let told = range.filter { meaning.holds(documents[Int($0)]) }
                #expect(found(set) == told, "\(filter) in \(range)")
                #expect(try passing(filter, rows.map(\.metadata), range) == told)
                #expect(set.count == told.count)
            }
        }
    }

    @Test func largeColumnsHaveLeavesBitmapsAndLists() throws {
        let count = 20_000
        var random = SplitMix(seed: 41)
        let documents = (0..<count).map { row -> [UInt8] in
            var object: [String: Value] = [:]
            object["unique"] = .string("key-\(row * 7919 % count)")
            object["number"] = .integer(Int64(random.below(9000)))
            object["real"] =
                random.below(3) == 0 ? .integer(Int64(row)) : .double(Double(row) + 0.5)
            object["half"] = .string(row % 2 == 0 ? "even" : "odd")
            object["tenth"] = .bool(row % 10 == 0)
            object["tags"] = .array(
                (0..<random.below(4)).map { _ in .string("t\(random.below(50))") }
            )
            return Value.object(object).encoded
        }
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(documents.map { (1, $0) }))
        let file = try fixture.open(reference, rowCount: count)
        file.verify { Issue.record("\($0)") }
        for text in [
            #"unique == "key-77""#, #"unique < "key-2""#, #"unique startswith "key-19""#,
            #"unique contains "99""#, "number < 4500", "number == 17", "number in [1, 2.0, 8999]",
            "number >= 8999", "number > 8999", "number < 0", "number <= 0", "real > 9999.75",
            "real <= 10000", #"half == "odd""#, #"half != "odd""#, "tenth == true",
            "tenth != true", #"tags contains "t7""#, #"tags contains "t7" and not half == "even""#,
            "number >= 100 and number < 5000 or tags exists", "number != 5", "real != 3",
        ] {
            let filter = try Filter(text: text)
            for range in [0..<UInt32(count), 1000..<1001, 4095..<8193, 19_999..<20_000] {
                let set = try #require(try file.matches(filter, collection: 1, rows: range))
                #expect(try found(set) == passing(filter, documents, range), "\(text) in \(range)")
            }
        }
    }

    @Test func fieldsThatAreNotIndexedAreLeftToTheDocuments() throws {
        let fixture = try ColumnFixture()
        let long = String(repeating: "x", count: ColumnFileWriter.stringByteLimit + 1)
        var wide: [String: Value] = [:]
        for index in 0..<ColumnFileWriter.fieldLimit { wide["w\(index)"] = .integer(1) }
        wide["a"] = .integer(1)
        let name = String(repeating: "n", count: ColumnFileWriter.pathByteLimit)
        let longest = String(name.dropLast())
        let rows: [(collection: UInt32, metadata: [UInt8])] = [
            (1, Value.object(["a": .string(long), "b": .integer(1)]).encoded),
            (1, Value.object(["a": .integer(1), "c": .array([.string(long)])]).encoded),
            (2, Value.object(wide).encoded),
            (3, Value.object([name: .integer(1), longest: .integer(1), "b": .null]).encoded),
            (4, Metadata.empty),
        ]
        let reference = try #require(try fixture.write(rows))
        let file = try fixture.open(reference, rowCount: rows.count)
        func answer(_ text: String, _ collection: UInt32, _ range: Range<UInt32>) throws
            -> [UInt32]?
        {
            try file.matches(Filter(text: text), collection: collection, rows: range)
                .map { found($0) }
        }
        #expect(try answer("a == 1", 1, 0..<2) == nil)
        #expect(try answer("b == 1 and c exists", 1, 0..<2) == nil)
        #expect(try answer("b == 1", 1, 0..<2) == [0])
        #expect(try answer("none exists or b == 1", 1, 0..<2) == [0])
        #expect(try answer("w7 == 1", 2, 2..<3) == [2])
        #expect(try answer("none == 1", 2, 2..<3) == nil)
        #expect(try answer("none == 1", 3, 3..<4) == nil)
        #expect(try answer("b == null", 3, 3..<4) == [3])
        #expect(try answer("\(longest) == 1", 3, 3..<4) == [3])
        #expect(try answer("b == null", 4, 4..<5) == [])
        #expect(try answer("b == null", 9, 4..<4) == [])
        let states = try file.states(
            of: Filter(text: "a exists or b exists or d exists"),
            collection: 1
        )
        #expect(states.map(\.path.text) == ["a", "b", "d"])
        #expect(states.map(\.state) == [.notIndexed, .indexed, .missing])
        #expect(
            try file.states(of: Filter(text: "d exists"), collection: 99).map(\.state) == [.missing]
        )
        #expect(code { _ = try answer("b == 1", 1, 0..<3) } == .corrupted)
        #expect(code { _ = try answer("b == 1", 9, 0..<1) } == .corrupted)
        var deep = Filter()
        for _ in 0..<100 { deep.append(constant: true) }
        for _ in 0..<99 { deep.append(.or) }
        #expect(try file.matches(deep, collection: 1, rows: 0..<2) == nil)
    }

    @Test func theFieldWithTheMostValuesIsGivenUpFirst() throws {
        let fixture = try ColumnFixture()
        let rows = (0..<3000).map { row in
            (
                collection: UInt32(1),
                metadata: Value.object([
                    "large": .string("\(row)" + String(repeating: "-", count: 900)),
                    "small": .integer(Int64(row)),
                ]).encoded
            )
        }
        let reference = try #require(try fixture.write(rows, memoryByteLimit: 1 << 20))
        let file = try fixture.open(reference, rowCount: rows.count)
        let states = try file.states(
            of: Filter(text: "large exists and small exists"),
            collection: 1
        )
        #expect(states.map(\.state) == [.notIndexed, .indexed])
        let set = try file.matches(Filter(text: "small >= 2990"), collection: 1, rows: 0..<3000)
        #expect(set.map(found) == Array(2990..<3000))
    }

    @Test func rowsWithoutMetadataHaveAFileThatSaysSo() throws {
        let fixture = try ColumnFixture()
        let written = try fixture.write([(1, Metadata.empty), (2, Metadata.empty)])
        let file = try fixture.open(try #require(written), rowCount: 2)
        let found = try file.matches(try Filter(text: "a exists"), collection: 1, rows: 0..<1)
        #expect(found?.count == 0)
        let others = try file.matches(try Filter(text: "not a exists"), collection: 2, rows: 1..<2)
        #expect(others?.count == 1)
        var findings: [Finding] = []
        file.verify { findings.append($0) }
        #expect(findings.isEmpty)
    }

    @Test func whatIsGivenUpLeavesNoFile() throws {
        let fixture = try ColumnFixture()
        let writer = try fixture.writer(rowCount: 1)
        #expect(code { try fixture.append([1, 1], of: 1, to: writer) } == .corrupted)
        writer.abandon()
        #expect(fixture.files.contents(of: fixture.path) == nil)
    }

    @Test func columnsOfOtherDocumentsAreRefused() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(
            try fixture.write([(1, Value.object(["a": .null]).encoded)])
        )
        let good = fixture.documents
        for other in [
            SealedFileReference(fileID: 8, byteCount: 1000, footerChecksum: good.footerChecksum),
            SealedFileReference(fileID: 7, byteCount: 1000, footerChecksum: 1),
        ] {
            #expect(
                code { _ = try fixture.open(reference, rowCount: 1, documents: other) }
                    == .corrupted
            )
        }
        #expect(code { _ = try fixture.open(reference, rowCount: 2) } == .corrupted)
        _ = try fixture.open(reference, rowCount: 1)
    }

    @Test func rowSetsAreAlignedWithTheSegment() {
        var random = SplitMix(seed: 51)
        for _ in 0..<300 {
            let first = UInt32(random.below(200))
            let range = first..<(first + UInt32(random.below(200)))
            let a = RowSet(range) { $0 % 3 == 0 }
            let b = RowSet(range) { $0 % 2 == 0 }
            #expect(found(a.intersection(b)) == range.filter { $0 % 6 == 0 })
            #expect(found(a.union(b)) == range.filter { $0 % 3 == 0 || $0 % 2 == 0 })
            #expect(found(a.complement()) == range.filter { $0 % 3 != 0 })
            let dead = [UInt64](repeating: 0x5555_5555_5555_5555, count: 2)
            let live = dead.withUnsafeBufferPointer { words in
                a.subtracting(chunkRowCount: 128) { $0 == 1 ? words.baseAddress : nil }
            }
            let expected = range.filter { $0 % 3 == 0 && !($0 / 128 == 1 && $0 % 2 == 0) }
            #expect(found(live) == expected && live.count == expected.count)
            for row in UInt32(0)..<500 {
                #expect(a.contains(row) == (range.contains(row) && row % 3 == 0))
            }
            #expect(!a.contains(.max))
        }
    }
}
