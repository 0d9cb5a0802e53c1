// Damaged files of columns, and files whose checksums are right and whose content is not: errors
// or answers, never a trap.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineStorage
import Testing

@testable import MoraineFilters

@Suite struct HostileColumnTests {
    private static let filters = Result {
        try [
            #"s == "b""#, #"s < "c""#, #"s contains "b""#, #"s startswith "a""#, "n >= 2",
            "n == 1.5 or n == 3", "t == true", "t == false", "z == null", "tags contains 2",
            #"tags contains "x""#, "o.p exists", "n != 1", "not s exists",
        ].map { try Filter(text: $0) }
    }

    private static let rows = (0..<70).map { row -> (collection: UInt32, metadata: [UInt8]) in
        var object: [String: Value] = [:]
        object["s"] = .string(["a", "b", "bb", "c"][row % 4])
        object["n"] = row % 3 == 0 ? .double(Double(row) / 2) : .integer(Int64(row))
        object["t"] = .bool(row % 5 == 0)
        object["z"] = row % 7 == 0 ? .null : .integer(1)
        object["tags"] = .array([.integer(Int64(row % 3)), .string("x")])
        object["o"] = row % 2 == 0 ? .object(["p": .null]) : .bool(true)
        return (row < 40 ? 1 : 2, Value.object(object).encoded)
    }

    private func answers(_ file: ColumnFile) throws -> [[UInt32]] {
        var answers: [[UInt32]] = []
        for filter in try Self.filters.get() {
            for (collection, range) in [(UInt32(1), UInt32(0)..<40), (2, 40..<70), (2, 50..<60)] {
                let set = try file.matches(filter, collection: collection, rows: range)
                if let set {
                    #expect(found(set).allSatisfy { range.contains($0) })
                    answers.append(found(set))
                }
            }
        }
        return answers
    }

