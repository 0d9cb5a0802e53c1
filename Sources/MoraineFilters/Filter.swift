// A filter over metadata: what it says, and how one is made of others.

/// A condition on a document's metadata.
///
/// # What filters mean
///
/// A filter is a test of one field, `true`, `false`, or `not`, `and`, `or` of filters, which are
/// plain logic: a test holds or does not, there is no third answer.
///
/// A **field** is a path of names through objects: `a.b` is the value of `b` in the object `a`. A
/// field is *missing* when an object on the way has no such name, or when what is on the way is
/// no object; arrays are never looked through.
///
/// | test | holds when |
/// |---|---|
/// | `a exists` | `a` is not missing; null, arrays and objects exist |
/// | `a == v` | `a` is a scalar equal to `v` |
/// | `a != v` | `a` is a scalar not equal to `v`; of another kind is not equal |
/// | `a < v`, `<=`, `>`, `>=` | `a` and `v` are numbers, or strings, and in that order |
/// | `a in [v, w]` | `a == v` or `a == w`; never for an empty list |
/// | `a contains v` | `a` is an array and one of its elements `== v`; or both are strings, and `v` stands somewhere in `a` |
/// | `a startswith s` | `a` is a string that begins with `s` |
///
/// - **Missing**: every test of a missing field fails, `!=` too. `not a == 1` holds for it.
/// - **Kinds** are null, Boolean, number and string. Values of different kinds are never equal
///   and have no order; null and Booleans have no order at all.
/// - **Numbers**: integers and doubles are one kind and compare by value, exactly:
///   9007199254740993 is above 9007199254740992.0. `1 == 1.0`, and `-0.0 == 0`.
/// - **Strings** compare by their UTF-8 bytes. Nothing is normalised, case matters.
/// - **Arrays and objects** equal nothing and differ from nothing: `==`, `!=`, the order and `in`
///   fail for them. An array within an array is not an element that equals anything.
///
/// # Form
///
/// A flat program in postfix order: tests stand before the `and` that takes them. So filters of
/// any depth cost no recursion, when they are read, evaluated, printed or freed. `not` of a
/// `not` takes it away.
package struct Filter: Sendable, Equatable {
    /// A step of the program.
    enum Node: UInt8, Sendable {
        /// The next of the predicates.
        case test
        case always, never
        case not, and, or
    }

    /// A test and the field that it looks at.
    package struct Predicate: Sendable, Equatable {
        package let path: FieldPath
        package let test: Test
    }

    /// What a field is held against.
    package enum Test: Sendable, Equatable {
        case exists
        case compare(Comparison, FilterValue)
        case isIn([FilterValue])
        case contains(FilterValue)
        case hasPrefix([UInt8])
    }

    /// Bytes of a filter's text or JSON at most.
    package static let textByteCount = 1 << 20
    /// Levels of parentheses and `not` in a text, of objects in JSON.
    package static let depthLimit = 256

    private(set) var nodes: [Node] = []
    /// The tests in the order of their nodes.
    package private(set) var predicates: [Predicate] = []

    /// No program yet; for readers, which append.
    init() {}

    /// A test of a field.
    package init(_ path: FieldPath, _ test: Test) { append(Predicate(path: path, test: test)) }

    /// A filter that every document passes, or none.
    package init(constant: Bool) { append(constant: constant) }

    /// All of the filters; true when there are none.
    ///
    /// Linear, where a chain of ``and(_:)`` on copies is quadratic.
    package init(all filters: some Sequence<Filter>) {
        for filter in filters { if nodes.isEmpty { self = filter } else { and(filter) } }
        if nodes.isEmpty { append(constant: true) }
    }

    /// Any of the filters; false when there are none.
    package init(any filters: some Sequence<Filter>) {
        for filter in filters { if nodes.isEmpty { self = filter } else { or(filter) } }
        if nodes.isEmpty { append(constant: false) }
    }

    /// Turns the filter into its opposite.
    package mutating func negate() { append(.not) }

    /// Demands another filter too.
    package mutating func and(_ other: Filter) { append(other, .and) }

    /// Allows another filter too.
    package mutating func or(_ other: Filter) { append(other, .or) }

    /// Changes places with a much longer filter, before one is appended to the other: a chain that
    /// is put together from its end would else be copied for each of its filters.
    ///
    /// Only before ``and(_:)`` or ``or(_:)``, for which the order means nothing.
    package mutating func growInPlace(with other: inout Filter) {
        // Guess: far above what is written by hand, which is printed as it was written.
        if other.nodes.count / 64 > nodes.count { swap(&self, &other) }
    }

    /// The paths that the filter looks at, each once, in the order of their first tests.
    package var paths: [FieldPath] {
        var seen: Set<FieldPath> = []
        return predicates.map(\.path).filter { seen.insert($0).inserted }
    }

    /// Answers that wait at most while the program runs.
    var stackDepth: Int {
        var depth = 0
        var deepest = 0
        for node in nodes {
            switch node {
            case .test, .always, .never: depth += 1
            case .not: break
            case .and, .or: depth -= 1
            }
            deepest = max(deepest, depth)
        }
        return deepest
    }

    // MARK: Appending

    mutating func append(_ predicate: Predicate) {
        predicates.append(predicate)
        nodes.append(.test)
    }

    mutating func append(constant: Bool) { nodes.append(constant ? .always : .never) }

    /// Appends an operator whose operands are already there.
    mutating func append(_ node: Node) {
        // The last node of a program is its outermost, so this is the `not` of a `not`.
        if node == .not, nodes.last == .not {
            nodes.removeLast()
        } else {
            nodes.append(node)
        }
    }

    private mutating func append(_ other: Filter, _ node: Node) {
        nodes += other.nodes
        predicates += other.predicates
        nodes.append(node)
    }
}
