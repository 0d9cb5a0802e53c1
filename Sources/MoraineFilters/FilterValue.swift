// What fields are compared with, and how two values compare.

import MoraineBytes
import MoraineFormat

/// A value that a filter holds: a scalar of metadata.
///
/// Doubles are finite, strings are UTF-8.
package enum FilterValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string([UInt8])

    /// A string value.
    package static func string(_ text: String) -> FilterValue { .string(Array(text.utf8)) }
}

/// The six ways to compare a field with a value.
package enum Comparison: String, Sendable, CaseIterable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="

    /// True when a field that sorts so holds.
    ///
    /// - Parameter order: negative, zero or positive as the field is below, equal to or above.
    @inline(__always)
    func holds(_ order: Int) -> Bool {
        switch self {
        case .equal: order == 0
        case .notEqual: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }
}

/// A number of either type.
enum Number: Sendable {
    case integer(Int64)
    case double(Double)

    /// Negative, zero or positive as `self` is below, equal to or above `other`: exactly, never
    /// rounding an integer.
    @inline(__always)
    func order(_ other: Number) -> Int {
        switch (self, other) {
        case (.integer(let a), .integer(let b)): a < b ? -1 : a > b ? 1 : 0
        case (.integer(let a), .double(let b)): Number.order(a, b)
        case (.double(let a), .integer(let b)): -Number.order(b, a)
        case (.double(let a), .double(let b)): a < b ? -1 : a > b ? 1 : 0
        }
    }

    private static func order(_ a: Int64, _ b: Double) -> Int {
        // Not `b < 2^63`, so that what is no number, which only damage can bring, is caught too.
        guard b >= -0x1p63 else { return 1 }
        guard b < 0x1p63 else { return -1 }
        let whole = Int64(b)
        if a != whole { return a < whole ? -1 : 1 }
        // Exact: the whole part of a double is a double.
        let rest = b - Double(whole)
        return rest > 0 ? -1 : rest < 0 ? 1 : 0
    }
}

extension UnsafeRawBufferPointer {
    /// True when these bytes begin with `prefix`.
    @inline(__always)
    func hasPrefix(_ prefix: UnsafeRawBufferPointer) -> Bool {
        guard prefix.count <= count else { return false }
        return KeyBytes.compare(UnsafeRawBufferPointer(rebasing: self[..<prefix.count]), prefix)
            == 0
    }

    /// True when `part` stands somewhere in these bytes; always for an empty part.
    func contains(part: UnsafeRawBufferPointer) -> Bool {
        guard let first = part.first else { return true }
        guard part.count <= count else { return false }
        for start in 0...(count &- part.count) where self[start] == first {
            if UnsafeRawBufferPointer(rebasing: self[start...]).hasPrefix(part) { return true }
        }
        return false
    }

    /// True when these are the bytes of `text`.
    @inline(__always)
    func equals(bytes text: [UInt8]) -> Bool {
        text.count == count
            && text.withUnsafeBufferPointer {
                KeyBytes.compare(self, UnsafeRawBufferPointer($0)) == 0
            }
    }
}
