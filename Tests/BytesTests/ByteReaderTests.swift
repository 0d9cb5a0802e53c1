// Reader and writer: what is written is read, and every truncation of it is refused.

import MoraineBytes
import Testing

@Suite struct ByteReaderTests {
    /// What reading `bytes` gives, or the error.
    private func read<T>(
        _ bytes: [UInt8],
        _ body: (inout ByteReader) throws(FormatError) -> T
    ) -> Result<T, FormatError> {
        do throws(FormatError) {
            return .success(
                try withBytes(bytes) { (buffer) throws(FormatError) -> T in
                    var reader = ByteReader(buffer)
                    return try body(&reader)
                }
            )
        } catch {
            return .failure(error)
        }
    }

    private func failure<T>(_ result: Result<T, FormatError>) -> FormatError? {
        guard case .failure(let error) = result else { return nil }
        return error
    }

    private func varint(_ value: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeVarint(value)
        return writer.finish()
    }

    private func readVarint(_ bytes: [UInt8]) -> Result<UInt64, FormatError> {
        read(bytes) { (reader) throws(FormatError) in
            let value = try reader.readVarint("n")
            try reader.expectEnd("n")
            return value
        }
    }

    /// One of everything.
    private func writeAll(_ writer: inout ByteWriter) {
        writer.writeUInt8(0x12)
        writer.writeUInt16(0x3456)
        writer.writeUInt32(0x789A_BCDE)
        writer.writeUInt64(0xF012_3456_789A_BCDE)
        writer.writeInt64(-2)
        writer.writeVarint(300)
        writer.writeString("Gletscher, 氷河")
        withBytes([9, 8, 7]) { writer.writePrefixed($0) }
        writer.writeBytes([5, 5])
        withBytes([6]) { writer.writeBytes($0) }
        writer.writeZeros(3)
    }

    private func readAll(_ reader: inout ByteReader) throws(FormatError) {
        let numbers: [UInt64] = [
            UInt64(try reader.readUInt8("a")), UInt64(try reader.readUInt16("b")),
            UInt64(try reader.readUInt32("c")), try reader.readUInt64("d"),
        ]
        #expect(numbers == [0x12, 0x3456, 0x789A_BCDE, 0xF012_3456_789A_BCDE])
        let negative = try reader.readInt64("e")
        #expect(negative == -2)
        let short = try reader.readVarint("f")
        #expect(short == 300)
        let text = try reader.readString("g")
        #expect(text == "Gletscher, 氷河")
        let prefixed = Array(try reader.readPrefixed("h"))
        #expect(prefixed == [9, 8, 7])
        let plain = Array(try reader.readBytes(3, "i"))
        #expect(plain == [5, 5, 6])
        try reader.readZeros(3, "j")
        try reader.expectEnd("k")
    }

    @Test func whatIsWrittenIsRead() {
        var writer = ByteWriter()
        writeAll(&writer)
        #expect(failure(read(writer.bytes, readAll)) == nil)
    }

    @Test func everyTruncationIsRefused() {
        var writer = ByteWriter()
        writeAll(&writer)
        let bytes = writer.finish()
        for count in 0..<bytes.count {
            let error = failure(read(Array(bytes.prefix(count)), readAll))
            #expect(error?.kind == .truncated)
            #expect((error?.offset ?? .max) <= UInt64(count))
        }
    }

    @Test func bytesAreLittleEndianAndMayBeUnaligned() {
        var writer = ByteWriter()
        writer.writeUInt8(0)
        writer.writeUInt16(0x0102)
        writer.writeUInt32(0x0304_0506)
        writer.writeUInt64(0x0708_090A_0B0C_0D0E)
        #expect(writer.bytes == [0, 2, 1, 6, 5, 4, 3, 14, 13, 12, 11, 10, 9, 8, 7])
    }

