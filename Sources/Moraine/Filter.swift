// Conditions on metadata, as programs write them.

package import MoraineFilters
import MoraineStorage

/// A condition on a document's metadata.
///
/// ```swift
/// let filter = .field("year") >= 2020 && !.field("tags").contains("draft")
/// ```
///
/// The same as text, as the command line tool takes it, and as JSON:
///
/// ```swift
/// let same = try Filter(text: #"year >= 2020 and not tags contains "draft""#)
/// ```
///
/// A comparison with a field that a document lacks fails, `!=` too; so does one with a field that
/// is an array or object: arrays are asked by ``Field/contains(_:)``. Values of different kinds
/// differ and have no order; integers and doubles are one kind and compare exactly; texts compare
/// by their UTF-8 bytes. `!` is plain negation: it holds for a document that lacks the field.
///
/// What is wrong with a field's path or a value is found when the filter is used.
public struct Filter: Sendable {
    private var filter: MoraineFilters.Filter
    /// The first thing that is wrong in a filter that was put together.
    private var fault: FilterError?

    private init(_ filter: MoraineFilters.Filter, _ fault: FilterError? = nil) {
        self.filter = filter
        self.fault = fault
    }

    /// Reads the text form: `section == "fonts" and installed_size > 100`.
    ///
    /// Operators are `==` `!=` `<` `<=` `>` `>=`, `in [1, 2]`, `contains`, `startswith` and
    /// `exists`; `not` binds before `and` before `or`; parentheses. Values are those of JSON.
    /// Names that are not letters, digits and `_` stand in backticks.
    ///
    /// - Throws: `invalidFilter` with the column, counted from 1.
    public init(text: String) throws(MoraineError) {
        do throws(FilterError) {
            self.init(try MoraineFilters.Filter(text: text))
        } catch {
            throw MoraineError(error.storeError)
        }
    }

    /// Reads the JSON form:
    /// `{"and":[{"field":"a.b","op":"==","value":1},{"not":{"field":"c","op":"exists"}}]}`.
    ///
    /// - Throws: `invalidFilter` with the place.
    public init(json: String) throws(MoraineError) {
        do throws(FilterError) {
            self.init(try MoraineFilters.Filter(json: json))
        } catch {
            throw MoraineError(error.storeError)
        }
    }

    /// All of the filters; every document passes when there are none.
    public static func all(_ filters: some Sequence<Filter>) -> Filter {
        let filters = Array(filters)
        return Filter(
            MoraineFilters.Filter(all: filters.map(\.filter)),
            filters.lazy.compactMap(\.fault).first
        )
    }

    /// Any of the filters; no document passes when there are none.
    public static func any(_ filters: some Sequence<Filter>) -> Filter {
        let filters = Array(filters)
        return Filter(
            MoraineFilters.Filter(any: filters.map(\.filter)),
            filters.lazy.compactMap(\.fault).first
        )
    }

    /// Both filters.
    ///
    /// Many are put together sooner by ``all(_:)``.
    public static func && (a: consuming Filter, b: consuming Filter) -> Filter {
        a.filter.growInPlace(with: &b.filter)
        a.filter.and(b.filter)
        a.fault = a.fault ?? b.fault
        return a
    }

    /// Either filter.
    ///
    /// Many are put together sooner by ``any(_:)``.
    public static func || (a: consuming Filter, b: consuming Filter) -> Filter {
        a.filter.growInPlace(with: &b.filter)
        a.filter.or(b.filter)
        a.fault = a.fault ?? b.fault
        return a
    }

    /// The opposite.
    public static prefix func ! (a: Filter) -> Filter {
        var filter = a.filter
        filter.negate()
        return Filter(filter, a.fault)
    }

    /// The filter as everything below knows it.
    ///
    /// - Throws: `invalidFilter` for a path or value that no filter can hold.
    package func checked() throws(MoraineError) -> MoraineFilters.Filter {
        if let fault { throw MoraineError(fault.storeError) }
        return filter
    }
}

extension Filter: CustomStringConvertible {
    /// The canonical text.
    public var description: String { filter.description }
}

// MARK: - Fields

extension Filter {
    /// A field of a document's metadata, to be compared with a value.
    ///
    /// `.field("a.b")` is `b` in the object `a`; a name that holds dots stands in backticks.
    public struct Field: Sendable {
        private let path: FieldPath
        private let fault: FilterError?

        /// The field at a path.
        public static func field(_ path: String) -> Field { Field(path) }

        init(_ path: String) {
            do throws(FilterError) {
                self.path = try FieldPath(path)
                fault = nil
            } catch {
                self.path = FieldPath(names: [Array(path.utf8)])
                fault = error
            }
        }

        /// The document has the field, with any value, null too.
        public var exists: Filter { Filter(.init(path, .exists), fault) }

        /// The field's value is one of these.
        public func `in`(_ values: [MetadataValue]) -> Filter {
            var list: [FilterValue] = []
            var fault = fault
            for value in values {
                let (value, wrong) = Self.scalar(value)
                list.append(value)
                fault = fault ?? wrong
            }
            return Filter(.init(path, .isIn(list)), fault)
        }

        /// The field is an array that holds the value, or a text in which the text stands.
        public func contains(_ value: MetadataValue) -> Filter { test(value) { .contains($0) } }

        /// The field is a text that begins with these bytes.
        public func hasPrefix(_ prefix: String) -> Filter {
            Filter(.init(path, .hasPrefix(Array(prefix.utf8))), fault)
        }

        /// The field's value is this one.
        public static func == (field: Field, value: MetadataValue) -> Filter {
            field.test(value) { .compare(.equal, $0) }
        }

        /// The field has a value, and it is another one.
        public static func != (field: Field, value: MetadataValue) -> Filter {
            field.test(value) { .compare(.notEqual, $0) }
        }

        /// The field is below the number or text.
        public static func < (field: Field, value: MetadataValue) -> Filter {
            field.test(value) { .compare(.less, $0) }
        }

        /// The field is not above the number or text.
        public static func <= (field: Field, value: MetadataValue) -> Filter {
            field.test(value) { .compare(.lessOrEqual, $0) }
        }

        /// The field is above the number or text.
        public static func > (field: Field, value: MetadataValue) -> Filter {
            field.test(value) { .compare(.greater, $0) }
        }

        /// The field is not below the number or text.
        public static func >= (field: Field, value: MetadataValue) -> Filter {
            field.test(value) { .compare(.greaterOrEqual, $0) }
        }

        private func test(
            _ value: MetadataValue,
            _ make: (FilterValue) -> MoraineFilters.Filter.Test
        ) -> Filter {
            let (value, wrong) = Self.scalar(value)
            return Filter(.init(path, make(value)), fault ?? wrong)
        }

        /// The value as filters hold it, or null and what is wrong with it.
        private static func scalar(_ value: MetadataValue) -> (FilterValue, FilterError?) {
            func wrong(_ found: String) -> (FilterValue, FilterError?) {
                (
                    .null,
                    FilterError(
                        "expected null, a Boolean, a finite number or a text, found \(found)",
                        expected: "a scalar",
                        found: found
                    )
                )
            }
            switch value {
            case .null: return (.null, nil)
            case .bool(let value): return (.bool(value), nil)
            case .int(let value): return (.integer(value), nil)
            case .double(let value):
                return value.isFinite ? (.double(value), nil) : wrong("\(value)")
            case .string(let text): return (.string(Array(text.utf8)), nil)
            case .array: return wrong("an array")
            case .object: return wrong("an object")
            }
        }
    }

    /// The field at a path.
    public static func field(_ path: String) -> Field { Field(path) }
}
