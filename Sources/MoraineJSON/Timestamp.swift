// Times as text for people and JSON: ISO 8601 in UTC, by integer arithmetic alone.

/// Prints milliseconds since 1970-01-01T00:00:00Z.
package enum Timestamp {
    /// The longest text: the year of the largest number has nine digits.
    static let maximumByteCount = 29

    /// The time as text, such as `2026-11-22T21:43:07.123Z`.
    package static func text(milliseconds: UInt64) -> String {
        String(unsafeUninitializedCapacity: maximumByteCount) {
            write(milliseconds: milliseconds, to: UnsafeMutableRawBufferPointer($0))
        }
    }

    /// Writes the text and returns its length; `out` has ``maximumByteCount`` bytes.
    static func write(milliseconds: UInt64, to out: UnsafeMutableRawBufferPointer) -> Int {
        let (days, inDay) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        let (year, month, day) = date(days: days)
        var count = 0
        func put(_ value: UInt64, digits: Int, then separator: Unicode.Scalar) {
            var rest = value
            for index in stride(from: count + digits - 1, through: count, by: -1) {
                out[index] = UInt8(rest % 10) + 0x30
                rest /= 10
            }
            count += digits
            out[count] = UInt8(ascii: separator)
            count += 1
        }
        var yearDigits = 4
        var bound: UInt64 = 10_000
        while year >= bound {
            yearDigits += 1
            bound *= 10
        }
        put(year, digits: yearDigits, then: "-")
        put(month, digits: 2, then: "-")
        put(day, digits: 2, then: "T")
        put(inDay / 3_600_000, digits: 2, then: ":")
        put(inDay / 60_000 % 60, digits: 2, then: ":")
        put(inDay / 1_000 % 60, digits: 2, then: ".")
        put(inDay % 1_000, digits: 3, then: "Z")
        return count
    }

    /// The day of the Gregorian calendar, `days` after 1970-01-01.
    ///
    /// Counts from 0000-03-01 in eras of 400 years, so that the leap day is a year's last; after
    /// Howard Hinnant, "chrono-compatible low-level date algorithms".
    private static func date(days: UInt64) -> (year: UInt64, month: UInt64, day: UInt64) {
        let shifted = days + 719_468
        let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
    }
}
