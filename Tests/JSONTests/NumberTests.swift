// Numbers: read correctly rounded, printed shortest, integers and doubles told apart.

import MoraineJSON
import Testing

@Suite struct NumberTests {
    private func int64(_ text: String) throws(JSONError) -> Int64 {
        try read(text) { reader throws(JSONError) in try reader.readInt64() }
    }

    private func uint64(_ text: String) throws(JSONError) -> UInt64 {
        try read(text) { reader throws(JSONError) in try reader.readUInt64() }
    }

    private func double(_ text: String) throws(JSONError) -> Double {
        try read(text) { reader throws(JSONError) in try reader.readDouble() }
    }

    private func float(_ text: String) throws(JSONError) -> Float {
        try read(text) { reader throws(JSONError) in try reader.readFloat() }
    }

    private func kind<R>(_ body: () throws(JSONError) -> R) -> JSONError.Kind? {
        do throws(JSONError) {
            _ = try body()
            return nil
        } catch { return error.kind }
    }

    @Test func integersKeepEveryBit() throws {
        for value in [Int64.min, .min + 1, -1, 0, 1, 1 << 53 + 1, .max - 1, .max] {
            #expect(try int64("\(value)") == value)
            #expect(written { $0.writeInt(value) } == "\(value)")
        }
        for value in [UInt64.min, 9, 10, 1 << 63, 10_000_000_000_000_000_000, .max - 1, .max] {
            #expect(try uint64("\(value)") == value)
            #expect(written { $0.writeUInt(value) } == "\(value)")
        }
        #expect(try int64("-0") == 0)
        #expect(try uint64("-0") == 0)
    }

