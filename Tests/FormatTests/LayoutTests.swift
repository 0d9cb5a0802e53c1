// The layouts of the code are those of the pages, and what is encoded follows them.

import MoraineBytes
import MoraineFormat
import MoraineTestSupport
import Testing

@Suite struct LayoutTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let page: String
        let heading: String
        let layout: [ByteField]
        /// A structure in which no two bytes are likely to be alike.
        let bytes: [UInt8]
        /// What must stand in the integer fields, by name.
        let values: [String: UInt64]

        var testDescription: String { "\(page), \(heading)" }
    }

    private static let storeID = StoreID(low: 0x0706_0504_0302_0100, high: 0x0F0E_0D0C_0B0A_0908)

    private static func encode(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        body(&writer)
        return writer.finish()
    }

    static let header = Case(
        page: "file-header.md",
        heading: "Header",
        layout: FileHeader.layout,
        bytes: encode { writer in
            var header = FileHeader(
                kind: .key,
                storeID: storeID,
                fileID: 0x1122,
                createdLSN: 0x3344
            )
            header.compatFlags = 5
            header.roCompatFlags = 6
            header.encode(into: &writer)
        },
        values: [
            "revision": 1, "headerByteCount": 64, "compatFlags": 5, "roCompatFlags": 6,
            "incompatFlags": 0, "fileID": 0x1122, "createdLSN": 0x3344, "reserved": 0,
        ]
    )

    static let footer = Case(
        page: "file-header.md",
        heading: "Footer",
        layout: FileFooter.layout,
        bytes: FileFooter(
            directoryOffset: 1,
            directoryByteCount: 2,
            directoryChecksum: 3,
            fileByteCount: 4,
            rowCount: 5,
            minLSN: 6,
            maxLSN: 7,
            fileID: 8
        ).encode(storeID: storeID).bytes,
        values: [
            "directoryOffset": 1, "directoryByteCount": 2, "directoryChecksum": 3,
            "fileByteCount": 4, "rowCount": 5, "minLSN": 6, "maxLSN": 7, "fileID": 8,
        ]
    )

    static let entry = Case(
        page: "file-header.md",
        heading: "Directory entry",
        layout: SectionEntry.layout,
        bytes: encode {
            SectionEntry(
                type: 1,
                ordinal: 2,
                offset: 3,
                byteCount: 4,
                firstChecksum: 5,
                tableChecksum: 6
            ).encode(into: &$0)
        },
        values: [
            "type": 1, "ordinal": 2, "offset": 3, "byteCount": 4, "firstChecksum": 5,
            "tableChecksum": 6,
        ]
    )

    static let block = Case(
        page: "document.md",
        heading: "Block header",
        layout: DocumentBlockHeader.layout,
        bytes: encode {
            _ = DocumentBlockHeader(
                segmentID: 1,
                blockNumber: 2,
                firstRow: 3,
                recordCount: 4,
                codec: .deflate,
                kind: .tombstones,
                rawByteCount: 7,
                storedByteCount: 8,
                maxLSN: 9,
                payloadChecksum: 10
            ).encode(at: 64, seed: storeID.seed, into: &$0)
        },
        values: [
            "segmentID": 1, "blockNumber": 2, "firstRow": 3, "recordCount": 4, "codec": 3,
            "kind": 2, "flags": 0, "rawByteCount": 7, "storedByteCount": 8, "maxLSN": 9,
            "payloadChecksum": 10, "reserved": 0,
        ]
    )

    static let index = Case(
        page: "document.md",
        heading: "Block index entry",
        layout: BlockIndexEntry.layout,
        bytes: encode {
            BlockIndexEntry(
                offset: 1,
                storedByteCount: 2,
                rawByteCount: 3,
                firstRow: 4,
                recordCount: 5,
                headerChecksum: 6
            ).encode(into: &$0)
        },
        values: [
            "offset": 1, "storedByteCount": 2, "rawByteCount": 3, "firstRow": 4,
            "recordCount": 5, "headerChecksum": 6, "reserved": 0,
        ]
    )

    static let filter = Case(
        page: "key.md",
        heading: "Filter",
        layout: KeyFilterHeader.layout,
        bytes: encode {
            KeyFilterHeader(
                seed: 1,
                segmentLength: 2,
                segmentCountLength: 3,
                arrayLength: 4,
                keyCount: 5
            ).encode(into: &$0)
        },
        values: [
            "seed": 1, "segmentLength": 2, "segmentCountLength": 3, "arrayLength": 4,
            "keyCount": 5,
        ]
    )

    static let summary = Case(
        page: "deletion.md",
        heading: "Summary",
        layout: DeletionSummary.layout,
        bytes: encode {
            DeletionSummary(segmentID: 1, lsn: 2, rowCount: 3, deadRowCount: 4).encode(into: &$0)
        },
        values: ["segmentID": 1, "lsn": 2, "rowCount": 3, "deadRowCount": 4]
    )

    static let container = Case(
        page: "deletion.md",
        heading: "Containers",
        layout: DeadRowContainer.layout,
        bytes: encode { DeadRowContainer(index: 1, cardinality: 5_000).encode(into: &$0) },
        values: ["index": 1, "kind": 2, "cardinality": 4_999]
    )

    static let cases = [header, footer, entry, block, index, filter, summary, container]

    @Test(arguments: cases) func theLayoutIsThePages(_ item: Case) {
        #expect(SpecTable.fields(page: item.page, heading: item.heading) == item.layout)
        #expect(!item.layout.isEmpty)
    }

    @Test(arguments: cases) func fieldsFollowEachOther(_ item: Case) {
        var end = 0
        for field in item.layout {
            #expect(field.offset == end, "\(field.name)")
            end = field.offset + (field.size ?? 0)
        }
        #expect(end == item.bytes.count)
    }

    @Test(arguments: cases) func encodedFieldsStandWhereTheLayoutSays(_ item: Case) {
        for field in item.layout {
            guard let size = field.size, let expected = item.values[field.name] else { continue }
            var value: UInt64 = 0
            for place in 0..<size {
                value |= UInt64(item.bytes[field.offset + place]) << UInt64(8 * place)
            }
            #expect(value == expected, "\(field.name)")
        }
        let integers = item.layout.filter { $0.type.hasPrefix("u") && !$0.type.hasPrefix("u8[") }
        let unknown = integers.map(\.name).filter {
            item.values[$0] == nil && !$0.hasSuffix("Checksum")
        }
        #expect(unknown == [])
    }

    @Test func magicsStandWhereThePagesHaveThem() {
        #expect(LayoutTests.header.bytes[0..<4] == [0x89, 0x4D, 0x52, 0x4E])
        #expect(LayoutTests.header.bytes[4..<8] == [0x4B, 0x59, 0x0D, 0x0A])
        #expect(LayoutTests.header.bytes[24..<40] == ArraySlice(0..<16))
        #expect(LayoutTests.footer.bytes[60..<64] == ArraySlice("MEND".utf8))
        #expect(LayoutTests.block.bytes[0..<4] == ArraySlice("MBLK".utf8))
    }
}