    @Test func errorsNamePlaceAndField() {
        let result = read([1, 2, 3]) { (reader) throws(FormatError) in
            _ = try reader.readUInt8("first")
            return try reader.readUInt32("second")
        }
        let error = failure(result)
        #expect(
            error
                == FormatError(
                    .truncated,
                    at: 1,
                    field: "second",
                    expected: "4 bytes",
                    found: "2 bytes"
                )
        )
        #expect(error?.shifted(by: 100).offset == 101)
        #expect(error?.shifted(by: .max).offset == 0)
    }

    @Test func aFailedReadMovesNothing() {
        var position = -1
        _ = read([1, 2, 3]) { (reader) throws(FormatError) in
            _ = try reader.readUInt8("first")
            _ = try? reader.readUInt64("second")
            position = reader.position
        }
        #expect(position == 1)
    }

    @Test(arguments: [-1, Int.min, 4, Int.max])
    func impossibleLengthsAreRefused(count: Int) {
        let result = read([1, 2, 3]) { (reader) throws(FormatError) in
            try reader.readBytes(count, "bytes").count
        }
        #expect(failure(result)?.kind == .truncated)
    }

    @Test func emptyBytesWithoutAnAddressAreAtTheirEnd() throws {
        var reader = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(reader.isAtEnd)
        #expect(try reader.readBytes(0, "none").isEmpty)
        try reader.expectEnd("none")
        #expect((try? reader.readVarint("n")) == nil)
    }

    /// Every power of two with its neighbours, and the ends.
    static let numbers: [UInt64] =
        (0..<64).flatMap { bit -> [UInt64] in
            let power = UInt64(1) << UInt64(bit)
            return [power - 1, power, power + 1]
        } + [.max - 1, .max]

    @Test func varintsComeBackAndAreAsShortAsCanBe() {
        for number in ByteReaderTests.numbers {
            let bytes = varint(number)
            let significant = 64 - number.leadingZeroBitCount
            #expect(bytes.count == max(1, (significant + 6) / 7))
            #expect((try? readVarint(bytes).get()) == number)
        }
        #expect(varint(300) == [0xAC, 0x02])
        #expect(varint(.max) == [UInt8](repeating: 0xFF, count: 9) + [1])
    }

    @Test func truncatedVarintsAreRefused() {
        for number in ByteReaderTests.numbers {
            let bytes = varint(number)
            for count in 0..<bytes.count {
                #expect(failure(readVarint(Array(bytes.prefix(count))))?.kind == .truncated)
            }
        }
    }

    @Test func varintsThatCouldBeShorterAreRefused() {
        for number in ByteReaderTests.numbers {
            var bytes = varint(number)
            bytes[bytes.count - 1] |= 0x80
            while bytes.count < 12 {
                let error = failure(readVarint(bytes + [0]))
                #expect(error?.kind == .range)
                #expect(error?.offset == 0)
                bytes.append(0x80)
            }
        }
    }

    @Test func varintsOverSixtyFourBitsAreRefused() {
        let nine = [UInt8](repeating: 0xFF, count: 9)
        for last in UInt8.min...UInt8.max where last & 0x7F > 1 {
            #expect(failure(readVarint(nine + [last]))?.kind == .range)
        }
        #expect(failure(readVarint(nine + [0x81, 0x00]))?.kind == .range)
        #expect(failure(readVarint(nine + [0x81, 0x01]))?.kind == .range)
    }

    @Test func everyTwoByteVarintIsReadOrRefusedRightly() {
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max {
                let result = readVarint([first, second])
                switch (first < 0x80, second < 0x80, second == 0) {
                case (true, _, _): #expect(failure(result)?.kind == .excess)
                case (false, false, _): #expect(failure(result)?.kind == .truncated)
                case (false, true, true): #expect(failure(result)?.kind == .range)
                case (false, true, false):
                    #expect((try? result.get()) == UInt64(first & 0x7F) | UInt64(second) << 7)
                }
            }
        }
    }

    @Test func countsMustFitIntoWhatIsLeft() {
        for (bytes, unit, expected) in [
            ([3, 0, 0, 0], 1, 3), ([4, 0, 0, 0], 1, nil), ([1, 0, 0, 0], 2, 1),
            ([2, 0, 0, 0], 2, nil), ([0], 8, 0), (varint(.max), 1, nil),
        ] as [([UInt8], Int, Int?)] {
            let result = read(bytes) { (reader) throws(FormatError) in
                try reader.readCount("count", unit: unit)
            }
            #expect((try? result.get()) == expected)
            if expected == nil { #expect(failure(result)?.kind == .truncated) }
        }
    }

    @Test(arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE6, 0xB0]] as [[UInt8]])
    func textThatIsNotUTF8IsRefused(text: [UInt8]) {
        var writer = ByteWriter()
        withBytes(text) { writer.writePrefixed($0) }
        let result = read(writer.bytes) { (reader) throws(FormatError) in
            try reader.readString("text")
        }
        #expect(failure(result)?.kind == .encoding)
    }

    @Test func reservedBytesMustBeZero() {
        for index in 0..<5 {
            var bytes = [UInt8](repeating: 0, count: 5)
            bytes[index] = 1
            let error = failure(
                read(bytes) { (reader) throws(FormatError) in try reader.readZeros(5, "reserved") }
            )
            #expect(error?.kind == .excess)
            #expect(error?.offset == UInt64(index))
        }
    }

    @Test func leftOverBytesAreRefused() {
        let error = failure(
            read([1, 2]) { (reader) throws(FormatError) in
                _ = try reader.readUInt8("one")
                try reader.expectEnd("all")
            }
        )
        #expect(error?.kind == .excess)
        #expect(error?.offset == 1)
    }

    @Test func randomBytesDoNotTrap() {
        var samples = Samples(seed: 30)
        for _ in 0..<5000 {
            _ = read(samples.bytes(Int(samples.next() % 40))) { (reader) throws(FormatError) in
                _ = try reader.readString("a")
                _ = try reader.readPrefixed("b")
                _ = try reader.readCount("c", unit: 4)
                _ = try reader.readVarint("d")
            }
        }
    }
}

@Suite struct ByteWriterTests {
    @Test func paddingReachesTheAlignmentAndNoFurther() {
        for count in 0...130 {
            var writer = ByteWriter(capacity: 256)
            writer.writeBytes([UInt8](repeating: 1, count: count))
            writer.pad(to: 64)
            #expect(writer.count == (count + 63) / 64 * 64)
            #expect(writer.bytes[count...].allSatisfy { $0 == 0 })
        }
    }

    @Test func patchingOverwritesFourBytes() {
        var writer = ByteWriter()
        writer.writeZeros(10)
        writer.patchUInt32(0x0102_0304, at: 3)
        #expect(writer.bytes == [0, 0, 0, 4, 3, 2, 1, 0, 0, 0])
    }

    @Test func removingAllLeavesAnEmptyWriter() {
        var writer = ByteWriter()
        writer.writeUInt64(1)
        writer.removeAll()
        #expect(writer.count == 0)
        writer.writeUInt8(2)
        #expect(writer.withBytes { Array($0) } == [2])
        #expect(writer.finish() == [2])
    }
}
