// A file of columns is what the page says, byte by byte.

import MoraineFormat
import MoraineStorage
import MoraineTestSupport
import Testing

@testable import MoraineFilters

@Suite struct ColumnGoldenTests {
    private static let parts: [(title: String, type: UInt32)] = [
        ("Values", SectionType.columnValues), ("Paths", SectionType.columnPaths),
        ("Columns", SectionType.columns), ("Fields", SectionType.columnFields),
        ("Collections", SectionType.columnCollections), ("Source", SectionType.source),
    ]

    private static let rows: [(collection: UInt32, metadata: [UInt8])] = [
        (
            1,
            Value.object([
                "a": .integer(3), "s": .string("xy"),
                "t": .array([.string("u"), .double(1.5), .string("u")]),
            ]).encoded
        ),
        (1, Value.object(["a": .integer(-1), "s": .string("x"), "t": .null]).encoded),
        (1, Value.object(["s": .string("x")]).encoded),
        (2, Value.object(["o": .object(["p": .bool(true)])]).encoded),
    ]

    @Test func theWriterWritesTheGolden() throws {
        let fixture = try ColumnFixture()
        let reference = try #require(try fixture.write(Self.rows))
        let file = try fixture.open(reference, rowCount: Self.rows.count)
        #expect(file.file.layout.entries.map(\.type) == Self.parts.map(\.type) + [255])
        #expect(file.file.layout.entries.first?.offset == 4096)
        for part in Self.parts {
            let golden = try #require(Golden.part(part.title, of: "v1/columns.hex"))
            let bytes = Array(try file.file.requiredSection(part.type).allBytes())
            #expect(bytes == golden.bytes, "\(part.title)")
        }
        #expect(Golden.parts(of: "v1/columns.hex")?.map(\.title) == Self.parts.map(\.title))
    }

    @Test func theReaderReadsTheGolden() throws {
        let fixture = try ColumnFixture()
        let sections = try Self.parts.map { part in
            (part.type, try #require(Golden.part(part.title, of: "v1/columns.hex")).bytes)
        }
        let file = try fixture.open(try fixture.forge(sections, rowCount: 4), rowCount: 4)
        for (text, collection, expected) in [
            ("a < 0", 1, [1]), ("a == 3", 1, [0]), (#"s == "x""#, 1, [1, 2]),
            ("a exists", 1, [0, 1]),
            (#"s startswith "x""#, 1, [0, 1, 2]), ("t == null", 1, [1]), ("t exists", 1, [0, 1]),
            ("t contains 1.5", 1, [0]), (#"t contains "u""#, 1, [0]), ("o.p == true", 2, [3]),
            ("o exists", 2, [3]), ("o exists", 1, []),
        ] as [(String, UInt32, [UInt32])] {
            let range: Range<UInt32> = collection == 1 ? 0..<3 : 3..<4
            let set = try file.matches(Filter(text: text), collection: collection, rows: range)
            #expect(set.map(found) == expected, "\(text)")
        }
    }

    @Test(arguments: [("Columns", "Column"), ("Fields", "Field"), ("Collections", "Collection")])
    func theGoldenFollowsThePagesTables(_ title: String, _ heading: String) throws {
        let golden = try #require(Golden.part(title, of: "v1/columns.hex"))
        let rows = SpecTable.fields(page: "columns.md", heading: heading)
        #expect(!rows.isEmpty && golden.fields.count % rows.count == 0)
        let unit = rows.reduce(0) { $0 + ($1.size ?? 0) }
        for (index, field) in golden.fields.enumerated() {
            let row = rows[index % rows.count]
            #expect(field.name == row.name && field.size == row.size)
            #expect(field.offset == index / rows.count * unit + row.offset)
        }
    }
}
