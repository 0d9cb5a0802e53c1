// Code, pages and goldens say the same bytes; what is cut short or flipped is refused.

import MoraineBytes
import MoraineFormat
import MoraineTestSupport
import Testing

@Suite struct GoldenTests {
    private func decode(_ item: GoldenCase, _ bytes: [UInt8]) throws(FormatError) -> Bool {
        try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
            try item.decode(UnsafeRawBufferPointer(buffer))
        }
    }

    @Test(arguments: GoldenCase.all) func theCodeWritesTheGolden(_ item: GoldenCase) {
        #expect(item.golden?.bytes == item.encode())
    }

    @Test(arguments: GoldenCase.all) func theCodeReadsTheGolden(_ item: GoldenCase) throws {
        let golden = try #require(item.golden)
        #expect(try decode(item, golden.bytes))
    }

    @Test(arguments: GoldenCase.all.filter { $0.table != nil })
    func theGoldenFollowsThePagesTable(_ item: GoldenCase) throws {
        let golden = try #require(item.golden)
        let (page, heading) = try #require(item.table)
        let rows = SpecTable.fields(page: page, heading: heading).filter { $0.size != nil }
        #expect(!rows.isEmpty)
        // Tables of a part of a file count from the file's start.
        let start = rows.first?.offset ?? 0
        let fields = golden.fields.prefix(rows.count)
        #expect(fields.map(\.name) == rows.map(\.name))
        #expect(fields.map { $0.offset + start } == rows.map(\.offset))
        #expect(fields.map(\.size) == rows.map(\.size))
    }

    @Test(arguments: GoldenCase.all) func everyPrefixIsRefused(_ item: GoldenCase) throws {
        let golden = try #require(item.golden)
        for count in 0..<golden.bytes.count {
            #expect(throws: FormatError.self, "\(count) bytes") {
                try decode(item, Array(golden.bytes[..<count]))
            }
        }
    }

    @Test(arguments: GoldenCase.all.filter(\.isChecksummed))
    func everyFlippedBitIsRefused(_ item: GoldenCase) throws {
        var bytes = try #require(item.golden).bytes
        for bit in 0..<(bytes.count * 8) {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            let isRefused: Bool
            do throws(FormatError) {
                _ = try decode(item, bytes)
                isRefused = false
            } catch {
                isRefused = true
            }
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            if !isRefused { Issue.record("bit \(bit % 8) of byte \(bit / 8)") }
        }
    }

    @Test func everyPartOfEveryGoldenIsHeld() throws {
        let held = Set(GoldenCase.all.map { "\($0.file), \($0.title)" })
            // The rest of the head of a log file: theHeadOfALogFileIsTheGoldens.
            .union(["log.hex, Log header", "log.hex, Zeros"])
        let files = [
            "document.hex", "file-header.hex", "log.hex", "manifest.hex", "root.hex", "segment.hex",
        ]
        for file in files {
            let parts = try #require(Golden.parts(of: "v1/\(file)"))
            #expect(!parts.isEmpty)
            for part in parts { #expect(held.contains("\(file), \(part.title)")) }
        }
    }

    @Test func theHeadOfALogFileIsTheGoldens() throws {
        let parts = try ["Header", "Log header", "Zeros"].map { title in
            try #require(Golden.part(title, of: "v1/log.hex"))
        }
        var bytes = parts.flatMap(\.bytes)
        #expect(bytes == GoldenCase.logHeader.encode())
        let rows = SpecTable.fields(page: "log.md", heading: "Log header")
        #expect(parts[1].fields.map(\.name) == rows.map(\.name))
        #expect(parts[1].fields.map { $0.offset + 64 } == rows.map(\.offset))
        #expect(parts[1].fields.map(\.size) == rows.map(\.size))

        func decode(_ bytes: some Collection<UInt8>) throws(FormatError) -> LogHeader {
            try Array(bytes).withUnsafeBufferPointer { buffer throws(FormatError) in
                try LogHeader.decode(
                    UnsafeRawBufferPointer(buffer),
                    kind: .log,
                    storeID: GoldenCase.storeID,
                    fileID: 9
                )
            }
        }
        #expect(try decode(bytes) == GoldenCase.logHeader)
        for count in 0..<128 {
            #expect(throws: FormatError.self) { try decode(bytes[..<count]) }
        }
        for bit in 0..<(128 * 8) {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: FormatError.self) { try decode(bytes) }
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
    }

    @Test func theCommitOfTheLogReadsAsItWasWritten() throws {
        let golden = try #require(Golden.part("Commit", of: "v1/log.hex"))
        let payload = Array(golden.bytes[40..<(40 + 70)])
        #expect(payload == GoldenCase.commitPayload)
        try payload.withUnsafeBytes { bytes in
            var reader = try CommitReader(bytes)
            #expect(reader.time == GoldenCase.time)
            guard case .createCollection(let shape) = try reader.next(),
                case .put(let put) = try reader.next(),
                case .delete(let collectionID, let id) = try reader.next()
            else {
                Issue.record("other operations")
                return
            }
            #expect(reader.isAtEnd)
            #expect(shape == GoldenCase.notes)
            #expect(put.collectionID == 1 && put.id.elementsEqual("a".utf8) && put.expiry == 0)
            #expect(put.vector?.count == 12)
            #expect(collectionID == 1 && id.elementsEqual("gone".utf8))
        }
    }

    @Test func theSecondCommitOfTheLogReadsAsItWasWritten() throws {
        let golden = try #require(Golden.part("Second commit", of: "v1/log.hex"))
        try Array(golden.bytes[40..<(40 + 23)]).withUnsafeBytes { bytes in
            var reader = try CommitReader(bytes)
            guard case .renameCollection(1, "texts") = try reader.next(),
                case .deletePrefix(1, let prefix) = try reader.next(),
                case .dropCollection(1) = try reader.next()
            else {
                Issue.record("other operations")
                return
            }
            #expect(reader.isAtEnd && prefix.elementsEqual("a/".utf8))
        }
    }

    @Test(arguments: [
        ("log.md", "Log header", LogHeader.layout), ("log.md", "Record", LogRecord.layout),
        ("root.md", "Copy", Root.layout), ("vector.md", "Space", VectorSpaceEntry.layout),
        ("codes.md", "Source", DerivedSource.layout),
        ("codes.md", "Coded space", CodeSpaceEntry.layout),
        ("columns.md", "Collection", ColumnCollection.layout),
        ("columns.md", "Field", ColumnField.layout), ("columns.md", "Column", ColumnEntry.layout),
        ("graph.md", "Graph", GraphSpaceEntry.layout),
    ])
    func theOtherLayoutsAreThePages(_ page: String, _ heading: String, _ layout: [ByteField]) {
        #expect(!layout.isEmpty)
        #expect(SpecTable.fields(page: page, heading: heading) == layout)
        var end = layout.first?.offset ?? 0
        for field in layout {
            #expect(field.offset == end, "\(field.name)")
            end = field.offset + (field.size ?? 0)
        }
    }

    @Test func goldensThatCannotBeReadAreNone() {
        #expect(Golden.parse("== A\n01 02 | a: b\n03 |\n00 x 3 | c\n")?.first?.fields.count == 2)
        for text in ["01 | a", "== A\n01", "== A\n1 | a", "== A\n0g | a", "== A\n01 | "] {
            #expect(Golden.parse(text) == nil, "\(text)")
        }
        #expect(Golden.parts(of: "v1/nothing.hex") == nil)
    }
}