    @Test func integersOutOfRangeAreRefused() {
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999"] {
            #expect(kind { () throws(JSONError) in try int64(text) } == .numberRange)
        }
        for text in [
            "18446744073709551616", "19999999999999999999", "20000000000000000000",
            "99999999999999999999", "100000000000000000000", "-1",
        ] {
            #expect(kind { () throws(JSONError) in try uint64(text) } == .numberRange)
        }
        for text in ["1.0", "1e3", "0.5", "-0.0"] {
            #expect(kind { () throws(JSONError) in try int64(text) } == .typeMismatch)
            #expect(kind { () throws(JSONError) in try uint64(text) } == .typeMismatch)
        }
    }

    @Test func floatsTravelThroughTheirText() throws {
        var random = Samples(seed: 1)
        var values: [Float] = []
        while values.count < 20_000 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            if value.isFinite { values.append(value) }
        }
        values += (0..<2000).map { _ in Float.random(in: -1...1, using: &random) }
        values += [
            0, -0.0, .leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude,
        ]
        let text = written { writer in values.withUnsafeBufferPointer { writer.writeFloatArray($0) }
        }
        var back: [Float] = [1]
        try read(text) { reader throws(JSONError) in try reader.readFloatArray(into: &back) }
        #expect(back.map(\.bitPattern) == values.map(\.bitPattern))
    }

    @Test func doublesTravelThroughTheirText() throws {
        var random = Samples(seed: 2)
        for _ in 0..<20_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let text = written { $0.writeDouble(value) }
            #expect(try double(text).bitPattern == value.bitPattern)
        }
    }

    /// The standard library's reading is the measure, also where the fast path takes over.
    @Test func readingRoundsOnce() throws {
        var random = Samples(seed: 3)
        for _ in 0..<20_000 {
            let digits = Int.random(in: 1...21, using: &random)
            var text = String(UInt8.random(in: 1...9, using: &random))
            for _ in 1..<max(digits, 2) { text += String(UInt8.random(in: 0...9, using: &random)) }
            if Bool.random(using: &random) { text = "-" + text + "." + text }
            if Bool.random(using: &random) {
                text += "e\(Int.random(in: -45...40, using: &random))"
            }
            if Bool.random(using: &random) {
                text = "0.00" + text.filter { $0 != "." && $0 != "-" }
            }
            let expected = try #require(Double(text))
            #expect(try double(text).bitPattern == expected.bitPattern, "\(text)")
            let single = try #require(Float(text))
            if single.isFinite {
                #expect(try float(text).bitPattern == single.bitPattern, "\(text)")
            } else {
                #expect(kind { () throws(JSONError) in try float(text) } == .numberRange)
            }
        }
    }

    @Test func halfwayCasesGoToTheEvenNeighbour() throws {
        #expect(try double("9007199254740993") == 9_007_199_254_740_992)
        #expect(try double("9007199254740995") == 9_007_199_254_740_996)
        #expect(try double("9007199254740993.0000000000000000000000001") == 9_007_199_254_740_994)
        #expect(try float("16777217") == 16_777_216)
        #expect(try float("16777219") == 16_777_220)
        #expect(try float("16777217.000000001") == 16_777_218)
        // A double first would round this twice.
        #expect(try float("16777217.0000000000001") == 16_777_218)
        #expect(try float("340282346638528859811704183484516925440") == .greatestFiniteMagnitude)
        #expect(try float("3.4028235677973365e38") == .greatestFiniteMagnitude)
        #expect(try float("1e-46") == 0)
        #expect(try double("2.2250738585072011e-308").bitPattern == 0x000F_FFFF_FFFF_FFFF)
        #expect(try double("1.7976931348623157e308") == .greatestFiniteMagnitude)
        let long = "0." + String(repeating: "0", count: 400) + "1e401"
        #expect(try double(long) == 1)
        #expect(try double("1" + String(repeating: "0", count: 300) + "e-300") == 1)
    }

    @Test func numbersThatOverflowAreRefused() {
        for text in ["1e309", "-1e309", "1.7976931348623159e308", "1e999999999999999999999"] {
            #expect(kind { () throws(JSONError) in try double(text) } == .numberRange)
        }
        for text in [
            "3.4028236e38", "-1e39", "340282356779733661637539395458142568448", "1e27000",
            "9999999999999999999e20", "9999999999999999999e27",
        ] {
            #expect(kind { () throws(JSONError) in try float(text) } == .numberRange)
            var values: [Float] = []
            #expect(
                fault("[\(text)]") { reader throws(JSONError) in
                    try reader.readFloatArray(into: &values)
                }?.kind == .numberRange
            )
        }
    }

    @Test func numbersThatUnderflowAreZero() throws {
        #expect(try double("1e-999999999999999999999") == 0)
        #expect(try double("-1e-400").sign == .minus)
    }

    @Test func textFormsFollowTheConventions() {
        let doubles: [(Double, String)] = [
            (0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (100, "100.0"), (12.5, "12.5"),
            (0.0001, "0.0001"), (0.00012, "0.00012"), (0.00001, "1e-5"), (0.000099, "9.9e-5"),
            (1.5e30, "1.5e30"), (1e22, "1e22"), (1e100, "1e100"), (1.25e-100, "1.25e-100"),
            (9_007_199_254_740_991, "9007199254740991.0"),
            (9_007_199_254_740_992, "9007199254740992.0"),
            (9_007_199_254_740_994, "9.007199254740994e15"),
            (18_014_398_509_481_984, "1.8014398509481984e16"), (.leastNonzeroMagnitude, "5e-324"),
            (2.2250738585072014e-308, "2.2250738585072014e-308"),
            (0.1 + 0.2, "0.30000000000000004"),
            (.greatestFiniteMagnitude, "1.7976931348623157e308"), (-1e16, "-1e16"),
            (1e15, "1000000000000000.0"), (123456.789, "123456.789"),
        ]
        for (value, text) in doubles { #expect(written { $0.writeDouble(value) } == text) }
        let floats: [(Float, String)] = [
            (0, "0.0"), (-0.0, "-0.0"), (0.1, "0.1"), (100, "100.0"), (16_777_215, "16777215.0"),
            (16_777_216, "16777216.0"), (16_777_218, "1.6777218e7"), (-16_777_216, "-16777216.0"),
            (33_554_432, "3.3554432e7"), (0.0001, "0.0001"), (0.00001, "1e-5"),
            (0.000099999, "9.9999e-5"), (.leastNonzeroMagnitude, "1e-45"),
            (1.1754944e-38, "1.1754944e-38"),
            (.leastNormalMagnitude.nextDown, "1.1754942e-38"), (3.4028235e38, "3.4028235e38"),
            (1e10, "1e10"),
        ]
        for (value, text) in floats { #expect(written { $0.writeFloat(value) } == text) }
    }

    @Test func valuesThatAreNotFinitePrintAsNull() {
        let text = written {
            for value in [Double.nan, .infinity, -.infinity] { $0.writeDouble(value) }
            for value in [Float.nan, .infinity, -.infinity] { $0.writeFloat(value) }
        }
        #expect(text == String(repeating: "null", count: 6))
    }

    @Test func onlyNumbersStandInAVector() {
        for text in ["[null]", "[\"1\"]", "[[1]]", "[1,true]", "{}", "1", "[1,]", "[NaN]"] {
            var values: [Float] = []
            let error = fault(text) { reader throws(JSONError) in
                try reader.readFloatArray(into: &values)
            }
            #expect(error != nil)
        }
    }
}