    @Test func everyFlippedByteIsFoundOrChangesNothing() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        let right = try answers(fixture.open(reference, rowCount: 70))
        let bytes = try #require(fixture.files.contents(of: fixture.path))
        var refused = 0
        for offset in bytes.indices {
            // The padding behind the header is checked by verifying only.
            if (64..<4096).contains(offset) { continue }
            let bit: UInt8 = 1 << UInt8(offset % 8)
            _ = fixture.files.corrupt(path: fixture.path, offset: offset, xor: bit)
            defer { _ = fixture.files.corrupt(path: fixture.path, offset: offset, xor: bit) }
            do {
                let file = try fixture.open(reference, rowCount: 70)
                #expect(try answers(file) == right, "byte \(offset)")
            } catch let error as StoreError {
                #expect(error.code == .corrupted || error.code == .newerFormat)
                refused += 1
            }
        }
        #expect(refused > 1000)
    }

    @Test func verifyingFindsDamageAndBrokenRules() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        let file = try fixture.open(reference, rowCount: 70)
        func findings(_ file: ColumnFile) -> [Finding] {
            var found: [Finding] = []
            file.verify { found.append($0) }
            return found
        }
        #expect(findings(file).isEmpty)
        _ = fixture.files.corrupt(path: fixture.path, offset: 4100, xor: 1)
        #expect(findings(file).map(\.kind) == [.checksum])

        // Rows 0 and 1 hold "a" and "b": what is bent is a leaf, an order, a list, an end.
        let rows: [(collection: UInt32, metadata: [UInt8])] = [
            (1, Value.object(["n": .integer(1), "s": .string("a")]).encoded),
            (1, Value.object(["n": .integer(2), "s": .string("b")]).encoded),
        ]
        let small = try #require(try fixture.write(rows))
        var sections = try self.sections(of: fixture.open(small, rowCount: 2))
        let good = sections[0].bytes
        let changes: [[Int: UInt8]] = [
            [1: 9], [17: 9], [33: 7], [41: 2], [59: 0x61], [61: 2], [61: 0x7F],
            // The same number twice with the same row, and with rows that descend.
            [9: 1, 25: 1, 37: 0], [9: 1, 25: 1, 33: 1, 37: 0],
        ]
        for change in changes {
            sections[0].bytes = good
            for (offset, value) in change { sections[0].bytes[offset] = value }
            let bent = try fixture.open(try fixture.forge(sections, rowCount: 2), rowCount: 2)
            #expect(findings(bent).map(\.kind) == [.record], "\(change)")
        }
        sections[0].bytes = good
        let same = try fixture.open(try fixture.forge(sections, rowCount: 2), rowCount: 2)
        #expect(findings(same).isEmpty)
    }

    /// As verifying would fill a set of 512 MiB for each string and column, it must not need one.
    @Test func verifyingCostsWhatAFileHoldsNotWhatItStandsFor() throws {
        let rowCount = Int(UInt32.max) - 1
        let stringCount = 2_000
        let fieldCount = 200
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Array(Self.rows.prefix(1))))
        let good = try fixture.open(reference, rowCount: 1)
        var sections = try self.sections(of: good).map { ($0.type, bytes: [UInt8]()) }
        func fill(_ type: UInt32, _ body: (inout ByteWriter) -> Void) {
            var writer = ByteWriter(capacity: 64)
            body(&writer)
            guard let index = sections.firstIndex(where: { $0.0 == type }) else { return }
            sections[index].bytes = writer.bytes
        }
        // One field of strings that all stand in all rows, and many that all rows have.
        let all: UInt8 = 1
        let stringByteCount = stringCount * 4
        let columnByteCount = stringCount * 8 + stringByteCount + stringCount
        fill(SectionType.columnValues) { writer in
            for index in 1...stringCount {
                writer.writeUInt32(UInt32(index * 4))
                writer.writeUInt32(UInt32(index))
            }
            for index in 0..<stringCount { writer.writeUInt32(UInt32(10_000 + index).byteSwapped) }
            for _ in 0...(stringCount + fieldCount) { writer.writeUInt8(all) }
        }
        fill(SectionType.columns) { writer in
            ColumnEntry(
                kind: .strings,
                domain: .value,
                valueCount: UInt32(stringCount),
                stringByteCount: UInt64(stringByteCount),
                offset: 0,
                byteCount: UInt64(columnByteCount)
            ).encode(into: &writer)
            for index in 0...fieldCount {
                ColumnEntry(
                    kind: .present,
                    domain: .value,
                    valueCount: UInt32(rowCount),
                    stringByteCount: 0,
                    offset: UInt64(columnByteCount + index),
                    byteCount: 1
                ).encode(into: &writer)
            }
        }
        fill(SectionType.columnPaths) { writer in
            for index in 0...fieldCount { writer.writeBytes([2, 0x41, UInt8(index)]) }
        }
        fill(SectionType.columnFields) { writer in
            for index in 0...fieldCount {
                ColumnField(
                    path: index * 3..<(index + 1) * 3,
                    columns: (index == 0 ? 0 : index + 1)..<(index + 2)
                ).encode(into: &writer)
            }
        }
        fill(SectionType.columnCollections) { writer in
            ColumnCollection(
                collectionID: 1,
                rows: 0..<UInt32(rowCount),
                fields: 0..<(fieldCount + 1),
                hasOtherFields: false
            ).encode(into: &writer)
        }
        let source = try good.file.requiredSection(SectionType.source).allBytes()
        fill(SectionType.source) { writer in writer.writeBytes(source) }
        let file = try fixture.open(
            try fixture.forge(sections.map { ($0.0, $0.bytes) }, rowCount: rowCount),
            rowCount: rowCount
        )
        var findings: [Finding] = []
        file.verify { findings.append($0) }
        #expect(findings.isEmpty, "\(findings.first.map { "\($0)" } ?? "")")
    }

    @Test func whatIsCountedIsWhatASetWouldHold() throws {
        var random = SplitMix(seed: 62)
        for _ in 0..<300 {
            let first = UInt32(random.below(200))
            let rows = first..<(first + UInt32(random.below(300)) + 1)
            var list = RowList(first: first)
            let share = random.below(5)
            for row in rows where random.below(4) < share { list.append(row) }
            var writer = ByteWriter(capacity: 64)
            list.encode(rows, into: &writer)
            try writer.bytes.withUnsafeBytes { bytes in
                let set = RowSet(rows)
                try set.insert(encoded: bytes, of: rows)
                #expect(try RowSet.count(encoded: bytes, of: rows) == set.count)
                #expect(set.count == Int(list.count))
            }
        }
    }

    private func sections(of file: ColumnFile) throws -> [(type: UInt32, bytes: [UInt8])] {
        try file.file.layout.entries.filter { $0.type != SectionType.checksumTable }.map { entry in
            (entry.type, Array(try file.file.requiredSection(entry.type).allBytes()))
        }
    }

    @Test func forgedContentNeverTraps() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        let good = try fixture.open(reference, rowCount: 70)
        let sections = try self.sections(of: good)
        let right = try answers(good)
        #expect(
            try answers(fixture.open(fixture.forge(sections, rowCount: 70), rowCount: 70)) == right
        )
        var random = SplitMix(seed: 61)
        var outcomes = (refused: 0, answered: 0)
        for place in sections.indices {
            let count = sections[place].bytes.count
            for trial in 0..<100 {
                var bent = sections
                switch trial % 4 {
                case 0, 1:
                    bent[place].bytes[random.below(count)] = UInt8(
                        truncatingIfNeeded: random.next()
                    )
                case 2:
                    bent[place].bytes[random.below(count)] = random.pick([0, 1, 0x7F, 0x80, 0xFF])
                default: bent[place].bytes.removeLast(random.below(count) + 1)
                }
                do {
                    let file = try fixture.open(fixture.forge(bent, rowCount: 70), rowCount: 70)
                    _ = try answers(file)
                    outcomes.answered += 1
                } catch let error as StoreError {
                    #expect(error.code == .corrupted || error.code == .newerFormat)
                    outcomes.refused += 1
                }
            }
        }
        #expect(outcomes.refused > 200 && outcomes.answered > 50)
    }

    /// What many fields or collections name is read once, however often it is named.
    @Test func columnsThatAreNamedTwiceAreFound() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        let good = try self.sections(of: fixture.open(reference, rowCount: 70))
        let place = try #require(good.firstIndex { $0.type == SectionType.columnFields })
        func findings(_ change: (inout [UInt8]) -> Void) throws -> [Finding] {
            var sections = good
            change(&sections[place].bytes)
            let file = try fixture.open(fixture.forge(sections, rowCount: 70), rowCount: 70)
            var found: [Finding] = []
            file.verify { found.append($0) }
            return found
        }
        #expect(try findings { _ in }.isEmpty)
        // Every field has the columns of the first one.
        let shared = try findings { bytes in
            for field in stride(from: 16, to: bytes.count, by: 16) {
                bytes.replaceSubrange((field + 8)..<(field + 16), with: bytes[8..<16])
            }
        }
        #expect(shared.contains { $0.expected.contains("share no bytes") })
        let many = try findings { $0[12] = UInt8(ColumnField.columnCount + 1) }
        #expect(many.contains { $0.expected == "at most 14" })
        let long = try findings { $0.replaceSubrange(4..<8, with: [2, 4, 0, 0]) }
        #expect(long.contains { $0.expected == "at most 1025" })
    }

    /// Of two columns of a kind a filter would ask one only.
    @Test func aKindThatAFieldHasTwiceOrLacksIsFound() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        let good = try self.sections(of: fixture.open(reference, rowCount: 70))
        let place = try #require(good.firstIndex { $0.type == SectionType.columns })
        func findings(_ kind: UInt8, _ domain: UInt8, of column: Int) throws -> [Finding] {
            var sections = good
            sections[place].bytes[32 * column] = kind
            sections[place].bytes[32 * column + 1] = domain
            let file = try fixture.open(fixture.forge(sections, rowCount: 70), rowCount: 70)
            var found: [Finding] = []
            file.verify { found.append($0) }
            return found
        }
        // The first field is "n": the rows that have it, its integers, its doubles.
        #expect(Array(good[place].bytes[..<2]) == [1, 1])
        #expect(try findings(1, 1, of: 0).isEmpty)
        let twice = try findings(6, 1, of: 2)
        #expect(twice.contains { $0.expected == "a column of each kind and domain" })
        let lacking = try findings(3, 1, of: 0)
        #expect(lacking.contains { $0.expected == "a column of the rows that have it" })
        let newer = try findings(1, 2, of: 0)
        #expect(newer.contains { $0.expected.contains("kinds 1 and 2 in domain 1") })
    }

    /// A collection without fields at 0 does not lead back to those that were looked at.
    @Test func noFieldIsLookedAtForTwoCollections() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        var sections = try self.sections(of: fixture.open(reference, rowCount: 70))
        let fields = try #require(sections.first { $0.type == SectionType.columnFields })
        let place = try #require(
            sections.firstIndex { $0.type == SectionType.columnCollections }
        )
        var writer = ByteWriter()
        let count = fields.bytes.count / ColumnField.byteCount
        for (id, owned) in [0..<count, 0..<0, 0..<count, 0..<0, 0..<count].enumerated() {
            ColumnCollection(
                collectionID: UInt32(id) + 1,
                rows: (UInt32(id) * 14)..<(UInt32(id) * 14 + 14),
                fields: owned,
                hasOtherFields: false
            ).encode(into: &writer)
        }
        sections[place].bytes = writer.finish()
        let file = try fixture.open(fixture.forge(sections, rowCount: 70), rowCount: 70)
        var found: [Finding] = []
        file.verify { found.append($0) }
        #expect(found.filter { $0.expected.contains("and field \(count)") }.count == 4)
    }
}
