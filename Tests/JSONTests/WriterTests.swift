// The writer: escapes at every place, growth, and text that the reader reads back.

import MoraineJSON
import Testing

@Suite struct WriterTests {
    private func escaped(_ text: String) -> String { written { $0.writeString(text) } }

    @Test func onlyWhatTheContractNamesIsEscaped() {
        for code in 0..<0x20 as Range<UInt32> {
            let expected: String
            switch code {
            case 8: expected = "\\b"
            case 9: expected = "\\t"
            case 10: expected = "\\n"
            case 12: expected = "\\f"
            case 13: expected = "\\r"
            default: expected = "\\u00" + (code < 16 ? "0" : "") + String(code, radix: 16)
            }
            let scalar = UnicodeScalar(UInt8(code))
            #expect(escaped(String(Character(scalar))) == "\"\(expected)\"")
        }
        #expect(escaped("\"\\/") == #""\"\\/""#)
        #expect(escaped("\u{85}\u{2028}\u{2029}") == #""\u0085\u2028\u2029""#)
        // Neighbours of those stay as they are.
        let plain = " \u{7F}\u{80}\u{84}\u{86}\u{A0}\u{2027}\u{202A}\u{20A8}“é日😀"
        #expect(escaped(plain) == "\"\(plain)\"")
        #expect(escaped("") == "\"\"")
    }

    @Test func everyPlaceInAWordIsLookedAt() throws {
        let specials = ["\"", "\\", "\n", "\u{0}", "\u{85}", "\u{2028}", "\u{2029}", "é", "’", "😀"]
        for special in specials {
            for before in 0...17 {
                for after in [0, 1, 2, 3, 7, 8, 9] {
                    let text =
                        String(repeating: "a", count: before) + special
                        + String(repeating: "b", count: after) + special
                    let json = escaped(text)
                    #expect(try string(Array(json.utf8)) == Array(text.utf8))
                    #expect(
                        !json.dropFirst().dropLast().contains(special) || special.utf8.count > 1
                            || special == "\"" || special == "\\"
                    )
                }
            }
        }
    }

    @Test func cutCharactersPassUnchanged() {
        for bytes in [[0xC2], [0xE2], [0xE2, 0x80], [0x61, 0xC2], [0xE2, 0x80, 0x41]] as [[UInt8]] {
            var writer = JSONWriter()
            bytes.withUnsafeBytes { writer.writeString($0) }
            #expect(writer.withBytes { Array($0) } == [0x22] + bytes + [0x22])
        }
    }

    @Test func growthKeepsWhatWasWritten() throws {
        var random = Samples(seed: 5)
        let alphabet = Array("abcdefgh \n\"\\\u{1}é日😀\u{2028}")
        var texts: [String] = []
        var writer = JSONWriter(capacity: 0)
        writer.writeRaw("[")
        for index in 0..<300 {
            let text = String(
                (0..<index).map { _ in alphabet.randomElement(using: &random) ?? "a" }
            )
            if index > 0 { writer.writeRaw(UInt8(ascii: ",")) }
            writer.writeString(text)
            texts.append(text)
        }
        writer.writeRaw("]")
        let back = try read(writer.withBytes { Array($0) }) { reader throws(JSONError) in
            var strings: [String] = []
            try reader.beginArray()
            while try reader.nextElement() {
                strings.append(String(decoding: try reader.readString(), as: UTF8.self))
            }
            return strings
        }
        #expect(back == texts)
    }

    @Test func aTextOfNothingButEscapesFits() throws {
        let text = String(repeating: "\u{1}", count: 10_000)
        #expect(escaped(text) == "\"" + String(repeating: "\\u0001", count: 10_000) + "\"")
    }

    /// Fills the memory to its last byte; the address sanitizer sees what goes beyond.
    @Test func everyLengthFits() throws {
        for count in 0...300 {
            for last in ["a", "\n", "\u{1}", "\u{2028}"] {
                let text = String(repeating: "a", count: count) + last
                let json = written(capacity: 0) { $0.writeString(text) }
                #expect(try string(Array(json.utf8)) == Array(text.utf8))
            }
        }
    }

    @Test func removeAllStartsAnew() {
        var writer = JSONWriter()
        writer.writeBool(true)
        #expect(writer.count == 4)
        writer.removeAll()
        #expect(writer.count == 0)
        writer.writeBool(false)
        writer.writeNull()
        #expect(writer.withBytes { String(decoding: $0, as: UTF8.self) } == "falsenull")
        writer.removeAll(keepingCapacity: false)
        writer.writeRaw("{}")
        #expect(writer.withBytes { String(decoding: $0, as: UTF8.self) } == "{}")
    }

    @Test func timesPrintAsCalendarTime() {
        let cases: [(UInt64, String)] = [
            (0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"),
            (86_399_999, "1970-01-01T23:59:59.999Z"), (86_400_000, "1970-01-02T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_383_787_123, "2026-11-22T21:43:07.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
            (.max, "584556019-04-03T14:25:51.615Z"),
        ]
        for (milliseconds, text) in cases {
            #expect(Timestamp.text(milliseconds: milliseconds) == text)
            #expect(written { $0.writeTimestamp(milliseconds: milliseconds) } == "\"\(text)\"")
        }
    }

    /// Every day from 1970 to 2400, counted by hand.
    @Test func daysFollowOneAnother() {
        var day: UInt64 = 0
        var wrong: [String] = []
        for year in 1970...2400 {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            for (month, days) in zip(
                1...,
                [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            ) {
                for date in [1, days] {
                    let text = Timestamp.text(milliseconds: (day + UInt64(date) - 1) * 86_400_000)
                    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
                    if !text.hasPrefix("\(year)-\(two(month))-\(two(date))T") { wrong.append(text) }
                }
                day += UInt64(days)
            }
        }
        #expect(wrong.isEmpty)
    }
}
