// One value of a document's metadata.

import MoraineFormat

/// A value of metadata: what JSON knows, with integers and floating-point numbers kept apart.
///
/// Values come back as they were put: `1` is not `1.0`, and `-0.0` keeps its sign. Values can be
/// written as literals:
///
/// ```swift
/// let metadata: Metadata = ["lang": "sv", "year": 2024, "score": 0.5, "tags": ["a", "b"]]
/// ```
public enum MetadataValue: Sendable, Hashable {
    /// JSON's null.
    case null
    /// True or false.
    case bool(Bool)
    /// A 64-bit integer.
    case int(Int64)
    /// A finite double; NaN and infinity are refused when the document is put.
    case double(Double)
    /// A text.
    case string(String)
    /// Values in their order.
    case array([MetadataValue])
    /// Values by key.
    case object(Metadata)

    /// The Boolean, `nil` for other values.
    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The integer, `nil` for other values, doubles included.
    public var intValue: Int64? {
        if case .int(let value) = self { value } else { nil }
    }

    /// The double, `nil` for other values, integers included.
    public var doubleValue: Double? {
        if case .double(let value) = self { value } else { nil }
    }

    /// The text, `nil` for other values.
    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The values of an array, `nil` for other values.
    public var arrayValue: [MetadataValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The object, `nil` for other values.
    public var objectValue: Metadata? {
        if case .object(let value) = self { value } else { nil }
    }

    /// True when both would be stored as the same bytes.
    ///
    /// Texts are compared as UTF-8, so that canonically equivalent ones differ; doubles by their
    /// bits, so that `-0.0` is not `0.0`; an integer never equals a double.
    public static func == (a: MetadataValue, b: MetadataValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let x), .bool(let y)): x == y
        case (.int(let x), .int(let y)): x == y
        case (.double(let x), .double(let y)): x.bitPattern == y.bitPattern
        case (.string(let x), .string(let y)): compareUTF8(x, y) == 0
        case (.array(let x), .array(let y)): x == y
        case (.object(let x), .object(let y)): x == y
        default: false
        }
    }

    /// Hashes what `==` compares.
    public func hash(into hasher: inout Hasher) {
        // Equal bytes are canonically equivalent, so that String's own hash suits.
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .int(let value): hasher.combine(value)
        case .double(let value): hasher.combine(value.bitPattern)
        case .string(let value): hasher.combine(value)
        case .array(let value): hasher.combine(value)
        case .object(let value): hasher.combine(value)
        }
    }
}

extension MetadataValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// `nil` is `.null`.
    public init(nilLiteral: ()) { self = .null }

    /// `true` and `false`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    /// `1` is an integer.
    public init(integerLiteral value: Int64) { self = .int(value) }

    /// `1.0` is a double.
    public init(floatLiteral value: Double) { self = .double(value) }

    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }

    /// An array.
    public init(arrayLiteral elements: MetadataValue...) { self = .array(elements) }

    /// An object; a key must not stand there twice.
    public init(dictionaryLiteral elements: (String, MetadataValue)...) {
        self = .object(Metadata(literal: elements))
    }
}
