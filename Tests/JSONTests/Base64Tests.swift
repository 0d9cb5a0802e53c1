// Base64 of every length, and the texts that are not base64.

import MoraineJSON
import Testing

@Suite struct Base64Tests {
    private func decoded(_ text: String) throws(Base64Error) -> [UInt8] {
        try Array(text.utf8).withUnsafeBufferPointer { buffer throws(Base64Error) -> [UInt8] in
            let text = UnsafeRawBufferPointer(buffer)
            var bytes = [UInt8](repeating: 0, count: try Base64.decodedByteCount(text))
            try bytes.withUnsafeMutableBufferPointer { out throws(Base64Error) in
                try Base64.decode(text, into: UnsafeMutableRawBufferPointer(out))
            }
            return bytes
        }
    }

    private func encoded(_ bytes: [UInt8]) -> String {
        let text = written { writer in bytes.withUnsafeBytes { writer.writeBase64($0) } }
        return String(text.dropFirst().dropLast())
    }

    @Test func theExamplesOfTheStandardHold() throws {
        let examples = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foobar": "Zm9vYmFy"]
        for (plain, text) in examples {
            #expect(encoded(Array(plain.utf8)) == text)
            #expect(try decoded(text) == Array(plain.utf8))
        }
        #expect(encoded([0xFB, 0xFF, 0xBF]) == "+/+/")
    }

    @Test func everyLengthTravels() throws {
        var random = Samples(seed: 9)
        for count in 0...300 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = encoded(bytes)
            #expect(text.utf8.count == Base64.encodedByteCount(count))
            #expect(try decoded(text) == bytes)
        }
    }

    @Test(arguments: [
        "A", "AA", "AAA", "AAAAA", "=", "==", "===", "====", "A===", "AA=A", "=AAA", "AB==", "AAB=",
        "AAAA====", "AA==AAAA", "AAA=AAAA", "AA A", "AAA\n", " AAA", "AA-_", "AAAé", "AAA\u{0}",
        "AAAAAAAAAAAAAAAAAAA*", "*AAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAA*AAAAAAAA",
    ])
    func otherTextIsRefused(_ text: String) {
        #expect(throws: Base64Error.self) { try decoded(text) }
    }

    @Test func everyByteIsLookedAt() throws {
        let good = Array(encoded([UInt8](repeating: 0x5A, count: 48)).utf8)
        for index in good.indices {
            for byte in 0...255 as ClosedRange<UInt8> {
                var bad = good
                bad[index] = byte
                let isLetter = (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                let isFine =
                    isLetter || (0x30...0x39).contains(byte) || byte == 0x2B || byte == 0x2F
                guard byte < 0x80, !isFine else { continue }
                do throws(Base64Error) {
                    _ = try decoded(String(decoding: bad, as: UTF8.self))
                    // Padding may end the text, if no bits are lost.
                    #expect(byte == 0x3D && index == good.count - 1)
                } catch {
                    #expect(byte == 0x3D || error.offset == UInt64(index))
                }
            }
        }
    }

    @Test func vectorsTravelAsBase64() throws {
        let values: [Float] = [0, -0.0, 1.5, -3.25e-20, .greatestFiniteMagnitude]
        let text = written { writer in
            values.withUnsafeBytes { writer.writeBase64($0) }
        }
        var back: [Float] = [1]
        try read(text) { reader throws(JSONError) in try reader.readBase64Floats(into: &back) }
        #expect(back.map(\.bitPattern) == values.map(\.bitPattern))
        try read("\"\"") { reader throws(JSONError) in try reader.readBase64Floats(into: &back) }
        #expect(back.isEmpty)
    }

    @Test func vectorsThatAreNotFiniteOrNotWholeAreRefused() {
        func kind(_ bytes: [UInt8]) -> JSONError.Kind? {
            var values: [Float] = []
            return fault("\"\(encoded(bytes))\"") { reader throws(JSONError) in
                try reader.readBase64Floats(into: &values)
            }?.kind
        }
        #expect(kind([0, 0, 0x80, 0x7F]) == .numberRange)
        #expect(kind([1, 0, 0x80, 0xFF]) == .numberRange)
        #expect(kind([0, 0, 0x80]) == .numberRange)
        #expect(kind([0, 0, 0x80, 0x3F]) == nil)
        var values: [Float] = []
        for text in ["\"AAA\"", "\"AAA*\"", "1"] {
            #expect(
                fault(text) { reader throws(JSONError) in
                    try reader.readBase64Floats(into: &values)
                } != nil
            )
        }
    }
}
