// Headers and footers read back; anything else is refused with the field and its place.

import MoraineBytes
import MoraineFormat
import Testing

@Suite struct HeaderTests {
    private let storeID = StoreID(low: 1, high: 2)

    private func bytes(_ header: FileHeader) -> [UInt8] {
        var writer = ByteWriter()
        header.encode(into: &writer)
        return writer.finish()
    }

    private func decode(
        _ bytes: [UInt8],
        kind: FileKind = .log,
        storeID: StoreID? = nil,
        fileID: UInt64? = nil
    ) throws(FormatError) -> FileHeader {
        try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
            var reader = ByteReader(UnsafeRawBufferPointer(buffer))
            return try FileHeader.decode(&reader, kind: kind, storeID: storeID, fileID: fileID)
        }
    }

    @Test(arguments: FileKind.allCases) func headersReadBack(kind: FileKind) throws {
        let header = FileHeader(kind: kind, storeID: storeID, fileID: 3, createdLSN: 4)
        #expect(try decode(bytes(header), kind: kind, storeID: storeID, fileID: 3) == header)
    }

    @Test func everyFlippedBitOfAHeaderIsRefused() {
        let good = bytes(FileHeader(kind: .log, storeID: storeID, fileID: 3, createdLSN: 4))
        for bit in 0..<(good.count * 8) {
            var bad = good
            bad[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: FormatError.self) { try decode(bad) }
        }
        for count in 0..<64 {
            #expect(throws: FormatError.self) { try decode(Array(good[..<count])) }
        }
    }

    @Test func aHeaderOfAnotherFileIsRefused() {
        let good = bytes(FileHeader(kind: .log, storeID: storeID, fileID: 3, createdLSN: 4))
        #expect(throws: FormatError.self) { try decode(good, kind: .manifest) }
        #expect(throws: FormatError.self) { try decode(good, fileID: 4) }
        #expect(throws: FormatError.self) {
            try decode(good, storeID: StoreID(low: 1, high: 3))
        }
    }

    @Test(arguments: [(8, "revision"), (20, "incompatFlags"), (4, "kind")])
    func whatANewerVersionWroteIsNamedSo(offset: Int, field: String) throws {
        var newer = bytes(FileHeader(kind: .log, storeID: storeID, fileID: 3, createdLSN: 4))
        newer[offset] = 0x5A
        let checksum = newer[..<60].withUnsafeBytes { CRC32C.value($0) }
        withUnsafeBytes(of: checksum.littleEndian) { newer.replaceSubrange(60..<64, with: $0) }
        let error = #expect(throws: FormatError.self) { try decode(newer) }
        #expect(error?.kind == .newer && error?.field == field)
        #expect(error?.offset == UInt64(offset))
    }

    @Test func unknownCompatFlagsAreNoObstacle() throws {
        var header = FileHeader(kind: .log, storeID: storeID, fileID: 3, createdLSN: 4)
        header.compatFlags = 1 << 31
        #expect(try decode(bytes(header)) == header)
        #expect(!header.isReadOnly)
        header.roCompatFlags = 1
        #expect(try decode(bytes(header)).isReadOnly)
    }

    @Test func footersReadBackAndEveryFlippedBitIsRefused() throws {
        let footer = FileFooter(
            directoryOffset: 1,
            directoryByteCount: 2,
            directoryChecksum: 3,
            fileByteCount: 4,
            rowCount: 5,
            minLSN: 6,
            maxLSN: 7,
            fileID: 8
        )
        let encoded = footer.encode(storeID: storeID)
        func decode(_ bytes: [UInt8], _ storeID: StoreID) throws(FormatError) -> FileFooter {
            try bytes.withUnsafeBufferPointer { buffer throws(FormatError) in
                try FileFooter(decoding: UnsafeRawBufferPointer(buffer), storeID: storeID)
            }
        }
        #expect(try decode(encoded.bytes, storeID) == footer)
        #expect(throws: FormatError.self) { try decode(encoded.bytes, StoreID(low: 2, high: 1)) }
        for bit in 0..<(64 * 8) {
            var bad = encoded.bytes
            bad[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: FormatError.self) { try decode(bad, storeID) }
        }
    }

    @Test func aStoreIDPrintsItsBytesInOrder() {
        let id = StoreID(low: 0x7766_5544_3322_1100, high: 0xFFEE_DDCC_BBAA_9988)
        #expect(id.text == "00112233-4455-6677-8899-aabbccddeeff")
    }
}
