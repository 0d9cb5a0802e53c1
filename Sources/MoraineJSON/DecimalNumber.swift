// Decimal digits to binary floating point, correctly rounded, by exact integer arithmetic.

/// A number as it stood in the text: ± mantissa × 10^exponent.
struct DecimalNumber {
    var isNegative = false
    /// No point and no exponent.
    var isInteger = true
    /// The digits; their lowest 64 bits if there are more than 19.
    var mantissa: UInt64 = 0
    /// Digits without leading zeros.
    var digitCount = 0
    var exponent = 0

    /// The value as a 64-bit integer, nil if out of range or not written as one.
    var int64: Int64? {
        guard isInteger, digitCount <= 19 else { return nil }
        return isNegative
            ? (mantissa <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- mantissa) : nil)
            : Int64(exactly: mantissa)
    }

    /// The same, unsigned; `leadingDigit` is the first digit of the text.
    func uint64(leadingDigit: UInt8) -> UInt64? {
        guard isInteger, !isNegative || mantissa == 0 && digitCount == 0 else { return nil }
        if digitCount <= 19 { return mantissa }
        // Twenty digits that begin with 1 are below 2 × 10^19; what passed 2^64 wrapped to a
        // number of fewer digits.
        let fits = digitCount == 20 && leadingDigit == UInt8(ascii: "1")
        return fits && mantissa >= 10_000_000_000_000_000_000 ? mantissa : nil
    }

    /// The nearest value of the type, or nil where exact arithmetic in 128 bits does not reach.
    ///
    /// That is with more than 19 digits, or an exponent beyond ±27.
    ///
    /// What people and programs write in vectors and metadata nearly all fits.
    @inline(__always)
    func nearest<T: BinaryFloat>(_: T.Type) -> T? {
        guard digitCount <= 19 else { return nil }
        if mantissa == 0 { return isNegative ? -T.zero : T.zero }
        let power = exponent.magnitude
        guard power <= 27 else { return nil }
        let (quotient, isInexact, scale) =
            exponent >= 0 ? multiplied(by: Int(power)) : divided(by: Int(power))
        return T(rounding: quotient, isInexact: isInexact, scale: scale, isNegative: isNegative)
    }

    /// mantissa × 10^power as a 64-bit number with its top bit set, whether bits are missing
    /// below it, and the power of two to multiply with.
    @inline(__always)
    private func multiplied(by power: Int) -> (UInt64, Bool, Int) {
        let product = mantissa.multipliedFullWidth(by: Self.powersOfFive[power])
        guard product.high != 0 else {
            let shift = product.low.leadingZeroBitCount
            return (product.low << UInt64(shift), false, power &- shift)
        }
        let shift = product.high.leadingZeroBitCount
        let rest = product.low << UInt64(shift)
        // A shift by 64 gives zero, as it must.
        let top = product.high << UInt64(shift) | product.low >> UInt64(64 &- shift)
        return (top, rest != 0, 64 &- shift &+ power)
    }

    /// mantissa / 10^power, likewise.
    @inline(__always)
    private func divided(by power: Int) -> (UInt64, Bool, Int) {
        let five = Self.powersOfFive[power]
        let mantissaShift = mantissa.leadingZeroBitCount
        let fiveShift = five.leadingZeroBitCount
        let dividend = mantissa << UInt64(mantissaShift)
        // The divisor's top bit is set, the dividend's upper word is below 2^63: no overflow, and
        // the quotient has 63 or 64 bits.
        let (quotient, remainder) = (five << UInt64(fiveShift)).dividingFullWidth(
            (dividend >> 1, dividend << 63)
        )
        let shift = quotient.leadingZeroBitCount
        let scale = fiveShift &- mantissaShift &- 63 &- power &- shift
        return (quotient << UInt64(shift), remainder != 0, scale)
    }

    /// 10^power, for 0...19.
    @inline(__always)
    static func powerOfTen(_ power: Int) -> UInt64 { powersOfFive[power] << UInt64(power) }

    /// The powers below 2^64.
    private static let powersOfFive: [UInt64] = [
        1, 5, 25, 125, 625, 3125, 15625, 78125, 390_625, 1_953_125, 9_765_625, 48_828_125,
        244_140_625, 1_220_703_125, 6_103_515_625, 30_517_578_125, 152_587_890_625,
        762_939_453_125, 3_814_697_265_625, 19_073_486_328_125, 95_367_431_640_625,
        476_837_158_203_125, 2_384_185_791_015_625, 11_920_928_955_078_125,
        59_604_644_775_390_625, 298_023_223_876_953_125, 1_490_116_119_384_765_625,
        7_450_580_596_923_828_125,
    ]
}

/// The two types a decimal number is read into.
protocol BinaryFloat: BinaryFloatingPoint, LosslessStringConvertible {
    /// quotient × 2^scale, rounded to nearest, ties to even; infinity if too large.
    ///
    /// - Parameters:
    ///   - quotient: its top bit is set.
    ///   - isInexact: the true value is above `quotient` by less than 1.
    ///   - scale: so that the value is at least the least normal number.
    init(rounding quotient: UInt64, isInexact: Bool, scale: Int, isNegative: Bool)
}

extension Double: BinaryFloat {
    @inline(__always)
    init(rounding quotient: UInt64, isInexact: Bool, scale: Int, isNegative: Bool) {
        let significand = roundedSignificand(quotient, isInexact: isInexact, bits: 53)
        // The sum carries into the exponent when rounding reached the next power of two.
        let biased = UInt64(scale &+ 63 &+ 1023 &- 1)
        let sign: UInt64 = isNegative ? 1 << 63 : 0
        self.init(bitPattern: sign | (biased << 52) &+ significand)
    }
}

extension Float: BinaryFloat {
    @inline(__always)
    init(rounding quotient: UInt64, isInexact: Bool, scale: Int, isNegative: Bool) {
        let significand = roundedSignificand(quotient, isInexact: isInexact, bits: 24)
        let biased = UInt64(scale &+ 63 &+ 127 &- 1)
        let magnitude = Swift.min(biased << 23 &+ significand, UInt64(Float.infinity.bitPattern))
        let sign: UInt32 = isNegative ? 1 << 31 : 0
        self.init(bitPattern: sign | UInt32(truncatingIfNeeded: magnitude))
    }
}

/// The upper `bits` bits, rounded; 2^bits if that carries.
@inline(__always)
private func roundedSignificand(_ quotient: UInt64, isInexact: Bool, bits: UInt64) -> UInt64 {
    let shift = 64 &- bits
    let kept = quotient >> shift
    let rest = quotient & ((1 << shift) &- 1)
    let half: UInt64 = 1 << (shift &- 1)
    let roundsUp = rest > half || (rest == half && (isInexact || kept & 1 == 1))
    return roundsUp ? kept &+ 1 : kept
}
